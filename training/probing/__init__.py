"""Heads on a frozen encoder: their samples, features, fit and figures (stage `probe`)."""
