"""Prompts moved to where the target is not: away from it, of the same size, inside what counts; or no room."""

from __future__ import annotations

import numpy as np
import pytest

from samstudy.errors import StudyError
from samstudy.places import LEAST_DISTANCE, MOST_OVERLAP, movable_modes, places
from samstudy.prompts import PROMPTS
from samstudy.seeds import rng_for


def disc(row=30, column=30, radius=8, size_hw=(80, 100)):
    y, x = np.ogrid[: size_hw[0], : size_hw[1]]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def moved(mode, reference, target=None, valid=None, count=20):
    target = reference if target is None else target
    prompt = PROMPTS[mode](reference, rng_for(0, "prompt"))
    return prompt, places(prompt, reference, target, valid, rng_for(0, "places"), count)


def window(box_xyxy):
    left, top, right, bottom = (*np.floor(box_xyxy[:2]).astype(int), *np.ceil(box_xyxy[2:]).astype(int))
    return slice(top, bottom + 1), slice(left, right + 1)


@pytest.mark.parametrize("mode", ["box", "box_jitter20", "box_enlarge10"])
def test_a_moved_box_keeps_its_size_and_holds_none_of_any_instance(mode):
    reference, other = disc(), disc(30, 70)
    valid = disc(40, 50, 46)
    prompt, found = moved(mode, reference, reference | other, valid)
    assert len(found) == 20
    for place in found:
        box = place.prompt.box_xyxy
        assert np.diff(box.reshape(2, 2), axis=0) == pytest.approx(
            np.diff(prompt.box_xyxy.reshape(2, 2), axis=0), abs=1e-4
        )
        assert box.min() >= 0
        assert not (reference | other)[window(box)].any()
        assert valid[window(box)].all()
        assert place.overlap == 0
        assert place.distance_px > 0
    assert len({tuple(place.prompt.box_xyxy) for place in found}) == 20


def test_places_are_spread_over_all_there_are():
    _, found = moved("box", disc(radius=3), count=10_000)
    corners = np.array([place.prompt.box_xyxy[:2] for place in found])
    assert corners.min() == 0
    assert corners.max(axis=0) == pytest.approx([93, 73])
    assert len(found) > 5000


def test_a_moved_point_is_as_far_outside_as_the_centre_lies_inside():
    reference = disc()
    _, found = moved("point_center", reference)
    rows, columns = np.array([place.prompt.points_xy[0] for place in found]).astype(int).T[::-1]
    distances = np.hypot(rows - 30, columns - 30) - 8
    assert distances.min() >= 8 - 1
    assert all(place.prompt.point_labels.tolist() == [1] for place in found)
    _, found = moved("point_center", disc(radius=1))
    assert min(place.distance_px for place in found) >= LEAST_DISTANCE * 100


def test_where_nothing_is_free_the_box_with_the_least_of_the_target_is_taken():
    target = np.zeros((40, 40), bool)
    target[:4] = target[:, :26] = True
    target[10::6, 26:] = True
    reference = np.zeros_like(target)
    reference[10:30, :12] = True
    _, found = moved("box", reference, target)
    assert found
    for place in found:
        held = target[window(place.prompt.box_xyxy)].sum()
        assert held == 3 * 12
        assert place.overlap == pytest.approx(held / target.sum())
        assert place.overlap <= MOST_OVERLAP
        assert place.distance_px == 0


def test_no_room_is_an_empty_list():
    assert moved("box", np.ones((20, 30), bool))[1] == []
    assert moved("point_center", np.ones((20, 30), bool))[1] == []
    assert moved("box", disc(), valid=disc(30, 30, 12))[1] == []
    assert moved("point_center", disc(), valid=disc(30, 30, 12))[1] == []


def test_the_same_seed_gives_the_same_places():
    first, second = (moved("box", disc())[1] for _ in range(2))
    assert [p.prompt.box_xyxy.tolist() for p in first] == [p.prompt.box_xyxy.tolist() for p in second]


def test_only_prompts_of_one_place_can_be_moved():
    assert movable_modes(list(PROMPTS)) == (
        "point_center", "point_largest", "box", "box_jitter5", "box_jitter10", "box_jitter20", "box_jitter20px",
        "box_shift10", "box_shift20", "box_enlarge10", "box_enlarge20", "box_largest", "clicks_1",
    )  # fmt: skip
    with pytest.raises(StudyError, match="did you mean 'box'"):
        movable_modes(["bx"])
