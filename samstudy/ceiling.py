"""How good a mask can be at the resolution a model answers in: the ceiling row beside its scores.

SAM's decoder answers on a coarse grid (256 cells along the longer side; ``vit_t`` half its image side), and what is
thinner than a cell can be lost whatever the model understood. The ceiling of an object is the Dice of its own
reference after a passage through that grid: the share of each cell that it covers, interpolated bilinearly back to
the pixels of the image and cut at one half. It is what a decoder reaches that answers with the covered share; logits
sharpened on purpose could exceed it a little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F
from tqdm import tqdm

from samstudy.cells import needs
from samstudy.datasets import Dataset
from samstudy.errors import StudyError
from samstudy.metrics import score
from samstudy.models import Model
from samstudy.statistics import summarise
from samstudy.types import target_of

_SHARE = 0.5


def through_grid(mask: np.ndarray, cells: int) -> np.ndarray:
    """Bring a mask to a coarse grid and back.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        May be empty.
    cells : int
        Cells along the longer side; the shorter has as many as keep them square, and one at least.

    Returns
    -------
    numpy.ndarray, bool, H x W
        The mask itself where the grid is not coarser than its pixels.

    Raises
    ------
    StudyError
        If ``cells`` is not a whole number from 1 up.
    """
    if not isinstance(cells, int | np.integer) or isinstance(cells, bool) or cells < 1:
        raise StudyError(f"cells is {cells!r}; give the number of cells along the longer side, 1 or more.")
    if cells >= max(mask.shape):
        return mask.copy()
    grid_hw = [max(1, round(side * cells / max(mask.shape))) for side in mask.shape]
    pixels = torch.from_numpy(mask.astype(np.float32))[None, None]
    shares = F.interpolate(pixels, grid_hw, mode="area")
    back = F.interpolate(shares, mask.shape, mode="bilinear", align_corners=False)
    return (back[0, 0] >= _SHARE).numpy()


def cells_of(model: Model) -> int:
    """Return how many cells along its longer side a SAM answers in.

    Raises
    ------
    StudyError
        If the model is a baseline: it answers in the pixels of the image.
    """
    if not model.uses_image:
        raise StudyError(f"{model.name!r} answers in pixels of the image, not on a grid: name a SAM.")
    return int(model.sam.prompt_encoder.mask_input_size[0])


def ceiling(dataset: Dataset, cells: Iterable[int], table: pd.DataFrame) -> pd.DataFrame:
    """Dice that grids of these sizes allow on the objects of a score table.

    Parameters
    ----------
    dataset : Dataset
        Gives the references; only its rows of the table are used.
    cells : iterable of int
        Sizes of the grid, as in :func:`through_grid`.
    table : pandas.DataFrame
        With ``dataset image_id group_id object_id status``. Rows with the status error name no object.

    Returns
    -------
    pandas.DataFrame
        One row per object and grid: ``dataset image_id group_id object_id target cells dice status``; ``dice`` is in
        [0, 1], NaN with the status ref_empty where the valid part of the reference is. Empty without objects.
    """
    needs(table, ["dataset", "image_id", "group_id", "object_id", "status"])
    here = table[(table["dataset"] == dataset.info.name) & (table["status"] != "error")]
    objects = here.drop_duplicates(["image_id", "object_id"])
    sizes, rows = list(cells), []
    for image_id, of_image in objects.groupby("image_id", sort=False):
        sample = dataset.load(image_id)
        # a whole target, as automatic prompts ask for it, is no object beside its instances
        for each in of_image[of_image["object_id"].isin(list(sample.labels))].itertuples():
            mask = sample.labels[each.object_id]
            reference = mask if sample.valid is None else mask & sample.valid
            known = {"dataset": each.dataset, "image_id": image_id, "group_id": each.group_id}
            known |= {"object_id": each.object_id, "target": target_of(each.object_id)}
            status = "ok" if reference.any() else "ref_empty"
            for size in sizes:
                best = score(reference, through_grid(reference, size), valid=sample.valid, metrics=["dice"])
                rows.append(known | {"cells": size} | best | {"status": status})
    columns = ["dataset", "image_id", "group_id", "object_id", "target", "cells", "dice", "status"]
    return pd.DataFrame(rows, columns=columns)


def ceilings(datasets: Sequence[Dataset], cells: Iterable[int], table: pd.DataFrame) -> pd.DataFrame:
    """Mean ceiling of every target with its interval, for the tables of the study.

    Parameters
    ----------
    datasets : sequence of Dataset
        Those of the table.
    cells, table
        As in :func:`ceiling`.

    Returns
    -------
    pandas.DataFrame
        As :func:`samstudy.statistics.summarise` by ``dataset target cells``.

    Raises
    ------
    StudyError
        If no data set has an object in the table.
    """
    sizes = list(cells)
    rows = [
        ceiling(dataset, sizes, table) for dataset in tqdm(datasets, "ceilings", disable=len(datasets) < 2)
    ]
    return summarise(pd.concat(rows, ignore_index=True), by=["dataset", "target", "cells"])
