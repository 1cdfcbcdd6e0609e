"""What only the demonstration model has: concept maps over patches, and a convolution stem."""
