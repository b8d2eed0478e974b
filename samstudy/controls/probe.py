"""A linear probe: what SAM's frozen image embedding tells of a target to a logistic regression, without a decoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn import functional as F

from samstudy.checkpoints import metadata_json, read_checkpoint, state_sha
from samstudy.controls.whole_image import WholeImageModel, history_of, learning_samples, target_mask
from samstudy.datasets import Dataset
from samstudy.embeddings import embed
from samstudy.errors import ModelError
from samstudy.inference import Embedding
from samstudy.models import SamModel
from samstudy.paths import written_whole
from samstudy.tuning.examples import to_decoder_grid
from samstudy.types import Sample

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

NAME, TUNING = "linear_probe", "probe"
INVERSE_REGULARISATIONS = (1e-3, 1e-2, 1e-1, 1.0)
_KEY = "samstudy_probe"
_MOST_CELLS = 40_000
_MOST_ITERATIONS = 500


@dataclass
class LinearProbe(WholeImageModel):
    """A fitted probe as a model of the study; see :class:`samstudy.controls.whole_image.WholeImageModel`.

    Attributes
    ----------
    base : SamModel
        Whose image encoder it stands on: cached embeddings are shared.
    weight, bias : torch.Tensor, float32, C and scalar
        Of the logit of a cell with C features.
    history : dict
        Chosen regularisation and balance, image names, split hash.
    """

    base: SamModel
    weight: Tensor
    bias: Tensor
    history: dict = field(default_factory=dict)
    name = NAME
    tuning = TUNING

    @cached_property
    def weights_sha(self) -> str:
        """Hash of the encoder's weights and of the probe's."""
        own = state_sha({"weight": self.weight, "bias": self.bias})
        return f"{self.base.encoder_sha}-{own}"

    @property
    def encoder_sha(self) -> str:
        """That of the base."""
        return self.base.encoder_sha

    @property
    def image_size(self) -> int:
        """That of the base."""
        return self.base.image_size

    def embed(self, image: np.ndarray) -> Embedding:
        """The embedding of the base."""
        return self.base.embed(image)

    def mask(self, embedding: Embedding) -> np.ndarray:
        """Pixels of probability above one half, the probabilities of the cells interpolated bilinearly."""
        logits = torch.einsum("bchw,c->bhw", embedding.features, self.weight)[:, None] + self.bias
        side = (self.image_size, self.image_size)
        whole = F.interpolate(torch.sigmoid(logits), side, mode="bilinear", align_corners=False)
        cut = whole[..., : embedding.input_hw[0], : embedding.input_hw[1]]
        return (
            F.interpolate(cut, embedding.size_hw, mode="bilinear", align_corners=False)[0, 0] > 0.5
        ).numpy()


def fit_probe(
    base: SamModel,
    dataset: Dataset,
    targets: Sequence[str] = (),
    shots: int = 10,
    seed: int = 0,
    max_val_images: int = 8,
) -> LinearProbe:
    """Fit a logistic regression on the cells of the images that SAM is tuned with.

    Each cell of the embedding is an example: its features, standardised, against the fraction of the cell that the
    target covers (once as foreground and once as background, weighted by the fractions). Cells outside the image or its
    valid part do not count. Regularisation (``C`` of scikit-learn) and class balance (none, or both classes weighing
    the same) are those of the best Dice over the cells of the validation images.

    Parameters
    ----------
    base : SamModel
        Gives the embeddings.
    dataset, targets, shots, seed
        As for :func:`samstudy.controls.unet.train_unet`. Of more than 40 000 cells, so many are drawn.
    max_val_images : int
        As in :class:`samstudy.tuning.Recipe`.

    Raises
    ------
    StudyError
        As :func:`samstudy.controls.whole_image.learning_samples`.
    """
    from sklearn.preprocessing import StandardScaler

    train, val = learning_samples(dataset, shots, seed, targets, max_val_images)
    features, covered = _cells(base, train, targets)
    if len(covered) > _MOST_CELLS:
        drawn = np.random.default_rng(seed).choice(len(covered), _MOST_CELLS, replace=False)
        features, covered = features[drawn], covered[drawn]
    seen, wanted = _cells(base, val, targets)
    scaler = StandardScaler().fit(features)
    scaled, scaled_seen = scaler.transform(features), scaler.transform(seen)
    tried = []
    for inverse, balanced in product(INVERSE_REGULARISATIONS, (False, True)):
        model = _fitted(scaled, covered, inverse, balanced)
        tried.append((_dice(model.predict_proba(scaled_seen)[:, 1], wanted), inverse, balanced, model))
    dice, inverse, balanced, model = max(tried, key=lambda one: one[0])
    weight = model.coef_[0] / scaler.scale_
    bias = model.intercept_[0] - float(weight @ scaler.mean_)
    history = history_of(dataset, shots, seed, targets, train, val) | {
        "base": base.name,
        "base_encoder_sha": base.encoder_sha,
        "C": inverse,
        "balanced": balanced,
        "validation_cell_dice": dice,
    }
    weight, bias = (torch.tensor(value, dtype=torch.float32) for value in (weight, bias))
    return LinearProbe(base, weight, bias, history)


def _cells(
    base: SamModel, samples: Sequence[Sample], targets: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Features (N x C) and covered fraction (N) of the cells that count, over all images."""
    side, features, covered = base.image_size, [], []
    for sample in samples:
        everywhere = np.ones(sample.size_hw, bool) if sample.valid is None else sample.valid
        found = embed(base, sample.image).features[0]
        input_hw = ResizeLongestSide.get_preprocess_shape(*sample.size_hw, side)
        cell = side // found.shape[-1]
        grids = [
            to_decoder_grid(mask, input_hw, side, cell) for mask in (target_mask(sample, targets), everywhere)
        ]
        counts = grids[1] > 0.5
        features.append(found[:, counts].T.numpy())
        covered.append(grids[0][counts].numpy())
    return np.concatenate(features).astype(np.float64), np.concatenate(covered).astype(np.float64)


