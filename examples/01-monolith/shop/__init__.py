"""The shop as one program: accounts, catalog, orders and history in a single process."""
