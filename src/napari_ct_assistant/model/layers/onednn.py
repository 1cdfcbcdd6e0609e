"""Linear layers and attention on the CPU by oneDNN, for inference in float32.

torch computes a float32 matrix product by MKL, which leaves AVX-512 unused on processors that are
not Intel's; oneDNN, which comes with torch too, uses it wherever it is. Values differ from those
of `torch.nn.functional` by rounding alone. Everything falls back to `torch.nn.functional`: on
another device, in another precision, without AVX-512, or while weights are trained.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Network = TypeVar("Network", bound=nn.Module)

SCORES: Final = 1 << 20  # attention scores that are held at a time
FEW: Final = 1 << 18  # multiplications that one thread does sooner than several


def available() -> bool:
    """Return whether oneDNN computes here: it is built in, not switched off, and gains."""
    backends: Any = torch.backends
    return bool(
        backends.mkldnn.is_available()
        and backends.mkldnn.enabled
        and backends.cpu.get_cpu_capability() == "AVX512"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


class Linear(nn.Linear):
    """A linear layer that is computed by oneDNN where it can be."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias. x: [..., in], weight: [out, in] -> [..., out]."""
    if not _usable(x, weight):
        return functional.linear(x, weight, bias)
    if torch.is_grad_enabled() and x.requires_grad:
        result: Tensor = _FrozenLinear.apply(x, weight, bias)
        return result
    return _product(x, weight, bias)


def use_onednn(model: Network) -> Network:
    """Return a model that was built without oneDNN with its linear layers computed by it.

    Layers of another kind, such as quantized ones, stay as they are.
    """
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = Linear
    return model


def attention(q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Return softmax(q k^T / sqrt(d)) v.

    The scores [L, N] are never held whole.

    Parameters
    ----------
    q : Tensor [B, heads, L, d]
    k, v : Tensor [B, heads, N, d]
    dropout : float

    Returns
    -------
    Tensor [B, L, heads, d]
    """
    b, heads, length, d = q.shape
    learns = torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v))
    if dropout or learns or not _usable(q, k[0, 0].contiguous()):
        whole = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return whole.transpose(1, 2)
    out = q.new_empty(b, length, heads, d)
    rows = max(64, SCORES // k.shape[2])
    for i in range(b):
        for h in range(heads):
            # oneDNN has no fast path for other strides than these.
            keys, values = k[i, h].contiguous(), v[i, h].contiguous().t()
            for begin in range(0, length, rows):
                part = q[i, h, begin : begin + rows] * d**-0.5
                weights = _product(part.contiguous(), keys).softmax(-1)
                out[i, begin : begin + rows, h] = _product(weights, values)
    return out


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x @ weight.T, outside autograd. x: [..., in], weight: [out, in] -> [..., out].

    `weight` may be a matrix that stands transposed in memory.
    """
    if _usable(x, weight if weight.is_contiguous() else weight.t()):
        return _product(x.contiguous(), weight)
    return functional.linear(x, weight)


class _FrozenLinear(torch.autograd.Function):
    """A linear layer whose weights do not learn, with the gradient of its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return _product(gradients[0].contiguous(), weight.t()), None, None


def _usable(x: Tensor, weight: Tensor) -> bool:
    """Return whether `_product` takes these, and the weights do not learn."""
    return (
        x.device.type == "cpu"
        and weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and type(weight.data) is Tensor
        and not (torch.is_grad_enabled() and weight.requires_grad)
        and weight.is_contiguous()
        and _worth(x.numel() * weight.shape[0])
        and available()
    )


def _worth(products: int) -> bool:
    """Return whether so many multiplications gain: more threads than one have to be joined."""
    return products >= FEW or (products > 0 and torch.get_num_threads() == 1)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias. x: [..., in], weight: [out, in] -> [..., out]."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result
