"""The 3D MAE: masking, no leaks, and the numbers of the public 2D code at depth one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_ct_assistant.model import MaskedAutoencoder3D
from napari_ct_assistant.model.encoders import make_encoder
from napari_ct_assistant.model.layers.pos_embed import get_3d_sincos_pos_embed
from tests.tiny_model import tiny_vision

CONVOLUTION = {
    "stem": "convolution",
    "stem_channels": (4, 4, 4, 4),
    "stem_depths": (1, 1, 1, 1),
    "patch_size": (8, 16, 16),
}


def mae(**changes: object) -> MaskedAutoencoder3D:
    torch.manual_seed(0)
    return MaskedAutoencoder3D(
        make_encoder(tiny_vision(**changes)),
        decoder_embed_dim=24,
        decoder_depth=1,
        decoder_num_heads=2,
    ).eval()


def test_patchify_and_back() -> None:
    model = mae()
    x = torch.rand(2, 1, 32, 64, 64)
    patches = model.patchify(x)
    assert patches.shape == (2, 64, 8 * 16 * 16)
    # Token 21 is (1, 1, 1) of the 4x4x4 grid.
    expected = x[0, 0, 8:16, 16:32, 16:32].flatten()
    assert torch.equal(patches[0, 21], expected)
    assert torch.equal(model.unpatchify(patches), x)


def test_a_quarter_is_kept() -> None:
    model = mae()
    ids_keep, mask, ids_restore = model.random_masking(torch.rand(3, 64))
    assert ids_keep.shape == (3, 16)
    assert torch.equal(mask.sum(1), torch.full((3,), 48.0))
    assert (mask.gather(1, ids_keep) == 0).all()
    assert torch.equal(ids_restore.sort(1).values, torch.arange(64).expand(3, -1))


@pytest.mark.parametrize("stem", [{}, CONVOLUTION])
def test_removed_voxels_do_not_leak(stem: dict[str, object]) -> None:
    model = mae(**stem)
    noise = torch.rand(1, 64)
    ids_keep, mask, _ = model.random_masking(noise)
    x = torch.rand(1, 1, 32, 64, 64)
    hole = mask.reshape(1, 1, 4, 4, 4)
    hole = hole.repeat_interleave(8, 2).repeat_interleave(16, 3).repeat_interleave(16, 4)
    other = torch.where(hole > 0, torch.rand_like(x), x)
    with torch.no_grad():
        a = model.forward_encoder(x, ids_keep)
        b = model.forward_encoder(other, ids_keep)
    assert torch.equal(a, b)
    # ... and what is kept does reach the latent.
    with torch.no_grad():
        c = model.forward_encoder(torch.where(hole > 0, x, 1 - x), ids_keep)
    assert (a - c).abs().max() > 1e-3


def test_loss_counts_removed_patches_only() -> None:
    model = mae()
    x = torch.rand(1, 1, 32, 64, 64)
    target = model.patchify(x)
    mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
    prediction = (target - mean) / (variance + 1e-6) ** 0.5
    mask = torch.zeros(1, 64)
    mask[0, :48] = 1
    wrong = prediction.clone()
    wrong[0, 48:] += 7
    assert model.forward_loss(x, wrong, mask).item() == pytest.approx(0, abs=1e-6)
    wrong[0, :48] += 2
    assert model.forward_loss(x, wrong, mask).item() == pytest.approx(4, abs=1e-4)


class Mae2D(nn.Module):
    """The forward pass of the public MAE code (facebookresearch/mae), written for one channel."""

    def __init__(self, model: MaskedAutoencoder3D, patch: int):
        super().__init__()
        self.m = model
        self.p = patch

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        m, e, p = self.m, self.m.encoder, self.p
        n, _, height, width = images.shape
        h, w = height // p, width // p
        weight = e.patch_embed.proj.weight[:, :, 0]
        x = nn.functional.conv2d(images, weight, e.patch_embed.proj.bias, stride=p)
        x = x.flatten(2).transpose(1, 2) + e.pos_embed
        kept = int(h * w * (1 - m.mask_ratio))
        ids_shuffle = torch.argsort(noise, dim=1)
        ids_restore = torch.argsort(ids_shuffle, dim=1)
        ids_keep = ids_shuffle[:, :kept]
        x = torch.gather(x, 1, ids_keep.unsqueeze(-1).repeat(1, 1, x.shape[-1]))
        mask = torch.ones(n, h * w)
        mask[:, :kept] = 0
        mask = torch.gather(mask, 1, ids_restore)
        for block in e.blocks:
            x = block(x)
        x = m.decoder_embed(e.norm(x))
        tokens = m.mask_token.repeat(n, h * w - kept, 1)
        x = torch.gather(
            torch.cat([x, tokens], 1), 1, ids_restore.unsqueeze(-1).repeat(1, 1, x.shape[2])
        )
        x = x + m.decoder_pos_embed
        for block in m.decoder_blocks:
            x = block(x)
        prediction = m.decoder_pred(m.decoder_norm(x))
        target = images.reshape(n, 1, h, p, w, p)
        target = torch.einsum("nchpwq->nhwpqc", target).reshape(n, h * w, p * p)
        mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
        target = (target - mean) / (variance + 1.0e-6) ** 0.5
        loss = ((prediction - target) ** 2).mean(-1)
        return (loss * mask).sum() / mask.sum()


def test_depth_one_is_the_public_2d_mae() -> None:
    model = mae(image_size=(1, 64, 48), patch_size=(1, 16, 16))
    images, noise = torch.rand(2, 1, 64, 48), torch.rand(2, 12)
    with torch.no_grad():
        ours = model(images[:, :, None], noise)["loss"].item()
        theirs = Mae2D(model, 16)(images, noise).item()
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_positions_tell_tokens_apart() -> None:
    table = get_3d_sincos_pos_embed(48, (3, 4, 5)).numpy()
    distance = np.linalg.norm(table[:, None] - table[None], axis=-1)
    assert distance[~np.eye(60, dtype=bool)].min() > 0.5


def test_patches_of_several_channels_and_back() -> None:
    model = mae(in_channels=2)
    x = torch.rand(2, 2, 32, 64, 64)
    assert torch.equal(model.unpatchify(model.patchify(x)), x)


def test_the_patch_embedding_is_a_convolution() -> None:
    embed = mae(in_channels=2).encoder.patch_embed
    x = torch.rand(2, 2, 32, 64, 64)
    expected = embed.proj(x).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embed(x), expected)


@pytest.mark.parametrize("settings", [{"pos_embed": "learned", "class_token": True}, CONVOLUTION])
def test_every_part_learns(settings: dict[str, object]) -> None:
    model = mae(**settings).train()
    made = model(torch.rand(2, 1, 32, 64, 64))
    assert made["pred"].shape == (2, 64, 8 * 16 * 16)
    made["loss"].backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_some_patches_are_embedded_as_all_are() -> None:
    model = mae(in_channels=2)
    x, ids = torch.rand(2, 2, 32, 64, 64), torch.rand(2, 64).argsort(1)[:, :16]
    every = model.encoder.embed(x).gather(1, ids[..., None].expand(-1, -1, 24))
    torch.testing.assert_close(model.encoder.embed(x, ids), every)
    with pytest.raises(ValueError, match="do not fit this encoder"):
        model(torch.rand(1, 2, 32, 64, 128))
