"""From a map of label codes to named masks.

The rule for one mask file, in order (``names`` are the codes named in ``labels.json``):

1. JPEG blurs codes: unless it holds one code, it is a binary mask cut at half of full scale.
2. Greys of an anti-aliased or resized binary mask are cut at half of full scale, and it is said: more than
   32 greys that do not simply count 1, 2, 3, ...; or three and more greys that only line the edges of full
   white (no 3 x 3 square of them).
3. Blended colours that only line the edges of full ones become the nearest full colour or black; it is said.
4. More than 32 codes that count objects are instances: ``object#1``, ``object#2``, ...
5. No code: the named labels, or ``mask``, all empty.
6. One code: ``mask``, whatever the code (1, 255, ...), unless there are names, or label maps beside it hold
   that code too (``map_codes``).
7. Else each code is a label: its name, or ``label_<code>``, for colours ``color_<rrggbb>``. A code named
   ``None`` is left out; a code without a name, where there are names, is said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, maximum_filter, minimum_filter

from samstudy.images.raster import MANY_CODES


@dataclass(frozen=True)
class CodeMap:
    """The label codes of one mask file.

    Attributes
    ----------
    codes : numpy.ndarray, integer, H x W
        0 is background; for a colour file ``0xRRGGBB``.
    full_scale : int
        Value of full white where the codes may be greys (255, 65535); 0 where they cannot (palettes, NIfTI).
    colour, lossy : bool
        Codes are colours; the file format blurs them.
    notes : tuple of str
        Remarks made when reading.
    """

    codes: np.ndarray
    full_scale: int = 0
    colour: bool = False
    lossy: bool = False
    notes: tuple[str, ...] = ()


def distinct(codes: np.ndarray) -> np.ndarray:
    """Return the sorted non-zero codes."""
    if codes.size and codes.max() < 1 << 16:
        return np.flatnonzero(np.bincount(codes.ravel(), minlength=1)[1:]) + 1
    found = np.unique(codes)
    return found[found != 0]


def integer_codes(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return label codes of whatever a file stored.

    Parameters
    ----------
    values : numpy.ndarray, H x W
        bool, integer or float.

    Returns
    -------
    codes : numpy.ndarray, non-negative integer
        Floats that are whole numbers are taken as such; a map of probabilities in [0, 1] is cut at 0.5;
        NaN is background.
    notes : list of str
        What had to be done.

    Raises
    ------
    ValueError
        If there are negative codes, or fractions outside [0, 1].
    """
    notes = []
    if values.dtype == bool:
        return values.astype(np.uint8), notes
    if values.dtype.kind == "f":
        unusable = int(values.size - np.isfinite(values).sum())
        if unusable:
            notes.append(f"has {unusable} NaN or infinite values, taken as background")
            values = np.where(np.isfinite(values), values, 0)
        whole = np.rint(values)
        if np.abs(values - whole).max(initial=0) > 1e-3:
            if values.min() < 0 or values.max() > 1:
                raise ValueError(
                    f"holds fractions between {values.min():g} and {values.max():g}, not label codes"
                )
            notes.append("holds probabilities; cut at 0.5")
            return (values > 0.5).astype(np.uint8), notes
        values = whole.astype(np.int64)
    if values.size and values.min() < 0:
        raise ValueError(f"holds the negative code {values.min()}; label codes start at 0 = background")
    return values, notes


def labels_of(
    code_map: CodeMap, names: Mapping[str, str | None] | None = None, map_codes: Collection[int] = ()
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Split a code map into named masks by the rule of the module.

    Parameters
    ----------
    code_map : CodeMap
        As read from a file.
    names : mapping of str to str or None, optional
        Label of each code (``"1"``, or ``"#ff0000"`` for colours); None leaves the code out.
    map_codes : collection of int, optional
        Codes of the label maps of the same data set: a file of one of them alone is a label map too.

    Returns
    -------
    labels : dict of str to numpy.ndarray, bool, H x W
        At least one entry; ``{"mask": all False}`` where the file is empty.
    notes : list of str
        Remarks, those of the code map included.

    Raises
    ------
    ValueError
        If a colour file has more than 32 colours.
    """
    names = names or {}
    notes = list(code_map.notes)
    codes, found = code_map.codes, distinct(code_map.codes)
    if _is_soft(code_map, found):
        half = (code_map.full_scale or 255) // 2
        notes.append(f"holds {len(found)} different greys; read as a binary mask cut above {half}")
        codes = (codes > half).astype(np.uint8) * (code_map.full_scale or 255)
        found = distinct(codes)
    if code_map.colour:
        codes, found, blended = _without_blends(codes, found)
        notes += (
            [f"holds {blended} blended edge colours; taken as the nearest full colour"] if blended else []
        )
        if found.size and codes.all():
            notes.append("has no black background: every colour is a label unless the labels name it null")
    if code_map.colour and len(found) > MANY_CODES:
        raise ValueError(
            f"holds {len(found)} colours; save the mask as a palette or grey label map without smoothing"
        )
    if not len(found):
        kept = [name for name in names.values() if name] or ["mask"]
        return {name: np.zeros(codes.shape, bool) for name in kept}, notes
    if len(found) == 1 and not names and int(found[0]) not in map_codes:
        return {"mask": codes != 0}, notes
    if len(found) > MANY_CODES and not names:
        return {f"object#{code}": codes == code for code in found}, notes
    keys = [_key(code, code_map.colour) for code in found]
    unnamed = [key for key in keys if key not in names] if names else []
    if unnamed:
        notes.append(f"holds the codes {', '.join(unnamed[:6])} that the labels do not name")
    labels: dict[str, np.ndarray] = {}
    for code in found:
        name = names.get(_key(code, code_map.colour), _default_name(code, code_map.colour))
        if name:
            labels[name] = labels.get(name, False) | (codes == code)
    return labels or {"mask": np.zeros(codes.shape, bool)}, notes


def _key(code: int, colour: bool) -> str:
    return f"#{int(code):06x}" if colour else str(int(code))


def _default_name(code: int, colour: bool) -> str:
    return f"color_{int(code):06x}" if colour else f"label_{int(code)}"


def _without_blends(codes: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Replace colours that fill no 3 x 3 square, alone or together, by the nearest that does, or black."""
    filled = minimum_filter(codes, 3) == maximum_filter(codes, 3)
    full = np.union1d(codes[filled], 0)
    blends = np.setdiff1d(found, full)
    at_edges = np.isin(codes, blends)
    if len(blends) < 3 or len(full) < 2 or binary_erosion(at_edges, np.ones((3, 3), bool)).any():
        return codes, found, 0
    distance = ((_rgb(blends)[:, None] - _rgb(full)[None]) ** 2).sum(axis=2)
    cleaned = codes.copy()
    cleaned[at_edges] = full[distance.argmin(axis=1)][np.searchsorted(blends, codes[at_edges])]
    return cleaned, distinct(cleaned), len(blends)


def _rgb(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)


def _is_soft(code_map: CodeMap, found: np.ndarray) -> bool:
    if code_map.colour or len(found) < 2:
        return False
    if code_map.lossy:
        return True
    white = code_map.full_scale
    if not white:
        return False
    if len(found) > MANY_CODES:
        counts_objects = found[-1] == len(found) and found[-1] < white
        return not counts_objects and (white == 255 or found[-1] == white)
    greys = found[found < white]
    if len(greys) < 3 or found[-1] != white:
        return False
    between = (code_map.codes > 0) & (code_map.codes < white)
    return not binary_erosion(between, np.ones((3, 3), bool)).any()
