"""The metrics agree with MONAI, with hand-counted masks, and behave as declared on degenerate ones."""

import warnings

import numpy as np
import pytest
from scipy import ndimage

from samstudy import vessels
from samstudy.errors import StudyError
from samstudy.mask_pairs import Pair
from samstudy.metrics import METRICS, MaskScorer, metrics_for, score

SIZE_HW = (48, 64)
SURFACE = ("nsd", "hd95", "assd")
SYMMETRIC = [name for name in METRICS if not name.startswith("recall_")]


def rectangle(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(SIZE_HW, bool)
    mask[rows, columns] = True
    return mask


def blob(seed: int, sigma: float = 3, share: float = 0.3) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SIZE_HW), sigma)
    return field > np.quantile(field, 1 - share)


SQUARE = rectangle(np.s_[10:20], np.s_[10:20])
PAIRS = {
    "blobs": (blob(1), blob(2)),
    "blob and itself moved": (blob(1), np.roll(blob(1), 2, axis=1)),
    "speckle": (blob(3, 0.1), blob(4, 0.1)),
    "identical": (SQUARE, SQUARE),
    "nested": (SQUARE, rectangle(np.s_[12:18], np.s_[12:18])),
    "disjoint": (SQUARE, rectangle(np.s_[40:44], np.s_[50:60])),
    "pixel and pixel": (rectangle(np.s_[3:4], np.s_[5:6]), rectangle(np.s_[30:31], np.s_[60:61])),
    "pixel and whole image": (rectangle(np.s_[3:4], np.s_[5:6]), np.ones(SIZE_HW, bool)),
    "whole image and itself": (np.ones(SIZE_HW, bool), np.ones(SIZE_HW, bool)),
    "at the border": (rectangle(np.s_[0:9], np.s_[0:9]), rectangle(np.s_[39:48], np.s_[55:64])),
    "line and column": (rectangle(np.s_[7:8], np.s_[:]), rectangle(np.s_[:], np.s_[63:64])),
    "one stray pixel": (SQUARE, SQUARE | rectangle(np.s_[47:48], np.s_[63:64])),
}
SPACINGS = {"px": None, "isotropic": (0.5, 0.5), "anisotropic": (0.7, 3.1), "tall": (5.0, 0.4)}


def monai_scores(reference, mask, spacing_mm, nsd_tolerance):
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_iou,
        compute_surface_dice,
    )

    found, wanted = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (mask, reference))
    surface = {"include_background": True, "spacing": spacing_mm}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = {
            "dice": compute_dice(found, wanted),
            "iou": compute_iou(found, wanted),
            "nsd": compute_surface_dice(found, wanted, [nsd_tolerance], **surface),
            "hd95": compute_hausdorff_distance(found, wanted, percentile=95, **surface),
            "assd": compute_average_surface_distance(found, wanted, symmetric=True, **surface),
        }
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize("spacing_mm", SPACINGS.values(), ids=SPACINGS.keys())
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
@pytest.mark.parametrize("nsd_tolerance", [0.0, 2.0, 2.1, 3.1])
def test_agrees_with_monai(pair, spacing_mm, nsd_tolerance):
    pytest.importorskip("monai")
    expected = monai_scores(*pair, spacing_mm, nsd_tolerance)
    values = score(*pair, spacing_mm, nsd_tolerance, metrics=expected)
    assert values == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_monai_on_random_masks(seed):
    pytest.importorskip("monai")
    rng = np.random.default_rng(seed)
    spacing_mm = tuple(rng.uniform(0.2, 4, 2))
    pair = (
        blob(100 + seed, rng.uniform(0.1, 5)),
        blob(200 + seed, rng.uniform(0.1, 5), rng.uniform(0.01, 0.9)),
    )
    expected = monai_scores(*pair, spacing_mm, 2.5)
    assert score(*pair, spacing_mm, 2.5, metrics=expected) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_counted_by_hand():
    mask = np.roll(SQUARE, 3, axis=1)
    values = score(SQUARE, mask, nsd_tolerance=0)
    assert values["dice"] == pytest.approx(0.7)
    assert values["iou"] == pytest.approx(70 / 130)
    # 36 border pixels each; a 7-pixel stretch above and one below coincide on both, as do no others.
    assert values["nsd"] == pytest.approx(14 / 36)
    assert values["hd95"] == 3
    assert score(SQUARE, mask, spacing_mm=(1, 2))["hd95"] == 6
    assert score(SQUARE, mask, spacing_mm=(2, 1))["hd95"] == 3


def test_directed_percentiles_are_not_pooled():
    stray = SQUARE | rectangle(np.s_[10:20], np.s_[40:43])
    # From the mask 26 of 62 border pixels are far; from the reference none: pooling would dilute them.
    values = score(SQUARE, stray)
    assert values["hd95"] == pytest.approx(23, abs=1)
    assert values["hd95"] == score(stray, SQUARE)["hd95"]


@pytest.mark.parametrize("name", SYMMETRIC)
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_contract(name, pair):
    metric = METRICS[name]
    values = score(*pair)
    assert list(values) == list(METRICS)
    assert type(values[name]) is float
    assert metric.title
    assert metric.better == ("higher" if metric.unit == "fraction" else "lower")
    assert np.isfinite(values[name])
    assert values[name] >= 0
    if metric.unit == "fraction":
        assert values[name] <= 1
    assert values[name] == pytest.approx(score(*pair[::-1])[name])
    perfect = score(pair[0], pair[0])[name]
    assert perfect == (1.0 if metric.unit == "fraction" else 0.0)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_empty_masks(name):
    empty = np.zeros(SIZE_HW, bool)
    assert np.isnan(score(empty, empty)[name])
    worst = 0.0 if METRICS[name].unit == "fraction" else np.inf
    assert score(SQUARE, empty)[name] == worst
    assert score(empty, SQUARE)[name] == worst


