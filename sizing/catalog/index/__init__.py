"""Data files, written by `python -m whatfits.sizing.catalog.build`."""
