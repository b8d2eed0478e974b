"""Vessels as vessels: calibre of known lines, recall taken apart by it, and what counts as tubular."""

import numpy as np
import pytest

from samstudy.metrics import score
from samstudy.vessels import CALIBRES_PX, by_calibre, calibre_px, is_tubular

RECALLS = [f"recall_{name}" for name in CALIBRES_PX]


def vessels() -> np.ndarray:
    """Three bars 1, 5 and 11 pixels wide."""
    mask = np.zeros((60, 90), bool)
    mask[5, 5:85] = mask[20:25, 5:85] = mask[40:51, 5:85] = True
    return mask


@pytest.mark.parametrize(("width", "calibre"), [(1, 2), (2, 2), (3, 4), (5, 6), (11, 12)])
def test_calibre_of_a_bar(width, calibre):
    bar = np.zeros((40, 90), bool)
    bar[10 : 10 + width, 5:85] = True
    found = calibre_px(bar)
    assert set(np.unique(found[:, 30:60])) == {0, calibre}
    assert np.array_equal(found > 0, bar)


def test_calibre_at_the_edge_of_the_image_is_as_inside():
    bar = np.zeros((40, 90), bool)
    bar[0:5] = True
    assert set(calibre_px(bar)[0:5, 30:60].ravel()) == {6}


def test_parts_share_no_pixel_and_are_the_mask():
    mask = vessels()
    parts = by_calibre(mask)
    assert list(parts) == ["thin", "medium", "thick"]
    assert np.array_equal(sum(part.astype(int) for part in parts.values()), mask)
    for part, rows in zip(parts.values(), (np.s_[5:6], np.s_[20:25], np.s_[40:51]), strict=True):
        assert part[rows, 30:60].all()
    assert not any(part.any() for part in by_calibre(mask & False).values())


def test_recall_is_of_its_own_calibre_and_sums_to_the_whole():
    reference = vessels()
    found = reference.copy()
    found[5] = False
    found[:, :45] = False
    values = score(reference, found, metrics=RECALLS)
    assert values["recall_thin"] < 0.02
    assert values["recall_medium"] == pytest.approx(0.5, abs=0.01)
    n_px = np.array([part.sum() for part in by_calibre(reference).values()])
    whole = np.count_nonzero(found & reference) / np.count_nonzero(reference)
    assert np.dot(list(values.values()), n_px) / n_px.sum() == pytest.approx(whole)


def test_recall_does_not_punish_what_is_added():
    assert list(score(vessels(), np.ones((60, 90), bool), metrics=RECALLS).values()) == [1, 1, 1]


def test_recall_of_what_is_not_there_is_no_number():
    only_thin = vessels()
    only_thin[10:] = False
    empty = only_thin & False
    for mask in (only_thin, empty):
        values = score(only_thin, mask, metrics=RECALLS)
        assert values["recall_thin"] == float(mask.any())
        assert np.isnan([values["recall_medium"], values["recall_thick"]]).all()
    assert np.isnan(list(score(empty, only_thin, metrics=RECALLS).values())).all()


def test_tubular_is_long_for_its_thickness():
    y, x = np.ogrid[:200, :200]
    disc = (y - 100) ** 2 + (x - 100) ** 2 <= 60**2
    ellipse = ((y - 100) / 10) ** 2 + ((x - 100) / 90) ** 2 <= 1
    line = np.zeros((200, 200), bool)
    line[99:102, 5:195] = True
    found = [is_tubular(mask) for mask in (disc, ellipse, line, line | line.T, disc & False)]
    assert found == [False, False, True, True, False]
