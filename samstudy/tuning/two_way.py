"""SAM's mask decoder with the products of its cross attentions in another order: the same numbers in half the work.

A prompt has a handful of tokens and an image thousands of cells. The official decoder projects every cell to keys,
values and queries, for each prompt anew. As ``q . (W x) = (W' q) . x`` and ``A (X W) = (A X) W``, the few tokens can be
projected instead, head by head, and meet the cells as they are. The two transposed convolutions of stride 2 are
matrix products over cells, with the layer norm between them along the last axis; only the finished masks are put into
the order of pixels. Outputs and gradients are those of ``segment_anything.modeling.MaskDecoder.predict_masks`` to
rounding; scoring keeps the official order of products, so that masks are the official ones.
"""

from __future__ import annotations

import math

import torch
from segment_anything.modeling.mask_decoder import MaskDecoder
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional as F


def predict_masks(
    decoder: MaskDecoder, features: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
) -> tuple[Tensor, Tensor]:
    """Answer prompts of one image, with gradients.

    Parameters
    ----------
    decoder : segment_anything.modeling.MaskDecoder
        Of the official class.
    features, image_pe : torch.Tensor, 1 x C x h x w
        The image's embedding and its positional encoding.
    sparse, dense : torch.Tensor, B x T x C and B x C x h x w
        Of the prompt encoder. A dense embedding that is one expanded over the prompts stays one.

    Returns
    -------
    logits : torch.Tensor, B x 4 x 4h x 4w
        Index 0 is the single mask, 1-3 the three masks.
    iou_pred : torch.Tensor, B x 4
    """
    outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([outputs.expand(len(sparse), -1, -1), sparse], dim=1)
    shared = dense[:1] if dense.stride(0) == 0 else dense
    size_hw = features.shape[-2:]
    cells, place = ((each.flatten(2).transpose(1, 2)) for each in (features + shared, image_pe))
    tokens, cells = _transform(decoder.transformer, tokens, cells, place)
    heads = decoder.output_hypernetworks_mlps
    weights = torch.stack([head(tokens[:, 1 + index]) for index, head in enumerate(heads)], dim=1)
    return _draw(decoder.output_upscaling, cells, weights, size_hw), decoder.iou_prediction_head(tokens[:, 0])


def _transform(
    transformer: TwoWayTransformer, prompt: Tensor, cells: Tensor, place: Tensor
) -> tuple[Tensor, Tensor]:
    """Let tokens and cells attend to each other, B x T x C and B x h w x C, as the official transformer does."""
    tokens = prompt
    for layer in transformer.layers:
        tokens, cells = _layer(layer, tokens, cells, prompt, place)
    placed = cells + place
    tokens = tokens + _from_cells(transformer.final_attn_token_to_image, tokens + prompt, placed, cells)
    return transformer.norm_final_attn(tokens), cells


def _layer(
    layer: TwoWayAttentionBlock, tokens: Tensor, cells: Tensor, prompt: Tensor, place: Tensor
) -> tuple[Tensor, Tensor]:
    if layer.skip_first_layer_pe:
        tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
    else:
        asked = tokens + prompt
        tokens = tokens + layer.self_attn(q=asked, k=asked, v=tokens)
    tokens = layer.norm1(tokens)
    placed = cells + place
    tokens = tokens + _from_cells(layer.cross_attn_token_to_image, tokens + prompt, placed, cells)
    tokens = layer.norm2(tokens)
    tokens = layer.norm3(tokens + layer.mlp(tokens))
    given = _to_cells(layer.cross_attn_image_to_token, placed, tokens + prompt, tokens)
    return tokens, layer.norm4(cells + given)


def _by_head(attention: Attention, projected: Tensor) -> Tensor:
    """B x T x D -> B x H x T x D / H."""
    return projected.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)


def _heads_of(attention: Attention, rows: Tensor) -> Tensor:
    """Split the rows of a weight (D x C) or the entries of a bias (D) by head."""
    return rows.unflatten(0, (attention.num_heads, -1))


def _from_cells(attention: Attention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Tokens attend to cells: queries B x T x C; keys and values B or 1 x N x C."""
    asked = _by_head(attention, attention.q_proj(queries)) / math.sqrt(
        attention.internal_dim // attention.num_heads
    )
    towards = asked @ _heads_of(attention, attention.k_proj.weight)
    # the same for all cells, which softmax takes no notice of: kept for its gradient, which is zero to rounding
    constant = asked @ _heads_of(attention, attention.k_proj.bias)[..., None]
    weights = (_meet(towards, keys) + constant).softmax(-1)
    found = _gather(weights, values) @ _heads_of(attention, attention.v_proj.weight).transpose(1, 2)
    found = found + _heads_of(attention, attention.v_proj.bias)[:, None]
    return attention.out_proj(found.transpose(1, 2).flatten(2))


def _to_cells(attention: Attention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Cells attend to tokens: queries B or 1 x N x C; keys and values B x T x C."""
    offered = _by_head(attention, attention.k_proj(keys)) / math.sqrt(
        attention.internal_dim // attention.num_heads
    )
    towards = offered @ _heads_of(attention, attention.q_proj.weight)
    constant = offered @ _heads_of(attention, attention.q_proj.bias)[..., None]
    weights = (_meet(towards, queries) + constant).softmax(2)
    outwards = attention.out_proj.weight.unflatten(1, (attention.num_heads, -1)).permute(1, 2, 0)
    given = _by_head(attention, attention.v_proj(values)) @ outwards
    return weights.flatten(1, 2).transpose(1, 2) @ given.flatten(1, 2) + attention.out_proj.bias


def _meet(tokens: Tensor, cells: Tensor) -> Tensor:
    """B x H x T x C with B or 1 x N x C -> B x H x T x N."""
    if len(cells) == 1:
        return F.linear(tokens, cells[0])
    return (tokens.flatten(1, 2) @ cells.transpose(1, 2)).unflatten(1, tokens.shape[1:3])


def _gather(weights: Tensor, cells: Tensor) -> Tensor:
    """B x H x T x N with B or 1 x N x C -> B x H x T x C."""
    if len(cells) == 1:
        return weights @ cells[0]
    return (weights.flatten(1, 2) @ cells).unflatten(1, weights.shape[1:3])


def _draw(upscaling: nn.Sequential, cells: Tensor, weights: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Cells B x h w x C and a row of weights for each mask, B x 4 x c -> logits B x 4 x 4h x 4w."""
    first, norm, gelu, second, gelu_again = upscaling
    fine = _quarter(first, cells)
    fine = gelu(F.layer_norm(fine, fine.shape[-1:], norm.weight, norm.bias, norm.eps))
    fine = gelu_again(_quarter(second, fine))
    logits = fine.flatten(1, -2) @ weights.transpose(1, 2)
    height, width = size_hw
    # B, rows, columns, rows and columns of the first doubling, of the second, masks
    logits = logits.unflatten(1, (height, width, 2, 2, 2, 2))
    return logits.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(len(cells), -1, 4 * height, 4 * width)


def _quarter(convolution: nn.ConvTranspose2d, cells: Tensor) -> Tensor:
    """Apply a transposed convolution of kernel and stride 2 cell by cell: ... x C -> ... x 4 x c."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(cells, weight, convolution.bias.repeat(4)).unflatten(-1, (4, -1))
