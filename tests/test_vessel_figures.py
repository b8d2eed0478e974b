"""Long thin targets before and after fine-tuning: the picture pixel by pixel, the figure, the table, the sentence."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from pypdf import PdfReader

from samstudy import figures, tubular
from samstudy.baselines import EllipseModel
from samstudy.datasets import DatasetInfo
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.figures import vessels
from samstudy.inference import Embedding
from samstudy.statistics import estimate, headline, paired_gain
from samstudy.types import Prediction, Sample
from samstudy.vessels import by_calibre

pytestmark = pytest.mark.filterwarnings("error")

N_IMAGES, SIZE_HW = 6, (150, 200)
PALE, DARK = 150, 90


class Threads:
    """Images of dark lines of three calibres in a round field; the thin ones are paler and meet in one corner."""

    default_split = "test"
    options_text = ""

    def __init__(self, size_hw=SIZE_HW, spacing_mm=None, blobs=False):
        names = {"name": "threads", "title": "Drawn threads", "modality": "none", "licence": ""}
        names |= {"targets": ("vessels", "blob") if blobs else ("vessels",), "citation": "", "how_to_get": ""}
        self.info = DatasetInfo(**names, synthetic=True, group_noun="image")
        self.size_hw, self.spacing_mm, self.blobs = size_hw, spacing_mm, blobs

    def ids(self, split=None):
        return [f"image_{i}" for i in range(N_IMAGES)]

    def split_of(self, image_id):
        return "test"

    group_of = staticmethod(str)

    def load(self, image_id):
        i, (height, width) = int(image_id.split("_")[1]), self.size_hw
        rows, columns = np.ogrid[:height, :width]
        valid = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (0.48 * height) ** 2
        thin, thick = np.zeros(self.size_hw, bool), np.zeros(self.size_hw, bool)
        thick[height // 2 : height // 2 + 9 + i] = True
        thick[:, width // 2 : width // 2 + 5] = True
        thin[height // 4 : height // 2 - 12 : 8, width // 2 + 12 : width // 2 + 45] = True
        image = np.random.default_rng(i).integers(200, 210, (height, width, 3)).astype(np.uint8)
        image[thin], image[thick] = PALE, DARK
        labels = {"vessels": thin | thick}
        if self.blobs:
            labels["blob"] = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < 900
        return Sample(image_id, image_id, image, labels, self.spacing_mm, valid)


@dataclass
class Darker:
    """A model that calls everything darker than a grey a vessel; with 255 that is everything."""

    below: int
    tuning: str = "none"
    shots: int = 0
    fold: int = 0
    name: str = "darker"
    encoder_sha: str = ""
    uses_image: bool = True
    image_size: int = 64

    @property
    def weights_sha(self):
        return f"{self.tuning} {self.below}"

    def prepare(self, dataset):
        pass

    def embed(self, image):
        return Embedding(torch.from_numpy(image.copy()), image.shape[:2], image.shape[:2])

    def predict(self, embedding, prompts):
        mask = embedding.features.numpy()[..., 1] < self.below
        masks = np.repeat(mask[None], 4, axis=0)
        return [Prediction(masks, np.full(4, 0.5, np.float32)) for _ in prompts]


ZERO_SHOT = Darker(255)
MODELS = [ZERO_SHOT, Darker(10, "decoder", 1), Darker(120, "decoder", 10), Darker(130, "decoder", 10, fold=1)]


def scores(dataset, models=MODELS, prompts=("box", "automatic")):
    return evaluate(dataset, [*models, EllipseModel()], list(prompts), cache=False, progress=False)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def table():
    return scores(Threads())


def pictures(figure):
    """Arrays shown in the panels, row by row; each panel holds one picture."""
    return [image.get_array() for axis in figure.axes for image in axis.images]


def share(picture, colour):
    return (picture == np.round(255 * np.array(to_rgb(colour)))).all(axis=-1).sum()


def test_the_answers_are_painted_pixel_by_pixel(table):
    figure = figures.draw_vessels(Threads(), table, MODELS)
    image, before, after, image_part, before_part, after_part = pictures(figure)
    assert image.shape == before.shape == after.shape == (*SIZE_HW, 3)
    assert image_part.shape == before_part.shape == after_part.shape == (64, 64, 3)
    drawn = Threads().load(figure.axes[0].get_title())
    assert (image == drawn.image).all()
    reference = drawn.labels["vessels"] & drawn.valid
    assert share(before, vessels.FOUND) == reference.sum()
    assert share(before, vessels.WRONG) == (drawn.valid & ~reference).sum()
    pale = reference & (drawn.image[..., 1] == PALE)
    assert share(after, vessels.MISSED) == pale.sum()
    assert share(after, vessels.FOUND) == reference.sum() - pale.sum()
    assert share(after, vessels.OUTSIDE) == (~drawn.valid).sum()
    assert {image.get_interpolation() for axis in figure.axes for image in axis.images} == {"none"}


def test_the_image_is_the_median_after_tuning_on_most_images(table):
    titles = [axis.get_title() for axis in figures.draw_vessels(Threads(), table, MODELS).axes]
    chosen = table["prompt"].eq("automatic") & table["model"].eq("darker")
    rows = headline(table[chosen & table["fold"].eq(0)]).set_index(["image_id", "shots"])
    of_most = rows.xs(10, level="shots")["dice"]
    ranked = list(of_most.sort_values().index)
    assert titles[0] in ranked[2:4]
    for shots, title in ((0, titles[1]), (10, titles[2])):
        row = rows.loc[titles[0], shots]
        assert f"Dice {row['dice']:.2f}, clDice {row['cldice']:.2f}" in title
    assert titles[1].startswith("zero-shot")
    assert titles[2].startswith("tuned on 10 images")


def test_the_window_holds_most_pixels():
    mask = np.zeros((60, 90), bool)
    mask[5:9, 5:25] = mask[40:58:3, 60:80] = True
    rows, columns = vessels.fullest_window(mask, 24)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (24, 24)
    most = max(mask[top : top + 24, left : left + 24].sum() for top in range(37) for left in range(67))
    assert mask[rows, columns].sum() == most == 120
    assert vessels.fullest_window(mask, 500) == (slice(0, 60), slice(0, 90))
    assert vessels.fullest_window(np.zeros((9, 9), bool), 4) == (slice(0, 4), slice(0, 4))


def test_thin_pixels_found_are_counted_below_the_window(table):
    below = [axis.get_xlabel() for axis in figures.draw_vessels(Threads(), table, MODELS).axes]
    assert below[3] == "64 x 64 px"
    found, of = below[4].removesuffix(" thin pixels found").split(" of ")
    assert found == of
    thin = by_calibre(Threads().load("image_0").labels["vessels"])["thin"]
    assert 0.5 * thin.sum() < int(of) <= thin.sum()
    assert below[5] == f"0 of {of} thin pixels found"


def test_the_pdf_holds_every_pixel_and_is_small(table, tmp_path):
    # the scores are those of smaller images: thinning these takes minutes, and only their pixels are looked at
    for size_hw, whole in (((584, 565), (565, 584)), ((1500, 1200), (800, 1000))):
        dataset = Threads(size_hw)
        figure = figures.draw_vessels(dataset, table, MODELS)
        pdf = figures.save_figure(figure, "vessels", table=table, dataset=dataset, folder=tmp_path)[0]
        objects = [one.get_object() for one in PdfReader(pdf).pages[0]["/Resources"]["/XObject"].values()]
        sizes = [(one["/Width"], one["/Height"]) for one in objects if one["/Subtype"] == "/Image"]
        side = min(round(max(size_hw) / 5), 128)
        assert sorted(sizes) == sorted([whole] * 3 + [(side, side)] * 3)
        assert pdf.stat().st_size < 3e6


def test_a_prompt_is_shown_and_a_scale_bar_where_there_is_a_spacing():
    dataset = Threads(spacing_mm=(0.5, 0.5))
    rows = scores(dataset, prompts=["box"])
    figure = figures.draw_vessels(dataset, rows, MODELS, width_in=figures.SINGLE_COLUMN_IN)
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["found", "missed", "wrong", "not scored", "field of view", "box"]
    assert any("mm" in text.get_text() for axis in figure.axes[::3] for text in axis.texts)
    alone = figures.draw_vessels(Threads(), scores(Threads()), MODELS)
    assert "box" not in [text.get_text() for text in alone.legends[0].get_texts()]


def test_pictures_that_cannot_be_drawn_are_one_sentence(table):
    dataset = Threads()
    with pytest.raises(StudyError, match=r"lacks the model .darker. .tuning decoder, 10 shots, fold 0"):
        figures.draw_vessels(dataset, table, [ZERO_SHOT])
    with pytest.raises(StudyError, match="did you mean 'vessels'"):
        figures.draw_vessels(dataset, table, MODELS, target="vesels")
    with pytest.raises(StudyError, match="unknown prompt of this table 'boxx'"):
        figures.draw_vessels(dataset, table, MODELS, prompt="boxx")
    with pytest.raises(StudyError, match="no scored fine-tuned row"):
        figures.draw_vessels(dataset, table[table["tuning"] == "none"], MODELS)
    with pytest.raises(StudyError, match="no scored row of dataset 'threads'"):
        figures.draw_vessels(dataset, table.assign(dataset="other"), MODELS)
    for draw in (lambda rows: figures.draw_vessels(dataset, rows, MODELS), figures.draw_calibres):
        with pytest.raises(StudyError, match=r"no target.* long and thin"):
            draw(table.assign(cldice=np.nan))


def test_targets_are_tubular_where_half_of_their_objects_have_a_cldice(table):
    assert tubular.tubular_targets(scores(Threads(blobs=True))) == [("threads", "vessels")]
    images = table["image_id"]
    for lost, expected in (("image_2", [("threads", "vessels")]), ("image_3", [])):
        rows = table.assign(cldice=table["cldice"].mask(images <= lost))
        assert tubular.tubular_targets(rows) == expected
        kept = tubular.tubular_rows(rows.assign(status=rows["status"].mask(images == "image_0", "error")))
        assert set(kept["image_id"]) == (
            set(images[(images > lost) | (images == "image_0")]) if expected else set()
        )


def test_precision_follows_from_dice_and_the_sizes(table):
    rows = table[table["prompt"] == "automatic"].drop_duplicates(
        ["image_id", "model", "tuning", "shots", "fold"]
    )
    found = tubular.precision(rows)
    for row, value in zip(rows.itertuples(), found, strict=True):
        sample = Threads().load(row.image_id)
        reference = sample.labels["vessels"] & sample.valid
        if row.model == "darker":
            mask = (sample.image[..., 1] < int(row.weights_sha.split()[1])) & sample.valid
            expected = (mask & reference).sum() / mask.sum() if mask.any() else 0
            assert value == pytest.approx(expected)
    assert (found[rows["shots"] == 1] == 0).all()
    lost = rows.assign(dice=np.nan, n_pred_px=pd.NA)
    assert tubular.precision(lost).isna().all()


def test_the_table_has_each_measure_before_and_after(table):
    gains = tubular.vessel_gains(table, n_boot=200)
    is_sam = table["model"] == "darker"
    before, after = (table[is_sam & ((table["tuning"] == "none") == first)] for first in (True, False))
    for measure in ("dice", "cldice", "recall_thin"):
        expected = paired_gain(before, after, metric=measure, n_boot=200)
        found = gains[gains["metric"] == measure].reset_index(drop=True)
        pd.testing.assert_frame_equal(found[expected.columns], expected)
    alone = gains[(gains["prompt"] == "automatic") & (gains["shots"] == 10)].set_index("metric")
    assert list(alone.index) == list(tubular.MEASURES)
    assert alone.loc["recall_thin", ["before", "after"]].tolist() == [1, pytest.approx(0, abs=0.2)]
    assert alone.loc["precision", "after"] == 1
    assert alone.loc["precision", "ci_low"] > 0.5


def test_a_calibre_that_no_object_has_has_no_rows_and_no_mark(table):
    rows = table.assign(recall_thick=np.nan)
    assert "recall_thick" not in set(tubular.vessel_gains(rows, n_boot=20)["metric"])
    assert "thick" not in tubular.say_vessels(tubular.vessel_gains(rows, n_boot=20))
    figures.draw_calibres(rows).draw_without_rendering()


def test_no_long_thin_target_is_an_empty_table_and_one_sentence(table):
    gains = tubular.vessel_gains(table.assign(cldice=np.nan))
    assert gains.empty
    assert tubular.say_vessels(gains) == "No target of this run is long and thin."
    with pytest.raises(StudyError, match="no rows"):
        tubular.vessel_gains(table.iloc[:0])
    with pytest.raises(StudyError, match="unknown column 'n_pred_px'"):
        tubular.vessel_gains(table.drop(columns="n_pred_px"))


def test_the_sentence_reads_the_table(table):
    gains = tubular.vessel_gains(table, n_boot=200)
    said = tubular.say_vessels(gains)
    most = gains[gains["shots"] == 10].set_index(["prompt", "metric"])
    row = most.loc["automatic", "dice"]
    assert f"tuned on 10 image(s), mean Dice goes from {row['before']:.2f} to {row['after']:.2f}" in said
    assert f"{row['gain']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}] over {N_IMAGES} objects" in said
    row = most.loc["automatic", "recall_thin"]
    assert f"recall of thin parts {row['before']:.2f} to {row['after']:.2f}" in said
    row = most.loc["box", "dice"]
    assert f"`box` {row['before']:.2f} to {row['after']:.2f}" in said
    prompted = gains[gains["prompt"] == "box"]
    assert "no model was tuned to answer without a prompt. With a prompt" in tubular.say_vessels(prompted)


def test_the_figure_shows_the_means_of_the_most_images(table):
    axis = figures.draw_calibres(table).axes[1]
    assert "automatic" in axis.get_title()
    assert f"(n\xa0=\xa0{N_IMAGES})" in axis.get_title()
    marks = [line.get_xydata()[0] for line in axis.lines if line.get_marker() == "o"]
    is_alone = (table["model"] == "darker") & (table["prompt"] == "automatic")
    rows = headline(table[is_alone])
    for at, measure in enumerate(tubular.MEASURES):
        pair = [
            estimate(*tubular.as_metric(rows[rows["shots"] == shots], measure)).value for shots in (0, 10)
        ]
        drawn = sorted((x, y) for x, y in marks if abs(x - at) < 0.5)
        assert [y for _, y in drawn] == pytest.approx(pair)


def test_real_vessels_are_drawn_at_full_resolution(samples_dir):
    from samstudy.datasets.drive import Drive

    dataset = Drive(samples_dir / "DRIVE")
    models = [ZERO_SHOT, Darker(90, "decoder", 10)]
    rows = evaluate(dataset, models, ["automatic"], limit=3, cache=False, progress=False)
    figure = figures.draw_vessels(dataset, rows, models)
    assert [picture.shape for picture in pictures(figure)] == [(584, 565, 3)] * 3 + [(117, 117, 3)] * 3
