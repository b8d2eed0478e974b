"""Many small round profiles laid onto one pixel grid: vessels as beads on a string, spots, tracings.

Every function takes centres in pixels (pixel centres at whole numbers) and radii in pixels, keeps the largest value
where profiles overlap, and gives 0 where nothing lies. What falls outside the grid is cut off; no centre at all gives
an empty picture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_NARROWEST_PX = 0.75
_SIZE_CLASSES = (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 60, 100)


def beads(points_px: np.ndarray, radii_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Resample a centre line, densely enough for the stamps to merge into a tube.

    Parameters
    ----------
    points_px : numpy.ndarray, N x 2
        (x, y), N >= 2.
    radii_px : numpy.ndarray, N

    Returns
    -------
    points_px : numpy.ndarray, float64, M x 2
    radii_px : numpy.ndarray, float64, M
    """
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points_px, axis=0).T))])
    spacing = float(np.clip(0.3 * np.median(radii_px), 0.4, 2.5))
    at = np.linspace(0.0, along[-1], max(2, int(along[-1] / spacing) + 1))
    resampled = [np.interp(at, along, values) for values in (*points_px.T, radii_px)]
    return np.stack(resampled[:2], axis=-1), resampled[2]


def chords(points_px: np.ndarray, radii_px: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Length (px) of the line of sight inside tubes of circular section: what the light is absorbed along.

    A tube narrower than the grid can show is drawn wider and, for the same area, thinner.

    Returns
    -------
    numpy.ndarray, float32, H x W
    """
    drawn = np.maximum(radii_px, _NARROWEST_PX)
    thinned = (np.asarray(radii_px) / drawn) ** 2

    def profile(distance: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        r = drawn[chosen]
        return 2 * np.sqrt(np.maximum(r**2 - distance**2, 0.0)) * thinned[chosen]

    return _stamp(points_px, drawn, size_hw, profile)


def reflexes(points_px: np.ndarray, radii_px: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Brightness, 0 to 1, of the light streak along the middle of tubes wide enough to show one.

    Returns
    -------
    numpy.ndarray, float32, H x W
    """
    radii_px = np.asarray(radii_px)
    shown = np.clip((radii_px - 0.9) / 1.2, 0.0, 1.0)

    def profile(distance: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return shown[chosen] * np.exp(-((distance / (0.34 * radii_px[chosen])) ** 2))

    return _stamp(points_px, 0.85 * radii_px, size_hw, profile)


def spots(
    points_px: np.ndarray, radii_px: np.ndarray, softness_px: np.ndarray, size_hw: tuple[int, int]
) -> np.ndarray:
    """Discs with soft margins, 0 to 1.

    Returns
    -------
    numpy.ndarray, float32, H x W
    """
    radii_px, softness_px = np.asarray(radii_px), np.asarray(softness_px)

    def profile(distance: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp((distance - radii_px[chosen]) / softness_px[chosen]))

    return _stamp(points_px, radii_px + 3 * softness_px, size_hw, profile)


def covered(points_px: np.ndarray, radii_px: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies within the radius of any stamp.

    Returns
    -------
    numpy.ndarray, bool, H x W
    """
    radii_px = np.asarray(radii_px)

    def profile(distance: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        return (distance <= radii_px[chosen]).astype(np.float32)

    return _stamp(points_px, radii_px, size_hw, profile) > 0


def _stamp(
    points_px: np.ndarray,
    reach_px: np.ndarray,
    size_hw: tuple[int, int],
    profile: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Take the maximum, over the stamps, of a profile of the distance; stamps of about one size go together."""
    height, width = size_hw
    picture = np.zeros(height * width, np.float32)
    points, reach = np.asarray(points_px, float).reshape(-1, 2), np.asarray(reach_px, float)
    sizes = np.searchsorted(_SIZE_CLASSES, reach)
    for size in np.unique(sizes):
        margin = _SIZE_CLASSES[min(size, len(_SIZE_CLASSES) - 1)]
        chosen = np.flatnonzero(sizes == size)
        x, y = points[chosen].T
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        for down in range(-margin, margin + 2):
            for right in range(-margin, margin + 2):
                column, row = left + right, top + down
                distance = np.hypot(column - x, row - y)
                fits = (
                    (distance <= reach[chosen])
                    & (column >= 0)
                    & (column < width)
                    & (row >= 0)
                    & (row < height)
                )
                if fits.any():
                    index = row[fits] * width + column[fits]
                    np.maximum.at(picture, index, profile(distance[fits], chosen[fits]).astype(np.float32))
    return picture.reshape(size_hw)
