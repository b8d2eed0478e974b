"""What the trained controls share: one mask of the whole image, made without the prompt and cut to what that tells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from samstudy.errors import StudyError
from samstudy.inference import Embedding
from samstudy.told import as_told
from samstudy.tuning.examples import choose_shots, validation_ids
from samstudy.types import Prediction, Prompt, Sample, target_of

if TYPE_CHECKING:
    from samstudy.datasets import Dataset


class WholeImageModel(ABC):
    """A model (:class:`samstudy.models.Model`) of one target that takes no prompt.

    It makes one mask of an image. In the mode ``automatic`` that is its answer; a box cuts it, points keep the
    components that they lie on (:func:`samstudy.told.as_told`): it gets what the prompt tells, as a comparison with a
    prompted model would not be fair without. It makes no estimate of its IoU.
    """

    name: str
    tuning: str
    weights_sha: str
    history: dict[str, Any]
    encoder_sha = ""
    image_size = 0
    uses_image = True
    one_mask = True

    @property
    def shots(self) -> int:
        """Number of training images that were asked for."""
        return self.history["shots"]

    @property
    def fold(self) -> int:
        """Number of the repetition."""
        return self.history["fold"]

    def prepare(self, dataset: Dataset) -> None:  # noqa: B027 -- what it learnt it has learnt
        """Nothing more to learn."""

    @abstractmethod
    def mask(self, embedding: Embedding) -> np.ndarray:
        """Return the mask of the whole image, bool H x W."""

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
        """Make the mask once and cut it to each prompt, in order."""
        mask = self.mask(embedding)
        return [Prediction(as_told(mask, prompt)[None], np.full(1, np.nan, np.float32)) for prompt in prompts]


def learning_samples(
    dataset: Dataset, shots: int, seed: int, targets: Sequence[str], max_val_images: int
) -> tuple[list[Sample], list[Sample]]:
    """Read the training and the validation images that a tuning of SAM with these shots and this seed learns from.

    As there, images that show none of the targets are passed over.

    Raises
    ------
    StudyError
        As :func:`samstudy.tuning.examples.choose_shots` and ``validation_ids``; also if no image of either shows a
        target.
    """
    parts = []
    for ids in (choose_shots(dataset, shots, seed), validation_ids(dataset, max_val_images)):
        samples = [dataset.load(image_id) for image_id in ids]
        kept = [sample for sample in samples if target_mask(sample, targets).any()]
        if not kept:
            raise StudyError(
                f"none of the images {', '.join(ids[:3])} of {dataset.info.name} shows an object to learn from."
            )
        parts.append(kept)
    return parts[0], parts[1]


def history_of(
    dataset: Dataset,
    shots: int,
    seed: int,
    targets: Sequence[str],
    train: Sequence[Sample],
    val: Sequence[Sample],
) -> dict[str, Any]:
    """What every trained control keeps of the images that it was made from, with the keys of SAM's tuning."""
    return {
        "shots": shots,
        "fold": seed,
        "targets": list(targets),
        "dataset": dataset.info.name,
        "split_sha": dataset.fingerprint(),
        "train_ids": [sample.image_id for sample in train],
        "val_ids": [sample.image_id for sample in val],
        "train_groups": [sample.group_id for sample in train],
        "val_groups": [sample.group_id for sample in val],
    }


def target_mask(sample: Sample, targets: Sequence[str]) -> np.ndarray:
    """Union of all objects of the targets (none of them means all) in the valid part of an image, bool H x W."""
    masks = [mask for label, mask in sample.labels.items() if not targets or target_of(label) in targets]
    united = np.logical_or.reduce([np.zeros(sample.size_hw, bool), *masks])
    return united if sample.valid is None else united & sample.valid
