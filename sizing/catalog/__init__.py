"""Packaged facts about models, devices and file types, with their sources.

The sources are TOML files (`models/`, `devices/`, `processors/`, `memory_systems.toml`,
`quants.toml`, `driver_totals.toml`); `build` checks them and writes the compact `index/` that
`lookup` reads.
"""
