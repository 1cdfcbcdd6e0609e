"""Evidence: where in the scan a sentence comes from, and how much the image supports it."""
