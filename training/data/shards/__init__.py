"""Prepared volumes in shards: tar files that are read by byte range, from a folder or a server."""
