"""Images of a data set with the outlines of their reference masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import DOUBLE_COLUMN_IN, head, shorten, stamp, style
from samstudy.figures.marks import line_handle
from samstudy.figures.panel import dark_edge, draw_outline, draw_scale_bar, show_image
from samstudy.types import Sample, target_of

if TYPE_CHECKING:
    from samstudy.datasets import Dataset


def draw_samples(
    dataset: Dataset, ids: Sequence[str], n_columns: int = 4, *, width_in: float = DOUBLE_COLUMN_IN
) -> Figure:
    """Draw images with the reference outlines of every target.

    Parameters
    ----------
    dataset : Dataset
        Where the images are.
    ids : sequence of str
        image_id of each panel, at least one.
    n_columns : int
        Most panels side by side.
    width_in : float
        Width of the figure in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Title and legend on top, a scale bar where the spacing is known. Targets keep the colour of their place
        in ``dataset.info.targets``.

    Raises
    ------
    StudyError
        If ``ids`` is empty or ``n_columns`` under 1.
    DataError
        If an image cannot be read.
    """
    ids = list(ids)
    if not ids or n_columns < 1:
        raise StudyError(
            f"draw_samples needs at least one image_id and one column, not {len(ids)} and {n_columns}; "
            "take some of dataset.ids(split)."
        )
    samples = [dataset.load(image_id) for image_id in ids]
    seen = {target_of(label) for sample in samples for label, mask in sample.labels.items() if mask.any()}
    targets = list(dict.fromkeys([*dataset.info.targets, *sorted(seen)]))
    styles = {target: look for target, look in palette.target_styles(targets).items() if target in seen}
    n_columns = min(n_columns, len(samples))
    n_rows = -(-len(samples) // n_columns)
    ratios = [_height_ratio(sample) for sample in samples]
    tallest = [max(ratios[i : i + n_columns]) for i in range(0, len(samples), n_columns)]
    with style():
        panel_in = width_in / n_columns
        figure, grid = plt.subplots(
            n_rows,
            n_columns,
            figsize=(width_in, panel_in * sum(tallest) + 0.2 * n_rows + 0.1),
            height_ratios=tallest,
            squeeze=False,
            layout="compressed",
        )
        for axis, sample in zip(grid.flat, samples, strict=False):
            _draw_sample(axis, sample, styles)
            axis.set_title(shorten(sample.image_id, int(panel_in / 0.075)))
        for spare in list(grid.flat)[len(samples) :]:
            spare.set_axis_off()
        handles = [
            line_handle(shorten(palette.plain(target), 24), colour, linestyle=linestyle, linewidth=1.6)
            for target, (colour, linestyle) in styles.items()
        ]
        for handle in handles:
            handle.set_path_effects(dark_edge(1.6))
        title = dataset.info.title or dataset.info.name
        head(figure, f"{shorten(title, 90)}: reference outlines", handles)
        stamp(figure, None, dataset.info)
    return figure


def _draw_sample(axis: Axes, sample: Sample, styles: dict[str, tuple[str, str]]) -> None:
    show_image(axis, sample.image, sample.spacing_mm)
    for label, mask in sample.labels.items():
        if mask.any():
            colour, linestyle = styles[target_of(label)]
            draw_outline(axis, mask, colour, linestyle=linestyle, width=0.9)
    draw_scale_bar(axis, sample.spacing_mm)


def _height_ratio(sample: Sample) -> float:
    """Height over width as shown, pixels in their physical proportion; at most 2."""
    row_mm, column_mm = sample.spacing_mm or (1.0, 1.0)
    height, width = sample.size_hw
    return min(height * row_mm / (width * column_mm), 2.0)
