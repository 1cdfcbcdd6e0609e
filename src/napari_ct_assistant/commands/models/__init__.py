"""`models`: list, download, add, import and publish models."""
