"""Heads that find places in the maps of a frozen I3ResNet, trained on phantoms."""
