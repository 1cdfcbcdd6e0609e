"""RevCT: 18 findings of CT-RATE from COLIPRI's frozen image encoder, with learned heads.

Its `config.json` was not in reach when this was written. What a head is must therefore be stated
by `config.json` or by a file `heads.json` beside it; nothing is guessed, and a folder that does not
say it is refused with what is missing.
"""
