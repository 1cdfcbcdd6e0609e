"""The Primus encoder, which several families share."""
