"""How well a mask matches its reference: overlap, surface distances and centre lines of two 2-D masks.

Definitions, each equal to MONAI's (Cardoso et al. 2022) to single precision:

- *border*: the pixels of a mask that its erosion by the 4-connected cross removes; everything outside the
  image is background, so a pixel on the image's edge is border.
- *surface distance*: from the centre of each border pixel to the centre of the nearest border pixel of the
  other mask; in millimetres where ``spacing_mm`` is given, else in pixels.
- ``hd95``: the larger of the two directed 95th percentiles (linear interpolation), not that of the pooled
  distances.
- ``assd`` and ``nsd``: over the distances of both directions pooled, each border pixel counting once.

Declared behaviour on empty masks: both empty, every metric is NaN (nothing was there and nothing was found;
such pairs are counted, not averaged); one of them empty, fractions are 0 and distances infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree
from skimage.morphology import skeletonize

from samstudy.errors import StudyError
from samstudy.masks import as_mask, bounds_of
from samstudy.registry import Registry

_MOST_INSCRIBED = 0.1


class Shape:
    """A non-empty mask with what the metrics need of it, each computed once and only when asked for.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        At least one foreground pixel.
    spacing : tuple of float
        (row, column) pitch; (1, 1) for pixels.
    """

    def __init__(self, mask: np.ndarray, spacing: tuple[float, float]) -> None:
        self.mask = mask
        self.spacing = np.asarray(spacing, np.float64)
        self.n_px = int(np.count_nonzero(mask))
        self._bounds = bounds_of(mask)
        # A frame of background: the rim of a shape and of the image need no special case.
        self._framed = np.pad(mask[self._bounds], 1)

    def _positions_of(self, framed: np.ndarray) -> np.ndarray:
        """Pixels of the framed crop as (row, column) of the image: int, n x 2."""
        return np.argwhere(framed) + [span.start - 1 for span in self._bounds]

    @cached_property
    def border(self) -> np.ndarray:
        """Centres of the border pixels in units of the spacing: float64, n x 2, (row, column)."""
        m = self._framed
        core = m[1:-1, 1:-1]
        inner = m[:-2, 1:-1] & m[2:, 1:-1] & m[1:-1, :-2] & m[1:-1, 2:]
        return self._positions_of(np.pad(core & ~inner, 1)) * self.spacing

    @cached_property
    def tree(self) -> KDTree:
        """Border pixels, arranged for nearest-neighbour queries."""
        return KDTree(self.border, leafsize=32, balanced_tree=False)

    @cached_property
    def skeleton(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows, columns) of the centre line; the whole shape where thinning leaves nothing of it."""
        thinned = skeletonize(self._framed)
        rows, columns = self._positions_of(thinned if thinned.any() else self._framed).T
        return rows, columns


class Pair:
    """Two non-empty masks of one image: the argument of every metric function.

    Parameters
    ----------
    reference, mask : Shape
        What should and what was found.
    nsd_tolerance : float
        Deviation that still counts as correct, in the unit of the spacing.
    """

    def __init__(self, reference: Shape, mask: Shape, nsd_tolerance: float) -> None:
        self.reference = reference
        self.mask = mask
        self.nsd_tolerance = nsd_tolerance

    @cached_property
    def n_common(self) -> int:
        """Pixels that belong to both."""
        return int(np.count_nonzero(self.reference.mask & self.mask.mask))

    @cached_property
    def distances(self) -> tuple[np.ndarray, np.ndarray]:
        """Surface distances, float64: (mask to reference, reference to mask)."""
        to_reference, _ = self.reference.tree.query(self.mask.border)
        to_mask, _ = self.mask.tree.query(self.reference.border)
        return to_reference, to_mask

    @cached_property
    def pooled_distances(self) -> np.ndarray:
        """Both directions in one array."""
        return np.concatenate(self.distances)


