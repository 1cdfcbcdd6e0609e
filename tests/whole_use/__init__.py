"""One run over everything that a reader does, in a process of its own that is watched."""
