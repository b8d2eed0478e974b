"""Overlays chosen by a rule, not by hand: per target the best, the median and the worst object."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from samstudy.errors import StudyError, unknown_name
from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, series_names, shorten, stamp, style, usable
from samstudy.figures.panel import draw_overlay, draw_scale_bar, overlay_handles, show_image
from samstudy.masks import bounds_of
from samstudy.phantoms import shown_name
from samstudy.seeds import seed_for
from samstudy.types import Prompt, Sample

if TYPE_CHECKING:
    from samstudy.datasets import Dataset
    from samstudy.models import Model

RANKS = ("only", "best", "median", "worst")
_SMALL = 0.4
_CONTEXT = 2.0
_MANY_TARGETS = 5
_ROW_NAME_IN = 0.4
_ONE_LINE_IN = 1.1


def pick_objects(rows: pd.DataFrame, metric: str = "dice") -> dict[str, pd.Series]:
    """Pick the best, median and worst object by a score.

    The median is the object whose score is nearest to the median score. Ties go to the first by image_id, then
    object_id.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row per object. Rows whose score is NaN are left out.
    metric : str
        Score in which more is better.

    Returns
    -------
    dict of str to pandas.Series
        ``best``, ``median``, ``worst``; no object twice: two give best and worst, one is ``only``, none gives
        an empty dict.
    """
    ordered = rows[rows[metric].notna()].sort_values(["image_id", "object_id"], kind="stable")
    if ordered.empty:
        return {}
    scores = ordered[metric].to_numpy(float)
    best, worst = int(np.argmax(scores)), int(np.argmin(scores))
    distance = np.abs(scores - np.median(scores))
    if len(scores) == 1:
        return {"only": ordered.iloc[0]}
    if best == worst:
        worst = len(scores) - 1
    picked = {"best": ordered.iloc[best], "worst": ordered.iloc[worst]}
    if len(scores) > 2:
        distance[[best, worst]] = np.inf
        picked["median"] = ordered.iloc[int(np.argmin(distance))]
    return {rank: picked[rank] for rank in RANKS if rank in picked}


def draw_overlays(
    dataset: Dataset,
    table: pd.DataFrame,
    model: Model,
    prompt: str,
    mask_choice: str | None = None,
    seed: int = 0,
    *,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw, for every target, the objects a model segments best, at the median and worst.

    Images are loaded and masks predicted again with the prompt seed of the row, so what is seen is what was
    scored. Small objects are magnified; an inset shows where in the image they lie.

    Parameters
    ----------
    dataset : Dataset
        Where the images are.
    table : pandas.DataFrame
        Score table with rows of this data set, model and prompt.
    model : Model
        The model those rows were made with.
    prompt : str
        Prompt mode.
    mask_choice : str, optional
        The prompt's headline choice by default.
    seed : int
        Base seed of the evaluation.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        A row per target, columns best, median and worst by Dice; several targets share a row where there
        are more than 5 of them or fewer objects.

    Raises
    ------
    StudyError
        If the prompt is not in the table, no row of this model and choice has a score, or the rows were
        made with another base seed.
    """
    from samstudy.replay import predict_row

    choice = mask_choice or palette.headline(prompt)
    rows = scored_rows(dataset, table, model, prompt, choice, seed)
    picked = {target: pick_objects(cell) for target, cell in rows.groupby("target", sort=False)}
    with style():
        figure, rows_of_axes, panel_in = _grid(len(picked), max(map(len, picked.values())), width_in)
        prompts = []
        for (target, objects), axes in zip(picked.items(), rows_of_axes, strict=False):
            _name_row(axes[0], target, int((rows["target"] == target).sum()), panel_in)
            for axis, (rank, row) in zip(axes, objects.items(), strict=False):
                sample, shown, mask = predict_row(dataset, model, row, seed)
                draw_object(axis, row, sample, shown, mask, panel_in)
                shown_in = panel_in * min(1.0, sample.size_hw[1] / sample.size_hw[0])
                score = f"Dice {row['dice']:.2f}"
                axis.set_title(f"{rank}: {score}" if shown_in > _ONE_LINE_IN else f"{rank}\n{score}", pad=2)
                prompts.append(shown)
        words = [shown_name(dataset.info.name), series_names(rows).iloc[0], palette.prompt_words(prompt)]
        title = f"{', '.join(words)}, {palette.MASK_CHOICE_WORDS.get(choice, choice)}"
        head(figure, f"{title}: best, median and worst Dice", overlay_handles(prompts))
        stamp(figure, rows, dataset.info)
    return figure