def _fitted(scaled: np.ndarray, covered: np.ndarray, inverse: float, balanced: bool) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    shares = np.array([(1 - covered).sum(), covered.sum()]) / len(covered)
    factors = 0.5 / np.maximum(shares, 1e-9) if balanced else np.ones(2)
    examples = np.concatenate([scaled, scaled])
    classes = np.repeat([0, 1], len(covered))
    weights = np.concatenate([(1 - covered) * factors[0], covered * factors[1]])
    counted = weights > 0
    model = LogisticRegression(C=inverse, max_iter=_MOST_ITERATIONS)
    return model.fit(examples[counted], classes[counted], sample_weight=weights[counted])


def _dice(probability: np.ndarray, covered: np.ndarray) -> float:
    """Dice of the cells above one half with the covered fractions."""
    hard = probability > 0.5
    return float(2 * covered[hard].sum() / (hard.sum() + covered.sum()))


def save_probe(model: LinearProbe, path: str | Path) -> Path:
    """Write weights and history as safetensors, for :func:`load_probe`."""
    with written_whole(path) as temporary:
        save_file({"weight": model.weight, "bias": model.bias}, temporary, {_KEY: json.dumps(model.history)})
    return Path(path)


def load_probe(path: str | Path, base: SamModel) -> LinearProbe:
    """Read a file of :func:`save_probe`.

    Raises
    ------
    ModelError
        If it is missing, damaged, of another kind, or of another image encoder than the base's.
    """
    checkpoint = read_checkpoint(path)
    history = metadata_json(checkpoint, _KEY)
    if history["base_encoder_sha"] != base.encoder_sha:
        raise ModelError(
            f"{checkpoint.path} is a probe of the image encoder {history['base_encoder_sha']}, but that of "
            f"{base.name!r} is {base.encoder_sha}: fit it again."
        )
    return LinearProbe(base, checkpoint.state["weight"], checkpoint.state["bias"], history)
