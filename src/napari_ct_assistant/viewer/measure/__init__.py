"""Rulers and regions drawn on a scan."""
