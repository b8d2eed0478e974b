"""SAM's two-way transformer with its attention multiplied out: exact, and cheaper where tokens are few.

A prompt is some seven tokens, an image thousands of cells. The official layers project every cell of every prompt to
queries, keys and values before the few tokens look at them. Matrix products associate, so the projection can be
applied to the tokens instead: ``(cells W) tokens' = cells (W tokens')``. That halves the multiplications, and what is
held for each prompt and cell is one number per head and token. Where all prompts still share the cells (the first
layer, for a prompt without a dense embedding of its own) these are projected once for all, as they stand.

The arithmetic is that of ``segment_anything.modeling.transformer.TwoWayTransformer`` up to the order of additions, on
its own modules; gradients flow.
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock, TwoWayTransformer
from torch import Tensor


def two_way(
    transformer: TwoWayTransformer, cells: Tensor, positions: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Let tokens and cells attend to each other, as ``transformer(image, positions, tokens)`` does.

    Parameters
    ----------
    transformer : segment_anything.modeling.TwoWayTransformer
        Its device holds all tensors.
    cells : torch.Tensor, B x N x C, or 1 x N x C where all prompts share them
        Image and dense prompt embedding, one row for each cell.
    positions : torch.Tensor, 1 x N x C
        Positional encoding of the cells.
    tokens : torch.Tensor, B x T x C
        Output tokens and those of the prompt.

    Returns
    -------
    tokens, cells : torch.Tensor, B x T x C and B x N x C
    """
    queries = tokens
    for layer in transformer.layers:
        queries, cells = _layer(layer, queries, cells, positions, tokens)
    attention = transformer.final_attn_token_to_image
    found = _tokens_look(attention, queries + tokens, cells + positions, cells)
    return transformer.norm_final_attn(queries + found), cells


def _layer(
    layer: TwoWayAttentionBlock, queries: Tensor, cells: Tensor, positions: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    if layer.skip_first_layer_pe:
        queries = layer.self_attn(q=queries, k=queries, v=queries)
    else:
        placed = queries + tokens
        queries = queries + layer.self_attn(q=placed, k=placed, v=queries)
    queries = layer.norm1(queries)
    placed_cells = cells + positions
    found = _tokens_look(layer.cross_attn_token_to_image, queries + tokens, placed_cells, cells)
    queries = layer.norm2(queries + found)
    queries = layer.norm3(queries + layer.mlp(queries))
    found = _cells_look(layer.cross_attn_image_to_token, placed_cells, queries + tokens, queries)
    return queries, layer.norm4(cells + found)


def _tokens_look(attention: Attention, tokens: Tensor, placed: Tensor, cells: Tensor) -> Tensor:
    """Attention from tokens to cells, B x T x C; ``placed`` are the cells with their positions."""
    batch, n_tokens, width = tokens.shape
    heads = attention.num_heads
    query = _by_head(attention.q_proj(tokens), heads)
    query = query / math.sqrt(query.shape[-1])
    if _is_worth_projecting(attention, tokens, cells):
        key, value = _by_head(attention.k_proj(placed), heads), _by_head(attention.v_proj(cells), heads)
        mixed = torch.softmax(query @ key.transpose(-2, -1), dim=-1) @ value
    else:
        # the bias of the keys adds the same to all cells, which a softmax over them does not see
        asked = (query @ _weight_by_head(attention.k_proj.weight, heads)).view(batch, heads * n_tokens, width)
        weights = torch.softmax(asked @ placed.transpose(1, 2), dim=-1)
        mixed = (weights @ cells).view(batch, heads, n_tokens, width)
        mixed = mixed @ _weight_by_head(attention.v_proj.weight, heads).transpose(-2, -1)
        mixed = mixed + attention.v_proj.bias.view(heads, 1, -1)
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


def _cells_look(attention: Attention, placed: Tensor, tokens: Tensor, values: Tensor) -> Tensor:
    """Attention from cells to tokens, B x N x C; ``values`` are the tokens without the prompt's embedding."""
    batch, n_tokens, width = tokens.shape
    heads = attention.num_heads
    key = _by_head(attention.k_proj(tokens), heads)
    key = key / math.sqrt(key.shape[-1])
    if _is_worth_projecting(attention, tokens, placed):
        scores = key @ _by_head(attention.q_proj(placed), heads).transpose(-2, -1)
    else:
        asked = (key @ _weight_by_head(attention.q_proj.weight, heads)).view(batch, heads * n_tokens, width)
        offset = key @ attention.q_proj.bias.view(heads, -1, 1)
        scores = (asked @ placed.transpose(1, 2)).view(batch, heads, n_tokens, -1) + offset
    weights = torch.softmax(scores, dim=2).view(batch, heads * n_tokens, -1)
    value = _by_head(attention.v_proj(values), heads)
    # weights of a head sum to 1, so that its tokens can bring its part of the bias along
    told = value @ _weight_by_head(attention.out_proj.weight.t(), heads) + attention.out_proj.bias / heads
    return weights.transpose(1, 2) @ told.view(batch, heads * n_tokens, width)


def _is_worth_projecting(attention: Attention, tokens: Tensor, cells: Tensor) -> bool:
    is_shared = len(cells) < len(tokens)
    return is_shared or attention.num_heads * tokens.shape[1] > attention.internal_dim


def _by_head(rows: Tensor, heads: int) -> Tensor:
    """B x N x (heads d) -> B x heads x N x d."""
    return rows.unflatten(-1, (heads, -1)).transpose(1, 2)


def _weight_by_head(weight: Tensor, heads: int) -> Tensor:
    """(heads d) x C -> heads x d x C."""
    return weight.unflatten(0, (heads, -1))
