"""Figures and what they are compared with, shared by every evaluation."""
