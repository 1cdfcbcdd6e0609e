"""Models: find them on this computer, download, load and upload them."""
