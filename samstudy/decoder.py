"""SAM's mask decoder in two steps: what a prompt is worth first, its masks afterwards and only where wanted.

The arithmetic is that of ``segment_anything.modeling.MaskDecoder.predict_masks``, with the transformer of
:mod:`samstudy.two_way`. What all prompts of an image have in common stays one row that broadcasting meets with each
prompt, where the official decoder repeats it. The transposed convolutions of kernel and stride 2 are matrix products
over cells, and only finished masks are put into the order of pixels. They are drawn for those prompts alone whose
predicted IoU is wanted. Gradients flow.
"""

from __future__ import annotations

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional as F

from samstudy.two_way import two_way


def attend(sam: Sam, features: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    """Let the tokens of prompts and the cells of an image attend to each other.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Its device holds all tensors.
    features : torch.Tensor, 1 x C x h x w
        One image's embedding.
    sparse, dense : torch.Tensor, B x T x C and B x C x h x w
        Of the prompt encoder. A dense embedding that is one expanded over the prompts is not repeated.

    Returns
    -------
    tokens : torch.Tensor, B x (5 + T) x C
        One for predicted IoU, four for the masks, then those of the prompt.
    cells : torch.Tensor, B x h w x C
    """
    decoder = sam.mask_decoder
    outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([outputs.expand(len(sparse), -1, -1), sparse], dim=1)
    shared = dense[:1] if dense.stride(0) == 0 else dense
    cells, positions = _rows(features + shared), _rows(sam.prompt_encoder.get_dense_pe())
    return two_way(decoder.transformer, cells, positions, tokens)


def _rows(grid: Tensor) -> Tensor:
    """B x C x h x w -> B x (h w) x C, one row for each cell."""
    return grid.flatten(2).transpose(1, 2).contiguous()


def predict_iou(sam: Sam, tokens: Tensor) -> Tensor:
    """Return the IoU that the model predicts for its masks, B x 4: the single mask first, then the three."""
    return sam.mask_decoder.iou_prediction_head(tokens[:, 0])


def draw_masks(sam: Sam, tokens: Tensor, cells: Tensor) -> Tensor:
    """Draw low-resolution masks.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        The model that made the rest.
    tokens, cells : torch.Tensor
        Of :func:`attend`, or some of their rows.

    Returns
    -------
    torch.Tensor, B x 4 x 4h x 4w
        Logits: index 0 is the single mask, 1-3 the three masks.
    """
    decoder, (height, width) = sam.mask_decoder, sam.prompt_encoder.image_embedding_size
    first, norm, gelu, second, gelu_again = decoder.output_upscaling
    fine = _quartered(first, cells)
    fine = gelu(F.layer_norm(fine, fine.shape[-1:], norm.weight, norm.bias, norm.eps))
    fine = gelu_again(_quartered(second, fine))
    heads = decoder.output_hypernetworks_mlps
    weights = torch.stack([head(tokens[:, 1 + index]) for index, head in enumerate(heads)], dim=1)
    logits = weights @ fine.flatten(1, -2).transpose(1, 2)
    # rows and columns of the cells, of the first doubling, of the second
    logits = logits.unflatten(2, (height, width, 2, 2, 2, 2)).permute(0, 1, 2, 4, 6, 3, 5, 7)
    return logits.reshape(*logits.shape[:2], 4 * height, 4 * width)


def _quartered(convolution: nn.ConvTranspose2d, cells: Tensor) -> Tensor:
    """Apply a transposed convolution of kernel and stride 2 cell by cell: ... x C -> ... x 4 x c."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(cells, weight, convolution.bias.repeat(4)).unflatten(-1, (4, -1))
