"""NV-Reason-CT: a Primus encoder and a Qwen3.5 language model that reasons about chest and abdomen.

Read natively: no code of the model's repository is fetched or run. `input/` makes the input of a
scan, `network/` is the network, `conversation/` renders questions and reads answers,
`image_context.py` keeps what all questions about a scan share.
"""
