"""Embeddings as vLLM takes them."""

from __future__ import annotations

import base64
import io

import torch
from torch import Tensor

from napari_ct_assistant.backends.server.errors import ServerError
from napari_ct_assistant.support.translation import said


def payload(embeddings: Tensor, width: int) -> str:
    """Return embeddings as base64 text of `torch.save`; equal embeddings give equal tensors.

    Parameters
    ----------
    embeddings : Tensor [n, hidden_size]
        In the type that the server computes in.
    width : int
        The hidden size of the server's model.

    Raises
    ------
    ServerError
        If they have another shape, or hold NaN or infinity: a server answers those with nothing.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != width or not len(embeddings):
        raise ServerError(
            said(
                "the embeddings have the shape {list}, and the server's model takes [tokens, "
                "{width}]; nothing was sent",
                list=list(embeddings.shape),
                width=width,
            )
        )
    if not bool(embeddings.isfinite().all()):
        raise ServerError(
            said(
                "the embeddings of this scan are not finite (NaN or infinity); nothing was "
                "sent. Check the scan's values, or load the encoder in float32"
            )
        )
    stream = io.BytesIO()
    # A copy: a view would be saved with all that it is a view of.
    torch.save(embeddings.detach().cpu().clone().contiguous(), stream)
    return base64.b64encode(stream.getvalue()).decode("ascii")
