"""The network: an inflated ResNet, its batch norms folded into the convolutions."""
