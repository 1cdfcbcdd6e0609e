"""Import of released checkpoints: their folders, key maps, LoRA, and the folder that is written."""
