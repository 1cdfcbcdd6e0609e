"""Astra's report generator: I3ResNet-152, a perceiver with 32 latents, Qwen2.5-7B.

Read natively; the language model's cache, generation and support are those of `volume_language`.
"""
