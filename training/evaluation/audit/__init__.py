"""Audits on phantoms: does the model look at the scan, and is its evidence right?"""
