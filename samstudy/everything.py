"""Everything mode: what SAM proposes by itself, without a prompt from the reference.

The proposals are those of ``segment_anything.SamAutomaticMaskGenerator``: a grid of points over the whole
image, three masks for each, filtered by predicted IoU and stability, duplicates removed. It runs on the
embedding there is already, and its results are kept beside that embedding.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import MaskData

from samstudy.checkpoints import state_sha
from samstudy.paths import cache_dir, written_whole
from samstudy.types import Prediction

if TYPE_CHECKING:
    from samstudy.inference import Embedding

VERSION = "everything/v1"
_OFFICIAL_SIDE = 1024
_MOST_LOGIT_BYTES = 256 << 20
_MOST_POINTS_AT_ONCE = {"cpu": 4}  # few fit a processor's cache; a GPU takes the official 64
_OFFICIAL_POINTS_AT_ONCE = 64


class Thresholds(NamedTuple):
    """What a candidate must reach: predicted IoU, and IoU of its masks at logits +1 and -1 (stability)."""

    predicted_iou: float
    stability: float


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


def n_proposals(prediction: Prediction) -> int:
    """Number of objects proposed; 0 for the empty stand-in of :func:`propose`."""
    return int(np.isfinite(prediction.iou_pred).sum()) if prediction.proposals else 0


class _EmbeddedPredictor(SamPredictor):
    """A predictor that has its image's embedding already: the generator must not encode the image again."""

    def __init__(self, sam: Sam, embedding: Embedding) -> None:
        super().__init__(sam)
        self._embedding = embedding

    def set_image(self, image: np.ndarray, image_format: str = "RGB") -> None:
        self.reset_image()
        self.features = self._embedding.features.to(self.model.device)
        self.original_size = self._embedding.size_hw
        self.input_size = self._embedding.input_hw
        self.is_image_set = True


class _Generator(SamAutomaticMaskGenerator):
    """The official generator with its candidates brought to the CPU, where it removes duplicates.

    Release 1.0 makes the categories of that step on the CPU whatever the device of the boxes, and fails when
    they are on a GPU.
    """

    def _process_batch(self, *args: object) -> MaskData:
        data = super()._process_batch(*args)
        for name, value in list(data.items()):
            if isinstance(value, torch.Tensor):
                data[name] = value.cpu()
        return data


def _generate(sam: Sam, embedding: Embedding, points_per_side: int) -> Prediction:
    height, width = embedding.size_hw
    wanted = thresholds_of(sam)
    # Each point holds three masks, at the size of the encoder's input and then of the image.
    bytes_per_point = 3 * 4 * max(height * width, sam.image_encoder.img_size**2)
    at_once = _MOST_POINTS_AT_ONCE.get(sam.device.type, _OFFICIAL_POINTS_AT_ONCE)
    generator = _Generator(
        sam,
        points_per_side=points_per_side,
        points_per_batch=max(1, min(at_once, _MOST_LOGIT_BYTES // bytes_per_point)),
        pred_iou_thresh=wanted.predicted_iou,
        stability_score_thresh=wanted.stability,
    )
    generator.predictor = _EmbeddedPredictor(sam, embedding)
    # It asks an image for nothing but its size.
    found = generator.generate(np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3)))
    if not found:
        return Prediction(np.zeros((1, height, width), bool), np.full(1, np.nan, np.float32), proposals=True)
    found.sort(key=lambda candidate: -candidate["predicted_iou"])
    return Prediction(
        masks=np.stack([candidate["segmentation"] for candidate in found]),
        iou_pred=np.array([candidate["predicted_iou"] for candidate in found], np.float32),
        proposals=True,
    )


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
