"""The no-image baseline draws what the prompt alone gives away."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drawn import DrawnDataset

from samstudy.baselines import FALLBACK_AREA_FRACTION, EllipseModel, inscribed_ellipse
from samstudy.prompts import make_prompt
from samstudy.seeds import rng_for
from samstudy.types import Prompt


def test_a_one_pixel_box_is_that_pixel():
    mask = inscribed_ellipse(np.array([3, 2, 3, 2]), (6, 8))
    assert mask.sum() == 1
    assert mask[2, 3]


def test_the_ellipse_fills_pi_quarters_of_its_box_and_touches_its_sides():
    mask = inscribed_ellipse(np.array([10, 20, 109, 69]), (200, 200))
    assert mask.sum() == pytest.approx(math.pi / 4 * 100 * 50, rel=0.01)
    rows, columns = np.nonzero(mask)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (10, 20, 109, 69)


def test_points_give_a_disc_of_the_median_training_size():
    dataset, model = DrawnDataset(), EllipseModel()
    model.prepare(dataset)
    areas = [dataset.load(i).labels["disc"].mean() for i in dataset.ids("train")]
    sample = dataset.load(dataset.ids("test")[0])
    prompt = make_prompt("point_center", sample.labels["disc"], rng_for(0)).for_target("disc")
    prediction = model.predict(model.embed(sample.image), [prompt])[0]
    assert prediction.masks.shape == (1, 40, 56)
    assert np.isnan(prediction.iou_pred).all()
    assert prediction.masks.mean() == pytest.approx(np.median(areas), rel=0.05)


def test_an_unknown_target_falls_back_and_no_positive_point_gives_nothing():
    model = EllipseModel()
    embedding = model.embed(np.zeros((100, 100, 3), np.uint8))
    point = Prompt(np.array([[50, 50]], np.float32), np.array([1]), target="new")
    negative = Prompt(np.array([[50, 50]], np.float32), np.array([0]), target="new")
    disc, nothing = model.predict(embedding, [point, negative])
    assert disc.masks.mean() == pytest.approx(FALLBACK_AREA_FRACTION, rel=0.05)
    assert not nothing.masks.any()


def test_parts_are_united():
    boxes = [Prompt(box_xyxy=np.array([x, 5, x + 9, 14], np.float32)) for x in (5, 40)]
    model = EllipseModel()
    united = model.predict(model.embed(np.zeros((60, 60, 3), np.uint8)), [Prompt(parts=tuple(boxes))])[0]
    assert united.masks[0].sum() == 2 * inscribed_ellipse(boxes[0].box_xyxy, (60, 60)).sum()


def test_unreadable_training_images_are_passed_over():
    model = EllipseModel()
    model.prepare(DrawnDataset(broken=(0,)))
    assert set(model.area_fraction) == {"disc", "dot"}
