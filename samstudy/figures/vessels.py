"""One image of a long thin target before and after fine-tuning, in full resolution.

Pictures are embedded pixel by pixel (``interpolation="none"``): others are resampled by matplotlib to the resolution of
the figure, which breaks lines of one pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from PIL import Image

from samstudy.errors import StudyError, unknown_name
from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, shorten, stamp, style, usable
from samstudy.figures.marks import line_handle
from samstudy.figures.overlays import pick_objects
from samstudy.figures.panel import draw_outline, draw_prompt, draw_scale_bar, overlay_handles, show_image
from samstudy.figures.tuning import held_out_rows
from samstudy.phantoms import shown_name
from samstudy.results import KEY
from samstudy.statistics import GRID
from samstudy.tubular import tubular_targets
from samstudy.types import AUTOMATIC, Prompt, Sample
from samstudy.vessels import by_calibre

if TYPE_CHECKING:
    from samstudy.datasets import Dataset
    from samstudy.models import Model

FOUND, MISSED, WRONG, OUTSIDE = palette.BLACK, palette.VERMILION, palette.SKY, "#D0D0D0"
_FIELD, _FRAME = palette.YELLOW, palette.PURPLE
_COLUMNS = (*GRID, *KEY, "group_id", "iou_pred", "cldice")
_LARGEST_PX = 1000
_WINDOW_PX = (64, 128)
_ONE_LINE_IN = 2.0


class _Scene(NamedTuple):
    """What both answers are held against: the scored part of the reference, its thin pixels, what is enlarged."""

    sample: Sample
    reference: np.ndarray
    thin: np.ndarray
    window: tuple[slice, slice]


def draw_vessels(
    dataset: Dataset,
    table: pd.DataFrame,
    models: Sequence[Model],
    target: str | None = None,
    prompt: str | None = None,
    seed: int = 0,
    *,
    width_in: float = DOUBLE_COLUMN_IN,
) -> Figure:
    """Draw one image before and after fine-tuning, pixel by pixel: what was found, missed and wrong.

    The image is the one of median Dice after tuning, on most images in the first fold; it is enlarged where it has most
    thin pixels. Masks are predicted again as they were scored.

    Parameters
    ----------
    dataset : Dataset
        Where the images are.
    table : pandas.DataFrame
        Score table of fine-tuning with rows of this data set before and after.
    models : sequence of Model
        The zero-shot and tuned models of the table; the two that are drawn are found by their weights.
    target : str, optional
        The first long thin target by default.
    prompt : str, optional
        By default ``automatic`` where it was tuned, else the first mode of the table.
    seed : int
        Base seed of the evaluation.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Columns: the image with the outline of the field of view, the zero-shot and the tuned answer, cut to that field.
        Above, the whole image, averaged down to 1000 pixels where it has more along its longer side; below, a window of
        a fifth of that side, 64 to 128 pixels, never averaged.

    Raises
    ------
    StudyError
        If no target is long and thin, the target or prompt is not in the table, rows before or after are missing, or
        ``models`` lacks a model whose rows are to be drawn.
    """
    from samstudy.replay import predict_row

    before, after = _picked(dataset.info.name, table, target, prompt)
    found = [predict_row(dataset, _model_of(row, models), row, seed) for row in (before, after)]
    scene, shown = _scene(found[0][0], after["object_id"]), found[0][1]
    with style():
        figure, grid = _grid(scene.sample.size_hw, width_in)
        _draw_image(grid[:, 0], scene, shown, shorten(str(after["image_id"]), max(int(width_in * 4), 12)))
        for axes, row, (_, _, mask) in zip(grid[:, 1:].T, (before, after), found, strict=True):
            _draw_answer(axes, scene, row, mask, is_wide=width_in / 3 > _ONE_LINE_IN)
        head(figure, _title(after), _handles(scene.sample, shown))
        stamp(figure, table[table["dataset"] == dataset.info.name], dataset.info)
    return figure


def fullest_window(mask: np.ndarray, side_px: int) -> tuple[slice, slice]:
    """Find the square window that holds most pixels of a mask.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        May be empty.
    side_px : int
        Side of the window; cut to the image.

    Returns
    -------
    tuple of slice
        Rows and columns; of equal windows the first, row by row.
    """
    height, width = (min(side_px, size) for size in mask.shape)
    sums = np.pad(mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1), ((1, 0), (1, 0)))
    held = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = (int(index) for index in np.unravel_index(np.argmax(held), held.shape))
    return slice(top, top + height), slice(left, left + width)


def _scene(sample: Sample, object_id: str) -> _Scene:
    mask = sample.reference(object_id)
    reference = mask if sample.valid is None else mask & sample.valid
    thin = by_calibre(reference)["thin"]
    side_px = int(np.clip(round(max(sample.size_hw) / 5), *_WINDOW_PX))
    return _Scene(sample, reference, thin, fullest_window(thin if thin.any() else reference, side_px))


def _picked(dataset: str, table: pd.DataFrame, target: str | None, prompt: str | None) -> list[pd.Series]:
    """Return the row before and the row after of the object to be drawn."""
    scored = usable(table, _COLUMNS, "draw_vessels", "dice")
    scored = scored[scored["dataset"] == dataset]
    if scored.empty:
        raise StudyError(
            f"draw_vessels found no scored row of dataset {dataset!r}; pass the table of its tuning."
        )
    targets = [name for _, name in tubular_targets(scored)]
    if target is None and not targets:
        raise StudyError(
            f"draw_vessels found no target of {dataset!r} that is long and thin (rows with a clDice)."
        )
    rows = held_out_rows(_only(scored, "target", target or targets[0]), "draw_vessels")
    modes = palette.prompt_order(rows["prompt"])
    rows = _only(rows, "prompt", prompt or (AUTOMATIC if AUTOMATIC in modes else modes[0]))
    tuned = rows[rows["tuning"] != "none"].sort_values(
        ["shots", "fold"], ascending=[False, True], kind="stable"
    )
    drawn = ["model", "weights_sha", "tuning", "shots", "fold"]
    tuned = tuned[(tuned[drawn] == tuned[drawn].iloc[0]).all(axis=1)]
    picked = pick_objects(tuned)
    after = picked.get("median", next(iter(picked.values())))
    same = (rows[["image_id", "object_id", "model"]] == after[["image_id", "object_id", "model"]]).all(axis=1)
    return [rows[same & (rows["tuning"] == "none")].iloc[0], after]


def _only(rows: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    kept = rows[rows[column] == name]
    if kept.empty:
        raise unknown_name(f"{column} of this table", name, map(str, rows[column].unique()))
    return kept


def _model_of(row: pd.Series, models: Sequence[Model]) -> Model:
    key = ["name", "weights_sha", "tuning", "shots", "fold"]
    wanted = [row["model"], *row[key[1:]]]
    for model in models:
        if [getattr(model, name) for name in key] == wanted:
            return model
    raise StudyError(
        f"draw_vessels lacks the model {row['model']!r} (tuning {row['tuning']}, {row['shots']} shots, fold "
        f"{row['fold']}) with the weights of its rows; pass the models that the table was made with."
    )


def _grid(size_hw: tuple[int, int], width_in: float) -> tuple[Figure, np.ndarray]:
    panel_in = width_in / 3
    whole_in = panel_in * min(size_hw[0] / size_hw[1], 1.6)
    figure, grid = plt.subplots(
        2,
        3,
        figsize=(width_in, whole_in + panel_in + 0.6),
        height_ratios=(whole_in, panel_in),
        layout="compressed",
    )
    return figure, grid


def _draw_image(axes: np.ndarray, scene: _Scene, prompt: Prompt, title: str) -> None:
    whole, part = axes
    sample, (rows, columns) = scene.sample, scene.window
    _show(whole, sample.image, sample)
    _show(part, sample.image[rows, columns], sample, scene.window)
    if sample.valid is not None:
        draw_outline(whole, sample.valid, _FIELD, width=0.9)
    if prompt.mode != AUTOMATIC:
        draw_prompt(whole, prompt)
    _frame(axes, scene.window)
    for axis in axes:
        draw_scale_bar(axis, sample.spacing_mm)
    whole.set_title(title)
    part.set_xlabel(f"{rows.stop - rows.start} x {columns.stop - columns.start} px")


def _draw_answer(axes: np.ndarray, scene: _Scene, row: pd.Series, mask: np.ndarray, *, is_wide: bool) -> None:
    whole, part = axes
    colours = _coloured(scene.reference, mask, scene.sample.valid)
    _show(whole, colours, scene.sample)
    _show(part, colours[scene.window], scene.sample, scene.window)
    _frame(axes, scene.window)
    n_shots = int(row["shots"])
    words = "zero-shot" if row["tuning"] == "none" else f"tuned on {n_shots} image{'s' * (n_shots != 1)}"
    scores = f"Dice {row['dice']:.2f}", f"clDice {row['cldice']:.2f}"
    whole.set_title(f"{words}\n{(', ' if is_wide else chr(10)).join(scores)}")
    n_thin = np.count_nonzero(scene.thin[scene.window])
    n_found = np.count_nonzero((scene.thin & mask)[scene.window])
    part.set_xlabel(f"{n_found} of {n_thin} thin pixels found" if is_wide else f"{n_found}/{n_thin} thin")


def _coloured(reference: np.ndarray, mask: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Paint what an answer has right and wrong: uint8, H x W x 3."""
    painted = np.full((*reference.shape, 3), 255, np.uint8)
    layers = [(reference & mask, FOUND), (reference & ~mask, MISSED), (mask & ~reference, WRONG)]
    for where, colour in [*layers, *([] if valid is None else [(~valid, OUTSIDE)])]:
        painted[where] = np.round(255 * np.array(to_rgb(colour)))
    return painted


