"""The audits on phantoms: does the model look, and is its evidence right?"""
