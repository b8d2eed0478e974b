"""Exact fast attention for the ViT image encoders of segment-anything, chosen per device, on the model's own weights.

The official attention writes the whole N x N matrix of logits several times: once for the products, once for each axis
of the relative positions, once for the softmax. Here the blocks of a loaded encoder are given another ``forward`` that
computes the same function; parameters, names and state dicts stay as they are.

* Without gradients, and not on CUDA: the logits of some queries at a time, few enough to stay in the cache, with their
  relative positions as the mask of PyTorch's fused attention.
* On CUDA, and wherever gradients flow: relative positions are q . R for both axes, so they fold exactly into further
  channels, ``[q * scale, q . R_h, q . R_w]`` against ``[k, onehot(row), onehot(column)]``. No N x N matrix exists then,
  in the backward pass neither.

In windowed blocks the linear layers see the image's own tokens only. The official code pads the grid with zeros first;
the projection of a zero is its bias, which is put in its place, and padded outputs are never computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from segment_anything.modeling.common import MLPBlock
from segment_anything.modeling.image_encoder import Attention, Block, get_rel_pos
from torch import Tensor, nn
from torch.nn import functional as F

from samstudy.packed import packed

LOGITS_AT_ONCE = 2**22
TOKENS_AT_ONCE = 1024
_ALIGNED = 8  # channels: fused kernels on CUDA take multiples of it


class FastAttention(Attention):
    """SAM's attention with relative positions: same parameters, same function, less memory traffic."""

    def forward(self, x: Tensor, window_size: int = 0) -> Tensor:
        """Mix the tokens of a grid, or of its windows.

        Parameters
        ----------
        x : torch.Tensor, B x H x W x C
            Normalised tokens.
        window_size : int
            Side of the windows that tokens are mixed in; the grid is padded to a multiple of it at the right and the
            bottom. 0 mixes the whole grid.

        Returns
        -------
        torch.Tensor, B x H x W x C
        """
        if x.is_cuda or _is_trained(self, x):
            return self.proj(self._mixed(self.qkv(x), window_size, _folded))
        qkv, strip = packed(self.qkv)(x), window_size or x.shape[1]
        mixed = qkv.new_empty(*x.shape[:3], qkv.shape[3] // 3)
        for top in range(0, x.shape[1], strip):
            rows = slice(top, top + strip)
            mixed[:, rows] = self._mixed(qkv[:, rows], window_size, _masked)
        return packed(self.proj)(mixed)

    def _mixed(self, qkv: Tensor, window_size: int, attend: Callable[..., Tensor]) -> Tensor:
        """Attend in the windows of B x H x W x 3C; returns B x H x W x C."""
        height, width = qkv.shape[1:3]
        grid_hw = (window_size, window_size) if window_size else (height, width)
        padded_hw = tuple(size + -size % side for size, side in zip((height, width), grid_hw, strict=True))
        positions = None
        if self.use_rel_pos:
            tables = zip(grid_hw, (self.rel_pos_h, self.rel_pos_w), strict=True)
            positions = [get_rel_pos(side, side, table).to(qkv.dtype) for side, table in tables]
        windows = self._windows(self._padded(qkv, padded_hw), grid_hw)
        mixed = attend(*windows, self.scale, grid_hw, positions)
        return _grid(mixed, grid_hw, padded_hw)[:, :height, :width]

    def _padded(self, qkv: Tensor, padded_hw: tuple[int, int]) -> Tensor:
        if padded_hw == tuple(qkv.shape[1:3]):
            return qkv
        batch, height, width, channels = qkv.shape
        # what the projection makes of the zeros that the official code pads with
        of_zeros = qkv.new_zeros(channels) if self.qkv.bias is None else self.qkv.bias.to(qkv.dtype)
        padded = of_zeros.expand(batch, *padded_hw, channels).clone()
        padded[:, :height, :width] = qkv
        return padded

    def _windows(self, qkv: Tensor, grid_hw: tuple[int, int]) -> tuple[Tensor, ...]:
        """Queries, keys and values, each windows x heads x tokens x head width."""
        (batch, height, width, _), (h, w) = qkv.shape, grid_hw
        split = qkv.view(batch, height // h, h, width // w, w, 3, self.num_heads, -1)
        ordered = split.permute(5, 0, 1, 3, 6, 2, 4, 7)
        return ordered.reshape(3, -1, self.num_heads, h * w, split.shape[-1]).unbind(0)


class FastBlock(Block):
    """SAM's transformer block around :class:`FastAttention`."""

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens B x H x W x C to tokens of the same shape."""
        x = (self.attn(self.norm1(x), self.window_size) + x).contiguous()
        if x.is_cuda or _is_trained(self, x):
            return x + self.mlp(self.norm2(x))
        widen, narrow = packed(self.mlp.lin1), packed(self.mlp.lin2)
        # few tokens at a time: the wide hidden layer stays in the cache and never exists as a whole
        for tokens in x.view(-1, x.shape[-1]).split(TOKENS_AT_ONCE):
            tokens += narrow(self.mlp.act(widen(self.norm2(tokens))))
        return x


def _is_trained(module: nn.Module, x: Tensor) -> bool:
    """Say whether gradients flow through a module's output."""
    return torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in module.parameters()))


