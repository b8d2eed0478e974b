"""What an object is like: size, contrast and shape, measured from the image and the reference mask.

These are the properties that Mazurowski et al. (2023) and Huang et al. (2024) hold against Dice to say which objects
SAM finds hard; the exact definitions here are this study's own. Images are turned to grey by ITU-R BT.601.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.measure import perimeter
from tqdm import tqdm

from samstudy.datasets import Dataset
from samstudy.errors import DataError, StudyError
from samstudy.images.display import check_image
from samstudy.masks import as_mask, bounds_of
from samstudy.registry import Registry
from samstudy.types import target_of

_BT601 = np.array([0.299, 0.587, 0.114], np.float32)
_GRADIENT_SIGMA_PX = 1.0
_GRADIENT_CONTEXT_PX = 5
_ROUNDING_VARIANCE = 1 / 12
_COLUMNS = ["dataset", "image_id", "group_id", "object_id", "target"]
_EIGHT_CONNECTED = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Attribute:
    """A registered attribute: a column of :func:`measure_objects`.

    Attributes
    ----------
    name, title : str
        Column, and name with unit for an axis.
    family : str
        Attributes of one family say nearly the same; their importance is judged together.
    rule : str
        How it is measured.
    function : callable
        From an :class:`Object` to a float.
    """

    name: str
    title: str
    family: str
    rule: str
    function: Callable[[Object], float]


ATTRIBUTES: Registry[Attribute] = Registry("attribute")
"""Attributes in the order of tables and figures; to add one, register a function of an :class:`Object`."""


class Object:
    """One non-empty mask in its surroundings, with what several attributes need computed once.

    Parameters
    ----------
    image : numpy.ndarray, uint8, H x W x 3
        RGB in [0, 255].
    mask : numpy.ndarray, bool, H x W
        Reference; at least one foreground pixel.
    valid : numpy.ndarray, bool, H x W, optional
        Pixels that count (a field of view); all by default. The mask lies within.
    """

    def __init__(self, image: np.ndarray, mask: np.ndarray, valid: np.ndarray | None = None) -> None:
        self.n_valid = mask.size if valid is None else int(np.count_nonzero(valid))
        bounds = bounds_of(mask)
        self._crop = np.pad(mask[bounds], 1)
        self._reach_px = max(span.stop - span.start for span in bounds)
        context = self._reach_px + _GRADIENT_CONTEXT_PX
        window = tuple(slice(max(span.start - context, 0), span.stop + context) for span in bounds)
        self.mask = mask[window]
        self.grey = image[window].astype(np.float32) @ _BT601
        self.background = ~self.mask if valid is None else valid[window] & ~self.mask
        self.size_px = int(np.count_nonzero(mask))

    @cached_property
    def ring(self) -> np.ndarray:
        """Background nearest to the object, as many pixels as it has (ties too), no farther than its extent."""
        distances = ndimage.distance_transform_edt(~self.mask)
        near = self.background & (distances <= self._reach_px)
        if not near.any():
            return near
        outside = distances[near]
        at = min(self.size_px, len(outside)) - 1
        return near & (distances <= np.partition(outside, at)[at])

    @cached_property
    def boundary_px(self) -> float:
        """Length of all boundaries in pixels (Benkrid and Crookes 2000, as in scikit-image)."""
        return float(perimeter(self._crop, neighborhood=4))

    @cached_property
    def hull_px(self) -> float:
        """Area of the convex hull of the object's pixels, each a unit square."""
        rows = np.flatnonzero(self._crop.any(axis=1))
        left = self._crop[rows].argmax(axis=1)
        right = self._crop.shape[1] - self._crop[rows, ::-1].argmax(axis=1)
        corners = [
            np.concatenate([rows, rows, rows + 1, rows + 1]),
            np.concatenate([left, right, left, right]),
        ]
        return float(ConvexHull(np.column_stack(corners)).volume)

    @cached_property
    def n_parts(self) -> int:
        """Number of 8-connected parts."""
        return int(ndimage.label(self._crop, structure=_EIGHT_CONNECTED)[1])


def add_attribute(name: str, title: str, family: str, rule: str) -> Callable:
    """Return a decorator that registers a function of an :class:`Object` as an attribute."""

    def keep(function: Callable[[Object], float]) -> Callable[[Object], float]:
        ATTRIBUTES.register(name)(Attribute(name, title, family, rule, function))
        return function

    return keep


@add_attribute("size_px", "size (px)", "size", "Number of pixels.")
def _size_px(one: Object) -> float:
    return float(one.size_px)


@add_attribute("size_percent", "size (% of image)", "size", "Share of the image's valid pixels, in percent.")
def _size_percent(one: Object) -> float:
    return 100 * one.size_px / one.n_valid


@add_attribute("boundary_px", "boundary (px)", "size", "Length of the boundary, holes included.")
def _boundary_px(one: Object) -> float:
    return one.boundary_px


