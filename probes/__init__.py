"""Read this machine: one file a source, pure parsers beside thin readers."""
