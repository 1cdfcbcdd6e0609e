"""Opening scans, and what is known about the one on screen."""
