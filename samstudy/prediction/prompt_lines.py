"""Boxes and points that a person drew, from a CSV or JSON file.

CSV (commas or semicolons, as spreadsheets write it), a line for each box or point::

    image,object,x0,y0,x1,y1,x,y,label
    P01.png,nodule,120,84,171,140,,,
    P02.png,nodule,,,,,96,110,1
    P02.png,nodule,,,,,130,60,0

Lines of the same image and object are one prompt: at most one box (left, top, right, bottom) and any points;
``label`` is 1 (of the object; also when left out) or 0 (of the background). A line without an object's name is
an object of its own. Only the columns that are used need be there.

JSON: a list of ``{"image": "P01.png", "object": "nodule", "box": [120, 84, 171, 140], "points": [[96, 110, 1]]}``.

Coordinates are pixels of the image as its file stores it, (0, 0) the centre of the upper left one. For volumes the
image is a slice, ``liver_z012``, and pixels are those of its axial picture, as in the overlays.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from samstudy.errors import StudyError, unknown_name

_BOX, _POINT = ("x0", "y0", "x1", "y1"), ("x", "y")
COLUMNS = ("image", "object", *_BOX, *_POINT, "label")
KEYS = ("image", "object", "box", "points")
_NAME = re.compile(r"\w[\w\-. ]*(#\d+)?")

Point = tuple[float, float, int]


@dataclass
class Drawn:
    """What one line or entry says.

    Attributes
    ----------
    image, name : str
        As written; the object's name may be ``""``.
    where : str
        ``"prompts.csv, line 3"``, for sentences.
    box : tuple of float or None
        Left, top, right, bottom.
    points : list of (float, float, int)
        x, y, label.
    """

    image: str
    name: str
    where: str
    box: tuple[float, ...] | None = None
    points: list[Point] = field(default_factory=list)


def read_lines(path: str | Path) -> Iterator[Drawn]:
    """Read what a prompts file says, line by line; only the image and what is in it are not looked at.

    Raises
    ------
    StudyError
        If the file cannot be read, or a line has no image, no or a broken number, swapped corners, or a name that
        no file can have.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise StudyError(f"there is no prompts file {path}: check the path.")
    readers = {".csv": _read_csv, ".json": _read_json}
    if path.suffix.casefold() not in readers:
        raise StudyError(f"the prompts file {path.name} is neither .csv nor .json: save it as one of these.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"the prompts file {path} cannot be read: {error}; save it as UTF-8.") from error
    yield from readers[path.suffix.casefold()](text, path.name)


def _read_csv(text: str, name: str) -> Iterator[Drawn]:
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else "," if "," in header else "\t"
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    columns = [column.strip().casefold() for column in next(rows, [])]
    _check_columns(columns, name)
    for row in rows:
        where = f"{name}, line {rows.line_num}"
        if len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
            raise StudyError(
                f"{where}: has {len(row)} cells, but the first line names {len(columns)} columns."
            )
        cells = {column: cell.strip() for column, cell in zip(columns, row, strict=False)}
        if not any(cells.values()):
            continue
        if delimiter != ",":
            # spreadsheets that separate by semicolons write 3,5 for 3.5
            cells |= {c: cells[c].replace(",", ".") for c in (*_BOX, *_POINT) if c in cells}
        given = {key: cells.get(key, "") for key in (*_BOX, *_POINT, "label")}
        box = [given[key] for key in _BOX] if any(given[key] for key in _BOX) else None
        points = [[given["x"], given["y"], given["label"] or "1"]] if given["x"] or given["y"] else []
        yield _checked(cells.get("image", ""), cells.get("object", ""), box, points, where)


def _check_columns(columns: Sequence[str], name: str) -> None:
    for column in columns:
        if column and column not in COLUMNS:
            raise unknown_name(f"column of {name}", column, COLUMNS)
    has_box, has_point = (set(needed) <= set(columns) for needed in (_BOX, _POINT))
    if "image" not in columns or not (has_box or has_point):
        raise StudyError(
            f"{name} has the columns {', '.join(columns) or 'of an empty file'}; it needs image and x0, y0, x1, y1 "
            "(boxes) or x, y (points)."
        )


def _read_json(text: str, name: str) -> Iterator[Drawn]:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise StudyError(f"{name}, line {error.lineno}: is not JSON ({error.msg}).") from error
    if not isinstance(entries, list):
        raise StudyError(f'{name} is not a list of entries [{{"image": ..., "box": [x0, y0, x1, y1]}}, ...].')
    for number, entry in enumerate(entries, 1):
        where = f"{name}, entry {number}"
        if not isinstance(entry, Mapping):
            raise StudyError(f'{where}: is no {{"image": ..., "box": ...}}.')
        for key in entry:
            if key not in KEYS:
                raise unknown_name(f"key of {where}", key, KEYS)
        points = entry.get("points") or []
        if not isinstance(points, list) or not all(isinstance(p, list) and len(p) in (2, 3) for p in points):
            raise StudyError(f"{where}: points is {points!r}; give [[x, y, label], ...], label 1 or 0.")
        points = [[*point, 1][:3] for point in points]
        yield _checked(
            str(entry.get("image") or ""), str(entry.get("object") or ""), entry.get("box"), points, where
        )


def is_object_name(name: str) -> bool:
    """Whether an object can be called so: ``"nodule"``, ``"nodule#2"``."""
    return bool(_NAME.fullmatch(name))


def _checked(image: str, name: str, box: object, points: list[list], where: str) -> Drawn:
    if not image:
        raise StudyError(f"{where}: names no image.")
    if name and not is_object_name(name):
        raise StudyError(
            f"{where}: the object {name!r} cannot be a file's name; begin it with a letter or digit and use "
            "these, spaces and _-. only; #1, #2, ... at its end for several of one kind."
        )
    if box is None and not points:
        raise StudyError(f"{where}: has neither a box nor a point.")
    box = None if box is None else _box(box, where)
    return Drawn(image, name, where, box, [_point(point, where) for point in points])


def _box(values: object, where: str) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != 4:
        raise StudyError(f"{where}: the box is {values!r}; give [x0, y0, x1, y1].")
    box = tuple(_number(value, what, where) for value, what in zip(values, _BOX, strict=True))
    if box[0] > box[2] or box[1] > box[3]:
        numbers = ", ".join(f"{value:g}" for value in box)
        raise StudyError(
            f"{where}: the box ({numbers}) has its corners swapped; it is left, top, right, bottom."
        )
    return box


def _point(values: Sequence, where: str) -> Point:
    x, y = (_number(value, what, where) for value, what in zip(values[:2], _POINT, strict=True))
    if str(values[2]) not in ("0", "1"):
        raise StudyError(
            f"{where}: the label is {values[2]!r}; 1 is a point of the object, 0 of the background."
        )
    return x, y, int(values[2])


def _number(value: object, what: str, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise StudyError(f"{where}: {what} is {value!r}; a number of pixels is expected.")
    return number
