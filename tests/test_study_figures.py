"""The figures of clicks, moved boxes, calibration, domains and attributes show the numbers of what they are given."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset, tiny_sam
from test_domain import drawn as drawn_embeddings
from test_figures import OWN_PROMPTS, assert_readable, score_table, table_for, texts
from test_importance import made

from samstudy import figures
from samstudy.calibration import calibration_error, failure_auroc, predicted_rows
from samstudy.clicks import clicks_to
from samstudy.domain import embedding_map, separability
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.figures.curves import MOST_PANELS
from samstudy.figures.jitter import jitter_rows, moved_boxes
from samstudy.importance import attribute_correlations, family_importance, with_attributes
from samstudy.models import SamModel
from samstudy.statistics import headline

pytestmark = pytest.mark.filterwarnings("error")
WIDTHS = (figures.SINGLE_COLUMN_IN, figures.DOUBLE_COLUMN_IN)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def curves(axis):
    return [line for line in axis.lines if line.get_marker() == "o"]


def test_clicks_are_the_means_of_the_headline_choice():
    table = table_for("clicks", targets=("brain",))
    (axis,) = figures.draw_clicks(table).axes
    (line,) = curves(axis)
    rows = headline(table[table["model"] == "vit_t"])
    means = rows.groupby("prompt")["dice"].mean()
    assert list(line.get_xdata()) == list(range(1, 10))
    assert line.get_ydata() == pytest.approx([means[f"clicks_{n}"] for n in range(1, 10)])
    (needed,) = clicks_to(rows, (0.8,)).to_dict("records")
    assert any(f"{needed['mean_clicks']:.1f} clicks" in text for text in texts(axis.figure))


def test_clicks_that_skip_a_number_draw_the_curve_without_the_count():
    table = table_for("clicks", targets=("brain",), n_images=3)
    figure = figures.draw_clicks(table[table["prompt"] != "clicks_2"])
    assert not any("get there" in text for text in texts(figure))


def test_a_drop_under_a_moved_box_is_that_of_the_same_objects():
    table = table_for("jitter", targets=("brain",))
    table.loc[(table["prompt"] == "box_jitter20") & (table["image_id"] == "slice_003"), "dice"] = np.nan
    kept = jitter_rows(table[table["dice"].notna() & (table["model"] == "vit_t")].assign(series="vit_t"))
    assert set(kept.loc[kept["kind"] == "jitter", "percent"]) == {0, 5, 10, 20}
    assert "slice_003" not in set(kept.loc[kept["kind"] == "jitter", "image_id"])
    assert "slice_003" in set(kept.loc[kept["kind"] == "shift", "image_id"])
    assert any("jitter of 20 %" in text for text in texts(figures.draw_jitter(table)))


def test_every_kind_of_moved_box_is_known():
    assert {kind for kind, _ in moved_boxes().values()} == {"jitter", "enlarge", "shift"}
    assert moved_boxes()["box_jitter10"] == ("jitter", 10)
    assert set(OWN_PROMPTS["jitter"]) - {"box"} <= set(moved_boxes())


@pytest.mark.parametrize(
    ("draw", "sentence"), [("clicks", "evaluate the prompts clicks_1"), ("jitter", "box_jitter5")]
)
def test_modes_that_are_not_there_are_named(draw, sentence, tmp_path):
    table = score_table(n_images=2, prompts=("point_center",))
    with pytest.raises(StudyError, match=sentence):
        figures.FIGURES[draw](table)
    assert sentence in figures.save_or_say(figures.FIGURES[draw], "fig", table)


def test_what_can_be_drawn_is_saved_with_its_caption(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    said = figures.save_or_say(figures.draw_clicks, "fig4", table_for("clicks", n_images=2), profile="demo")
    assert said == "Mean Dice after each simulated click, at the headline mask choice."
    caption = json.loads((tmp_path / "figures" / "demo" / "fig4.json").read_text())["caption"]
    assert caption.startswith(said)
    assert "simulated from the reference" in caption
    assert (tmp_path / "figures" / "demo" / "fig4.pdf").is_file()


def test_calibration_writes_the_numbers_of_each_prompt():
    table = score_table(targets=("brain",))
    rng = np.random.default_rng(0)
    table["iou_pred"] = np.where(table["model"] == "ellipse", np.nan, rng.uniform(size=len(table)))
    shown = texts(figures.draw_calibration(table))
    for prompt in ("point_center", "box"):
        rows = predicted_rows(table[table["prompt"] == prompt])
        error, area = calibration_error(rows), failure_auroc(rows)
        assert any(f"ECE\xa0{error:.2f}" in text for text in shown)
        assert np.isnan(area) or any(f"AUROC\xa0{area:.2f}" in text for text in shown)
    with pytest.raises(StudyError, match="did you mean 'box'"):
        figures.draw_calibration(table, ["bx"])


@pytest.mark.parametrize("name", ["clicks", "jitter", "calibration", "mask_choice"])
def test_many_targets_become_a_panel_per_data_set(name):
    targets = [f"part_{i}" for i in range(MOST_PANELS + 1)]
    figure = figures.FIGURES[name](table_for(name, targets=targets, n_images=2))
    assert len(figure.axes) == 1
    assert any("mni152 (n\xa0=\xa038)" in text for text in texts(figure))


@pytest.mark.parametrize("width_in", WIDTHS)
def test_the_domain_map_fits_and_names_every_data_set(width_in):
    names = ("mni152", "phantom_drive", "a_folder_of_ones_own_with_a_long_name")
    pooled = drawn_embeddings(names=names)
    found = separability(pooled)
    figure = figures.draw_domain(embedding_map(pooled), found, width_in=width_in)
    assert_readable(figure)
    shown = texts(figure)
    assert any(f"balanced accuracy {found.balanced_accuracy:.2f}" in text for text in shown)
    assert any("PHANTOM drive (24)" in text for text in shown)
    assert any("drawn images" in text for text in shown)
    with pytest.raises(StudyError, match="at least one image"):
        figures.draw_domain(pooled.images.iloc[:0], found)


def test_ten_data_sets_have_marks_of_their_own():
    plane = pd.DataFrame(
        {"dataset": [f"set{i}" for i in range(12)], "model": "vit_b", "x": range(12), "y": 0.0}
    )
    figure = figures.draw_domain(plane, separability(drawn_embeddings()))
    (legend,) = figure.legends
    looks = [(h.get_marker(), h.get_markerfacecolor()) for h in legend.legend_handles]
    assert len(set(looks)) == len(looks) == 15


@pytest.mark.parametrize("width_in", WIDTHS)
def test_importance_fits_and_says_how_good_the_prediction_is(width_in):
    rows = with_attributes(*made())
    importance = family_importance(rows, n_boot=100)
    figure = figures.draw_importance(importance, attribute_correlations(rows), width_in=width_in)
    assert_readable(figure)
    assert any(f"R² {importance['r2'].iloc[0]:.2f}" in text for text in texts(figure))
    drawn_at = sorted(line.get_xdata()[0] for line in curves(figure.axes[0]))
    assert drawn_at == pytest.approx(sorted(importance["importance"]))


def test_importance_that_was_not_judged_is_a_sentence():
    table, attributes = made(1)
    rows = with_attributes(table[table["group_id"] < "group_11"], attributes)
    with pytest.raises(StudyError, match="not judged: 3 group"):
        figures.draw_importance(family_importance(rows), attribute_correlations(rows))


def test_the_gallery_begins_with_the_lowest_dice_of_each_set():
    dataset, model = DrawnDataset(), SamModel("tiny", tiny_sam())
    table = evaluate(dataset, [model], ["box"], split="all", cache=False, progress=False)
    lowest = headline(table)["dice"].min()
    assert any(
        f"{lowest:.2f}" in text for text in texts(figures.draw_failures([dataset], table, model, "box"))
    )
    with pytest.raises(StudyError, match="no scored row"):
        figures.draw_failures([dataset], table, model, "point_center")


def test_a_summary_of_one_data_set_says_that_there_is_nothing_to_tell_apart():
    dataset, model = DrawnDataset(), SamModel("tiny", tiny_sam())
    table = pd.DataFrame({"dataset": "drawn", "image_id": dataset.ids("all")})
    said = figures.save_or_say(figures.draw_domain_of, "fig8", table, [dataset], model)
    assert said == "Not drawn here: only 1 data set(s) of two groups or more: there is nothing to tell apart."
