"""The figures of learning curves: repetitions, methods, many numbers of images, and the images needed."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from test_figures import assert_readable, score_table, texts

from samstudy import figures
from samstudy.cells import over_repetitions
from samstudy.figures.few_shot import method_colours, shot_ticks
from samstudy.figures.tuning import ZERO_SHOT, shown_stages
from samstudy.needed import images_needed
from samstudy.statistics import estimate, headline

pytestmark = pytest.mark.filterwarnings("error")
SHOTS = (1, 2, 5, 10, 20, 50)
LONG = (ZERO_SHOT, *(("decoder", k) for k in SHOTS))
METHODS = (ZERO_SHOT, *((name, k) for name in ("decoder", "full", "lora") for k in (1, 10)))
WIDTHS = (figures.SINGLE_COLUMN_IN, figures.DOUBLE_COLUMN_IN)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def table_of(stages=LONG, folds=(0, 1, 2), **more):
    table = score_table(**{"targets": ("brain",), "n_images": 15, "stages": stages, "folds": folds} | more)
    return table[(table["fold"] == 0) | (table["tuning"] != "none")].reset_index(drop=True)


def curves(axis):
    return [line for line in axis.lines if line.get_marker() == "o"]


def test_each_repetition_has_a_thin_line_and_their_mean_the_thick_one():
    table = table_of(prompts=("box",))
    figure = figures.draw_few_shot(table)
    (axis,) = figure.axes
    (line,) = curves(axis)
    rows = headline(table[table["model"] == "vit_t"])
    averaged = over_repetitions(rows, "dice")
    assert line.get_ydata() == pytest.approx([estimate(cell).value for _, cell in averaged.groupby("shots")])
    thin = [line for line in axis.lines if line.get_linewidth() == 0.5]
    assert len(thin) == 3
    for line, (_, repetition) in zip(thin, rows[rows["shots"] > 0].groupby("fold"), strict=True):
        assert line.get_ydata()[1:] == pytest.approx(repetition.groupby("shots")["dice"].mean())
    assert "one repetition" in texts(figure)
    assert "one repetition" not in texts(figures.draw_few_shot(table[table["fold"] == 0]))


def test_several_methods_have_a_panel_for_each_prompt_and_a_line_each():
    figure = figures.draw_few_shot(table_of(METHODS, folds=(0,)))
    assert [len(curves(axis)) for axis in figure.axes] == [3, 3]
    assert [axis.get_title().split(" (")[0] for axis in figure.axes] == [
        "brain, centre point", "brain, box"
    ]  # fmt: skip
    assert {"decoder", "full", "lora"} <= set(texts(figure))
    assert len(set(method_colours(["decoder", "lora", "full", "mine", "yours"]).values())) == 5


@pytest.mark.parametrize("width_in", WIDTHS)
@pytest.mark.parametrize("draw", ["few_shot", "before_after", "images_needed"])
def test_many_numbers_and_methods_stay_readable(draw, width_in):
    for stages in (LONG, METHODS):
        table = table_of(stages, folds=(0, 1), targets=("brain", "grey_matter"), n_images=6)
        assert_readable(figures.FIGURES[draw](table, width_in=width_in))


def test_long_curves_show_five_stages_before_and_after_with_the_most_images():
    rows = pd.DataFrame({"stage": LONG})
    assert shown_stages(rows) == [ZERO_SHOT, ("decoder", 1), ("decoder", 5), ("decoder", 10), ("decoder", 50)]
    methods = shown_stages(pd.DataFrame({"stage": METHODS}))
    assert methods == [ZERO_SHOT, ("decoder", 10), ("full", 10), ("lora", 10)]
    assert shown_stages(rows[:3]) == list(LONG[:3])


def test_ticks_are_the_numbers_or_round_ones_where_these_would_touch():
    assert shot_ticks([0, 10, 1, np.int64(5)]) == [0, 1, 5, 10]
    assert shot_ticks([0, 1, 10, 12, 23]) == [0, 1, 2, 5, 10, 20]


def test_images_needed_are_those_of_the_table():
    table = table_of(prompts=("box",))
    figure = figures.draw_images_needed(table, levels=(0.9, 0.999), shares=(0.5,))
    found = images_needed(table, (0.9, 0.999), (0.5,)).set_index("goal")
    assert [axis.get_title() for axis in figure.axes] == list(found.index)
    for axis, needed in zip(figure.axes, found["n_needed"], strict=True):
        marks = [line for line in axis.lines if line.get_markersize() == 4]
        assert len(marks) == 1
        assert (marks[0].get_marker() == ">") == np.isinf(needed)
        assert marks[0].get_xdata()[0] == (95 if np.isinf(needed) else needed)
    assert np.isinf(found.loc["Dice 0.999", "n_needed"])
