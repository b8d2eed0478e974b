"""Which image belongs to which group and part: read from a committed file, or made by hashing group ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from samstudy.errors import StudyError

PARTS = ("train", "val", "test")
_SHARES = (0.60, 0.15)


def read_splits(path: Path) -> pd.DataFrame:
    """Read a split table.

    Parameters
    ----------
    path : pathlib.Path
        CSV with the columns ``image_id, split`` and optionally ``group_id``.

    Returns
    -------
    pandas.DataFrame
        Indexed by image_id, in the file's order, with the str columns ``group_id`` (``""`` where the
        file has none) and ``split``.

    Raises
    ------
    StudyError
        If the file is missing, lacks a column, names an image twice or a part other than train, val, test.
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
    wrong = sorted(set(table["split"]) - set(PARTS))
    if wrong:
        raise StudyError(f"{path} has the split {wrong[0]!r}; use one of {', '.join(PARTS)}.")
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
