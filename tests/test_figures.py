"""Figures: every one draws every kind of table without a warning, and shows the numbers of the table."""

from __future__ import annotations

import itertools
import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from samstudy import figures
from samstudy.errors import StudyError
from samstudy.figures import FIGURES, marks, palette
from samstudy.results import make_table
from samstudy.seeds import seed_for
from samstudy.statistics import estimate, headline, skill
from samstudy.types import MASK_CHOICES

pytestmark = pytest.mark.filterwarnings("error")

BRAIN = ("brain", "grey_matter", "white_matter")
ORGANS = (
    "spleen right_kidney left_kidney gall_bladder esophagus liver stomach aorta postcava pancreas "
    "right_adrenal_gland left_adrenal_gland duodenum bladder prostate_or_uterus"
).split()
EASE = {"point_center": 0.55, "points_p5": 0.7, "points_p5n5": 0.75, "box_jitter10": 0.85}
ZERO_SHOT = (("none", 0),)
TUNED = (("none", 0), ("decoder", 1), ("decoder", 5), ("decoder", 20))
FEW = ("point_center", "box")
ABOUT_TUNING = {"before_after", "calibres", "few_shot", "images_needed"}
OWN_PROMPTS = {
    "clicks": tuple(f"clicks_{n}" for n in range(1, 10)),
    "jitter": ("box", "box_jitter5", "box_jitter10", "box_jitter20", "box_enlarge10", "box_shift20"),
    "everything": ("everything_8",),
}


def score_table(
    targets=BRAIN, prompts=FEW, models=("vit_t", "ellipse"), n_images=15, stages=ZERO_SHOT, folds=(0,)
):
    """Draw a table that looks like a real one: skewed overlaps, a few misses, images in groups of three."""
    rng, rows = np.random.default_rng(0), []
    for i, target, prompt, model in itertools.product(range(n_images), targets, prompts, models):
        seen = MASK_CHOICES if model != "ellipse" else ("single",)
        steps = stages if model != "ellipse" else ZERO_SHOT
        for (tuning, shots), choice, fold in itertools.product(steps, seen, folds):
            level = (
                EASE.get(prompt, 0.9) - 0.1 * (list(targets).index(target) % 4) - 0.15 * (model == "ellipse")
            )
            level += {"oracle": 0.05, "first": -0.12}.get(choice, 0) + 0.05 * np.log1p(shots)
            dice = float(np.clip(level - rng.exponential(0.08) + 0.05 * np.sin(i), 0, 0.99))
            known = {"dataset": "mni152", "image_id": f"slice_{i:03d}", "object_id": target, "prompt": prompt}
            known |= {"modality": "MRI", "split": "test", "group_id": f"slab_{i // 3}", "target": target}
            known |= {"model": model, "tuning": tuning, "shots": shots, "fold": fold, "mask_choice": choice}
            known |= {"prompt_seed": seed_for(0, "mni152", f"slice_{i:03d}", target, prompt)}
            known |= dict.fromkeys(("dice", "iou", "nsd", "cldice"), dice)
            known |= dict.fromkeys(("hd95", "assd"), 40 * (1 - dice) if dice else np.inf)
            known |= {
                "iou_pred": np.nan if model == "ellipse" else 0.9,
                "status": "ok" if dice else "pred_empty",
            }
            known |= {"n_proposals": 5 * i + 3 if prompt in OWN_PROMPTS["everything"] else None}
            rows.append(known | {"nsd_tolerance": 2.0, "distance_unit": "mm", "height": 96, "width": 80})
    return make_table(rows)


def table_for(name, **changes):
    changes |= {"prompts": OWN_PROMPTS[name]} if name in OWN_PROMPTS else {}
    return score_table(**({"stages": TUNED} if name in ABOUT_TUNING else {}) | changes)


def texts(figure):
    """Every visible word of a figure; tick labels are there once it has been drawn."""
    return [
        text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_visible() and text.get_text()
    ]


