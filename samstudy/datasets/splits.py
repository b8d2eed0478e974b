"""Which image belongs to which group and part: read from a committed table, or made by hashing group ids.

A committed table (``data/splits/<name>.csv``) either names every image, or, where the official list of files is
not public, states rules: ``image_id`` is then a pattern (``*``), the first row that matches an image counts, and
``split`` may also be

* ``official``: the part that the archive states by its folders;
* ``official_val20``: the same, and one group in five of the training part is ``val``, for archives without one;
* ``hashed``: dealt by the hash of the table's name and the group, 60 : 15 : 25. The part of a group does not depend on
  which other groups are there, so a partial download never moves an image from test to train.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from samstudy.errors import StudyError

if TYPE_CHECKING:
    from samstudy.datasets.base import Record

PARTS = ("train", "val", "test")
RULES = ("official", "official_val20", "hashed")
_SHARES = (0.60, 0.15)
_VAL_OF_TRAIN = 0.20


def read_rules(path: Path) -> pd.DataFrame:
    """Read a table whose rows may be rules; as :func:`read_splits` otherwise."""
    return read_splits(path, (*PARTS, *RULES))


def apply_rules(rules: pd.DataFrame, records: Sequence[Record], salt: str) -> list[Record]:
    """Give every record its part, and its group where the table states one.

    Parameters
    ----------
    rules : pandas.DataFrame
        As :func:`read_rules` returns it.
    records : sequence of Record
        ``split`` is the part the archive states, ``""`` where it states none.
    salt : str
        Name of the table, so that two benchmarks with the same group ids are dealt differently.

    Returns
    -------
    list of Record
        In the order of ``records``.

    Raises
    ------
    StudyError
        If no row fits an image, or a rule asks for the official part of an image that has none.
    """
    rows = list(rules.itertuples())
    return [_ruled(rows, record, salt) for record in records]


def _ruled(rows: Sequence[tuple], record: Record, salt: str) -> Record:
    row = next((row for row in rows if fnmatchcase(record.image_id, row.Index)), None)
    if row is None:
        raise StudyError(f"no row of the split table {salt}.csv fits the image {record.image_id!r}.")
    group = row.group_id or record.group_id
    if row.split in PARTS:
        return replace(record, group_id=group, split=row.split)
    share = int(hashlib.sha256(f"{salt}:{group}".encode()).hexdigest()[:12], 16) / 16**12
    if row.split == "hashed":
        part = PARTS[sum(share >= edge for edge in (_SHARES[0], sum(_SHARES)))]
        return replace(record, group_id=group, split=part)
    if record.split not in PARTS:
        raise StudyError(
            f"the archive states no part for {record.image_id!r}, but {salt}.csv says 'official'."
        )
    to_val = row.split == "official_val20" and record.split == "train" and share < _VAL_OF_TRAIN
    return replace(record, group_id=group, split="val" if to_val else record.split)


def read_splits(path: Path, allowed: Sequence[str] = PARTS) -> pd.DataFrame:
    """Read a split table.

    Parameters
    ----------
    path : pathlib.Path
        CSV with the columns ``image_id, split`` and optionally ``group_id``.
    allowed : sequence of str
        What ``split`` may be.

    Returns
    -------
    pandas.DataFrame
        Indexed by image_id, in the file's order, with the str columns ``group_id`` (``""`` where the
        file has none) and ``split``.

    Raises
    ------
    StudyError
        If the file is missing, lacks a column, names an image twice or a part that is not allowed.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise StudyError(f"the split table {path} is missing; it is part of the repository.") from error
    except (OSError, ValueError) as error:
        raise StudyError(f"the split table {path} cannot be read as CSV: {error}.") from error
    table.columns = [str(name).strip() for name in table.columns]
    missing = [name for name in ("image_id", "split") if name not in table]
    if missing:
        raise StudyError(
            f"{path} has the columns {', '.join(table.columns)}; {' and '.join(missing)} missing "
            "(expected: image_id, group_id, split)."
        )
    if "group_id" not in table:
        table["group_id"] = ""
    table = table[["image_id", "group_id", "split"]].apply(lambda column: column.str.strip())
    twice = table["image_id"][table["image_id"].duplicated()]
    if len(twice):
        raise StudyError(f"{path} names the image {twice.iloc[0]!r} more than once.")
    wrong = sorted(set(table["split"]) - set(allowed))
    if wrong:
        raise StudyError(f"{path} has the split {wrong[0]!r}; use one of {', '.join(allowed)}.")
    return table.set_index("image_id")


def hashed_split(groups: Iterable[str]) -> dict[str, str]:
    """Deal groups to train, val and test, 60 : 15 : 25, by the rank of their SHA-256.

    The same groups are always dealt in the same way, whatever their order. Three groups or more leave no
    part empty; two give train and test, one gives test.

    Parameters
    ----------
    groups : iterable of str
        Group ids; repeats do not matter.

    Returns
    -------
    dict of str to str
        Part of each group.
    """
    ranked = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).hexdigest())
    n = len(ranked)
    n_val = max(1, round(_SHARES[1] * n)) if n >= 3 else 0
    n_train = max(0, min(round(_SHARES[0] * n), n - 1 - n_val))
    parts = ["train"] * n_train + ["val"] * n_val + ["test"] * (n - n_train - n_val)
    return dict(zip(ranked, parts, strict=True))


def refuse_leaks(table: Iterable[tuple[str, str, str]], source: str) -> None:
    """Raise if a group has images on two sides of a split.

    Parameters
    ----------
    table : iterable of (image_id, group_id, split)
    source : str
        Where the split comes from, for the sentence.

    Raises
    ------
    StudyError
        Naming the group, and one image on either side.
    """
    first: dict[str, tuple[str, str]] = {}
    for image_id, group_id, split in table:
        image_before, split_before = first.setdefault(group_id, (image_id, split))
        if split_before != split:
            raise StudyError(
                f"the group {group_id!r} is on both sides of the split in {source}: {image_before!r} is "
                f"{split_before} and {image_id!r} is {split}. Put every image of a group on one side, or "
                "scores would be too good."
            )


def fingerprint(table: Iterable[tuple[str, str, str]]) -> str:
    """Return the SHA-256 (hex) of the sorted split table, for provenance."""
    lines = sorted("\t".join(row) for row in table)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