def _show(
    axis: Axes, pixels: np.ndarray, sample: Sample, window: tuple[slice, slice] = (slice(0, 0), slice(0, 0))
) -> None:
    """Show a picture, or the part of it in a window, in the pixel coordinates of the whole, without resampling."""
    height, width = pixels.shape[:2]
    top, left = window[0].start, window[1].start
    if max(height, width) > _LARGEST_PX:
        share = _LARGEST_PX / max(height, width)
        size = round(width * share), round(height * share)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    show_image(axis, pixels, sample.spacing_mm)
    axis.images[0].set(
        extent=(left - 0.5, left + width - 0.5, top + height - 0.5, top - 0.5), interpolation="none"
    )
    axis.set(xlim=(left - 0.5, left + width - 0.5), ylim=(top + height - 0.5, top - 0.5))


def _frame(axes: np.ndarray, window: tuple[slice, slice]) -> None:
    """Show in the whole picture where the enlarged one is, and give both the same frame."""
    (whole, part), (rows, columns) = axes, window
    corner = columns.start - 0.5, rows.start - 0.5
    sides = columns.stop - columns.start, rows.stop - rows.start
    whole.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=_FRAME, linewidth=1.2, zorder=4))
    part.set_axis_on()
    part.set(xticks=[], yticks=[])
    part.spines[:].set(visible=True, color=_FRAME, linewidth=1.2)


def _title(row: pd.Series) -> str:
    words = [shown_name(row["dataset"]), f"{row['model']} ({row['tuning']})", palette.plain(row["target"])]
    return f"{', '.join(words)}, {palette.prompt_words(row['prompt'])}: the image of median Dice after tuning"


def _handles(sample: Sample, prompt: Prompt) -> list[Artist]:
    words = {"found": FOUND, "missed": MISSED, "wrong": WRONG}
    handles: list[Artist] = [Patch(color=colour, label=label) for label, colour in words.items()]
    if sample.valid is not None:
        handles.append(Patch(color=OUTSIDE, label="not scored"))
        handles.append(line_handle("field of view", _FIELD))
    shown = [] if prompt.mode == AUTOMATIC else [prompt]
    return handles + overlay_handles(shown, reference=False, mask=False)
