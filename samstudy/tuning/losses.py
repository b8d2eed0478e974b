"""Losses on the decoder's grid, for the single mask and the best of three, with that of the predicted IoU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samstudy.inference import batches, decode_low_res
from samstudy.registry import Registry
from samstudy.tuning.examples import Example, image_features

MaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(logits B x C x h x w, target in [0, 1] of the same shape, counted h x w) -> loss B x C``."""

LOSSES: Registry[MaskLoss] = Registry("loss")
MOST_PROMPTS = 16
"""Prompts that go through the decoder at once."""
_FOCAL_WEIGHT, _FOCAL_GAMMA = 20.0, 2.0
_CLDICE_WEIGHT, _SKELETON_STEPS = 0.5, 5


def example_loss(
    sam: Sam,
    example: Example,
    picked: Sequence[int],
    loss: str = "dice_ce",
    brightness: float = 1.0,
    most: int = MOST_PROMPTS,
) -> Tensor:
    """Mean loss over some prompts of one image; gradients flow to what is trained.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Its device holds the example.
    example : Example
        One image.
    picked : sequence of int
        Indices of its prompts, at least one.
    loss : str
        A name in :data:`LOSSES`.
    brightness : float
        See :func:`~samstudy.tuning.examples.image_features`.
    most : int
        Prompts that go through the decoder at once.

    Returns
    -------
    torch.Tensor
        A scalar; see :func:`prompt_losses`.
    """
    features = image_features(sam, example, brightness)
    each = [
        batch_losses(sam, features, example, batch, loss) for batch in prompt_batches(example, picked, most)
    ]
    return torch.cat(each).mean()


def prompt_batches(example: Example, picked: Sequence[int], most: int) -> Iterator[list[int]]:
    """Split prompts of an image (indices) into batches of one shape and at most ``most``."""
    for batch in batches([example.prompts[i] for i in picked], most):
        yield [picked[i] for i in batch]


def batch_losses(sam: Sam, features: Tensor, example: Example, batch: Sequence[int], loss: str) -> Tensor:
    """Loss of each prompt of a batch of :func:`prompt_batches`, B; see :func:`prompt_losses`."""
    prompts = [example.prompts[i] for i in batch]
    logits, iou_pred = decode_low_res(sam, features, prompts, example.size_hw)
    target = example.targets[[example.object_index[i] for i in batch]]
    return prompt_losses(logits.float(), iou_pred.float(), target, example.counted, loss)


def prompt_losses(
    logits: Tensor, iou_pred: Tensor, target: Tensor, counted: Tensor, loss: str = "dice_ce"
) -> Tensor:
    """Loss of each prompt: that of the single mask, of the best of three, and the error of the predicted IoU.

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
    loss : str
        A name in :data:`LOSSES`.

    Returns
    -------
    torch.Tensor, B
    """
    target = target[:, None].expand_as(logits)
    each = LOSSES[loss](logits, target, counted)
    hard, area = (logits.detach() > 0) * counted, (target * counted > 0.5).float()
    both = (hard * area).sum((-2, -1))
    iou = both / (hard.sum((-2, -1)) + area.sum((-2, -1)) - both).clamp(min=1)
    return each[:, 0] + each[:, 1:].amin(1) + F.mse_loss(iou_pred, iou, reduction="none").mean(1)


@LOSSES.register("dice_ce")
def dice_cross_entropy(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Dice plus cross-entropy."""
    return _dice(logits, target, counted) + _cross_entropy(logits, target, counted)


@LOSSES.register("focal")
def dice_focal(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Dice plus 20 times the focal loss with gamma 2, the weights that SAM was trained with (Kirillov et al. 2023)."""
    error = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # 1 - p_t is the distance between answer and target, which holds for fractions of a cell too
    wrong = (torch.sigmoid(logits) - target).abs()
    focal = (wrong**_FOCAL_GAMMA * error * counted).sum((-2, -1)) / counted.sum()
    return _dice(logits, target, counted) + _FOCAL_WEIGHT * focal


@LOSSES.register("cldice")
def centre_line_dice(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Half Dice and half soft clDice, plus cross-entropy: for what is long and thin (Shit et al., CVPR 2021)."""
    dice = (1 - _CLDICE_WEIGHT) * _dice(logits, target, counted)
    lines = _CLDICE_WEIGHT * soft_cldice(torch.sigmoid(logits) * counted, target * counted)
    return dice + lines + _cross_entropy(logits, target, counted)


def _cross_entropy(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    error = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * counted
    return error.sum((-2, -1)) / counted.sum()


def _dice(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    soft, area = torch.sigmoid(logits) * counted, target * counted
    overlap = (soft * area).sum((-2, -1))
    return 1 - (2 * overlap + 1) / (soft.sum((-2, -1)) + area.sum((-2, -1)) + 1)


def soft_cldice(soft: Tensor, target: Tensor) -> Tensor:
    """One minus the harmonic mean of how far each soft mask covers the other's soft centre line.

    Parameters
    ----------
    soft, target : torch.Tensor, B x C x h x w
        In [0, 1].

    Returns
    -------
    torch.Tensor, B x C
        In [0, 1]; 0 for two empty masks.
    """
    line, target_line = soft_skeleton(soft), soft_skeleton(target[:, :1]).expand_as(target)
    precision = ((line * target).sum((-2, -1)) + 1) / (line.sum((-2, -1)) + 1)
    sensitivity = ((target_line * soft).sum((-2, -1)) + 1) / (target_line.sum((-2, -1)) + 1)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


def soft_skeleton(soft: Tensor, steps: int = _SKELETON_STEPS) -> Tensor:
    """Centre lines of soft masks (B x C x h x w), made of minima and maxima over neighbours, so that gradients pass.

    Structures up to about twice ``steps`` cells wide are thinned to their middle (Shit et al. 2021, algorithm 1).
    """
    skeleton = F.relu(soft - _open(soft))
    for _ in range(steps):
        soft = _erode(soft)
        left = F.relu(soft - _open(soft))
        skeleton = skeleton + F.relu(left - skeleton * left)
    return skeleton


def _erode(soft: Tensor) -> Tensor:
    across = -F.max_pool2d(-soft, (3, 1), 1, (1, 0))
    down = -F.max_pool2d(-soft, (1, 3), 1, (0, 1))
    return torch.minimum(across, down)


def _open(soft: Tensor) -> Tensor:
    return F.max_pool2d(_erode(soft), 3, 1, 1)
