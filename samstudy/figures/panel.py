"""One image panel: the image, the reference outline, the prediction, the prompt and a scale bar."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.patheffects as effects
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from skimage.measure import find_contours

from samstudy.errors import StudyError
from samstudy.figures import palette
from samstudy.figures.common import SINGLE_COLUMN_IN, style
from samstudy.images.display import check_image
from samstudy.masks import as_mask
from samstudy.types import Prompt

FILL_ALPHA = 0.32
_THIN = 0.01
_NICE_MM = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def draw_overlay(
    image: np.ndarray,
    reference: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    prompt: Prompt | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one image with what is known of one object in it.

    Parameters
    ----------
    image : numpy.ndarray, uint8, H x W x 3
        RGB in [0, 255].
    reference, mask : numpy.ndarray, bool, H x W, optional
        Reference (an outline) and prediction (a translucent fill with an outline); both may be empty.
    prompt : Prompt, optional
        Positive points are ``+``, negative ones ``x``, the box a rectangle; parts are drawn too.
    title : str, optional
        Title of the panel.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new single-column figure with a legend otherwise.

    Returns
    -------
    matplotlib.figure.Figure
        The figure of ``ax``.

    Raises
    ------
    StudyError
        If the image is no uint8 H x W x 3 array or a mask is of another size.

    Examples
    --------
    >>> fig = draw_overlay(sample.image, sample.labels["brain"], prediction.masks[0], prompt)
    """
    check_image(image)
    masks = {"the reference": reference, "the prediction": mask}
    masks = {name: None if m is None else as_mask(m, name) for name, m in masks.items()}
    for name, array in masks.items():
        if array is not None and array.shape != image.shape[:2]:
            raise StudyError(
                f"{name} is {array.shape[0]} x {array.shape[1]} pixels but the image is {image.shape[0]} x "
                f"{image.shape[1]}; both must be at the image's original size."
            )
    with style():
        if ax is None:
            figure, ax = plt.subplots(figsize=(SINGLE_COLUMN_IN, SINGLE_COLUMN_IN))
            handles = overlay_handles(
                [] if prompt is None else [prompt], reference=reference is not None, mask=mask is not None
            )
            if handles:
                figure.legend(handles=handles, loc="outside upper left", ncols=2)
        show_image(ax, image)
        if masks["the prediction"] is not None:
            fill_mask(ax, masks["the prediction"], palette.PREDICTION)
        if masks["the reference"] is not None:
            draw_outline(ax, masks["the reference"], palette.REFERENCE)
        if prompt is not None:
            draw_prompt(ax, prompt)
        if title:
            ax.set_title(title)
    return ax.figure


def show_image(axis: Axes, image: np.ndarray, spacing_mm: tuple[float, float] | None = None) -> None:
    """Show an image without axes, its pixels in their physical proportion."""
    aspect = spacing_mm[0] / spacing_mm[1] if spacing_mm else 1.0
    axis.imshow(image, aspect=aspect)
    axis.set_axis_off()
    axis.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5), autoscale_on=False)


def outlines_xy(mask: np.ndarray) -> list[np.ndarray]:
    """Outline of a mask as polygons of (x, y); none for an empty mask, closed at the image border."""
    return [line[:, ::-1] - 1 for line in find_contours(np.pad(mask, 1).astype(np.float32), 0.5)]


def dark_edge(width: float) -> list[effects.AbstractPathEffect]:
    """Path effects that let a bright line be seen on bright tissue."""
    return [effects.Stroke(linewidth=width + 0.8, foreground="black", alpha=0.6), effects.Normal()]


def draw_outline(
    axis: Axes, mask: np.ndarray, colour: str, *, linestyle: str = "-", width: float = 1.0
) -> None:
    """Draw a mask's outline with a dark edge; half as wide around thin structures, which it would cover."""
    outlines = outlines_xy(mask)
    length_px = sum(len(line) for line in outlines)
    if length_px and 2 * mask.sum() / length_px < _THIN * max(mask.shape):
        width = 0.5 * width
    lines = LineCollection(outlines, colors=colour, linewidths=width, linestyles=linestyle, zorder=3)
    lines.set_path_effects(dark_edge(width))
    axis.add_collection(lines, autolim=False)


