"""Reading a scan: the image context, generation, the screen, rewriting and safety notes."""
