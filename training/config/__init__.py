"""Recipes: YAML files that say what a stage trains, and their checks."""
