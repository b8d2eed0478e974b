"""The candidates of SAM's automatic mask generator, the same masks for less work.

``segment_anything.SamAutomaticMaskGenerator`` draws every candidate at the size of the image, writes it as run
lengths, and forgets most of them. The rules here are its own: a grid of points, three masks each, those of a high
predicted IoU, those that are stable, and of those with nearly the same box the surest. Only their order differs: a
mask is drawn when its predicted IoU is high enough, and brought to the size of the image in small blocks that stay in
a processor's cache. Its defaults without crops and without a clean-up of small regions are what is implemented; a
test holds the two together, mask for mask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.amg import batched_mask_to_box, build_point_grid, calculate_stability_score
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torchvision.ops import batched_nms

from samstudy.decoder import attend, draw_masks, predict_iou

if TYPE_CHECKING:
    from samstudy.inference import Embedding

_POINTS_AT_ONCE = {"cpu": 4}  # few fit a processor's cache; a GPU takes the official 64
_OFFICIAL_POINTS_AT_ONCE = 64
_MASKS_OF_A_POINT = 3
_MOST_LOGIT_BYTES = 256 << 20
_STABILITY_OFFSET = 1.0
_NMS_IOU = 0.7


class Thresholds(NamedTuple):
    """What a candidate must reach: predicted IoU, and IoU of its masks at logits +1 and -1 (stability)."""

    predicted_iou: float
    stability: float


class _Candidate(NamedTuple):
    """A mask packed within its box, so that thousands fit memory."""

    box_xyxy: tuple[int, int, int, int]
    bits: np.ndarray
    iou_pred: Tensor


@torch.inference_mode()
def candidates(
    sam: Sam, embedding: Embedding, points_per_side: int, wanted: Thresholds
) -> tuple[np.ndarray, np.ndarray]:
    """Propose objects from a grid of points over the whole image.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        The model whose encoder made the embedding.
    embedding : Embedding
        Of the image.
    points_per_side : int
        Side of the grid.
    wanted : Thresholds
        A threshold of 0 keeps all, as in the official generator.

    Returns
    -------
    masks : numpy.ndarray, bool, K x H x W
        In the order in which the official generator gives them: predicted IoU descending.
    iou_pred : numpy.ndarray, float32, K
        Both may be empty.
    """
    found = list(_candidates(sam, embedding, points_per_side, wanted))
    masks = np.zeros((0, *embedding.size_hw), bool)
    if not found:
        return masks, np.zeros(0, np.float32)
    # Release 1.0 fails on a GPU here: on the CPU, the boxes and the categories are in one place.
    boxes_xyxy = torch.tensor([candidate.box_xyxy for candidate in found], dtype=torch.float)
    iou_pred = torch.stack([candidate.iou_pred for candidate in found])
    kept = batched_nms(boxes_xyxy, iou_pred, torch.zeros(len(found)), iou_threshold=_NMS_IOU)
    masks = np.stack([_unpacked(found[index], embedding.size_hw) for index in kept.tolist()])
    return masks, iou_pred[kept].numpy().astype(np.float32)


def _candidates(
    sam: Sam, embedding: Embedding, points_per_side: int, wanted: Thresholds
) -> Iterator[_Candidate]:
    features = embedding.features.to(sam.device)
    points_xy = _grid(sam, embedding.size_hw, points_per_side)
    # Parts of equal size: of fewer than four points torch multiplies matrices in another order, which rounds otherwise.
    n_parts = max(1, len(points_xy) // _POINTS_AT_ONCE.get(sam.device.type, _OFFICIAL_POINTS_AT_ONCE))
    for part in points_xy.tensor_split(n_parts):
        logits, iou_pred = _surest(sam, features, part, wanted.predicted_iou)
        block = _masks_at_once(sam, embedding.size_hw)
        for low, iou in zip(logits.split(block), iou_pred.split(block), strict=True):
            full = _enlarged(sam, low, embedding)
            yield from _stable(full, iou, sam.mask_threshold, wanted.stability)


def _masks_at_once(sam: Sam, size_hw: tuple[int, int]) -> int:
    if sam.device.type == "cpu":
        return _MASKS_OF_A_POINT
    # Upsampling holds a mask at the size of the encoder's input and at that of the image.
    bytes_each = 4 * (sam.image_encoder.img_size**2 + size_hw[0] * size_hw[1])
    return _MASKS_OF_A_POINT * max(1, _MOST_LOGIT_BYTES // (_MASKS_OF_A_POINT * bytes_each))


def _grid(sam: Sam, size_hw: tuple[int, int], points_per_side: int) -> Tensor:
    """Points x y, n x 2, in pixels of the encoder's input; in double precision, as the official predictor has them."""
    points_xy = build_point_grid(points_per_side) * np.array(size_hw[::-1])
    points_xy = ResizeLongestSide(sam.image_encoder.img_size).apply_coords(points_xy, size_hw)
    dtype = torch.float if sam.device.type == "mps" else torch.double
    return torch.as_tensor(points_xy, dtype=dtype, device=sam.device)


def _surest(sam: Sam, features: Tensor, points_xy: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """Low-resolution logits, K x 4h x 4w, and predicted IoU, K, of the masks that the model is sure enough of."""
    labels = torch.ones(len(points_xy), 1, dtype=torch.int, device=sam.device)
    sparse, dense = sam.prompt_encoder(points=(points_xy[:, None], labels), boxes=None, masks=None)
    tokens, cells = attend(sam, features, sparse, dense)
    iou_pred = predict_iou(sam, tokens)[:, 1:]
    is_sure = iou_pred > least if least > 0 else torch.ones_like(iou_pred, dtype=torch.bool)
    if not is_sure.any():
        return features.new_zeros(0, 1, 1), iou_pred[is_sure]
    return draw_masks(sam, tokens, cells)[:, 1:][is_sure], iou_pred[is_sure]


def _enlarged(sam: Sam, low: Tensor, embedding: Embedding) -> Tensor:
    """Logits at the size of the image, by threes: torch interpolates another number of channels with other rounding."""
    n_short = -len(low) % _MASKS_OF_A_POINT
    filled = torch.cat([low, low[:1].expand(n_short, -1, -1)])
    threes = filled.unflatten(0, (-1, _MASKS_OF_A_POINT))
    return sam.postprocess_masks(threes, embedding.input_hw, embedding.size_hw).flatten(0, 1)[: len(low)]


def _stable(full: Tensor, iou_pred: Tensor, threshold: float, least: float) -> Iterator[_Candidate]:
    if least > 0:
        stability = calculate_stability_score(full, threshold, _STABILITY_OFFSET)
        full, iou_pred = full[stability >= least], iou_pred[stability >= least]
    if len(full):
        masks = full > threshold
        boxes_xyxy = batched_mask_to_box(masks).cpu().tolist()
        for mask, (x0, y0, x1, y1), iou in zip(masks.cpu().numpy(), boxes_xyxy, iou_pred.cpu(), strict=True):
            yield _Candidate((x0, y0, x1, y1), np.packbits(mask[y0 : y1 + 1, x0 : x1 + 1]), iou)


def _unpacked(candidate: _Candidate, size_hw: tuple[int, int]) -> np.ndarray:
    x0, y0, x1, y1 = candidate.box_xyxy
    height, width = y1 + 1 - y0, x1 + 1 - x0
    mask = np.zeros(size_hw, bool)
    inside = np.unpackbits(candidate.bits, count=height * width).reshape(height, width)
    mask[y0 : y1 + 1, x0 : x1 + 1] = inside
    return mask
