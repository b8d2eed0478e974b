"""Every registered prompt mode keeps the contract, and each mode does what its docstring says."""

from pathlib import Path

import numpy as np
import pytest

from samstudy.errors import StudyError
from samstudy.prompts import (
    PROMPTS,
    add_mode,
    box,
    center_xy,
    headline_choice,
    make_prompt,
    markdown_table,
    points,
)
from samstudy.prompts.boxes import enlarge_px, jitter, shift
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
    "deep and large": drawn(np.s_[0:9, 0:9], np.s_[20:24, 0:40]),
    "ring": drawn(np.s_[5:30, 5:30]) & ~drawn(np.s_[8:27, 8:27]),
}

DISC = (np.hypot(*(np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] - 20)) <= 10) & True


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
    assert prompt.n_points or prompt.box_xyxy is not None or prompt.parts or prompt.points_per_side
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
    assert entry.headline in entry.choices
    assert entry.title
    assert entry.rule
    assert entry.source
    assert (entry.n_turns == 1) or entry.follow
    assert headline_choice(mode) == entry.headline


def test_headline_is_the_authors_choice():
    by_score = {mode for mode in PROMPTS if headline_choice(mode) == "predicted_iou"}
    assert by_score == {"point_center", "point_largest", "clicks_1", "everything", "everything_8"}
    assert {headline_choice(mode) for mode in PROMPTS if mode not in by_score} == {"single"}


def test_the_documentation_lists_every_mode_as_registered():
    page = (Path(__file__).parents[1] / "docs" / "prompts.md").read_text(encoding="utf-8")
    assert markdown_table() in page, (
        "put the output of samstudy.prompts.markdown_table() into docs/prompts.md"
    )


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
    with pytest.raises(
        ValueError, match="'mine' and 'clicks_1' are of the series 'clicks', but are not made alike"
    ):
        add_mode("mine", box(), title="mine", source="nobody", series="clicks")


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


@pytest.mark.parametrize("percent", [5, 10, 20])
def test_jitter_stays_within_its_share_and_reaches_it(percent):
    tight = np.array([5, 10, 32, 19])
    mode = f"box_jitter{percent}"
    boxes = np.array([make_prompt(mode, MASKS["rectangle"], rng(s)).box_xyxy for s in range(400)])
    moved = np.abs(boxes - tight)
    most = percent / 100 * np.array([28, 10, 28, 10])
    assert np.all(moved <= most + 1e-5)
    assert np.all(moved.max(axis=0) > 0.9 * most)
    assert np.all((boxes - tight).mean(axis=0) < 0.09 * most.max())


def test_shifted_boxes_keep_their_size_and_move_by_their_share():
    angles = []
    for seed in range(60):
        left, top, right, bottom = make_prompt("box_shift10", DISC, rng(seed)).box_xyxy
        assert (right - left, bottom - top) == pytest.approx((20, 20), abs=1e-4)
        assert np.hypot(left - 10, top - 10) == pytest.approx(2.1, abs=1e-4)
        angles.append(np.arctan2(top - 10, left - 10))
    assert np.ptp(angles) > 5
    assert (
        make_prompt("box_shift20", DISC, rng()).box_jitter_px
        > make_prompt("box_shift10", DISC, rng()).box_jitter_px
    )


def test_enlarged_boxes_grow_on_every_side():
    assert make_prompt("box_enlarge10", DISC, rng()).box_xyxy == pytest.approx([7.9, 7.9, 32.1, 32.1])
    assert make_prompt("box_enlarge20", DISC, rng()).box_jitter_px == pytest.approx(4.2, abs=1e-5)
    # 512 pixels stand for 1024, so 20 px of MedSAM are 10 here, in steps of a half.
    mask = np.zeros((512, 400), bool)
    mask[200:300, 150:250] = True
    grown = np.array([make_prompt("box_jitter20px", mask, rng(s)).box_xyxy for s in range(200)])
    outwards = (np.array([150, 200, 249, 299]) - grown) * [1, 1, -1, -1]
    assert outwards.min() == 0
    assert outwards.max() == 10
    assert set(np.unique(outwards * 2 % 1)) == {0}


def test_a_box_at_the_border_stays_in_the_image():
    for seed in range(20):
        for move in (shift(0.5), enlarge_px(400)):
            left, top, right, bottom = box(move)(MASKS["column at the border"], rng(seed)).box_xyxy
            assert 0 <= left <= right <= 49
            assert 0 <= top <= bottom <= 39


def test_jitter_is_recorded_and_clipped():
    prompt = make_prompt("box_jitter10", MASKS["rectangle"], rng())
    assert prompt.box_jitter_px == pytest.approx(np.abs(prompt.box_xyxy - [5, 10, 32, 19]).max())
    assert prompt.box_jitter_px > 0
    for seed in range(20):
        left, _, right, _ = box(jitter(3.0))(MASKS["one pixel"], rng(seed)).box_xyxy
        assert 0 <= left <= right <= SIZE_HW[1] - 1


def test_box_point_is_box_and_center():
    prompt = make_prompt("box_point", MASKS["rectangle"], rng())
    assert np.array_equal(prompt.box_xyxy, make_prompt("box", MASKS["rectangle"], rng()).box_xyxy)
    assert np.array_equal(prompt.points_xy, make_prompt("point_center", MASKS["rectangle"], rng()).points_xy)


def test_the_largest_part_need_not_hold_the_centre_point():
    mask = MASKS["deep and large"]
    assert make_prompt("point_center", mask, rng()).points_xy.tolist() == [[4, 4]]
    x, y = make_prompt("point_largest", mask, rng()).points_xy[0]
    assert 20 <= y < 24
    assert 0 <= x < 40
    assert make_prompt("box_largest", mask, rng()).box_xyxy.tolist() == [0, 20, 39, 23]


def test_points_of_parts_are_one_prompt_with_the_largest_part_first():
    mask = MASKS["four parts"]
    prompt = make_prompt("points_parts", mask, rng())
    assert prompt.parts == ()
    assert prompt.point_labels.tolist() == [1, 1, 1]
    assert prompt.points_xy[0].tolist() == make_prompt("point_largest", mask, rng()).points_xy[0].tolist()
    assert [y // 10 for _, y in prompt.points_xy] == [1, 3, 0]


def test_everything_mode_takes_nothing_from_the_mask():
    for mask in MASKS.values():
        prompt = make_prompt("everything", mask, rng())
        assert (prompt.points_per_side, prompt.n_points, prompt.box_xyxy) == (32, 0, None)


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
