"""Recipes: the YAML files that define what a stage trains, and their checks."""
