"""How each family of models reads a scan, behind one protocol (`backends.protocol`).

A family is one package here and an entry in `backends.families`; docs/adding-a-model.md is the
guide. Importing this package brings no torch.
"""
