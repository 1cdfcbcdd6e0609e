"""3D masked autoencoder (He et al. 2022, as E3D-GPT applies it to CT).

75 % of the patches are removed, the encoder sees the rest, and a small decoder predicts the
voxels of what was removed. The methods stand in the order of the method and have the names of
the MAE code (facebookresearch/mae, models_mae.py).

Shapes: B volumes, N patches of which L are kept, C channels.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from napari_ct_assistant.model.layers.pos_embed import get_3d_sincos_pos_embed
from napari_ct_assistant.model.vit import Block, VisionTransformer3D, patchify, take


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

    Raises
    ------
    ValueError
        If `mask_ratio` is not between 0 and 1, or the heads do not divide the channels.
    """

    # What FSDP splits, layer by layer.
    _no_split_modules: ClassVar[list[str]] = ["Block"]

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
        self.decoder_embed = nn.Linear(config.hidden_size, decoder_embed_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_embed_dim))
        decoder_pos_embed = get_3d_sincos_pos_embed(decoder_embed_dim, config.grid)[None]
        self.register_buffer("decoder_pos_embed", decoder_pos_embed, persistent=False)
        self.decoder_blocks = nn.ModuleList(
            Block(decoder_embed_dim, decoder_num_heads, eps=config.layer_norm_eps)
            for _ in range(decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(decoder_embed_dim, eps=config.layer_norm_eps)
        pd, ph, pw = self.patch_size
        self.decoder_pred = nn.Linear(decoder_embed_dim, config.in_channels * pd * ph * pw)
        nn.init.normal_(self.mask_token, std=0.02)

    @property
    def num_patches(self) -> int:
        """Patches of a volume: N."""
        d, h, w = self.encoder.config.grid
        return d * h * w

    def patchify(self, x: Tensor) -> Tensor:
        """x: [B, c, D, H, W] -> patches [B, N, c*pd*ph*pw]."""
        return patchify(x, self.patch_size)

    def unpatchify(self, patches: Tensor) -> Tensor:
        """patches: [B, N, c*pd*ph*pw] -> [B, c, D, H, W], the inverse of `patchify`."""
        pd, ph, pw = self.patch_size
        d, h, w = self.encoder.config.grid
        x = patches.reshape(len(patches), d, h, w, -1, pd, ph, pw)
        return x.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(len(x), -1, d * pd, h * ph, w * pw)

    def random_masking(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Choose which patches of each volume to keep, by sorting noise.

        Parameters
        ----------
        noise : Tensor [B, N]

        Returns
        -------
        ids_keep : Tensor [B, L]
        mask : Tensor [B, N]
            0 is keep, 1 is remove.
        ids_restore : Tensor [B, N]
            Puts the kept tokens, followed by mask tokens, back in place.
        """
        b, n = noise.shape
        len_keep = int(n * (1 - self.mask_ratio))
        ids_shuffle = noise.argsort(dim=1)
        ids_restore = ids_shuffle.argsort(dim=1)
        ids_keep = ids_shuffle[:, :len_keep]
        mask = torch.ones(b, n, device=noise.device)
        mask.scatter_(1, ids_keep, 0.0)
        return ids_keep, mask, ids_restore

    def forward_encoder(self, x: Tensor, ids_keep: Tensor) -> Tensor:
        """x: [B, c, D, H, W], ids_keep: [B, L] -> latent [B, L, C]."""
        return self.encoder.encode(self.encoder.embed(x, ids_keep))

    def forward_decoder(self, latent: Tensor, ids_restore: Tensor) -> Tensor:
        """latent: [B, L, C], ids_restore: [B, N] -> predicted patches [B, N, c*pd*ph*pw]."""
        x = self.decoder_embed(latent)
        removed = ids_restore.shape[1] - x.shape[1]
        mask_tokens = self.mask_token.to(x.dtype).expand(len(x), removed, -1)
        x = take(torch.cat([x, mask_tokens], dim=1), ids_restore)
        x = x + self.decoder_pos_embed.to(x.dtype)
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x))

    def forward_loss(self, x: Tensor, pred: Tensor, mask: Tensor) -> Tensor:
        """Mean squared error on removed patches.

        x: [B, c, D, H, W], pred: [B, N, c*pd*ph*pw], mask: [B, N] -> []
        """
        target = self.patchify(x)
        if self.norm_pix_loss:
            var, mean = torch.var_mean(target, dim=-1, keepdim=True)
            target = (target - mean) / (var + 1e-6) ** 0.5
        loss = (pred - target).square().mean(dim=-1)  # [B, N]
        return (loss * mask).sum() / mask.sum()

    def forward(self, pixel_values: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Reconstruct the removed patches.

        Parameters
        ----------
        pixel_values : Tensor [B, c, D, H, W]
        noise : Tensor [B, N], optional
            Decides the mask; drawn when absent.

        Returns
        -------
        dict with `loss` [], `pred` [B, N, c*pd*ph*pw] and `mask` [B, N] (1 is removed)
        """
        if noise is None:
            noise = torch.rand(len(pixel_values), self.num_patches, device=pixel_values.device)
        ids_keep, mask, ids_restore = self.random_masking(noise)
        latent = self.forward_encoder(pixel_values, ids_keep)
        pred = self.forward_decoder(latent, ids_restore)
        return {"loss": self.forward_loss(pixel_values, pred, mask), "pred": pred, "mask": mask}
