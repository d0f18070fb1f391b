"""One file a runtime: memory rules and commands."""