def fill_mask(axis: Axes, mask: np.ndarray, colour: str) -> None:
    """Draw a prediction as a translucent fill with a thin outline."""
    layer = np.zeros((*mask.shape, 4), np.float32)
    layer[mask] = (*to_rgb(colour), FILL_ALPHA)
    axis.imshow(
        layer,
        aspect=axis.get_aspect(),
        extent=(-0.5, mask.shape[1] - 0.5, mask.shape[0] - 0.5, -0.5),
        zorder=1,
    )
    draw_outline(axis, mask, colour, width=0.9)


def draw_prompt(axis: Axes, prompt: Prompt) -> None:
    """Draw the points and boxes of a prompt and of its parts."""
    for part in (prompt, *prompt.parts):
        if part.box_xyxy is not None:
            left, top, right, bottom = np.asarray(part.box_xyxy, float) + np.array([-0.5, -0.5, 0.5, 0.5])
            frame = Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                zorder=4,
                edgecolor=palette.PROMPT_BOX,
                linewidth=1.1,
            )
            frame.set_path_effects(
                [effects.Stroke(linewidth=2, foreground="white", alpha=0.8), effects.Normal()]
            )
            axis.add_patch(frame)
        for value, marker, colour in ((1, "P", palette.PROMPT_POSITIVE), (0, "X", palette.PROMPT_NEGATIVE)):
            points_xy = part.points_xy[part.point_labels == value]
            if len(points_xy):
                look = {"color": colour, "markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.8}
                axis.plot(*points_xy.T, marker, zorder=5, clip_on=False, **look)


def overlay_handles(prompts: Sequence[Prompt], *, reference: bool = True, mask: bool = True) -> list[Artist]:
    """Legend entries of an overlay: only of what is drawn."""
    every = [part for prompt in prompts for part in (prompt, *prompt.parts)]
    labels = np.concatenate([part.point_labels for part in every]) if every else np.zeros(0)
    point = {"linestyle": "none", "markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.5}
    handles: list[Artist] = []
    if reference:
        handles.append(
            Line2D(
                [], [], color=palette.REFERENCE, linewidth=1.4, label="reference", path_effects=dark_edge(1.4)
            )
        )
    if mask:
        handles.append(
            Patch(
                facecolor=(*to_rgb(palette.PREDICTION), 0.5), edgecolor=palette.PREDICTION, label="prediction"
            )
        )
    if (labels == 1).any():
        handles.append(
            Line2D([], [], marker="P", color=palette.PROMPT_POSITIVE, label="positive point", **point)
        )
    if (labels == 0).any():
        handles.append(
            Line2D([], [], marker="X", color=palette.PROMPT_NEGATIVE, label="negative point", **point)
        )
    if any(part.box_xyxy is not None for part in every):
        handles.append(
            Line2D(
                [],
                [],
                color=palette.PROMPT_BOX,
                label="box",
                marker="s",
                markersize=6,
                markerfacecolor="none",
                linestyle="none",
            )
        )
    return handles


def draw_scale_bar(axis: Axes, spacing_mm: tuple[float, float] | None) -> None:
    """Draw a bar of a round length, about a quarter of what is shown; nothing without a spacing."""
    if spacing_mm is None:
        return
    left, right = sorted(axis.get_xlim())
    bottom, top = axis.get_ylim()
    width_mm = (right - left) * spacing_mm[1]
    length_mm = max((mm for mm in _NICE_MM if mm <= width_mm / 3), default=width_mm / 4)
    x = right - 0.05 * (right - left)
    y = bottom + 0.06 * (top - bottom)
    edge = [effects.Stroke(linewidth=3.4, foreground="black"), effects.Normal()]
    axis.plot(
        [x - length_mm / spacing_mm[1], x],
        [y, y],
        color="white",
        linewidth=2,
        solid_capstyle="butt",
        path_effects=edge,
        zorder=5,
    )
    axis.text(
        x,
        y + 0.025 * (top - bottom),
        f"{length_mm:.3g} mm",
        color="white",
        fontsize=6.5,
        ha="right",
        va="bottom",
        zorder=5,
        path_effects=[effects.Stroke(linewidth=1.4, foreground="black"), effects.Normal()],
    )
