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
such pairs are counted, not averaged); one of them empty, fractions are 0 and distances infinite. Recall of vessels of
one calibre is NaN where the reference has none of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real

import numpy as np

from samstudy.errors import StudyError
from samstudy.mask_pairs import Pair, Shape
from samstudy.masks import as_mask
from samstudy.registry import Registry
from samstudy.vessels import CALIBRES_PX, is_tubular


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
    tubular_only : bool
        Whether it means something for tubular references only.
    part : callable or None
        ``Shape -> number of pixels`` of the reference that are measured; where there is none of them the metric is
        NaN. None: all of them.
    """

    name: str
    title: str
    unit: str
    measure: Callable[[Pair], float]
    tubular_only: bool = False
    part: Callable[[Shape], int] | None = None

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


def metric(
    name: str,
    title: str,
    unit: str,
    tubular_only: bool = False,
    part: Callable[[Shape], int] | None = None,
) -> Callable[[Callable[[Pair], float]], Callable[[Pair], float]]:
    """Return a decorator that registers a function of a :class:`Pair`; see :class:`Metric`."""

    def keep(measure: Callable[[Pair], float]) -> Callable[[Pair], float]:
        METRICS.register(name)(Metric(name, title, unit, measure, tubular_only, part))
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


@metric("cldice", "clDice", "fraction", tubular_only=True)
def cldice(pair: Pair) -> float:
    """Centre-line Dice, for tubular structures (Shit et al. 2021).

    Harmonic mean of topology precision (the mask's skeleton in the reference) and topology sensitivity (the
    reference's skeleton in the mask). Thinning: Zhang & Suen 1984 as in scikit-image; where it leaves
    nothing of a mask, the whole mask is its skeleton.
    """
    precision = float(pair.reference.mask[pair.mask.skeleton].mean())
    sensitivity = float(pair.mask.mask[pair.reference.skeleton].mean())
    return 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0


def _add_calibre_recall(name: str) -> None:
    """Register ``recall_<name>``, one for each class of calibre.

    It is the sensitivity of papers on vessels, taken apart: weighted by their pixels the classes sum to it.
    """

    @metric(
        f"recall_{name}",
        f"recall of {name} vessels",
        "fraction",
        tubular_only=True,
        part=lambda reference: int(np.count_nonzero(reference.calibres[name])),
    )
    def recall(pair: Pair) -> float:
        """The share of the reference's pixels of one calibre that the mask covers."""
        part = pair.reference.calibres[name]
        return float(np.count_nonzero(part & pair.mask.mask) / np.count_nonzero(part))


for _name in CALIBRES_PX:
    _add_calibre_recall(_name)


def metrics_for(reference: np.ndarray) -> list[str]:
    """Return the metrics that mean something for a reference: bool, H x W; it may be empty.

    Centre lines of what is not tubular say nothing, and cost time that grows with the cube of its size.
    """
    tubular = is_tubular(reference)
    return [name for name in METRICS if tubular or not METRICS[name].tubular_only]


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
        self._scores: dict[bytes, dict[str, float]] = {}

    def score(self, mask: np.ndarray) -> dict[str, float]:
        """Score one mask; the same mask again costs its hash.

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
        mask = self._same_size(as_mask(mask), "mask")
        content = hashlib.sha256(np.packbits(mask)).digest()
        if content not in self._scores:
            self._scores[content] = self._score(mask)
        return dict(self._scores[content])

    def _score(self, mask: np.ndarray) -> dict[str, float]:
        found = self._shape(mask)
        if found is None and self._reference is None:
            return {each.name: np.nan for each in self.metrics}
        pair = Pair(self._reference, found, self.nsd_tolerance) if found and self._reference else None
        return {each.name: self._measured(each, pair) for each in self.metrics}

    def _measured(self, metric: Metric, pair: Pair | None) -> float:
        if metric.part is not None and not (self._reference and metric.part(self._reference)):
            return np.nan
        return metric.worst if pair is None else float(metric.measure(pair))

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
    iou, nsd, cldice and the recalls in [0, 1]; hd95 and assd in mm, or in px without a spacing. Both masks
    empty: NaN. One empty: fractions 0, distances inf. For several masks of one object make a
    :class:`MaskScorer`.

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
