"""Otsu's threshold and the cut to what a prompt tells: known pictures have known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset

from samstudy.evaluation import evaluate
from samstudy.models import load_model
from samstudy.otsu import foreground
from samstudy.statistics import headline, skill, summarise
from samstudy.told import as_told, box_slices
from samstudy.types import AUTOMATIC, Prompt

SIZE = (40, 60)


def box(*xyxy):
    return Prompt(box_xyxy=np.array(xyxy, np.float32))


def points(*xy, labels=None):
    return Prompt(np.array(xy, np.float32), np.array(labels or [1] * len(xy)))


@pytest.fixture
def two_discs():
    """Two bright discs, of radius 8 and 5, on dark ground."""
    y, x = np.ogrid[: SIZE[0], : SIZE[1]]
    return [(y - cy) ** 2 + (x - cx) ** 2 <= r * r for cy, cx, r in ((20, 15, 8), (20, 45, 5))]


def answer(image, prompt):
    model = load_model("otsu")
    (prediction,) = model.predict(model.embed(image), [prompt])
    assert prediction.masks.shape == (1, *image.shape[:2])
    assert np.isnan(prediction.iou_pred).all()
    return prediction.masks[0]


@pytest.mark.parametrize("inverted", [False, True])
def test_what_fills_the_middle_of_the_box_is_foreground_bright_or_dark(two_discs, inverted):
    image = (
        np.where((two_discs[0] | two_discs[1])[..., None] ^ inverted, 200, 20).astype(np.uint8).repeat(3, 2)
    )
    assert (answer(image, box(6, 11, 24, 29)) == two_discs[0]).all()
    assert (answer(image, points((15, 20))) == two_discs[0]).all()
    assert (answer(image, points((15, 20), (45, 20))) == two_discs[0] | two_discs[1]).all()
    united = Prompt(parts=(box(6, 11, 24, 29), box(39, 14, 51, 26)))
    assert (answer(image, united) == two_discs[0] | two_discs[1]).all()


def test_a_point_chooses_the_side_it_lies_on_and_no_positive_point_chooses_nothing(two_discs):
    image = np.where(two_discs[0][..., None], 200, 20).astype(np.uint8).repeat(3, 2)
    assert (answer(image, points((55, 5))) == ~two_discs[0]).all()
    assert not answer(image, points((15, 20), labels=[0])).any()


def test_the_whole_image_is_the_box_of_no_prompt(two_discs):
    image = np.where(two_discs[0][..., None], 200, 20).astype(np.uint8).repeat(3, 2)
    whole = answer(image, box(0, 0, SIZE[1] - 1, SIZE[0] - 1))
    assert (answer(image, Prompt(points_per_side=8)) == whole).all()


def test_flat_and_tiny_crops_are_all_foreground():
    assert foreground(np.zeros((7, 9), np.float32)).all()
    assert foreground(np.array([[3.0]], np.float32)).all()
    assert foreground(np.array([[1, 2], [2, 1]], np.float32)).sum() == 2


def test_a_mask_is_cut_to_what_a_prompt_tells(two_discs):
    mask = two_discs[0] | two_discs[1]
    assert (as_told(mask, box(0, 0, 29, 39)) == two_discs[0]).all()
    assert (as_told(mask, points((45, 20))) == two_discs[1]).all()
    assert not as_told(mask, points((30, 2))).any()
    both = Prompt(np.array([[45, 20]], np.float32), np.array([1]), np.array([0, 0, 59, 39], np.float32))
    assert (as_told(mask, both) == two_discs[1]).all()
    missed = Prompt(np.array([[30, 2]], np.float32), np.array([1]), np.array([0, 0, 29, 39], np.float32))
    assert (as_told(mask, missed) == two_discs[0]).all()
    assert (as_told(mask, Prompt(points_per_side=8)) == mask).all()


def test_a_box_holds_its_last_pixels_and_stays_in_the_image():
    rows, columns = box_slices(np.array([3, 2, 5, 2]), SIZE)
    assert (rows, columns) == (slice(2, 3), slice(3, 6))
    rows, columns = box_slices(np.array([-9, 30, 90, 70]), SIZE)
    assert (rows, columns) == (slice(30, 40), slice(0, 60))


def test_it_is_a_model_of_its_own_in_tables_and_statistics(tiny_model):
    table = evaluate(
        DrawnDataset(), [tiny_model, "otsu", "ellipse"], ["box", "point_center", AUTOMATIC], progress=False
    )
    of_otsu = table[table["model"] == "otsu"]
    assert set(of_otsu["mask_choice"]) == {"single"}
    assert set(of_otsu["status"]) <= {"ok", "pred_empty"}
    assert of_otsu.loc[(of_otsu["target"] == "disc") & (of_otsu["prompt"] == "box"), "dice"].min() > 0.9
    assert len(headline(table)[lambda rows: rows["model"] == "otsu"]) == len(of_otsu)
    assert {"tiny", "otsu"} == set(skill(table)["model"])
    assert isinstance(summarise(headline(table)), pd.DataFrame)
