"""The control of shuffled labels: right images and prompts, wrong masks; what it gains cannot come from the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from skimage.transform import resize

from samstudy.datasets import Dataset, Record
from samstudy.datasets.base import Reading
from samstudy.errors import DataError, StudyError
from samstudy.seeds import rng_for
from samstudy.types import Sample, target_of

TUNING = "shuffled"
"""Value of the score table's ``tuning``."""


class ShuffledLabels(Dataset):
    """A data set whose training and validation images have the masks of others to learn.

    Images, labels and with them prompts stay as they are. What is learnt (:attr:`samstudy.types.Sample.learns`) is for
    every object the mask of an object of the same target in another image of the training and validation splits: the
    next in a drawn circle of all of them that shows the target, of another group as long as there is one. It is
    resized to the image, mirrored in either direction or not, and rolled by a drawn offset, so that neither its place
    nor its shape nor the prompt tells it. Masks keep about their size and their texture, which a tuning may learn.
    Test images are untouched.

    Parameters
    ----------
    dataset : Dataset
        Of the right labels.
    seed : int
        Names the circle, the mirroring and the offsets.

    Raises
    ------
    StudyError
        If there are fewer than two training images.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        n_train = len(dataset.ids("train"))
        if n_train < 2:
            raise StudyError(
                f"labels of {dataset.info.name} cannot be shuffled: it has {n_train} training image(s), and at least "
                "two are needed for one to learn another's mask. Leave this control out, or add training images."
            )
        self.info, self.root, self.options = dataset.info, dataset.root, dataset.options
        self.default_split = dataset.default_split
        self._dataset, self._seed = dataset, seed
        circle = rng_for(seed, TUNING, dataset.info.name).permutation(
            [*dataset.ids("train"), *dataset.ids("val")]
        )
        self._circle = [str(image_id) for image_id in circle]
        super().__init__([dataset.record(image_id) for image_id in dataset.ids("all")], dataset.info.name)

    def _read(self, record: Record) -> Reading:
        return self._dataset._read(record)

    def load(self, image_id: str) -> Sample:
        """Read one image, with the masks that it is to learn unless it is of the test split.

        Raises
        ------
        DataError, StudyError
            As every data set does; also if no other image shows one of its targets.
        """
        sample = self._dataset.load(image_id)
        if image_id not in self._circle:
            return sample
        foreign: dict[str, tuple[str, list[np.ndarray]]] = {}
        learns = {}
        for label, mask in sample.labels.items():
            if not mask.any():
                learns[label] = mask
                continue
            target = target_of(label)
            if target not in foreign:
                foreign[target] = self._next_showing(sample, target)
            other_id, masks = foreign[target]
            rng = rng_for(self._seed, TUNING, self.info.name, image_id, label, other_id)
            learns[label] = displaced(masks[rng.integers(len(masks))], sample.size_hw, rng)
        return replace(sample, learns=learns)

    def _next_showing(self, sample: Sample, target: str) -> tuple[str, list[np.ndarray]]:
        for other_id in self._others(sample):
            try:
                labels = self._dataset.load(other_id).labels
            except DataError:
                continue
            masks = [mask for label, mask in labels.items() if target_of(label) == target and mask.any()]
            if masks:
                return other_id, masks
        raise StudyError(
            f"labels of {self.info.name} cannot be shuffled: of its training and validation images, "
            f"{sample.image_id} alone shows {target!r}."
        )

    def _others(self, sample: Sample) -> Iterator[str]:
        """The rest of the circle, first what is of other groups."""
        at = self._circle.index(sample.image_id)
        rest = self._circle[at + 1 :] + self._circle[:at]
        yield from sorted(rest, key=lambda other_id: self.group_of(other_id) == sample.group_id)


def displaced(mask: np.ndarray, size_hw: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Resize a mask, mirror it in either direction or not, and roll it by a drawn offset.

    Parameters
    ----------
    mask : numpy.ndarray, bool, h x w
        Of any image.
    size_hw : sequence of int
        Height and width to give it; the nearest pixel is taken.
    rng : numpy.random.Generator
        Of the mirroring and the offset.

    Returns
    -------
    numpy.ndarray, bool, H x W
        What leaves the image on one side comes in on the other.
    """
    fitted = resize(mask, tuple(size_hw), order=0, anti_aliasing=False)
    mirrored = fitted[tuple(slice(None, None, step) for step in rng.choice([-1, 1], 2))]
    return np.ascontiguousarray(np.roll(mirrored, [rng.integers(n) for n in size_hw], (0, 1)))