@add_attribute(
    "contrast",
    "contrast (pooled SD)",
    "contrast",
    "Absolute difference of mean grey inside and in the ring, over their pooled standard deviation (Cohen's d; the "
    "variance of rounding to whole grey levels is added, so that even areas have a contrast too).",
)
def _contrast(one: Object) -> float:
    inside, around = one.grey[one.mask], one.grey[one.ring]
    if not len(around):
        return np.nan
    variance = (inside.var() + around.var()) / 2 + _ROUNDING_VARIANCE
    return float(abs(inside.mean() - around.mean()) / np.sqrt(variance))


@add_attribute(
    "boundary_gradient",
    "boundary gradient (grey/px)",
    "contrast",
    "Mean gradient of the grey values, smoothed by a Gaussian of 1 pixel, on the object's border pixels.",
)
def _boundary_gradient(one: Object) -> float:
    border = one.mask & ~ndimage.binary_erosion(one.mask)
    return float(ndimage.gaussian_gradient_magnitude(one.grey, _GRADIENT_SIGMA_PX)[border].mean())


@add_attribute(
    "compactness",
    "compactness",
    "shape",
    "4 pi area / boundary^2 (Polsby and Popper 1991): 1 for a disc, near 0 for a vessel tree; at most 1.",
)
def _compactness(one: Object) -> float:
    return min(4 * np.pi * one.size_px / one.boundary_px**2, 1.0) if one.boundary_px else 1.0


@add_attribute(
    "solidity", "solidity", "shape", "Area over that of the convex hull of the pixels: 1 for a convex object."
)
def _solidity(one: Object) -> float:
    return one.size_px / one.hull_px


@add_attribute("n_parts", "number of parts", "parts", "Number of 8-connected parts.")
def _n_parts(one: Object) -> float:
    return float(one.n_parts)


def measure(image: np.ndarray, mask: np.ndarray, valid: np.ndarray | None = None) -> dict[str, float]:
    """Measure every attribute of one object.

    Parameters
    ----------
    image : numpy.ndarray, uint8, H x W x 3
        RGB in [0, 255].
    mask : numpy.ndarray, bool, H x W
        Reference mask, cut to ``valid`` here.
    valid : numpy.ndarray, bool, H x W, optional
        Pixels that count; all by default.

    Returns
    -------
    dict of str to float
        One value per name in :data:`ATTRIBUTES`; all NaN for an empty mask. ``contrast`` is NaN where nothing lies
        around the object.

    Raises
    ------
    StudyError
        If the image is no uint8 H x W x 3 array, or image, mask and valid differ in size.
    """
    check_image(image)
    mask = as_mask(mask)
    if any(array is not None and array.shape != image.shape[:2] for array in (mask, valid)):
        raise StudyError(
            f"image {image.shape[0]} x {image.shape[1]}, mask {mask.shape[0]} x {mask.shape[1]} and the valid area "
            "must be of one size; measure at the image's original size."
        )
    mask = mask if valid is None else mask & valid
    if not mask.any():
        return dict.fromkeys(ATTRIBUTES, np.nan)
    one = Object(image, mask, valid)
    return {name: ATTRIBUTES[name].function(one) for name in ATTRIBUTES}


def measure_objects(dataset: Dataset, ids: Sequence[str], progress: bool = True) -> pd.DataFrame:
    """Measure every object of some images.

    Parameters
    ----------
    dataset : Dataset
        Where the images are.
    ids : sequence of str
        image_id of each image, e.g. those of a score table; an image that cannot be read is passed over, as the
        evaluation reports it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        Columns ``dataset image_id group_id object_id target`` and those of :data:`ATTRIBUTES`; empty masks have no
        row.
    """
    rows = []
    for image_id in tqdm(ids, desc=f"{dataset.info.name} attributes", unit="image", disable=not progress):
        try:
            sample = dataset.load(image_id)
        except DataError:
            continue
        known = {"dataset": dataset.info.name, "image_id": image_id, "group_id": sample.group_id}
        for label, mask in sample.labels.items():
            if (mask if sample.valid is None else mask & sample.valid).any():
                about = {"object_id": label, "target": target_of(label)}
                rows.append(known | about | measure(sample.image, mask, sample.valid))
    return pd.DataFrame(rows, columns=[*_COLUMNS, *ATTRIBUTES])


def measure_table(datasets: Sequence[Dataset], table: pd.DataFrame, progress: bool = True) -> pd.DataFrame:
    """Measure the objects of every image of a score table, as :func:`measure_objects` does.

    Parameters
    ----------
    datasets : sequence of Dataset
        Where the images are; one without rows in the table is passed over.
    table : pandas.DataFrame
        Score table; ``dataset`` and ``image_id`` are looked at.
    progress : bool
        Show progress bars.
    """
    seen = {
        one.info.name: table.loc[table["dataset"] == one.info.name, "image_id"].unique() for one in datasets
    }
    parts = [
        measure_objects(one, seen[one.info.name], progress) for one in datasets if len(seen[one.info.name])
    ]
    return pd.concat(parts or [pd.DataFrame(columns=[*_COLUMNS, *ATTRIBUTES])], ignore_index=True)
