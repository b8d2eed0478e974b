"""The one place for colours and for the words that stand for a column's values in a figure.

Colours are those of Okabe & Ito (2008), *Color Universal Design*, which stay apart for colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from samstudy.metrics import METRICS
from samstudy.prompts import PROMPTS, headline_choice
from samstudy.statistics import BASELINE

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY = "#767676"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, YELLOW, BLACK)
LINE_STYLES = ("-", "--", ":", "-.")

REFERENCE = YELLOW
PREDICTION = SKY
TUNED = VERMILION
PROMPT_POSITIVE = GREEN
PROMPT_NEGATIVE = VERMILION
PROMPT_BOX = ORANGE

MASK_CHOICE_COLOURS = {"single": BLUE, "first": SKY, "predicted_iou": ORANGE, "oracle": PURPLE}
MASK_CHOICE_WORDS = {
    "single": "single-mask output",
    "first": "first of three",
    "predicted_iou": "best predicted IoU",
    "oracle": "oracle (uses the reference)",
}
ORACLE, ORACLE_TEXT = "oracle", "#A0447A"

BASELINE_COLOUR = GREY
BASELINE_WORDS = "ellipse baseline (sees no image)"

DEMONSTRATION_MODEL = "vit_t"

_MODEL_COLOURS = {"vit_t": BLUE, "vit_b": ORANGE, "vit_l": GREEN, "vit_h": PURPLE, "medsam": VERMILION}
_PROMPT_COLOURS = {
    "point_center": BLUE,
    "points_p5": SKY,
    "points_p5n5": GREEN,
    "box": ORANGE,
    "box_jitter10": YELLOW,
    "box_point": VERMILION,
    "boxes_parts": PURPLE,
}


def is_distance(metric: str) -> bool:
    """Say whether a metric is a length, which is infinite for an empty mask."""
    return METRICS[metric].unit == "distance"


def metric_words(metric: str, table: pd.DataFrame | None = None) -> str:
    """Name of a metric for an axis, with the unit or the tolerance the table states.

    Parameters
    ----------
    metric : str
        A name in :data:`samstudy.metrics.METRICS`.
    table : pandas.DataFrame, optional
        Score table; ``distance_unit`` and ``nsd_tolerance`` are read where they have one value.

    Returns
    -------
    str
        ``"Dice"``, ``"HD95 (mm)"``, ``"NSD at 2 mm"``; ``"HD95 (mm or px)"`` for a table of both units.
    """
    words = METRICS[metric].title
    if table is None or "distance_unit" not in table:
        return words
    units = sorted(set(table["distance_unit"].dropna().astype(str)) - {""})
    unit = " or ".join(units)
    if is_distance(metric) and unit:
        return f"{words} ({unit})"
    if metric == "nsd" and "nsd_tolerance" in table:
        tolerances = table["nsd_tolerance"].dropna().unique()
        if len(tolerances) == 1 and len(units) == 1:
            return f"{words} at {tolerances[0]:g} {unit}"
    return words


def plain(name: object) -> str:
    """Write an identifier as words: ``"grey_matter"`` -> ``"grey matter"``."""
    return str(name).replace("_", " ")


def _coloured(names: Iterable[str], fixed: dict[str, str]) -> dict[str, str]:
    names = list(dict.fromkeys(names))
    spare = [colour for colour in CYCLE if colour not in {fixed.get(name) for name in names}] or list(CYCLE)
    unknown = [name for name in names if name not in fixed]
    return {name: fixed.get(name) or spare[unknown.index(name) % len(spare)] for name in names}


def mask_choice_colour(choice: str) -> str:
    """Colour of a mask choice; black for one that is not known."""
    return MASK_CHOICE_COLOURS.get(choice, BLACK)


def model_colours(models: Iterable[str]) -> dict[str, str]:
    """Colour of each model: fixed for the known ones, unused colours in turn for others."""
    return _coloured(models, {**_MODEL_COLOURS, BASELINE: BASELINE_COLOUR})


def series_colours(rows: pd.DataFrame) -> dict[str, str]:
    """Colour of each value of ``series``: that of its model, where no two series share a model."""
    models = rows.groupby("series", sort=False)["model"].first()
    if models.is_unique:
        colours = model_colours(models)
        return {series: colours[model] for series, model in models.items()}
    return _coloured(models.index, {})


def prompt_colours(prompts: Iterable[str]) -> dict[str, str]:
    """Colour of each prompt mode: fixed for the known ones, unused colours in turn for others."""
    return _coloured(prompts, _PROMPT_COLOURS)


def prompt_order(prompts: Iterable[str]) -> list[str]:
    """Order prompt modes as they are registered, from points to boxes; unknown ones last, by name."""
    known = list(PROMPTS)
    return sorted(
        set(prompts), key=lambda name: (known.index(name) if name in known else len(known), str(name))
    )


def prompt_words(prompt: str) -> str:
    """Title of a prompt mode, e.g. ``"5 + 5 points"``; the name in words for one that is not registered."""
    return PROMPTS[prompt].title if prompt in PROMPTS else plain(prompt)


def headline(prompt: str) -> str:
    """Mask choice of a prompt's headline score; ``"single"`` for a mode that is not registered."""
    return headline_choice(prompt) if prompt in PROMPTS else "single"


def target_styles(targets: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and line style of each target, told apart up to 32 targets.

    Parameters
    ----------
    targets : sequence of str
        In the order of the data set, so that a target keeps its colour from figure to figure.

    Returns
    -------
    dict of str to (str, str)
        Matplotlib colour and line style.
    """
    colours = (YELLOW, SKY, VERMILION, GREEN, PURPLE, ORANGE, BLUE, "#FFFFFF")
    return {
        target: (colours[i % len(colours)], LINE_STYLES[i // len(colours) % len(LINE_STYLES)])
        for i, target in enumerate(dict.fromkeys(targets))
    }
