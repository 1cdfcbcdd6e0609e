"""The journal: what was written about each scan, kept on this computer."""
