"""Buy: stock never goes below zero, nothing is half-written."""
