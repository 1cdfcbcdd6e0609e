"""Stock image-text-to-text models that read a CT as a sequence of slices."""
