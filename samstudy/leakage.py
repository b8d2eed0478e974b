"""No group on two sides: before a tuning, and before a tuned model is scored.

Every data set refuses such a split when it is made (:func:`samstudy.datasets.splits.refuse_leaks`). The checks here ask
the data set through its public methods, so that they hold for any class and any view of one, and go on holding when a
split is changed after a model was tuned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from samstudy.datasets import Dataset
from samstudy.datasets.splits import PARTS, refuse_leaks
from samstudy.errors import StudyError


def refuse_shared_groups(dataset: Dataset) -> None:
    """Raise if a group of a data set has images in two of train, val and test.

    Raises
    ------
    StudyError
        Naming the group, and one image on either side.
    """
    rows = [(image_id, dataset.group_of(image_id), part) for part in PARTS for image_id in dataset.ids(part)]
    refuse_leaks(rows, dataset.info.name)


def groups_seen(history: Mapping[str, Any], dataset: Dataset) -> dict[str, tuple[str, str]]:
    """Groups of a data set that a tuning has seen.

    Parameters
    ----------
    history : mapping
        ``history`` of a tuned model. Files from before groups were kept name images only; their groups are then those
        that the data set gives them today.
    dataset : Dataset
        What it was tuned on.

    Returns
    -------
    dict of str to (str, str)
        Group -> an image of it, and ``"train"`` or ``"val"``. Empty for a model tuned on another data set, or not at
        all.
    """
    if history.get("dataset") != dataset.info.name:
        return {}
    here = set(dataset.ids("all"))
    seen: dict[str, tuple[str, str]] = {}
    for part in PARTS[:2]:
        ids = history.get(f"{part}_ids", [])
        groups = [dataset.group_of(image_id) for image_id in ids if image_id in here]
        kept = zip(history.get(f"{part}_groups", []), ids, strict=False)
        for group, image_id in [*kept, *zip(groups, [i for i in ids if i in here], strict=True)]:
            seen.setdefault(group, (image_id, part))
    return seen


def refuse_seen_groups(history: Mapping[str, Any], dataset: Dataset, ids: Iterable[str]) -> None:
    """Raise if a tuned model would be scored on a group it was tuned with.

    Parameters
    ----------
    history : mapping
        Of the model; nothing is refused when it is empty.
    dataset : Dataset
        Where the images are from.
    ids : iterable of str
        Images to score.

    Raises
    ------
    StudyError
        Naming the image, its group, and the image of the group that the model was tuned with.
    """
    seen = groups_seen(history, dataset)
    for image_id in ids if seen else ():
        group = dataset.group_of(image_id)
        if group in seen:
            known, part = seen[group]
            used = "was trained on" if part == "train" else "chose its weights by"
            raise StudyError(
                f"{image_id!r} of {dataset.info.name} belongs to the group {group!r}, and the tuned model {used} "
                f"{known!r} of the same group, so its score would be too good: evaluate split test, or leave the group "
                "out. (Data sets are told apart by name: rename the folder if it is another one.)"
            )