def assert_readable(figure):
    """Nothing written is cropped by the page, panel titles do not touch, no text is under 6 points."""
    figure.canvas.draw()
    page, renderer = figure.bbox, figure.canvas.get_renderer()
    for text in figure.findobj(mpl.text.Text):
        box = text.get_window_extent(renderer)
        if not text.get_visible() or not text.get_text().strip() or box.width == 0:
            continue
        assert text.get_fontsize() >= 6
        assert box.x0 >= page.x0 - 1, text
        assert box.x1 <= page.x1 + 1, text
        assert box.y0 >= page.y0 - 1, text
        assert box.y1 <= page.y1 + 1, text
    for parts in ([axis.title for axis in figure.axes], [axis.xaxis.label for axis in figure.axes]):
        boxes = [part.get_window_extent(renderer) for part in parts if part.get_text()]
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", list(FIGURES))
@pytest.mark.parametrize("width_in", [figures.SINGLE_COLUMN_IN, figures.DOUBLE_COLUMN_IN])
def test_every_figure_fits_the_column(name, width_in):
    for targets in (BRAIN, BRAIN[:1]):
        figure = FIGURES[name](table_for(name, targets=targets, n_images=6), width_in=width_in)
        assert figure.get_size_inches()[0] == pytest.approx(width_in)
        assert_readable(figure)


@pytest.mark.parametrize("name", list(FIGURES))
def test_fifteen_targets_wrap(name):
    figure = FIGURES[name](table_for(name, targets=ORGANS, n_images=2))
    assert_readable(figure)
    assert sum("adrenal" in text for text in texts(figure)) >= 2


@pytest.mark.parametrize("name", list(FIGURES))
def test_long_names_two_models_and_folds_stay_readable(name):
    table = table_for(name, targets=("a_very_long_name_of_an_anatomical_structure_left_side",), n_images=2)
    other = table[table["model"] == "vit_t"].assign(model="my_own_checkpoint_finetuned_on_everything_v2")
    assert_readable(FIGURES[name](pd.concat([table, other], ignore_index=True)))


@pytest.mark.parametrize("name", list(FIGURES))
def test_one_object_is_drawn_without_an_interval(name):
    figure = FIGURES[name](table_for(name, targets=("brain",), n_images=1))
    assert any("n\xa0=\xa01" in text for text in texts(figure))


@pytest.mark.parametrize("name", list(FIGURES))
def test_empty_and_nan_tables_are_one_sentence(name):
    table = table_for(name, n_images=1)
    with pytest.raises(StudyError, match="rows"):
        FIGURES[name](table.iloc[:0])
    with pytest.raises(StudyError, match=r"all \d+ values of dice are NaN \(\d+ error\)"):
        FIGURES[name](table.assign(dice=np.nan, status="error"))
    with pytest.raises(StudyError, match=r"needs the column.*prompt"):
        FIGURES[name](table.drop(columns="prompt"))
    with pytest.raises(StudyError, match="baseline only"):
        FIGURES[name](table[table["model"] == "ellipse"])


@pytest.mark.parametrize("name", list(FIGURES))
def test_rows_without_a_score_are_left_out_and_counted(name):
    table = table_for(name, targets=("brain",), n_images=6)
    lost = table["image_id"] == "slice_000"
    table.loc[lost, ["dice", "status"]] = [np.nan, "error"]
    figure = FIGURES[name](table)
    assert any("n\xa0=\xa05" in text for text in texts(figure))
    assert f"{lost.sum()} of {len(table)} rows have no score" in figures.standard_caption(None, table)


@pytest.mark.parametrize("name", list(FIGURES))
def test_style_is_not_left_behind_and_the_table_is_not_changed(name):
    table, before = table_for(name, targets=("brain",), n_images=2), mpl.rcParams.copy()
    untouched = table.copy()
    FIGURES[name](table)
    assert mpl.rcParams == before
    pd.testing.assert_frame_equal(table, untouched)


@pytest.mark.parametrize("name", list(FIGURES))
def test_demonstration_model_and_phantoms_are_stamped(name):
    table = table_for(name, targets=("brain",), prompts=("box",), n_images=2)
    assert any("not the paper's numbers" in text for text in texts(FIGURES[name](table)))
    table = table.assign(model=table["model"].replace("vit_t", "vit_b"))
    assert not any("not the paper's" in text or "PHANTOM" in text for text in texts(FIGURES[name](table)))
    drawn = table.assign(dataset="phantom_drive")
    assert any("PHANTOM: drawn images" in text for text in texts(FIGURES[name](drawn)))
    assert not any("phantom_drive" in text for text in texts(FIGURES[name](drawn)))