def test_position_in_the_image_does_not_matter():
    small = score(SQUARE[:24, :24], PAIRS["nested"][1][:24, :24], (0.7, 3.1))
    assert score(*PAIRS["nested"], (0.7, 3.1)) == pytest.approx(small, nan_ok=True)


def test_valid_drops_pixels_of_both():
    valid = rectangle(np.s_[:], np.s_[:15])
    mask = np.roll(SQUARE, 3, axis=1)
    assert score(SQUARE, mask, valid=valid) == score(SQUARE & valid, mask & valid)
    nothing = score(SQUARE, mask, valid=rectangle(np.s_[:5], np.s_[:5]))
    assert all(np.isnan(value) for value in nothing.values())


def test_scorer_equals_single_calls_and_leaves_masks_alone():
    reference, masks = blob(1), [blob(2), blob(5), np.zeros(SIZE_HW, bool), np.ones(SIZE_HW, bool)]
    before = reference.copy()
    scorer = MaskScorer(reference, (0.5, 2.0), nsd_tolerance=1.0)
    for mask in [*masks, *masks]:
        assert scorer.score(mask) == score(reference, mask, (0.5, 2.0), 1.0)
    assert np.array_equal(reference, before)


def test_the_same_mask_is_measured_once(monkeypatch):
    pairs = []
    monkeypatch.setattr("samstudy.metrics.Pair", lambda *parts: pairs.append(parts) or Pair(*parts))
    reference = np.zeros((20, 20), bool)
    reference[5:15, 5:15] = True
    scorer = MaskScorer(reference)
    first = scorer.score(np.roll(reference, 2, axis=0))
    first["dice"] = -1.0
    assert scorer.score(np.roll(reference, 2, axis=0).astype(np.uint8))["dice"] == 0.8
    scorer.score(np.roll(reference, 3, axis=0))
    assert len(pairs) == 2


def test_only_the_metrics_asked_for_are_computed(monkeypatch):
    monkeypatch.setattr(vessels, "skeletonize", lambda mask: pytest.fail("the skeleton was not asked for"))
    assert list(score(SQUARE, SQUARE, metrics=["hd95", "dice"])) == ["hd95", "dice"]


def test_zero_one_integers_are_masks():
    assert score(SQUARE.astype(np.uint8), SQUARE.astype(np.int64)) == score(SQUARE, SQUARE)


def test_cldice_sees_a_lost_branch_where_dice_hardly_does():
    trunk = rectangle(np.s_[10:21], np.s_[:])
    branch = rectangle(np.s_[21:48], np.s_[30:31])
    values = score(trunk | branch, trunk)
    assert values["dice"] > 0.97
    assert values["cldice"] < 0.9
    assert score(branch, rectangle(np.s_[21:48], np.s_[29:32]))["cldice"] == 1
    assert score(branch, rectangle(np.s_[21:48], np.s_[33:36]))["cldice"] == 0


def test_cldice_takes_the_whole_mask_where_thinning_leaves_nothing(monkeypatch):
    monkeypatch.setattr(vessels, "skeletonize", np.zeros_like)
    # precision 25/100 of the large square in the small one, sensitivity 1
    small = rectangle(np.s_[12:17], np.s_[12:17])
    assert score(small, SQUARE)["cldice"] == pytest.approx(2 * 0.25 / 1.25)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"mask": SQUARE[:-1]}, "the mask is 47 x 64 and the reference 48 x 64"),
        ({"valid": SQUARE[:, 1:]}, "the valid region is 48 x 63"),
        ({"mask": SQUARE * 0.4}, "the mask has dtype float64, not bool; threshold"),
        ({"reference": SQUARE * np.uint8(255)}, "the reference holds the values 0 to 255"),
        ({"reference": SQUARE[None]}, r"the reference has shape \(1, 48, 64\)"),
        ({"reference": np.zeros((0, 4), bool)}, r"shape \(0, 4\)"),
        ({"spacing_mm": (0.0, 1.0)}, r"spacing_mm is \(0.0, 1.0\); give two positive numbers"),
        ({"spacing_mm": (1.0, np.nan)}, "spacing_mm is"),
        ({"spacing_mm": 1.0}, "spacing_mm is 1.0"),
        ({"spacing_mm": (1, 1, 1)}, "spacing_mm is"),
        ({"spacing_mm": "ab"}, "spacing_mm is 'ab'"),
        ({"nsd_tolerance": -1}, "nsd_tolerance is -1"),
        ({"nsd_tolerance": np.inf}, "nsd_tolerance is inf"),
        ({"nsd_tolerance": None}, "nsd_tolerance is None"),
        ({"metrics": ["dise"]}, "unknown metric 'dise'; did you mean 'dice'"),
    ],
)
def test_bad_input_is_a_sentence(arguments, sentence):
    with pytest.raises(StudyError, match=sentence):
        score(**{"reference": SQUARE, "mask": SQUARE, **arguments})


def test_centre_lines_are_measured_of_tubular_references_only():
    line = rectangle(np.s_[7:8], np.s_[:])
    assert metrics_for(line) == list(METRICS)
    assert set(METRICS) - set(metrics_for(SQUARE)) == {
        "cldice",
        "recall_thin",
        "recall_medium",
        "recall_thick",
    }
    assert metrics_for(SQUARE & False) == metrics_for(SQUARE)
