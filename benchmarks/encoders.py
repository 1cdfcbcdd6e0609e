"""Rows of the encoders: E3D-GPT's and M3D's beside MONAI's ViT, Primus beside its published code.

Sizes are the published ones but for the number of blocks, which a row names: blocks are alike, so
that time grows with their number, and the peak of memory does not depend on it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.machine import named, threads_of_torch, usable_cores
from benchmarks.rows import Groups, MissingPeerError, Row, Settings, Target, faster, race
from napari_ct_assistant.backends.nv_reason_ct.published import SIZES
from napari_ct_assistant.backends.primus.network import Primus
from napari_ct_assistant.model import VisionTransformer3D
from napari_ct_assistant.model.presets import e3d_gpt_vision, vit3d_llama3_vision

ENCODERS: Final = {"E3D-GPT": (e3d_gpt_vision, 2), "M3D": (vit3d_llama3_vision, 4)}
HALF: Final = Target("memory", 0.5)


def encoder_e3d_gpt(settings: Settings) -> Iterator[Row]:
    """E3D-GPT's encoder beside MONAI's ViT of the same size; one thread and two."""
    yield from _encoder("E3D-GPT", settings)


def encoder_m3d(settings: Settings) -> Iterator[Row]:
    """M3D's encoder beside MONAI's ViT of the same size; one thread and two."""
    yield from _encoder("M3D", settings)


def _encoder(name: str, settings: Settings) -> Iterator[Row]:
    if settings.quick:
        return
    preset, blocks = ENCODERS[name]
    config = preset()
    whole, config.num_hidden_layers = config.num_hidden_layers, blocks
    ours = VisionTransformer3D(config).eval()
    theirs, version = _monai(config)
    x = torch.rand(1, 1, *config.image_size)
    d, h, w = config.grid
    for threads in usable_cores():
        with threads_of_torch(threads), torch.inference_mode():
            here, there = race(lambda: ours(x), lambda: theirs(x), settings, memory=True)
        yield Row(
            f"encoder of {name}, {d * h * w} tokens, {blocks} of {whole} blocks, {named(threads)}",
            f"MONAI {version} ViT",
            here,
            there,
            (faster(1.5), HALF),
        )


def primus(settings: Settings) -> Iterator[Row]:
    """The Primus encoder of NV-Reason-CT beside its published code, with the same weights."""
    if settings.quick:
        return
    reference, version = _published_primus()
    ours = Primus(
        SIZES.input_shape, SIZES.patch_size, SIZES.embed_dim, 1, SIZES.num_heads, SIZES.mlp_hidden
    ).eval()
    weights = reference.state_dict()
    ours.load_state_dict({key: weights[key] for key in ours.state_dict()})
    x = torch.rand(1, 1, *SIZES.input_shape)

    def theirs() -> Tensor:
        tokens = reference.down_projection(x).flatten(2).transpose(1, 2)
        encoded: Tensor = reference.eva(tokens)[0]
        return encoded

    with threads_of_torch(1), torch.inference_mode():
        here, there = race(lambda: ours(x), theirs, settings, memory=True)
    tokens = ours.grid[0] * ours.grid[1] * ours.grid[2]
    yield Row(
        f"Primus of NV-Reason-CT, {tokens} tokens, 1 of {SIZES.depth} blocks, one core",
        f"dynamic-network-architectures {version}",
        here,
        there,
        (faster(1.2), Target("memory", 0.7)),
    )


GROUPS: Final[Groups] = {
    "encoder-e3d-gpt": encoder_e3d_gpt,
    "encoder-m3d": encoder_m3d,
    "primus": primus,
}


def _monai(config: Any) -> tuple[Callable[[Tensor], Any], str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import monai
            from monai.networks.nets import ViT
    except ImportError as error:
        raise MissingPeerError("pip install --no-deps monai; pip install einops") from error
    model = ViT(
        1,
        tuple(config.image_size),
        tuple(config.patch_size),
        hidden_size=config.hidden_size,
        mlp_dim=int(config.hidden_size * config.mlp_ratio),
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        qkv_bias=config.qkv_bias,
    ).eval()
    return model, monai.__version__


def _published_primus() -> tuple[Any, str]:
    """Return the published encoder with one block, and the package's version."""
    try:
        with _torchvision():
            from dynamic_network_architectures.architectures.primus import Primus as Reference
    except ImportError as error:
        raise MissingPeerError(
            "pip install --no-deps dynamic-network-architectures timm==1.0.15; pip install einops"
        ) from error
    from importlib.metadata import version

    made = Reference(
        1,
        SIZES.embed_dim,
        SIZES.patch_size,
        1,
        eva_depth=1,
        eva_numheads=SIZES.num_heads,
        input_shape=SIZES.input_shape,
        use_abs_pos_embed=False,
        scale_attn_inner=True,
        init_values=0.1,
    ).eval()
    return made, version("dynamic-network-architectures")


class _Named(type):
    """Gives any attribute as its name."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands for torchvision, which timm imports for transforms that nothing here calls."""

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        ours = name.partition(".")[0] == "torchvision"
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if ours else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: _any(name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        module.__path__ = []


def _any(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Named(name, (), {})


@contextmanager
def _torchvision() -> Iterator[None]:
    finder = _Empty()
    sys.meta_path.append(finder)  # asked last: one that is installed goes first
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if not getattr(sys.modules.get("torchvision"), "__file__", None):
            for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
