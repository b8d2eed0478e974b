"""Losses of pretraining: every mask of the decoder against every acceptable target, in one pass.

SAM's own 20 : 1 focal and Dice losses collapse to empty masks when training from scratch; Dice plus
cross-entropy does not. The cross-entropy starts class-balanced, which keeps it from collapsing, and ends
unbalanced, because balancing moves the decision border outwards on small objects.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

QUALITY_WEIGHT = 3.0  # the squared error of a predicted IoU is small beside the losses of the masks


def pairwise_mask_loss(logits: Tensor, targets: Tensor, balance: float) -> Tensor:
    """Dice plus cross-entropy of each mask with each target.

    Parameters
    ----------
    logits : Tensor
        N x M x h x w.
    targets : Tensor
        N x T x h x w in [0, 1]; area fractions are welcome.
    balance : float
        1: both classes weigh half of the cross-entropy. 0: all pixels weigh alike and the sum is divided by
        about twice the target's area, so that small objects count as much as large ones. Between: the
        geometric mean of the two weights.

    Returns
    -------
    Tensor
        N x M x T.
    """
    x, t = logits.float().flatten(2), targets.float().flatten(2)
    probability = torch.sigmoid(x)
    softplus = F.softplus(x)
    n_pixels = x.shape[2]
    area = t.sum(2)[:, None, :]
    crossed = torch.cat([probability, softplus, x], dim=1) @ t.transpose(1, 2)
    overlap, soft_in, x_in = crossed.chunk(3, dim=1)
    dice = 1 - (2 * overlap + 1) / (probability.sum(2)[:, :, None] + area + 1)
    missed = soft_in - x_in
    spilled = softplus.sum(2)[:, :, None] - soft_in
    even = 1 / (2 * area + 0.05 * n_pixels)
    weight_in = (0.5 / (area + 1)) ** balance * even ** (1 - balance)
    weight_out = (0.5 / (n_pixels - area + 1)) ** balance * even ** (1 - balance)
    return dice + weight_in * missed + weight_out * spilled


@torch.no_grad()
def pairwise_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU of each thresholded mask (logit > 0) with each target (> 0.5), N x M x T; 1 where both are empty."""
    mask, inside = (logits > 0).float().flatten(2), (targets > 0.5).float().flatten(2)
    overlap = mask @ inside.transpose(1, 2)
    union = mask.sum(2)[:, :, None] + inside.sum(2)[:, None, :] - overlap
    return torch.where(union > 0, overlap / union.clamp(min=1), torch.ones_like(union))


def prompt_loss(
    logits: Tensor,
    iou_pred: Tensor,
    targets: Tensor,
    exists: Tensor,
    balance: float,
    share_mean: float = 0.05,
    single_weight: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Loss of one decoder pass.

    The single-mask output answers with the object asked for. Of the three others each acceptable target
    must be met by one (minimum over masks, mean over targets), and a small share of the mean keeps masks
    that never win alive. The predicted IoU of all four is regressed onto the IoU with the object asked for.

    Parameters
    ----------
    logits : Tensor
        N x 4 x h x w, the single mask first.
    iou_pred : Tensor
        N x 4.
    targets : Tensor
        N x T x h x w in [0, 1], the object asked for first.
    exists : Tensor
        Bool N x T; which targets count. The first always does.
    balance : float
        See :func:`pairwise_mask_loss`.
    share_mean : float
        Share of the mean over the three masks in the multi-mask loss of the object asked for.
    single_weight : float
        Weight of the single mask; low for one point, where one answer can only hedge.

    Returns
    -------
    loss : Tensor
        Scalar.
    iou : Tensor
        N x 4, IoU of each mask with the object asked for.
    """
    loss = pairwise_mask_loss(logits, targets, balance)
    single, several = loss[:, 0, 0], loss[:, 1:]
    best = several.amin(1)
    weight = exists.float() * torch.where(torch.arange(targets.shape[1], device=exists.device) == 0, 1.0, 0.5)
    multi = (best * weight).sum(1) / weight.sum(1)
    multi = (1 - share_mean) * multi + share_mean * several[:, :, 0].mean(1)
    iou = pairwise_iou(logits, targets[:, :1])[:, :, 0]
    quality = F.mse_loss(iou_pred.float(), iou)
    return single_weight * single.mean() + multi.mean() + QUALITY_WEIGHT * quality, iou
