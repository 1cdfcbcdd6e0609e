"""The part of a scan that a model reads: its box on the slices, its region, moving it."""
