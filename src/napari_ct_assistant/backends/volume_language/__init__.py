"""E3D-GPT, ViT3D-LLaMA3 and M3D-LaMed: encoder, perceiver and a causal language model."""
