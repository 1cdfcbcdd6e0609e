"""I3ResNet-152, the image encoder of Merlin and of Astra.

`input/` makes the input of a scan by either chain, `network/` is the network, without torchvision
and without code of the releases.
"""
