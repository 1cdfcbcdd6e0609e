"""Heads on a frozen encoder: findings of one's own labels, calibrated, and nothing else.

Stage `probe` trains them (`training/stages/probe.py`). A folder holds the heads, and in `encoder/`
a copy of the encoder that they belong to.
"""
