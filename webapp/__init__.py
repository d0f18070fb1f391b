"""The calculator in a browser, over the same engine."""