@pytest.mark.parametrize("metric", ["hd95", "assd", "nsd"])
def test_infinite_distances_are_drawn_at_the_edge_and_named(metric):
    table = score_table(targets=("brain",))
    table.loc[table["image_id"] < "slice_010", ["hd95", "assd"]] = np.inf
    shown = texts(figures.draw_scores(table, metric))
    assert any("infinite" in text for text in shown) == (metric != "nsd")
    assert any(
        {"hd95": "HD95 (mm)", "assd": "ASSD (mm)", "nsd": "NSD at 2 mm"}[metric] in text for text in shown
    )
    figures.draw_mask_choice(table, metric).canvas.draw()


def test_unknown_metric_offers_a_near_miss():
    with pytest.raises(StudyError, match="did you mean 'dice'"):
        figures.draw_scores(score_table(n_images=1), "dicee")


def drawn_at(axis, marker):
    """Points drawn with a marker, as (x, y) pairs."""
    lines = [line for line in axis.lines if line.get_marker() == marker]
    return np.array([line.get_xydata()[0] for line in lines])


def test_scores_show_the_medians_of_the_table():
    table = score_table(targets=("brain",), prompts=("box",))
    axis = figures.draw_scores(table).axes[0]
    rows = table[(table["model"] == "vit_t") & (table["mask_choice"] == "single")]
    assert drawn_at(axis, "D")[:, 0] == pytest.approx([rows["dice"].median()])
    others = table[(table["model"] == "vit_t") & (table["mask_choice"] != "single")]
    assert sorted(drawn_at(axis, "o")[:, 0]) == pytest.approx(
        sorted(others.groupby("mask_choice")["dice"].median())
    )


def test_headline_diamond_follows_the_prompt():
    axis = figures.draw_scores(score_table(targets=("brain",))).axes[0]
    colours = [line.get_markerfacecolor() for line in axis.lines if line.get_marker() == "D"]
    assert colours == [palette.MASK_CHOICE_COLOURS["predicted_iou"], palette.MASK_CHOICE_COLOURS["single"]]


def test_mask_choice_writes_the_gain_of_the_oracle():
    table = score_table(targets=("brain",), prompts=("box",))
    means = table[table["model"] == "vit_t"].groupby("mask_choice")["dice"].mean()
    shown = texts(figures.draw_mask_choice(table))
    assert marks.signed(means["oracle"] - means["single"]) in shown
    assert "oracle (uses the reference)" in shown


def test_skill_is_that_of_the_statistics():
    table = score_table()
    figure = figures.draw_skill(table)
    found = skill(table)
    for axis, target in zip(figure.axes, BRAIN, strict=True):
        of_target = found[found["target"] == target]
        assert sorted(drawn_at(axis, "o")[:, 0]) == pytest.approx(sorted(of_target["mean"]))
        assert sorted(drawn_at(axis, "D")[:, 0]) == pytest.approx(sorted(of_target["baseline_mean"]))
        assert {marks.signed(value) for value in of_target["skill"]} == {t.get_text() for t in axis.texts}


def test_skill_needs_the_baseline():
    table = score_table(n_images=2)
    with pytest.raises(StudyError, match="needs scored rows of the ellipse baseline"):
        figures.draw_skill(table[table["model"] != "ellipse"])


def test_before_after_pairs_the_same_objects():
    table = score_table(targets=("brain",), prompts=("box",), stages=TUNED)
    lost = (table["image_id"] == "slice_004") & (table["shots"] == 5)
    figure = figures.draw_before_after(table[~lost])
    figure.draw_without_rendering()
    (axis,) = figure.axes
    paired = [line.get_ydata() for line in axis.lines if len(line.get_ydata()) == len(TUNED)]
    kept = headline(table[(table["model"] == "vit_t") & (table["image_id"] != "slice_004")])
    expected = kept.pivot_table(index="image_id", columns="shots", values="dice").to_numpy()
    assert np.array(paired) == pytest.approx(expected)
    change = kept[kept["shots"] == 20]["dice"].mean() - kept[kept["shots"] == 0]["dice"].mean()
    assert f"20\n{marks.signed(change)}" in texts(figure)


