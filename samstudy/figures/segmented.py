"""A new image with the masks a model drew in it: what `samstudy predict` leaves to look at."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from samstudy.figures import palette
from samstudy.figures.common import SINGLE_COLUMN_IN, head, shorten, style
from samstudy.figures.panel import draw_prompt, draw_scale_bar, fill_mask, overlay_handles, show_image
from samstudy.types import Prompt

# The first is what predictions have everywhere; orange, green and vermilion are those of prompts.
_COLOURS = (palette.PREDICTION, palette.PURPLE, palette.YELLOW, palette.BLUE, "#FFFFFF")
_MOST_NAMED = 5
_MOST_PROMPTS_SHOWN = 200
_TALLEST = 2.0


def draw_segmented(
    image: np.ndarray,
    masks: dict[str, np.ndarray],
    prompts: Sequence[Prompt] = (),
    title: str = "",
    spacing_mm: tuple[float, float] | None = None,
) -> Figure:
    """Draw an image, the masks of its objects and what the model was asked.

    Parameters
    ----------
    image : numpy.ndarray, uint8, H x W x 3
        RGB in [0, 255].
    masks : dict of str to numpy.ndarray, bool, H x W
        By object; each has a colour of its own, named in the legend where there are at most 5. Empty ones are
        named as such.
    prompts : sequence of Prompt
        At most 200 of them are drawn.
    title : str
        Above the panel.
    spacing_mm : tuple of float or None
        (row, column) pitch, for the proportions and a scale bar.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pitch = spacing_mm[0] / spacing_mm[1] if spacing_mm else 1.0
    tall = min(_TALLEST, pitch * image.shape[0] / image.shape[1])
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(masks)}
    shown = list(prompts)[:_MOST_PROMPTS_SHOWN]
    with style():
        figure, axis = plt.subplots(figsize=(1.4 * SINGLE_COLUMN_IN, 1.4 * SINGLE_COLUMN_IN * tall))
        show_image(axis, image, spacing_mm)
        for name, mask in masks.items():
            fill_mask(axis, mask, colours[name])
        for prompt in shown:
            draw_prompt(axis, prompt)
        draw_scale_bar(axis, spacing_mm)
        handles = overlay_handles(shown, reference=False, mask=False)
        if len(masks) <= _MOST_NAMED:
            handles = [*(_handle(name, mask, colours[name]) for name, mask in masks.items()), *handles]
        head(figure, title, handles)
    return figure


def _handle(name: str, mask: np.ndarray, colour: str) -> Patch:
    words = shorten(palette.plain(name), 32) + ("" if mask.any() else " (empty)")
    return Patch(facecolor=(*to_rgb(colour), 0.5), edgecolor=colour, label=words)
