"""What the commands share: options, output, progress, loading the scan and the model."""