def _grid(n_targets: int, n_ranks: int, width_in: float) -> tuple[Figure, list[Sequence[Axes]], float]:
    """Make bare panels; return the figure, each target's panels, and the width of one in inches."""
    n_columns = 3 if n_targets <= _MANY_TARGETS else 6
    blocks = min(n_columns // n_ranks, n_targets)
    n_rows = -(-n_targets // blocks)
    panel_in = (width_in - _ROW_NAME_IN * blocks) / max(n_ranks * blocks, 3)
    height_in = n_rows * (panel_in + (0.27 if panel_in > _ONE_LINE_IN else 0.4))
    figure, grid = plt.subplots(
        n_rows, n_ranks * blocks, figsize=(width_in, height_in), squeeze=False, layout="compressed"
    )
    for axis in grid.flat:
        _bare(axis)
    return figure, [row for block in np.split(grid, blocks, axis=1) for row in block], panel_in


def scored_rows(
    dataset: Dataset, table: pd.DataFrame, model: Model, prompt: str, choice: str, seed: int
) -> pd.DataFrame:
    """Return the scored rows of a data set, model, prompt and mask choice, made with this base seed.

    Raises
    ------
    StudyError
        If there is none, or they were made with another seed: other prompts would be shown than were scored.
    """
    columns = ["dataset", "target", "image_id", "object_id", "model", "prompt", "mask_choice"]
    rows = usable(table, columns, "draw_overlays", "dice")
    if prompt not in set(rows["prompt"]):
        raise unknown_name("prompt of this table", prompt, map(str, rows["prompt"].unique()))
    mine = (rows["model"] == model.name) & (rows["prompt"] == prompt) & (rows["mask_choice"] == choice)
    for column in ("tuning", "shots", "fold"):
        if column in rows and rows[column].notna().any():
            mine &= rows[column] == getattr(model, column)
    mine &= rows["dataset"] == dataset.info.name
    if not mine.any():
        raise StudyError(
            f"draw_overlays found no scored row of dataset {dataset.info.name!r}, model {model.name!r} (tuning "
            f"{model.tuning}, {model.shots} shots), prompt {prompt!r} and mask choice {choice!r}; evaluate them "
            "first, or pass the model the table was made with."
        )
    _check_seed(rows[mine], seed)
    return rows[mine]


def _check_seed(rows: pd.DataFrame, seed: int) -> None:
    row = rows.iloc[0]
    expected = seed_for(seed, row["dataset"], row["image_id"], row["object_id"], row["prompt"])
    if "prompt_seed" in rows and pd.notna(row["prompt_seed"]) and int(row["prompt_seed"]) != expected:
        raise StudyError(
            f"the table's prompts were not drawn with the base seed {seed}: pass draw_overlays the seed of its "
            "evaluation, or other prompts would be shown than were scored."
        )


def _bare(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _name_row(axis: Axes, target: str, n_objects: int, panel_in: float) -> None:
    lines = textwrap.wrap(shorten(palette.plain(target), 32), max(int(panel_in / 0.07), 8))
    axis.set_ylabel("\n".join([*lines, f"n = {n_objects}"]))


def draw_object(
    axis: Axes, row: pd.Series, sample: Sample, prompt: Prompt, mask: np.ndarray, panel_in: float
) -> None:
    """Draw one object of a score table in a panel so many inches wide, magnified where it is small; no title."""
    reference = sample.reference(row["object_id"])
    if sample.valid is not None:
        reference = reference & sample.valid
    draw_overlay(sample.image, reference, mask, prompt, ax=axis)
    axis.set_aspect(sample.spacing_mm[0] / sample.spacing_mm[1] if sample.spacing_mm else 1.0)
    axis.set_axis_on()
    _bare(axis)
    window = zoom_window(reference | mask, prompt)
    if window is not None:
        _zoom(axis, sample, window)
    draw_scale_bar(axis, sample.spacing_mm)
    axis.set_xlabel(shorten(str(row["image_id"]), max(int(panel_in / 0.055), 5)), fontsize=6, labelpad=1)


def zoom_window(masks: np.ndarray, prompt: Prompt) -> tuple[float, float, float, float] | None:
    """Square window around an object that is small in its image.

    Parameters
    ----------
    masks : numpy.ndarray, bool, H x W
        Reference and prediction united.
    prompt : Prompt
        Its points and boxes stay in view.

    Returns
    -------
    tuple of float or None
        Left, top, right, bottom, in the image; None where the object takes more than 40 % of the longer
        side, or there is nothing to look at.
    """
    height, width = masks.shape
    corners_xy = [np.asarray(p.points_xy, float) for p in (prompt, *prompt.parts)]
    corners_xy += [np.reshape(p.box_xyxy, (2, 2)) for p in (prompt, *prompt.parts) if p.box_xyxy is not None]
    if masks.any():
        rows, columns = bounds_of(masks)
        corners_xy.append(np.array([[columns.start, rows.start], [columns.stop - 1, rows.stop - 1]]))
    corners_xy = np.concatenate(corners_xy)
    if not len(corners_xy):
        return None
    low, high = corners_xy.min(axis=0), corners_xy.max(axis=0)
    extent = (high - low + 1).max()
    if extent > _SMALL * max(height, width):
        return None
    side = min(max(_CONTEXT * extent, 16), height, width)
    left, top = np.clip((low + high) / 2 - side / 2, -0.5, np.array([width, height]) - 0.5 - side)
    return float(left), float(top), float(left + side), float(top + side)


def _zoom(axis: Axes, sample: Sample, window: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = window
    axis.set(xlim=(left, right), ylim=(bottom, top))
    inset = axis.inset_axes((0.02, 0.66, 0.32, 0.32), zorder=6)
    show_image(inset, sample.image, sample.spacing_mm)
    inset.set_anchor("NW")
    inset.add_patch(
        Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor="white", linewidth=0.9)
    )