def _grid(mixed: Tensor, grid_hw: tuple[int, int], padded_hw: tuple[int, int]) -> Tensor:
    """Put windows x heads x tokens x head width together to B x H x W x C."""
    (h, w), heads, head_dim = grid_hw, mixed.shape[1], mixed.shape[-1]
    windows = mixed.unflatten(2, grid_hw).unflatten(0, (-1, padded_hw[0] // h, padded_hw[1] // w))
    return windows.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, *padded_hw, heads * head_dim)


def _relative(q: Tensor, grid_hw: tuple[int, int], positions: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Logits by row and by column of the key: two of windows x heads x H x W x side."""
    spatial = q.unflatten(2, grid_hw)
    by_row = torch.einsum("bnhwc,hkc->bnhwk", spatial, positions[0])
    by_column = torch.einsum("bnhwc,wkc->bnhwk", spatial, positions[1])
    return by_row, by_column


def _masked(
    q: Tensor, k: Tensor, v: Tensor, scale: float, grid_hw: tuple[int, int], positions: list[Tensor] | None
) -> Tensor:
    """Fused attention of some queries at a time, with the relative positions as its mask; no gradients."""
    if positions is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    # strided keys cost the kernel a fifth of its speed
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    n_windows, heads, n_tokens, head_dim = q.shape
    width = grid_hw[1]
    by_row, by_column = _relative(q, grid_hw, positions)
    # tokens before heads: put back into the grid this is the layout that the projection takes
    mixed = q.new_empty(n_windows, n_tokens, heads, head_dim).transpose(1, 2)
    room = q.new_empty(max(LOGITS_AT_ONCE, width * n_tokens))
    for here in _portions(n_windows, heads, grid_hw):
        window, some_heads, rows = here
        row_part, column_part = by_row[here].unsqueeze(-1), by_column[here].unsqueeze(-2)
        shape = *row_part.shape[:-1], width
        mask = torch.add(row_part, column_part, out=room[: math.prod(shape)].view(shape))
        queries = slice(rows.start * width, rows.stop * width)
        mixed[window, some_heads, queries] = F.scaled_dot_product_attention(
            q[window, some_heads, queries],
            k[window, some_heads],
            v[window, some_heads],
            attn_mask=mask.flatten(4, 5).flatten(2, 3),
            scale=scale,
        )
    return mixed


def _portions(n_windows: int, heads: int, grid_hw: tuple[int, int]) -> Iterator[tuple[slice, slice, slice]]:
    """Windows, heads and rows of queries whose logits are at most ``LOGITS_AT_ONCE``, or one row of one head."""
    height, width = grid_hw
    n_tokens = height * width
    n_heads = max(1, LOGITS_AT_ONCE // n_tokens**2)
    n_rows = max(1, min(height, LOGITS_AT_ONCE // (width * n_tokens)))
    for window in range(n_windows):
        for head in range(0, heads, n_heads):
            for row in range(0, height, n_rows):
                some_heads, rows = slice(head, head + n_heads), slice(row, min(row + n_rows, height))
                yield slice(window, window + 1), some_heads, rows


def _folded(
    q: Tensor, k: Tensor, v: Tensor, scale: float, grid_hw: tuple[int, int], positions: list[Tensor] | None
) -> Tensor:
    """Fused attention with the relative positions as further channels; gradients flow."""
    if positions is None:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    (height, width), head_dim = grid_hw, q.shape[-1]
    by_row, by_column = (part.flatten(2, 3) for part in _relative(q, grid_hw, positions))
    rows = torch.eye(height, dtype=q.dtype, device=q.device).repeat_interleave(width, 0)
    columns = torch.eye(width, dtype=q.dtype, device=q.device).repeat(height, 1)
    places = torch.cat([rows, columns], -1).expand(*k.shape[:2], -1, -1)
    unused = -(head_dim + height + width) % _ALIGNED
    queries = F.pad(torch.cat([q * scale, by_row, by_column], -1), (0, unused))
    keys = F.pad(torch.cat([k, places], -1), (0, unused))
    if not q.is_cuda:
        # the CPU's fused kernel takes values as wide as keys only; any other keeps N x N weights for the gradient
        v = F.pad(v, (0, keys.shape[-1] - head_dim))
    return F.scaled_dot_product_attention(queries, keys, v, scale=1.0)[..., :head_dim]


_FAST = {Attention: FastAttention, Block: FastBlock}
_OFFICIAL = {fast: official for official, fast in _FAST.items()}


def use_fast_attention(encoder: nn.Module) -> nn.Module:
    """Let an image encoder compute the same function faster, in place.

    Parameters
    ----------
    encoder : torch.nn.Module
        Any module that holds blocks of segment-anything's ``ImageEncoderViT``. Others, and subclasses of these
        blocks, which may compute something else, are left as they are (``vit_t`` has fused attention already).

    Returns
    -------
    torch.nn.Module
        ``encoder``. Its parameters, their names and its state dict are unchanged.
    """
    for module in encoder.modules():
        whole = type(module) is Block
        if whole and (type(module.attn) not in (*_FAST, *_OFFICIAL) or type(module.mlp) is not MLPBlock):
            continue
        module.__class__ = _FAST.get(type(module), type(module))
    return encoder


def use_official_attention(encoder: nn.Module) -> nn.Module:
    """Undo :func:`use_fast_attention`, in place: the blocks run segment-anything's own code again."""
    for module in encoder.modules():
        module.__class__ = _OFFICIAL.get(type(module), type(module))
    return encoder
