"""The stages of training, one file each, told as the papers tell them."""
