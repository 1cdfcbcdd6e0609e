"""Checkpoints from elsewhere made into ours: key maps, released folders, LoRA, the import."""
