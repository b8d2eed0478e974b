"""Errors that are meant to be read by a person: one sentence with the value and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StudyError(ValueError):
    """Anything a user can cause and mend; the command line prints it without a traceback."""


class DataError(StudyError):
    """One image, mask or data set cannot be used; other images go on."""


class ModelError(StudyError):
    """A model or a checkpoint cannot be used."""


def unknown_name(kind: str, value: str, known: Iterable[str]) -> StudyError:
    """Build the error for a misspelt name.

    Parameters
    ----------
    kind : str
        What was named, e.g. ``"dataset"``.
    value : str
        The name that is not known.
    known : iterable of str
        Every valid name; near misses are offered first.

    Returns
    -------
    StudyError
        ``unknown dataset 'isik'; did you mean 'isic'? Known: ...``
    """
    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else "."
    return StudyError(f"unknown {kind} {value!r}{hint} Known: {', '.join(names) or 'none'}.")