@dataclass(frozen=True)
class Metric:
    """A registered metric: a column of the score table.

    Attributes
    ----------
    name, title : str
        Column; words for figures and tables.
    unit : {"fraction", "distance"}
        ``fraction`` is in [0, 1], higher is better; ``distance`` is in mm or px, lower is better.
    measure : callable
        ``Pair -> float``; never called with an empty mask.
    """

    name: str
    title: str
    unit: str
    measure: Callable[[Pair], float]

    @property
    def better(self) -> str:
        """``"higher"`` or ``"lower"``."""
        return "higher" if self.unit == "fraction" else "lower"

    @property
    def statistic(self) -> str:
        """What describes many scores: the ``"mean"`` of fractions, the ``"median"`` of distances."""
        return "mean" if self.unit == "fraction" else "median"

    @property
    def worst(self) -> float:
        """Value where exactly one of the two masks is empty."""
        return 0.0 if self.unit == "fraction" else np.inf


METRICS: Registry[Metric] = Registry("metric")


def metric(name: str, title: str, unit: str) -> Callable[[Callable[[Pair], float]], Callable[[Pair], float]]:
    """Return a decorator that registers a function of a :class:`Pair`; see :class:`Metric`."""

    def keep(measure: Callable[[Pair], float]) -> Callable[[Pair], float]:
        METRICS.register(name)(Metric(name, title, unit, measure))
        return measure

    return keep


@metric("dice", "Dice", "fraction")
def dice(pair: Pair) -> float:
    """Twice the common pixels over the pixels of both (Dice 1945)."""
    return 2 * pair.n_common / (pair.reference.n_px + pair.mask.n_px)


@metric("iou", "IoU", "fraction")
def iou(pair: Pair) -> float:
    """Common pixels over the pixels of either (Jaccard 1912)."""
    return pair.n_common / (pair.reference.n_px + pair.mask.n_px - pair.n_common)


@metric("nsd", "NSD", "fraction")
def nsd(pair: Pair) -> float:
    """Normalised surface Dice: border within the tolerance of the other border (Nikolov et al. 2018).

    Counts border pixels, as Seidlitz et al. (2022) and MONAI without subvoxels, not border length. Compared
    in single precision, so that a deviation of exactly the tolerance is within it despite rounding.
    """
    return float(np.mean(pair.pooled_distances.astype(np.float32) <= np.float32(pair.nsd_tolerance)))


@metric("hd95", "HD95", "distance")
def hd95(pair: Pair) -> float:
    """Hausdorff distance at the 95th percentile: the larger of the two directed ones."""
    return float(max(np.percentile(distances, 95) for distances in pair.distances))


@metric("assd", "ASSD", "distance")
def assd(pair: Pair) -> float:
    """Average symmetric surface distance: the mean over the border pixels of both masks."""
    return float(pair.pooled_distances.mean())


@metric("cldice", "clDice", "fraction")
def cldice(pair: Pair) -> float:
    """Centre-line Dice, for tubular structures (Shit et al. 2021).

    Harmonic mean of topology precision (the mask's skeleton in the reference) and topology sensitivity (the
    reference's skeleton in the mask). Thinning: Zhang & Suen 1984 as in scikit-image; where it leaves
    nothing of a mask, the whole mask is its skeleton.
    """
    precision = float(pair.reference.mask[pair.mask.skeleton].mean())
    sensitivity = float(pair.mask.mask[pair.reference.skeleton].mean())
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0


def is_tubular(mask: np.ndarray) -> bool:
    """Say whether a centre line means something for a shape: is it long for its thickness?

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        May be empty.

    Returns
    -------
    bool
        True where the largest inscribed disc covers less than a tenth of the mask. A disc, an ellipse of 1 : 9
        or an organ is not tubular, a vessel tree is. Thinning a thick shape takes time that grows with the cube of
        its size and says nothing, so the evaluation leaves clDice out for it.
    """
    if not mask.any():
        return False
    radius_px = distance_transform_edt(np.pad(mask[bounds_of(mask)], 1)).max()
    return bool(np.pi * radius_px**2 < _MOST_INSCRIBED * mask.sum())


