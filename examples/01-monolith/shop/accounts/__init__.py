"""Sign up, log in, who am I."""
