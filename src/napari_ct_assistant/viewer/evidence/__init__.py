"""Evidence on the slices: heat map, findings table."""
