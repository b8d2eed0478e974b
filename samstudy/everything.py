"""Everything mode: what SAM proposes by itself, without a prompt from the reference.

The proposals are those of ``segment_anything.SamAutomaticMaskGenerator`` (:mod:`samstudy.proposals`): a grid of
points over the whole image, three masks for each, filtered by predicted IoU and stability, duplicates removed. They
are made from the embedding there is already, and kept beside it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from segment_anything.modeling import Sam

from samstudy.checkpoints import state_sha
from samstudy.paths import cache_dir, written_whole
from samstudy.proposals import Thresholds, candidates
from samstudy.types import Prediction

if TYPE_CHECKING:
    from samstudy.inference import Embedding

VERSION = "everything/v1"
_OFFICIAL_SIDE = 1024

OFFICIAL = Thresholds(0.88, 0.95)
"""Defaults of the official generator, chosen by SAM's authors for ViT-H."""

SMALL = Thresholds(0.3, 0.5)
"""For a SAM that is not one of the official size: ``vit_t`` scores its masks lower and draws them softer, and
with the official thresholds it proposes nothing."""


def thresholds_of(sam: Sam) -> Thresholds:
    """Thresholds of a model: :data:`OFFICIAL` for an input of 1024 pixels, else :data:`SMALL`."""
    return OFFICIAL if sam.image_encoder.img_size == _OFFICIAL_SIDE else SMALL


def propose(sam: Sam, embedding: Embedding, points_per_side: int) -> Prediction:
    """Propose objects anywhere in the image.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        The model whose encoder made the embedding.
    embedding : Embedding
        Of the image. Where it is in the cache (``embedding.key``), so are the proposals.
    points_per_side : int
        Side of the grid; the official default is 32, hence 1024 points.

    Returns
    -------
    Prediction
        ``proposals`` is true; masks at the original resolution, surest first. Nothing proposed is one empty
        mask whose predicted IoU is NaN.
    """
    if not embedding.key:
        return _generate(sam, embedding, points_per_side)
    path = _cache_path(sam, embedding, points_per_side)
    found = _read(path, embedding.size_hw)
    if found is None:
        found = _generate(sam, embedding, points_per_side)
        with written_whole(path) as temporary:
            np.savez_compressed(temporary, masks=np.packbits(found.masks, axis=-1), iou_pred=found.iou_pred)
    return found


def n_proposals(prediction: Prediction) -> int | None:
    """Number of objects proposed; 0 for the empty stand-in of :func:`propose`, None for the answer to a prompt."""
    return int(np.isfinite(prediction.iou_pred).sum()) if prediction.proposals else None


def _generate(sam: Sam, embedding: Embedding, points_per_side: int) -> Prediction:
    masks, iou_pred = candidates(sam, embedding, points_per_side, thresholds_of(sam))
    if not len(masks):
        masks, iou_pred = np.zeros((1, *embedding.size_hw), bool), np.full(1, np.nan, np.float32)
    return Prediction(masks, iou_pred, proposals=True)


def _cache_path(sam: Sam, embedding: Embedding, points_per_side: int) -> Path:
    state = sam.state_dict()
    weights = [state_sha(state, prefix) for prefix in ("prompt_encoder.", "mask_decoder.")]
    settings = [VERSION, embedding.key, *weights, points_per_side, *thresholds_of(sam)]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    return cache_dir() / "proposals" / key[:2] / f"{key}.npz"


def _read(path: Path, size_hw: tuple[int, int]) -> Prediction | None:
    """Return kept proposals, or None where there are none or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            masks = np.unpackbits(kept["masks"], axis=-1, count=size_hw[1]).astype(bool)
            return Prediction(masks, kept["iou_pred"], proposals=True)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
