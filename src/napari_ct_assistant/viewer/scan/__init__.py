"""Opening scans, and what is known about the scan on screen."""
