"""Show the products ordered by a user."""
