"""One file a family: config → metadata → tensor table and cache layout."""
