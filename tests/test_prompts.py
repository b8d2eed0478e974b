"""Every registered prompt mode keeps the contract, and each mode does what its docstring says."""

import numpy as np
import pytest

from samstudy.errors import StudyError
from samstudy.prompts import PROMPTS, add_mode, box, center_xy, headline_choice, make_prompt, points
from samstudy.types import MASK_CHOICES, Prompt

SIZE_HW = (40, 50)


def drawn(*spans: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros(SIZE_HW, bool)
    for span in spans:
        mask[span] = True
    return mask


MASKS = {
    "rectangle": drawn(np.s_[10:20, 5:33]),
    "one pixel": drawn(np.s_[7:8, 9:10]),
    "corner pixel": drawn(np.s_[39:40, 49:50]),
    "row": drawn(np.s_[12:13, 3:44]),
    "column at the border": drawn(np.s_[:, 0:1]),
    "three pixels": drawn(np.s_[30, 20:23]),
    "whole image": np.ones(SIZE_HW, bool),
    "all but one pixel": ~drawn(np.s_[0:1, 0:1]),
    "four parts": drawn(np.s_[0:4, 0:4], np.s_[10:20, 10:20], np.s_[30:36, 2:8], np.s_[30:33, 40:43]),
    "ring": drawn(np.s_[5:30, 5:30]) & ~drawn(np.s_[8:27, 8:27]),
}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def flat(prompt: Prompt) -> list[Prompt]:
    return [prompt, *prompt.parts]


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("mode", PROMPTS)
def test_contract(mode, mask):
    before = mask.copy()
    prompt = make_prompt(mode, mask, rng())
    assert np.array_equal(mask, before)
    assert prompt.mode == mode
    assert prompt.n_points or prompt.box_xyxy is not None or prompt.parts
    for piece in flat(prompt):
        assert piece.points_xy.dtype == np.float32
        assert piece.points_xy.shape == (len(piece.point_labels), 2)
        assert piece.point_labels.dtype == np.int64
        columns, rows = piece.points_xy.astype(int).T
        assert np.array_equal(piece.points_xy, np.column_stack([columns, rows]))
        assert np.array_equal(mask[rows, columns], piece.point_labels == 1)
        assert len({tuple(point) for point in piece.points_xy}) == len(piece.points_xy)
        if piece.box_xyxy is not None:
            left, top, right, bottom = piece.box_xyxy
            assert piece.box_xyxy.dtype == np.float32
            assert 0 <= left <= right <= mask.shape[1] - 1
            assert 0 <= top <= bottom <= mask.shape[0] - 1
    assert prompt.box_jitter_px >= 0


@pytest.mark.parametrize("mode", PROMPTS)
def test_same_seed_same_prompt_whatever_came_before(mode):
    mask = MASKS["four parts"]
    first = make_prompt(mode, mask, rng(3))
    make_prompt(mode, MASKS["ring"], rng(4))
    again = make_prompt(mode, mask, rng(3))
    for one, other in zip(flat(first), flat(again), strict=True):
        assert np.array_equal(one.points_xy, other.points_xy)
        assert (one.box_xyxy is None) == (other.box_xyxy is None)
        assert one.box_xyxy is None or np.array_equal(one.box_xyxy, other.box_xyxy)


@pytest.mark.parametrize("mode", PROMPTS)
def test_registered_entry_is_complete(mode):
    entry = PROMPTS[mode]
    assert entry.headline in MASK_CHOICES
    assert entry.title
    assert entry.source
    assert headline_choice(mode) == entry.headline


def test_headline_is_the_authors_choice():
    assert headline_choice("point_center") == "predicted_iou"
    assert {headline_choice(mode) for mode in PROMPTS if mode != "point_center"} == {"single"}


@pytest.mark.parametrize("mode", PROMPTS)
def test_empty_mask_is_a_sentence(mode):
    with pytest.raises(StudyError, match=rf"'{mode}' from an empty mask.*skip it"):
        make_prompt(mode, np.zeros(SIZE_HW, bool), rng())


def test_bad_input_is_a_sentence():
    mask = MASKS["rectangle"]
    with pytest.raises(StudyError, match="unknown prompt 'boks'; did you mean 'box'"):
        make_prompt("boks", mask, rng())
    with pytest.raises(StudyError, match="dtype float64"):
        make_prompt("box", mask * 0.7, rng())
    with pytest.raises(StudyError, match=r"values 0 to 255.*mask == 255"):
        make_prompt("box", mask.astype(np.uint8) * 255, rng())
    with pytest.raises(StudyError, match=r"shape \(1, 40, 50\)"):
        make_prompt("box", mask[None], rng())
    with pytest.raises(StudyError, match="needs a numpy Generator"):
        make_prompt("points_p5", mask, None)
    with pytest.raises(ValueError, match="'box' is registered twice"):
        add_mode("box", box(), title="box", source="nobody")


def test_zero_one_integers_are_a_mask():
    mask = MASKS["rectangle"]
    assert np.array_equal(make_prompt("box", mask.astype(np.uint8), rng()).box_xyxy, [5, 10, 32, 19])


@pytest.mark.parametrize(
    ("name", "expected_xy"),
    [
        ("one pixel", (9, 7)),
        ("row", (23, 12)),  # every pixel of a line is equally deep: the one nearest to the centroid
        ("four parts", (14, 15)),  # four central pixels of the 10 x 10 part: the one on the centroid side
        ("three pixels", (21, 30)),
    ],
)
def test_center(name, expected_xy):
    assert tuple(center_xy(MASKS[name])) == expected_xy


def test_center_counts_the_image_border_as_background():
    # Half a disc cut by the border: without the rule the deepest pixel would lie on the border itself.
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    mask = (rows - 20) ** 2 + columns**2 <= 15**2
    x, y = center_xy(mask)
    assert y == 20
    assert 5 <= x <= 8


def test_center_matches_the_transform_of_the_whole_image():
    from scipy import ndimage

    mask = ndimage.gaussian_filter(rng(1).normal(size=(90, 70)), 4) > 0.02
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    x, y = center_xy(mask).astype(int)
    assert depth[y, x] == depth.max()


def test_points_begin_with_the_center_and_fill_small_objects():
    prompt = make_prompt("points_p5", MASKS["rectangle"], rng())
    assert np.array_equal(prompt.points_xy[0], center_xy(MASKS["rectangle"]))
    assert prompt.n_points == 5
    assert make_prompt("points_p5", MASKS["three pixels"], rng()).n_points == 3
    assert make_prompt("points_p5", MASKS["one pixel"], rng()).n_points == 1


def test_negative_points_lie_around_the_object():
    prompt = make_prompt("points_p5n5", MASKS["rectangle"], rng())
    assert np.array_equal(prompt.point_labels, [1] * 5 + [0] * 5)
    x, y = prompt.points_xy[5:].T
    # Box 5..32 x 10..19 grown by half of 28 and of 10.
    assert x.min() >= 0
    assert x.max() <= 46
    assert y.min() >= 5
    assert y.max() <= 24


def test_negative_points_fall_back_to_the_background_there_is():
    assert make_prompt("points_p5n5", MASKS["whole image"], rng()).point_labels.tolist() == [1] * 5
    prompt = make_prompt("points_p5n5", MASKS["all but one pixel"], rng())
    assert prompt.point_labels.tolist() == [1] * 5 + [0]
    assert prompt.points_xy[-1].tolist() == [0, 0]
    # Without a margin the box of a rectangle holds no background: the whole image serves.
    assert points(1, 5, margin=0.0)(MASKS["rectangle"], rng()).n_points == 6


def test_random_points_cover_the_object():
    mask = MASKS["three pixels"] | MASKS["one pixel"]
    seen = {tuple(p) for seed in range(40) for p in points(2)(mask, rng(seed)).points_xy}
    assert len(seen) == 4


def test_box_is_tight_and_inclusive():
    prompt = make_prompt("box", MASKS["rectangle"], rng())
    assert prompt.box_xyxy.tolist() == [5, 10, 32, 19]
    assert prompt.box_jitter_px == 0
    assert make_prompt("box", MASKS["one pixel"], rng()).box_xyxy.tolist() == [9, 7, 9, 7]


def test_jitter_stays_within_ten_percent_and_reaches_it():
    tight = np.array([5, 10, 32, 19])
    boxes = np.array([make_prompt("box_jitter10", MASKS["rectangle"], rng(s)).box_xyxy for s in range(400)])
    moved = np.abs(boxes - tight)
    assert np.all(moved <= np.array([2.8, 1.0, 2.8, 1.0]) + 1e-5)
    assert np.all(moved.max(axis=0) > np.array([2.6, 0.9, 2.6, 0.9]))
    assert np.all((boxes - tight).mean(axis=0) < 0.25)


def test_jitter_is_recorded_and_clipped():
    prompt = make_prompt("box_jitter10", MASKS["rectangle"], rng())
    assert prompt.box_jitter_px == pytest.approx(np.abs(prompt.box_xyxy - [5, 10, 32, 19]).max())
    assert prompt.box_jitter_px > 0
    for seed in range(20):
        left, _, right, _ = box(jitter=3.0)(MASKS["one pixel"], rng(seed)).box_xyxy
        assert 0 <= left <= right <= SIZE_HW[1] - 1


def test_box_point_is_box_and_center():
    prompt = make_prompt("box_point", MASKS["rectangle"], rng())
    assert np.array_equal(prompt.box_xyxy, make_prompt("box", MASKS["rectangle"], rng()).box_xyxy)
    assert np.array_equal(prompt.points_xy, make_prompt("point_center", MASKS["rectangle"], rng()).points_xy)


def test_parts_are_the_three_largest_in_order():
    prompt = make_prompt("boxes_parts", MASKS["four parts"], rng())
    assert [part.box_xyxy.tolist() for part in prompt.parts] == [
        [10, 10, 19, 19],
        [2, 30, 7, 35],
        [0, 0, 3, 3],
    ]
    assert prompt.box_xyxy is None


def test_parts_are_eight_connected():
    diagonal = drawn(np.s_[3:5, 3:5], np.s_[5:7, 5:7])
    assert [part.box_xyxy.tolist() for part in make_prompt("boxes_parts", diagonal, rng()).parts] == [
        [3, 3, 6, 6]
    ]