def test_few_shot_draws_means_over_folds():
    table = score_table(targets=("brain",), prompts=("box",), stages=TUNED, folds=(0, 1))
    (axis,) = figures.draw_few_shot(table).axes
    (line,) = [line for line in axis.lines if line.get_marker() == "o"]
    rows = headline(table[table["model"] == "vit_t"])
    assert list(line.get_xdata()) == [0, 1, 5, 20]
    assert line.get_ydata() == pytest.approx([estimate(cell).value for _, cell in rows.groupby("shots")])


@pytest.mark.parametrize("name", sorted(ABOUT_TUNING))
def test_tuning_figures_need_both_sides(name):
    with pytest.raises(StudyError, match="no scored fine-tuned row"):
        FIGURES[name](score_table(n_images=2))
    table = score_table(n_images=2, stages=TUNED)
    with pytest.raises(StudyError, match="no scored zero-shot row"):
        FIGURES[name](table[(table["tuning"] != "none")])
    apart = table[(table["tuning"] == "none") == (table["image_id"] == "slice_000")]
    with pytest.raises(StudyError, match="both before and after"):
        FIGURES[name](apart)


def test_colours_are_fixed_and_distinct():
    assert palette.model_colours(["vit_b", "mine"])["vit_b"] == palette.model_colours(["vit_b"])["vit_b"]
    colours = palette.model_colours(["vit_t", "vit_b", "mine", "yours", "ellipse"])
    assert len(set(colours.values())) == 5
    assert len(set(palette.target_styles(ORGANS).values())) == 15
    assert set(palette.MASK_CHOICE_COLOURS) == set(palette.MASK_CHOICE_WORDS) == set(MASK_CHOICES)
    shown_together = [
        "point_center",
        "points_p5",
        "points_p5n5",
        "box",
        "box_jitter10",
        "box_point",
        "boxes_parts",
        "mask",
    ]
    assert len(set(palette.prompt_colours(shown_together).values())) == len(shown_together)


def test_caption_says_what_every_reader_is_owed():
    caption = figures.standard_caption(None, score_table())
    assert caption.startswith("mni152, split test: 45 objects in 15 images of 5 groups.")
    assert "simulated from the reference" in caption
    assert "oracle picks the candidate by the reference" in caption
    assert "not the paper's numbers" in caption
    assert "There are no intervals: fewer than 5 groups." in figures.standard_caption(
        None, score_table(n_images=3)
    )
    assert "simulated" in figures.standard_caption(None, score_table(n_images=0))


def test_saved_figures_are_the_same_bytes_twice(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMSTUDY_OUTPUTS", str(tmp_path / "outputs.txt"))
    table = score_table(targets=("brain",), n_images=3)
    for folder in ("one", "two"):
        written = figures.save_figure(
            figures.draw_scores(table), "scores", table=table, caption="Said.", folder=tmp_path / folder
        )
    assert [path.name for path in written] == ["scores.pdf", "scores.png", "scores.json"]
    for path in written[:2]:
        assert path.read_bytes() == (tmp_path / "one" / path.name).read_bytes()
    assert len((tmp_path / "outputs.txt").read_text().splitlines()) == 6
    sidecar = json.loads(written[2].read_text())
    assert sidecar["caption"] == "Said."
    assert sidecar["dataset"] == "mni152"
    assert sidecar["synthetic"] is False
    assert sidecar["n_rows"] == len(table)
    assert {"git_commit", "git_dirty", "command", "created_utc", "table_hash"} <= set(sidecar)
    assert figures.save_figure(plt.figure(), "empty", folder=tmp_path)[0].is_file()


def test_pdf_has_embedded_outline_fonts_and_no_time(tmp_path):
    pdf = figures.save_figure(figures.draw_skill(score_table(n_images=2)), "f", folder=tmp_path)[
        0
    ].read_bytes()
    assert b"/CreationDate" not in pdf
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf


def test_a_stem_is_a_file_name(tmp_path):
    for stem in ("", "a/b", "../up", ".hidden"):
        with pytest.raises(StudyError, match="no plain file name"):
            figures.save_figure(plt.figure(), stem, folder=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot write"):
        figures.save_figure(plt.figure(), "f", folder=tmp_path / "file")
