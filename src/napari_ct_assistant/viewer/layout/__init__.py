"""The reading layout: what stands around the canvas, and what is folded away while reading."""