class MaskScorer:
    """Scores many masks against one reference; what the reference alone determines is computed once.

    Parameters
    ----------
    reference : numpy.ndarray, bool (or 0/1 integers), H x W
        May be empty.
    spacing_mm : tuple of float or None
        (row, column) pixel pitch in millimetres; distances are then in mm. None: in pixels.
    nsd_tolerance : float
        In the same unit as the distances; 0 or more.
    valid : numpy.ndarray, bool, H x W, or None
        Pixels outside it are dropped from both masks before anything is measured, so its rim can be border.
    metrics : iterable of str or None
        Names in :data:`METRICS`; None takes all.

    Raises
    ------
    StudyError
        If a mask is not binary or not H x W, shapes differ, the spacing is not two positive numbers, the
        tolerance is negative or not finite, or a metric is unknown.
    """

    def __init__(
        self,
        reference: np.ndarray,
        spacing_mm: tuple[float, float] | None = None,
        nsd_tolerance: float = 2.0,
        valid: np.ndarray | None = None,
        metrics: Iterable[str] | None = None,
    ) -> None:
        self.metrics = [METRICS[name] for name in (METRICS if metrics is None else metrics)]
        self.spacing = _checked_spacing(spacing_mm)
        self.nsd_tolerance = _checked_tolerance(nsd_tolerance)
        reference = as_mask(reference, "the reference")
        self.size_hw = reference.shape
        self.valid = (
            None if valid is None else self._same_size(as_mask(valid, "the valid region"), "valid region")
        )
        self._reference = self._shape(reference)

    def score(self, mask: np.ndarray) -> dict[str, float]:
        """Score one mask.

        Parameters
        ----------
        mask : numpy.ndarray, bool (or 0/1 integers), H x W
            Of the reference's shape; may be empty.

        Returns
        -------
        dict of str to float
            Metric name to value, in the order of the registry or of ``metrics``. For empty masks see the
            module's docstring.
        """
        found = self._shape(self._same_size(as_mask(mask), "mask"))
        if found is None and self._reference is None:
            return {each.name: np.nan for each in self.metrics}
        if found is None or self._reference is None:
            return {each.name: each.worst for each in self.metrics}
        pair = Pair(self._reference, found, self.nsd_tolerance)
        return {each.name: float(each.measure(pair)) for each in self.metrics}

    def _shape(self, mask: np.ndarray) -> Shape | None:
        counted = mask if self.valid is None else mask & self.valid
        return Shape(counted, self.spacing) if counted.any() else None

    def _same_size(self, mask: np.ndarray, name: str) -> np.ndarray:
        if mask.shape != self.size_hw:
            raise StudyError(
                f"the {name} is {mask.shape[0]} x {mask.shape[1]} and the reference {self.size_hw[0]} x "
                f"{self.size_hw[1]} (height x width); bring both to the size of the original image."
            )
        return mask


def score(
    reference: np.ndarray,
    mask: np.ndarray,
    spacing_mm: tuple[float, float] | None = None,
    nsd_tolerance: float = 2.0,
    valid: np.ndarray | None = None,
    metrics: Iterable[str] | None = None,
) -> dict[str, float]:
    """Score one mask against its reference.

    Parameters and errors are those of :class:`MaskScorer`, the result that of :meth:`MaskScorer.score`: dice,
    iou, nsd and cldice in [0, 1]; hd95 and assd in mm, or in px without a spacing. Both masks empty: NaN. One
    empty: fractions 0, distances inf. For several masks of one object make a :class:`MaskScorer`.

    Examples
    --------
    >>> reference = np.zeros((8, 8), bool)
    >>> reference[2:6, 2:6] = True
    >>> score(reference, np.roll(reference, 1, axis=1), metrics=["dice", "hd95"])
    {'dice': 0.75, 'hd95': 1.0}
    """
    return MaskScorer(reference, spacing_mm, nsd_tolerance, valid, metrics).score(mask)


def _checked_spacing(spacing_mm: tuple[float, float] | None) -> tuple[float, float]:
    if spacing_mm is None:
        return (1.0, 1.0)
    pitches = np.ravel(spacing_mm)
    numeric = pitches.shape == (2,) and np.issubdtype(pitches.dtype, np.number)
    if not (numeric and np.all(np.isfinite(pitches)) and np.all(pitches > 0)):
        raise StudyError(
            f"spacing_mm is {spacing_mm!r}; give two positive numbers, millimetres per (row, column), "
            "or None to measure in pixels."
        )
    return float(pitches[0]), float(pitches[1])


def _checked_tolerance(nsd_tolerance: float) -> float:
    if not (isinstance(nsd_tolerance, Real) and 0 <= nsd_tolerance < np.inf):
        raise StudyError(
            f"nsd_tolerance is {nsd_tolerance!r}; give a distance of 0 or more, "
            "in mm or, without a spacing, in px."
        )
    return float(nsd_tolerance)
