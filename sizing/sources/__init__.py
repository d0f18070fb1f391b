"""A name, path or address → bytes; the only input and output inside sizing."""
