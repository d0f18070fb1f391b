"""Packaged facts about models, devices and file types, with their sources."""
