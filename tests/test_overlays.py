"""Overlays: what is drawn is the object, prompt and mask that were scored; the rule that picks them."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from samstudy import figures
from samstudy.baselines import EllipseModel
from samstudy.datasets import DatasetInfo
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.figures import palette, panel
from samstudy.figures.overlays import pick_objects, zoom_window
from samstudy.prompts import make_prompt
from samstudy.types import Prompt, Sample

pytestmark = pytest.mark.filterwarnings("error")


def disc(center_rc, radius, size_hw=(96, 80)):
    rows, columns = np.ogrid[: size_hw[0], : size_hw[1]]
    return (rows - center_rc[0]) ** 2 + (columns - center_rc[1]) ** 2 <= radius**2


class Drawn:
    """A data set of drawn discs: a large target, a small one, and one that is in the first image only."""

    default_split = "test"
    options_text = ""

    def __init__(self, n_images=4, targets=("organ", "spot", "rare"), synthetic=True):
        info = {
            "name": "drawn",
            "title": "Drawn discs",
            "modality": "none",
            "targets": targets,
            "licence": "",
        }
        self.info = DatasetInfo(**info, citation="", how_to_get="", synthetic=synthetic, group_noun="image")
        self.targets, self.n_images = targets, n_images

    def ids(self, split=None):
        return [] if split == "train" else [f"image_{i}" for i in range(self.n_images)]

    def split_of(self, image_id):
        return "test"

    group_of = staticmethod(str)

    def load(self, image_id):
        i = int(image_id.split("_")[1])
        labels = {
            name: disc((40 + i, 30 + k), 25 if k == 0 else 3 + i) & (k < 2 or i == 0)
            for k, name in enumerate(self.targets)
        }
        image = np.random.default_rng(i).integers(0, 256, (96, 80, 3), np.uint8)
        return Sample(image_id, image_id, image, labels, spacing_mm=(1.0, 0.5))


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def scored():
    dataset, model = Drawn(), EllipseModel()
    table = evaluate(dataset, [model], ["box", "boxes_parts"], cache=False, progress=False)
    return dataset, model, table


def rows_of(*scores):
    names = [f"image_{i}" for i in range(len(scores))]
    return pd.DataFrame({"image_id": names, "object_id": "x", "dice": scores})


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.1, 0.9, 0.5), {"best": 1, "median": 2, "worst": 0}),
        ((0.5, 0.5, 0.5), {"best": 0, "median": 1, "worst": 2}),
        ((0.2, 0.4, 0.6, 0.8), {"best": 3, "median": 1, "worst": 0}),
        ((0.2, np.nan, 0.8), {"best": 2, "worst": 0}),
        ((0.2,), {"only": 0}),
        ((np.nan,), {}),
    ],
)
def test_best_median_and_worst_are_picked_by_rule(scores, expected):
    picked = pick_objects(rows_of(*scores).sample(frac=1, random_state=0))
    assert {rank: row["image_id"] for rank, row in picked.items()} == {
        k: f"image_{v}" for k, v in expected.items()
    }
    assert list(picked) == list(expected)


def test_overlays_show_the_scores_of_the_table(scored):
    dataset, model, table = scored
    figure = figures.draw_overlays(dataset, table, model, "box")
    figure.draw_without_rendering()
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    organ = table[(table["target"] == "organ") & (table["prompt"] == "box")]["dice"]
    assert titles[0] == f"best: Dice {organ.max():.2f}"
    assert titles[2] == f"worst: Dice {organ.min():.2f}"
    assert titles[-1].startswith("only: Dice")
    assert [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()] == [
        "organ\nn = 4",
        "spot\nn = 4",
        "rare\nn = 1",
    ]
    assert any("PHANTOM" in text.get_text() for text in figure.texts)


def test_small_objects_are_magnified_with_an_inset(scored):
    dataset, model, table = scored
    figure = figures.draw_overlays(dataset, table, model, "boxes_parts")
    organ, spot = figure.axes[0], figure.axes[3]
    assert np.ptp(organ.get_xlim()) == 80
    assert np.ptp(spot.get_xlim()) < 40
    assert len(spot.child_axes) == 1
    assert not organ.child_axes


def test_many_targets_share_rows():
    names = tuple(f"a_long_name_of_target_number_{i}" for i in range(15))
    dataset, model = Drawn(1, names), EllipseModel()
    table = evaluate(dataset, [model], ["box"], cache=False, progress=False)
    figure = figures.draw_overlays(dataset, table, model, "box")
    figure.draw_without_rendering()
    assert figure.get_size_inches()[1] < figures.common.PAGE_HEIGHT_IN
    labels = [axis.yaxis.label.get_window_extent() for axis in figure.axes if axis.get_ylabel()]
    assert len(labels) == 15
    assert not any(a.overlaps(b) for i, a in enumerate(labels) for b in labels[:i])


def test_overlays_refuse_another_model_prompt_or_seed(scored):
    dataset, model, table = scored
    with pytest.raises(StudyError, match="unknown prompt of this table 'boxx'; did you mean 'box'"):
        figures.draw_overlays(dataset, table, model, "boxx")
    with pytest.raises(StudyError, match="no scored row of dataset 'drawn', model 'vit_b'"):
        other = SimpleNamespace(name="vit_b", tuning="none", shots=0, fold=0)
        figures.draw_overlays(dataset, table, other, "box")
    with pytest.raises(StudyError, match="base seed 7"):
        figures.draw_overlays(dataset, table, model, "box", seed=7)
    with pytest.raises(StudyError, match="mask choice 'oracle'"):
        figures.draw_overlays(dataset, table, model, "box", "oracle")
    with pytest.raises(StudyError, match="without rows"):
        figures.draw_overlays(dataset, table.iloc[:0], model, "box")


def test_zoom_keeps_the_prompt_in_view_and_stays_in_the_image():
    mask = disc((5, 5), 3)
    prompt = Prompt(points_xy=np.array([[20, 9]], np.float32), point_labels=np.zeros(1, np.int64))
    left, top, right, bottom = zoom_window(mask, prompt)
    assert left <= 0 < 20 < right
    assert left >= -0.5
    assert -0.5 <= top < 2 < 9 < bottom
    assert right - left == bottom - top
    assert zoom_window(disc((40, 40), 30), prompt) is None
    assert zoom_window(np.zeros((96, 80), bool), Prompt()) is None


@pytest.mark.parametrize("mode", ["point_center", "points_p5n5", "box", "box_point", "boxes_parts"])
def test_overlay_draws_what_it_is_given(mode):
    mask = disc((40, 40), 10) | disc((80, 70), 5)
    image = np.zeros((96, 80, 3), np.uint8)
    prompt = make_prompt(mode, mask, np.random.default_rng(0))
    figure = figures.draw_overlay(image, mask, disc((45, 40), 12), prompt, "title")
    figure.draw_without_rendering()
    (axis,) = figure.axes
    points_xy = np.concatenate([line.get_xydata() for line in axis.lines] or [np.zeros((0, 2))])
    assert sorted(map(tuple, points_xy)) == sorted(map(tuple, prompt.points_xy.astype(float)))
    boxes = [part for part in (prompt, *prompt.parts) if part.box_xyxy is not None]
    assert len(axis.patches) == len(boxes)
    outlines = [part for part in axis.collections if isinstance(part, LineCollection)]
    assert [len(part.get_segments()) for part in outlines] == [1, 2]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("negative point" in labels) == (mode == "points_p5n5")
    assert ("box" in labels) == ("box" in mode)


def test_overlay_stands_empty_full_and_one_pixel_masks():
    image, one = np.zeros((5, 7, 3), np.uint8), np.zeros((5, 7), bool)
    one[2, 3] = True
    for mask in (np.zeros((5, 7), bool), np.ones((5, 7), bool), one):
        figures.draw_overlay(image, mask, mask).canvas.draw()
    assert len(panel.outlines_xy(np.ones((5, 7), bool))) == 1
    assert panel.outlines_xy(one)[0].mean(axis=0) == pytest.approx([3, 2], abs=0.2)


def test_overlay_draws_into_a_given_panel():
    figure, axes = plt.subplots(1, 2)
    assert figures.draw_overlay(np.zeros((5, 7, 3), np.uint8), ax=axes[1]) is figure
    assert axes[1].images
    assert not figure.legends


def test_overlay_refuses_other_sizes_and_types():
    image = np.zeros((5, 7, 3), np.uint8)
    with pytest.raises(StudyError, match="the prediction is 7 x 5 pixels but the image is 5 x 7"):
        figures.draw_overlay(image, mask=np.zeros((7, 5), bool))
    with pytest.raises(StudyError, match="uint8"):
        figures.draw_overlay(image.astype(float))
    with pytest.raises(StudyError, match="the reference has dtype"):
        figures.draw_overlay(image, np.zeros((5, 7)))


def test_samples_have_outlines_legend_and_scale_bar():
    dataset = Drawn(5)
    figure = figures.draw_samples(dataset, dataset.ids(), n_columns=3)
    figure.draw_without_rendering()
    assert [axis.get_title() for axis in figure.axes][:5] == dataset.ids()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["organ", "spot", "rare"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["10 mm"]
    (bar,) = figure.axes[0].lines
    assert np.ptp(bar.get_xdata()) == pytest.approx(20)
    colours = palette.target_styles(dataset.targets)
    assert colours["organ"] == palette.target_styles(("organ",))["organ"]


def test_samples_need_an_image():
    with pytest.raises(StudyError, match="at least one image_id"):
        figures.draw_samples(Drawn(), [])
    with pytest.raises(StudyError, match="one column"):
        figures.draw_samples(Drawn(), ["image_0"], n_columns=0)
