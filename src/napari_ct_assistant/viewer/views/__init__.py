"""The views: planes, linked views, crosshair, slabs, window presets."""
