"""Volumes in one file each: NIfTI, MetaImage, NRRD; zip archives; what other files are."""
