"""Every model of the catalog, or of this disk, on one machine, in order by a stated rule."""
