"""What the loaders of the fundus sets share: grey label maps, inverted masks, and a disc that includes its cup."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from samstudy.images import FileError, read_image, shown

DISC, CUP = "optic_disc", "optic_cup"
_LEAST_INSIDE = 0.8
_MOST_COVERED = 0.5


@dataclass
class Masks:
    """Named masks of one image while they are read.

    Attributes
    ----------
    labels : dict of str to numpy.ndarray
        bool, H x W.
    sources : dict of str to pathlib.Path
        File of each.
    notes : list of (pathlib.Path, str)
        Remarks that are no reason to leave the image out.
    """

    labels: dict[str, np.ndarray] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)
    notes: list[tuple[Path, str]] = field(default_factory=list)


def grey_values(path: Path) -> np.ndarray:
    """Read a file whose greys are the label codes, palette or not.

    Returns
    -------
    numpy.ndarray, uint8, H x W

    Raises
    ------
    FileError
        If it cannot be read, or holds colours.
    """
    rgb = read_image(path).rgb
    if (rgb != rgb[..., :1]).any():
        raise FileError(path, "holds colours; a grey label map is expected.")
    return rgb[..., 0]


def refuse_inverted(path: Path, mask: np.ndarray, what: str, region: np.ndarray | None = None) -> None:
    """Raise if a structure that is always small covers more than half of the picture, or of ``region``.

    Raises
    ------
    FileError
        With the share in per cent.
    """
    within = mask if region is None or region.shape != mask.shape or not region.any() else mask[region]
    share = float(within.mean()) if within.size else 0.0
    if share > _MOST_COVERED:
        raise FileError(
            path, f"marks {share:.0%} of the field as {what}; are background and {what} exchanged?"
        )


def nest(masks: Masks) -> Masks:
    """Return disc and cup such that the disc includes the cup, as the rim between them is part of the disc.

    Parameters
    ----------
    masks : Masks
        With the labels ``optic_disc`` and ``optic_cup``. Masks of different sizes are returned as they are, to be
        refused by name.

    Raises
    ------
    FileError
        If the cup is larger than the disc, or less than 80 % of it lies inside the disc: then the files are
        exchanged or belong to different images. A smaller excess is added to the disc and noted.
    """
    disc, cup = masks.labels[DISC], masks.labels[CUP]
    if disc.shape != cup.shape:
        return masks
    n_cup, outside = int(cup.sum()), int((cup & ~disc).sum())
    file = masks.sources[CUP]
    if outside and (n_cup > disc.sum() or n_cup - outside < _LEAST_INSIDE * n_cup):
        raise FileError(
            file,
            f"has a cup of {n_cup} px of which {n_cup - outside} lie in the disc of {int(disc.sum())} px "
            f"({shown(masks.sources[DISC])}); a cup lies inside its disc: are the two files exchanged?",
        )
    if outside:
        masks.notes.append((file, f"has {outside} px of cup outside the disc; they were added to the disc."))
    masks.labels[DISC] = disc | cup
    return masks
