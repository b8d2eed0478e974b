"""Attributes of drawn objects, against what is known of their size, contrast and shape."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset

from samstudy.attributes import ATTRIBUTES, measure, measure_objects, measure_table
from samstudy.errors import StudyError

Y, X = np.mgrid[:100, :120]
DISC = (Y - 50) ** 2 + (X - 60) ** 2 <= 30**2
LINE = np.zeros_like(DISC)
LINE[50, 10:110] = True


def image_of(mask, inside=180, outside=80, noise=0.0):
    grey = np.where(mask, inside, outside) + np.random.default_rng(0).normal(0, noise, mask.shape)
    return np.repeat(np.clip(grey.round(), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_a_disc_is_large_compact_convex_and_one():
    found = measure(image_of(DISC), DISC)
    assert found["size_px"] == DISC.sum()
    assert found["size_percent"] == pytest.approx(100 * DISC.mean())
    assert found["boundary_px"] == pytest.approx(2 * np.pi * 30, rel=0.05)
    assert found["compactness"] > 0.9
    assert found["solidity"] > 0.96
    assert found["n_parts"] == 1


def test_a_line_is_not_compact_but_convex_and_its_ends_touch_no_border():
    found = measure(image_of(LINE), LINE)
    assert found["compactness"] < 0.2
    assert found["solidity"] == pytest.approx(1)
    assert measure(image_of(LINE.T), LINE.T)["solidity"] == pytest.approx(1)


def test_a_cross_fills_the_known_share_of_its_hull():
    cross = np.zeros((60, 60), bool)
    cross[20:40, :] = cross[:, 20:40] = True
    assert measure(image_of(cross), cross)["solidity"] == pytest.approx(2000 / (3600 - 4 * 200))


def test_parts_touching_at_a_corner_are_one():
    apart = np.zeros((20, 20), bool)
    apart[2:5, 2:5] = apart[5:8, 5:8] = apart[12:15, 12:15] = True
    assert measure(image_of(apart), apart)["n_parts"] == 2


def test_contrast_is_the_difference_in_units_of_the_noise():
    found = measure(image_of(DISC, 130, 110, noise=10), DISC)
    assert found["contrast"] == pytest.approx(2, rel=0.05)
    assert measure(image_of(DISC, 110, 130, noise=10), DISC)["contrast"] == pytest.approx(2, rel=0.05)
    assert measure(image_of(DISC, 110, 110), DISC)["contrast"] == 0
    assert np.isfinite(measure(image_of(DISC), DISC)["contrast"])


def test_the_ring_is_near_and_as_large_as_the_object():
    small = (Y - 50) ** 2 + (X - 60) ** 2 <= 8**2
    image = image_of(small, 100, 100)
    image[(Y - 50) ** 2 + (X - 60) ** 2 > 12**2] = 250
    assert measure(image, small)["contrast"] == 0
    image[(Y - 50) ** 2 + (X - 60) ** 2 > 10**2] = 250
    assert measure(image, small)["contrast"] > 0.5


def test_a_sharp_border_has_a_larger_gradient_than_a_soft_one():
    radius = np.hypot(Y - 50, X - 60)
    soft = np.repeat(np.clip(180 - 5 * (radius - 20), 80, 180).astype(np.uint8)[..., None], 3, axis=2)
    sharp = measure(image_of(DISC), DISC)["boundary_gradient"]
    assert sharp > 5 * measure(soft, DISC)["boundary_gradient"]


def test_only_valid_pixels_count():
    valid = X < 60
    found = measure(image_of(DISC), DISC, valid)
    assert found["size_px"] == (DISC & valid).sum()
    assert found["size_percent"] == pytest.approx(100 * (DISC & valid).sum() / valid.sum())


@pytest.mark.parametrize("mask", [np.ones((5, 7), bool), np.pad(np.ones((1, 1), bool), 3)])
def test_the_whole_image_and_a_single_pixel_are_measured(mask):
    found = measure(image_of(mask), mask)
    assert found["solidity"] == pytest.approx(1)
    assert 0 < found["compactness"] <= 1
    assert np.isnan(found["contrast"]) == mask.all()


def test_an_empty_mask_has_no_attributes():
    found = measure(image_of(DISC), np.zeros_like(DISC))
    assert list(found) == list(ATTRIBUTES)
    assert np.isnan(list(found.values())).all()


def test_sizes_that_differ_are_refused():
    with pytest.raises(StudyError, match="must be of one size"):
        measure(image_of(DISC), DISC[:50])
    with pytest.raises(StudyError, match="uint8"):
        measure(image_of(DISC).astype(float), DISC)


def test_every_object_of_a_data_set_has_a_row():
    dataset = DrawnDataset()
    table = measure_objects(dataset, dataset.ids("all"), progress=False)
    assert list(table) == ["dataset", "image_id", "group_id", "object_id", "target", *ATTRIBUTES]
    assert not table.duplicated(["image_id", "object_id"]).any()
    assert (table["size_px"] > 0).all()
    assert measure_objects(dataset, [], progress=False).empty
    of_scores = pd.DataFrame(
        {"dataset": ["drawn", "drawn", "other"], "image_id": ["page1", "page1", "page2"]}
    )
    assert set(measure_table([dataset], of_scores, progress=False)["image_id"]) == {"page1"}
    assert list(measure_table([], of_scores, progress=False)) == list(table)
