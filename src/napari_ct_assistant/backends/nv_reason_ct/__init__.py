"""NV-Reason-CT: a Primus encoder and a Qwen3.5 language model that reasons about chest and abdomen.

Read natively: no code of the model's repository is fetched or run. `preparation.py` and `lungs.py`
make the input, `primus.py` and `modeling.py` are the network, `text.py` renders conversations,
`image_context.py` keeps what all questions about a scan share.
"""
