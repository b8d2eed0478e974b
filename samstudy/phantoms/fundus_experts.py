"""What experts draw on a photograph of a drawn eye: outlines of disc and cup, tracings of vessels.

No two experts agree. Their outlines differ in size and shape, for the cup more than for the disc: pixels on which the
four of Drishti-GS1 disagree are 9 % of the disc and 26 and 41 % of the cup in the two images looked at. Their tracings
differ in how wide a vessel is, where it lies to half a pixel, and which faint ends are still traced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from samstudy.phantoms.fundus import Photograph
from samstudy.phantoms.fundus_eye import Outline
from samstudy.phantoms.fundus_stamps import beads, covered

DISC_SD = (0.016, 0.013)
CUP_SD = (0.070, 0.030)
_MOST_MM = 1.6


@dataclass(frozen=True)
class Tracer:
    """How somebody traces vessels.

    Attributes
    ----------
    widening, added_px : float
        Traced radius is ``widening`` times the vessel's, plus ``added_px``.
    faintest_px : float
        Radius below which a vessel is not seen.
    tremor_px : float
        Standard deviation of the line's position.
    missed : float
        Part of the thin branches that are overlooked.
    """

    widening: float = 1.0
    added_px: float = 0.25
    faintest_px: float = 0.46
    tremor_px: float = 0.25
    missed: float = 0.1


def drawn_outlines(rng: np.random.Generator, photo: Photograph) -> tuple[Outline, Outline]:
    """Outlines of disc and cup as one expert draws them."""
    return photo.eye.disc.redrawn(rng, *DISC_SD), photo.eye.cup.redrawn(rng, *CUP_SD)


def outline_masks(photo: Photograph, disc: Outline, cup: Outline) -> tuple[np.ndarray, np.ndarray]:
    """Masks of disc and cup, bool, H x W; the cup is cut off at the disc."""
    x_mm, y_mm = photo.grid.x_mm, photo.grid.y_mm
    window = photo.grid.window(_MOST_MM)
    masks = np.zeros((2, *photo.grid.size_hw), bool)
    masks[0][window] = disc.level(x_mm[window], y_mm[window]) <= 1
    masks[1][window] = masks[0][window] & (cup.level(x_mm[window], y_mm[window]) <= 1)
    return masks[0], masks[1]


def trace_vessels(rng: np.random.Generator, photo: Photograph, tracer: Tracer) -> np.ndarray:
    """Trace both trees within the field of view.

    Parameters
    ----------
    rng : numpy.random.Generator
    photo : Photograph
    tracer : Tracer

    Returns
    -------
    numpy.ndarray, bool, H x W
    """
    lines, radii = [np.zeros((0, 2))], [np.zeros(0)]
    for vessel in photo.eye.vessels:
        radius_px = vessel.radii_mm * photo.grid.px_per_mm
        if radius_px[0] < 2 * tracer.faintest_px and rng.random() < tracer.missed:
            continue
        line, radius = beads(photo.grid.to_px(vessel.points_mm), radius_px)
        tremor = ndimage.gaussian_filter1d(rng.normal(0, 1, line.shape), 12, axis=0)
        line = line + tracer.tremor_px * tremor / (tremor.std() + 1e-9)
        seen = radius >= tracer.faintest_px
        lines.append(line[seen])
        radii.append(np.maximum(tracer.widening * radius + tracer.added_px, 0.6)[seen])
    traced = covered(np.concatenate(lines), np.concatenate(radii), photo.grid.size_hw)
    return traced & photo.field
