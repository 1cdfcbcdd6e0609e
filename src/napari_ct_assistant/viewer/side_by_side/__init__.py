"""Two reports of one scan side by side, for a reader to choose between."""
