"""What is long and thin: centre lines, local calibre, and whether a shape is tubular at all.

The calibre of a vessel is measured in pixels of the image that is scored, as twice the distance from its centre line
to the nearest pixel outside: a line 1 or 2 pixels wide has calibre 2, one of 3 pixels 4. It is a local property, so a
tree has thick and thin parts.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

from samstudy.masks import bounds_of

CALIBRES_PX: dict[str, tuple[float, float]] = {
    "thin": (0.0, 3.0),
    "medium": (3.0, 6.0),
    "thick": (6.0, np.inf),
}
"""Classes of calibre in pixels: above the first number, up to and with the second. In DRIVE's manual masks (565 x 584)
about a quarter, a half and a fifth of the vessel pixels."""

_MOST_INSCRIBED = 0.1


def centre_line(mask: np.ndarray) -> np.ndarray:
    """Thin a shape to its centre line (Zhang & Suen 1984, as in scikit-image).

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        With a frame of background; may be empty.

    Returns
    -------
    numpy.ndarray, bool, H x W
        The whole mask where thinning leaves nothing of it.
    """
    thinned = skeletonize(mask)
    return thinned if thinned.any() else mask


def calibre_px(mask: np.ndarray) -> np.ndarray:
    """Give every pixel of a shape the calibre of its nearest piece of centre line.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        May be empty. What lies outside the image is background.

    Returns
    -------
    numpy.ndarray, float64, H x W
        Pixels; 0 outside the shape.
    """
    calibre = np.zeros(mask.shape)
    if not mask.any():
        return calibre
    bounds = bounds_of(mask)
    framed = np.pad(mask[bounds], 1)
    radius_px = distance_transform_edt(framed)
    nearest = distance_transform_edt(~centre_line(framed), return_distances=False, return_indices=True)
    calibre[bounds] = np.where(framed, 2 * radius_px[tuple(nearest)], 0)[1:-1, 1:-1]
    return calibre


def by_calibre(mask: np.ndarray) -> dict[str, np.ndarray]:
    """Split a shape into its thin, medium and thick parts (:data:`CALIBRES_PX`): bool, H x W each.

    The parts share no pixel and together are the mask; those of an empty mask are empty.
    """
    calibre = calibre_px(mask)
    return {name: (calibre > above) & (calibre <= upto) for name, (above, upto) in CALIBRES_PX.items()}


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
