"""Procedural chest CT phantoms with known truth."""
