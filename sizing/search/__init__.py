"""The search for placements: layers over devices, what spills, the longest that fits."""
