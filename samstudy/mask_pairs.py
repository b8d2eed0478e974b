"""Two masks of one image with what the metrics need of them, each computed once and only when asked for."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.spatial import KDTree

from samstudy.masks import bounds_of
from samstudy.vessels import by_calibre, centre_line


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
        rows, columns = self._positions_of(centre_line(self._framed)).T
        return rows, columns

    @cached_property
    def calibres(self) -> dict[str, np.ndarray]:
        """The parts that are thin, medium and thick (:mod:`samstudy.vessels`): bool, H x W each."""
        return by_calibre(self.mask)


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
