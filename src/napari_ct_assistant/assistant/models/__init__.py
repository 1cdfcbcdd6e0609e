"""The models of this machine: find, download, load, upload."""
