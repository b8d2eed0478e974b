"""Names of the codes of label maps, from ``labels.json`` or ``labels.csv`` in a folder.

``labels.json`` is ``{"1": "liver", "2": "spleen", "255": null}``, or the other way round, ``{"liver": 1}``;
``"#ff0000"`` names a colour; a code named null is left out. ``labels.csv`` has the columns code and name.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path

from samstudy.errors import StudyError


def read_label_names(root: Path) -> dict[str, str | None]:
    """Read the names of label codes from ``labels.json`` or ``labels.csv``; empty where there is neither.

    Returns
    -------
    dict of str to (str or None)
        Keys are codes as text, ``"1"`` or ``"#ff0000"``. Code 0 is background and is dropped.

    Raises
    ------
    StudyError
        If the file is not of that form.
    """
    as_json, as_csv = root / "labels.json", root / "labels.csv"
    try:
        if as_json.is_file():
            given = json.loads(as_json.read_text(encoding="utf-8-sig"))
        elif as_csv.is_file():
            with as_csv.open(newline="", encoding="utf-8-sig") as handle:
                given = {row["code"].strip(): row["name"].strip() or None for row in csv.DictReader(handle)}
        else:
            return {}
        return checked_names(given, f"labels.json in {root}")
    except StudyError:
        raise
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise StudyError(
            f'{root}/labels.json (or .csv) is not of the form {{"1": "liver"}}: {error!r}.'
        ) from error


def checked_names(given: Mapping[object, object], source: str) -> dict[str, str | None]:
    """Return names of label codes in one form, ``{"1": "liver"}``.

    Parameters
    ----------
    given : mapping
        Name of each code, or code of each name.
    source : str
        Where it stands, for the sentence.

    Returns
    -------
    dict of str to (str or None)
        As :func:`read_label_names`.

    Raises
    ------
    StudyError
        If a code is neither a number nor a colour, or a name is no text.
    """
    # the form {"liver": 1} is common too
    if given and all(isinstance(value, int) for value in given.values()):
        given = {code: name for name, code in given.items()}
    names = {str(code).lower(): name for code, name in given.items()}
    for code, name in names.items():
        if not re.fullmatch(r"\d+|#[0-9a-f]{6}", code) or not (name is None or isinstance(name, str)):
            raise StudyError(
                f"{source} names the code {code!r} {name!r}; use numbers or #rrggbb as codes and text as names."
            )
    return {code: name for code, name in names.items() if code not in ("0", "#000000")}
