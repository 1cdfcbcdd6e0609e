"""Places of findings by the frozen encoder: cells, masks, heads, ranked places."""
