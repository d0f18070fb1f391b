"""Hugging Face: names, listings, the choice of a file, and where the bytes come from."""
