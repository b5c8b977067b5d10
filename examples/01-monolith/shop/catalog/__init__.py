"""List, create, read, update and delete products."""
