"""Dice + cross-entropy on the decoder's grid, for the single mask and the best of three, + predicted IoU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samstudy.inference import batches, decode_low_res
from samstudy.tuning.examples import Example


def example_loss(sam: Sam, example: Example, picked: Sequence[int]) -> Tensor:
    """Mean loss over some prompts of one image; gradients flow to the mask decoder.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Its device holds the example.
    example : Example
        One image.
    picked : sequence of int
        Indices of its prompts, at least one.

    Returns
    -------
    torch.Tensor
        A scalar; see :func:`prompt_losses`.
    """
    prompts = [example.prompts[i] for i in picked]
    losses = []
    for indices in batches(prompts, most=16):
        logits, iou_pred = decode_low_res(
            sam, example.features, [prompts[i] for i in indices], example.size_hw
        )
        objects = [example.object_index[picked[i]] for i in indices]
        losses.append(prompt_losses(logits, iou_pred, example.targets[objects], example.counted))
    return torch.cat(losses).mean()


def prompt_losses(logits: Tensor, iou_pred: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Loss of each prompt: Dice + cross-entropy of the single mask and of the best of three, + IoU error.

    Parameters
    ----------
    logits : torch.Tensor, B x 4 x h x w
        Index 0 is the single mask.
    iou_pred : torch.Tensor, B x 4
        Predicted IoU.
    target : torch.Tensor, B x h x w
        In [0, 1].
    counted : torch.Tensor, h x w
        1 where the loss is taken, 0 in padding.

    Returns
    -------
    torch.Tensor, B
    """
    target = target[:, None].expand_as(logits)
    error = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * counted
    cross_entropy = error.sum((-2, -1)) / counted.sum()
    soft, area = torch.sigmoid(logits) * counted, target * counted
    overlap = (soft * area).sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (soft.sum((-2, -1)) + area.sum((-2, -1)) + 1)
    each = dice + cross_entropy
    hard, area = (logits.detach() > 0) * counted, (area > 0.5).float()
    both = (hard * area).sum((-2, -1))
    iou = both / (hard.sum((-2, -1)) + area.sum((-2, -1)) - both).clamp(min=1)
    return each[:, 0] + each[:, 1:].amin(1) + F.mse_loss(iou_pred, iou, reduction="none").mean(1)
