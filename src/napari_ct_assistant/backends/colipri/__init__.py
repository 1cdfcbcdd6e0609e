"""COLIPRI: an encoder of chest CT and text that screens for findings, and writes no text.

Read natively: Primus, attention pooling and a stock BERT; no code of the model's repository is
fetched or run. `preparation.py` makes the input of a scan, `network.py` is the network,
`prompts.py` and `words.py` turn findings into text, `context.py` compares both.
"""
