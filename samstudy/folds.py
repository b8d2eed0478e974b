"""Repetitions of a fine-tuning: other training images (seeds), and other training and validation groups (folds).

The test part is never touched, so every repetition is scored on the same held-out objects. The groups of the
training and validation parts are put in an order that the seed names and cut into folds; in its fold a group is in the
validation part, in the others in the training part. One fold keeps the committed split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from samstudy.datasets import Dataset
from samstudy.datasets.base import Reading, Record
from samstudy.errors import StudyError
from samstudy.seeds import rng_for
from samstudy.types import Sample


@dataclass(frozen=True)
class Repetition:
    """One repetition of a fine-tuning.

    Attributes
    ----------
    number : int
        Column ``fold`` of the score table: index of the seed x number of folds + fold.
    seed : int
        Names the choice of training images, the prompts, their order and how the groups are dealt.
    fold, folds : int
        Which of how many dealings of the groups.
    """

    number: int
    seed: int
    fold: int = 0
    folds: int = 1


def repetitions(seeds: Sequence[int], folds: int = 1) -> list[Repetition]:
    """Return every fold of every seed, numbered."""
    pairs = product(seeds, range(folds))
    return [Repetition(number, seed, fold, folds) for number, (seed, fold) in enumerate(pairs)]


class DealtDataset(Dataset):
    """A data set whose training and validation groups are dealt anew; all else is that of the other.

    Parameters
    ----------
    source : Dataset
        Read through this one.
    validation_groups : set of str
        Groups of its training and validation parts that are the validation part here.

    Raises
    ------
    StudyError
        If a group is on both sides of the split.
    """

    def __init__(self, source: Dataset, validation_groups: set[str]) -> None:
        self.info, self.root, self.options = source.info, source.root, source.options
        self.default_split = source.default_split
        self._source = source
        records = [_dealt(source.record(image_id), validation_groups) for image_id in source.ids("all")]
        super().__init__(records, f"the folds of {source.info.name}")

    def load(self, image_id: str) -> Sample:
        """Read one image with its masks, as the other data set does."""
        return self._source.load(image_id)

    def _read(self, record: Record) -> Reading:
        return self._source._read(record)


def dealt(dataset: Dataset, repetition: Repetition) -> Dataset:
    """Return the data set as one repetition sees it.

    Parameters
    ----------
    dataset : Dataset
        With its committed split.
    repetition : Repetition

    Returns
    -------
    Dataset
        The same one where there is one fold. Over the folds of one seed every group of the training and validation
        parts is in the validation part once.

    Raises
    ------
    StudyError
        If those parts have fewer groups than there are folds.
    """
    if repetition.folds == 1:
        return dataset
    groups = sorted(
        {dataset.group_of(image_id) for part in ("train", "val") for image_id in dataset.ids(part)}
    )
    if len(groups) < repetition.folds:
        raise StudyError(
            f"{dataset.info.name} has {len(groups)} groups of training and validation images, too few for "
            f"{repetition.folds} folds: ask for at most {max(len(groups), 1)}."
        )
    order = rng_for(repetition.seed, "folds", dataset.info.name).permutation(groups)
    return DealtDataset(dataset, set(map(str, order[repetition.fold :: repetition.folds])))


def _dealt(record: Record, validation_groups: set[str]) -> Record:
    if record.split == "test":
        return record
    return replace(record, split="val" if record.group_id in validation_groups else "train")
