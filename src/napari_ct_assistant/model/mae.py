"""3D masked autoencoder (He et al. 2022, as E3D-GPT applies it to CT).

75 % of the patches are removed, the encoder sees the rest, a small decoder predicts the
voxels of what was removed. The order of the methods is the order of the method.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.positions import sincos_3d
from napari_ct_assistant.model.vit import Block, VisionTransformer3D


class MaskedAutoencoder3D(nn.Module):
    """A 3D MAE around an encoder.

    Parameters
    ----------
    encoder : VisionTransformer3D
    decoder_embed_dim, decoder_depth, decoder_num_heads : int
        Not stated by E3D-GPT; the MAE code's 512, 8, 16.
    mask_ratio : float
        E3D-GPT: 0.75.
    norm_pix_loss : bool
        Predict each patch normalised by its own mean and variance (the MAE code's best).
    """

    def __init__(
        self,
        encoder: VisionTransformer3D,
        *,
        decoder_embed_dim: int = 512,
        decoder_depth: int = 8,
        decoder_num_heads: int = 16,
        mask_ratio: float = 0.75,
        norm_pix_loss: bool = True,
    ):
        super().__init__()
        if not 0 < mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie between 0 and 1, got {mask_ratio}")
        if decoder_embed_dim % decoder_num_heads:
            raise ValueError(
                f"decoder_num_heads ({decoder_num_heads}) must divide "
                f"decoder_embed_dim ({decoder_embed_dim})"
            )
        config = encoder.config
        self.encoder = encoder
        self.mask_ratio = mask_ratio
        self.norm_pix_loss = norm_pix_loss
        self.patch_size = tuple(config.patch_size)
        voxels = config.patch_size[0] * config.patch_size[1] * config.patch_size[2]
        self.decoder_embed = nn.Linear(config.hidden_size, decoder_embed_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_embed_dim))
        self.register_buffer(
            "decoder_position", sincos_3d(config.grid, decoder_embed_dim)[None], persistent=False
        )
        self.decoder_blocks = nn.ModuleList(
            Block(decoder_embed_dim, decoder_num_heads, eps=config.layer_norm_eps)
            for _ in range(decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(decoder_embed_dim, eps=config.layer_norm_eps)
        self.decoder_pred = nn.Linear(decoder_embed_dim, voxels * config.in_channels)
        nn.init.normal_(self.mask_token, std=0.02)

    @property
    def num_patches(self) -> int:
        """Patches of a volume: N."""
        d, h, w = self.encoder.config.grid
        return d * h * w

    def patchify(self, x: Tensor) -> Tensor:
        """x: [B, 1, D, H, W] -> patches [B, N, pd*ph*pw]."""
        b, c, d, h, w = x.shape
        pd, ph, pw = self.patch_size
        x = x.reshape(b, c, d // pd, pd, h // ph, ph, w // pw, pw)
        return x.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(b, -1, pd * ph * pw * c)

    def unpatchify(self, patches: Tensor) -> Tensor:
        """patches: [B, N, pd*ph*pw] -> [B, 1, D, H, W], the inverse of `patchify`."""
        pd, ph, pw = self.patch_size
        d, h, w = self.encoder.config.grid
        x = patches.reshape(len(patches), d, h, w, pd, ph, pw, -1)
        return x.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(len(x), -1, d * pd, h * ph, w * pw)

    def random_masking(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Choose what to keep, per sample, by sorting noise.

        noise: [B, N] -> keep [B, n] token indices, mask [B, N] (0 is keep, 1 is remove),
        restore [B, N] (puts kept-then-masked tokens back in place).
        """
        b, n = noise.shape
        kept = int(n * (1 - self.mask_ratio))
        shuffle = noise.argsort(dim=1)
        restore = shuffle.argsort(dim=1)
        keep = shuffle[:, :kept]
        mask = torch.ones(b, n, device=noise.device)
        mask.scatter_(1, keep, 0.0)
        return keep, mask, restore

    def forward_encoder(self, x: Tensor, keep: Tensor, mask: Tensor) -> Tensor:
        """x: [B, 1, D, H, W], keep: [B, n], mask: [B, N] -> latent [B, n, C]."""
        if self.encoder.config.stem != "linear":
            # Overlapping convolutions would carry removed voxels into kept tokens, so the
            # removal happens on the voxels, before the stem. (Linear patches cannot leak.)
            pd, ph, pw = self.patch_size
            hole = mask.reshape(len(x), 1, *self.encoder.config.grid)
            hole = hole.repeat_interleave(pd, 2).repeat_interleave(ph, 3).repeat_interleave(pw, 4)
            x = x * (1 - hole)
            tokens = _take(self.encoder.embed(x), keep)
        else:
            # What is removed need not be projected first: a quarter of the work.
            tokens = self.encoder.embed_patches(_take(self.patchify(x), keep), keep)
        return self.encoder.encode(tokens)

    def forward_decoder(
        self, latent: Tensor, restore: Tensor, removed: Tensor | None = None
    ) -> Tensor:
        """latent: [B, n, C], restore: [B, N] -> predicted patches [B, N, voxels].

        With removed [B, m], token indices, only those are predicted: [B, m, voxels].
        """
        x = self.decoder_embed(latent)
        missing = restore.shape[1] - x.shape[1]
        x = torch.cat([x, self.mask_token.to(x.dtype).expand(len(x), missing, -1)], dim=1)
        x = x.gather(1, restore[..., None].expand(-1, -1, x.shape[-1]))
        x = x + self.decoder_position.to(x.dtype)
        for block in self.decoder_blocks:
            x = block(x)
        if removed is not None:
            x = _take(x, removed)
        return self.decoder_pred(self.decoder_norm(x))

    def forward_loss(self, x: Tensor, prediction: Tensor, mask: Tensor) -> Tensor:
        """Mean squared error on removed patches. prediction: [B, N, voxels], mask: [B, N]."""
        loss = (prediction - self._target(self.patchify(x))).square().mean(dim=-1)  # [B, N]
        return (loss * mask).sum() / mask.sum()

    def _target(self, patches: Tensor) -> Tensor:
        """patches: [B, n, voxels] -> what is to be predicted of them."""
        if not self.norm_pix_loss:
            return patches
        variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
        return (patches - mean) / (variance + 1e-6) ** 0.5

    def forward(self, pixel_values: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Reconstruct the removed patches.

        Parameters
        ----------
        pixel_values : Tensor [B, 1, D, H, W]
        noise : Tensor [B, N], optional
            What decides the mask; drawn when absent.

        Returns
        -------
        dict with `loss` [], `mask` [B, N] (1 is removed) and, outside training, `prediction`
        [B, N, voxels]: in training only what is removed is predicted.
        """
        if noise is None:
            noise = torch.rand(len(pixel_values), self.num_patches, device=pixel_values.device)
        keep, mask, restore = self.random_masking(noise)
        self.encoder.check_size(pixel_values)
        latent = self.forward_encoder(pixel_values, keep, mask)
        if self.training:
            removed = restore.argsort(dim=1)[:, keep.shape[1] :]
            prediction = self.forward_decoder(latent, restore, removed)
            target = self._target(_take(self.patchify(pixel_values), removed))
            # As many of each sample, so the mean over all is that of `forward_loss`.
            return {"loss": (prediction - target).square().mean(), "mask": mask}
        prediction = self.forward_decoder(latent, restore)
        loss = self.forward_loss(pixel_values, prediction, mask)
        return {"loss": loss, "prediction": prediction, "mask": mask}


def _take(x: Tensor, index: Tensor) -> Tensor:
    """x: [B, N, C], index: [B, n] -> [B, n, C]."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
