"""The marks of the score figures: a distribution, a mean with its interval, and axes that show infinity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from samstudy.bootstrap import quantile
from samstudy.figures import palette
from samstudy.figures.common import is_bottom, shorten
from samstudy.phantoms import shown_name
from samstudy.statistics import Estimate

_GOLDEN = 0.6180339887
_EDGE = 1.06
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
FEW = 5


def limits(values: np.ndarray, metric: str) -> tuple[float, float]:
    """Axis limits of a metric: 0 to 1 for overlaps, 0 to past the largest finite value for distances.

    Parameters
    ----------
    values : numpy.ndarray, float
        Scores without NaN; may hold infinity.
    metric : str
        Column name.
    """
    if not palette.is_distance(metric):
        return 0.0, 1.0
    finite = values[np.isfinite(values)]
    largest = float(finite.max()) if len(finite) else 1.0
    return 0.0, max(largest, 1e-3) * (_EDGE + 0.04)


def shown(values: np.ndarray | float, limit: tuple[float, float]) -> np.ndarray:
    """Put infinite values just inside the right limit, where they are drawn as an arrow."""
    return np.where(np.isinf(values), limit[1] * _EDGE / (_EDGE + 0.04), values)


def draw_distribution(
    axis: Axes,
    position: float,
    values: np.ndarray,
    colour: str,
    *,
    height: float,
    limit: tuple[float, float],
    headline: bool = False,
    scale: float = 1.0,
) -> None:
    """Draw one horizontal distribution: points, 5-95 % line, interquartile bar, median.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Where to draw.
    position, height : float
        Centre and extent on the y axis, in its units.
    values : numpy.ndarray, float, N
        Scores without NaN; with fewer than 5 only points and median are drawn; nothing for N = 0.
    colour : str
        Matplotlib colour.
    limit : tuple of float
        Limits of the x axis; infinity is an arrow at the right one.
    headline : bool
        Draw the median as the filled diamond of a headline score.
    scale : float
        Factor of all line widths and markers, for panels that had to shrink.
    """
    if not len(values):
        return
    values = np.sort(values)
    spread = ((np.arange(len(values)) * _GOLDEN) % 1 - 0.5) * height * 0.8
    place = shown(values, limit)
    missed = np.isinf(values)
    dots = {"color": colour, "linewidths": 0, "alpha": 0.4, "zorder": 2, "rasterized": len(values) > 300}
    axis.scatter(place[~missed], position + spread[~missed], s=3.5 * scale, marker="o", **dots)
    axis.scatter(place[missed], position + spread[missed], s=9 * scale, marker=">", clip_on=False, **dots)
    low, lower, median, upper, high = (shown(quantile(values, level), limit) for level in _LEVELS)
    if len(values) >= FEW:
        bar = {"color": colour, "solid_capstyle": "butt", "zorder": 3}
        axis.plot([low, high], [position] * 2, linewidth=0.7, **bar)
        axis.plot([lower, upper], [position] * 2, linewidth=2.6 * scale, **bar)
    axis.plot(median, position, clip_on=False, zorder=4, linestyle="none", **_median(colour, headline, scale))


def _median(colour: str, headline: bool, scale: float) -> dict[str, object]:
    if headline:
        return {
            "marker": "D",
            "markersize": 3.6 * scale,
            "markerfacecolor": colour,
            "markeredgecolor": "black",
            "markeredgewidth": 0.7,
        }
    return {
        "marker": "o",
        "markersize": 2.9 * scale,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "markeredgewidth": 0.8,
    }


def draw_interval(
    axis: Axes,
    at: float,
    found: Estimate,
    colour: str,
    *,
    horizontal: bool = True,
    marker: str = "o",
    hollow: bool = False,
    size: float = 4,
) -> None:
    """Draw an estimate as a marker with its interval as a line; nothing where its value is not finite.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Where to draw.
    at : float
        Position across the score axis.
    found : Estimate
        Value and ends of the interval; ends that are not finite are not drawn.
    colour, marker, hollow, size
        Look of the marker.
    horizontal : bool
        Whether scores run along x.
    """
    if not np.isfinite(found.value):
        return
    ends = [found.low, found.high]
    line = (ends, [at, at]) if horizontal else ([at, at], ends)
    point = (found.value, at) if horizontal else (at, found.value)
    if np.isfinite(ends).all():
        axis.plot(*line, color=colour, linewidth=1.1, solid_capstyle="butt", zorder=3)
    face = "white" if hollow else colour
    look = {"marker": marker, "markersize": size, "markeredgewidth": 0.9, "linestyle": "none"}
    axis.plot(*point, color=face, markeredgecolor=colour, zorder=4, clip_on=False, **look)


def prompt_axis(
    axis: Axes,
    axes: Sequence[Axes],
    title: str,
    prompts: Sequence[str],
    limit: tuple[float, float],
    words: str,
) -> None:
    """Set up a panel whose rows are prompts and whose x axis is a score named by ``words``."""
    axis.set(title=title, xlim=limit, ylim=(len(prompts) - 0.5, -0.5))
    axis.set_yticks(range(len(prompts)), [palette.prompt_words(prompt) for prompt in prompts])
    axis.tick_params(axis="y", length=0)
    if limit == (0, 1):
        axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axis.grid(axis="x")
    for edge in range(1, len(prompts)):
        axis.axhline(edge - 0.5, color="0.85", linewidth=0.5, zorder=0)
    if is_bottom(axis, axes):
        axis.set_xlabel(words)


def row_name(dataset: str, target: str, n_objects: int) -> str:
    """Name a row of targets, ``"PHANTOM isic: lesion (n = 8)"``; without its data set where that is ``""``."""
    words = f"{shorten(shown_name(dataset), 24)}: " if dataset else ""
    count = f"(n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n_objects})"
    return f"{words}{shorten(palette.plain(target), 22)} {count}"


def signed(value: float) -> str:
    """Write a difference with its sign and two digits; what rounds to nothing is +0.00."""
    return f"{round(value, 2) + 0.0:+.2f}"


def mask_choice_handles(choices: Sequence[str]) -> list[Patch]:
    """Legend entries of the mask choices, the oracle said to use the reference."""
    return [Patch(color=palette.mask_choice_colour(c), label=palette.MASK_CHOICE_WORDS[c]) for c in choices]


def marker_handle(
    label: str, colour: str, marker: str, *, hollow: bool = False, edge: str | None = None
) -> Line2D:
    """Legend entry of a marker."""
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=4.5,
        label=label,
        markerfacecolor="white" if hollow else colour,
        markeredgecolor=edge or colour,
    )


def line_handle(label: str, colour: str, *, linestyle: str = "-", linewidth: float = 1.2) -> Line2D:
    """Legend entry of a line."""
    return Line2D([], [], color=colour, linestyle=linestyle, linewidth=linewidth, label=label)
