"""Predicted against true IoU: what a perfect, a constant and an overconfident model must score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from score_tables import both, drawn
from sklearn.metrics import roc_auc_score

from samstudy.calibration import (
    auroc_interval,
    calibration,
    calibration_error,
    failure_auroc,
    predicted_rows,
    rank_correlation,
    reliability,
)
from samstudy.cells import group_codes
from samstudy.errors import StudyError


def judged(true, predicted, **more):
    table = drawn(**more)
    return table.assign(iou=np.resize(true, len(table)), iou_pred=np.resize(predicted, len(table)))


TRUE = np.linspace(0.05, 0.95, 36)


def test_a_model_that_knows_is_perfect():
    rows = judged(TRUE, TRUE)
    assert calibration_error(rows) == pytest.approx(0)
    assert rank_correlation(rows) == pytest.approx(1)
    assert failure_auroc(rows) == 1
    assert failure_auroc(rows.assign(iou_pred=1 - rows["iou"])) == 0


def test_a_constant_prediction_finds_nothing():
    rows = judged(TRUE, 0.8)
    assert calibration_error(rows) == pytest.approx(0.8 - TRUE.mean())
    assert np.isnan(rank_correlation(rows))
    assert failure_auroc(rows) == 0.5
    assert list(reliability(rows)["n"]) == [len(rows)]


def test_error_is_weighted_by_bins_not_by_rows_alone():
    rows = judged([0.0, 0.2, 0.9], [0.1, 0.1, 0.7])
    assert calibration_error(rows) == pytest.approx((2 * abs(0.1 - 0.1) + abs(0.7 - 0.9)) / 3)


def test_predictions_outside_the_range_fall_in_the_end_bins():
    found = reliability(judged([0.5], [-0.2, 1.3, 0.0, 1.0]))
    assert list(found["bin"]) == [0, 9]
    assert found["n"].sum() == 36


def test_a_prediction_on_an_edge_falls_in_the_bin_above_it():
    found = reliability(judged([0.5], np.arange(1, 10) / 10))
    assert list(found["bin"]) == list(range(1, 10))


def test_failures_need_both_kinds():
    assert np.isnan(failure_auroc(judged(0.9, TRUE)))
    assert "0 of 36 fail" in auroc_interval(judged(0.9, TRUE)).note


def test_the_interval_holds_the_area_of_the_same_resamples():
    rng = np.random.default_rng(3)
    rows = judged(rng.uniform(size=36), rng.integers(0, 5, 36) / 5)
    low, high, _ = auroc_interval(rows, seed=1, n_boot=150)
    weights, codes = np.random.default_rng(2).multinomial(12, np.full(12, 1 / 12), 150), group_codes(rows)
    areas = [roc_auc_score(rows["iou"] < 0.5, -rows["iou_pred"], sample_weight=w[codes]) for w in weights]
    assert (low, high) == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=0.05)
    assert low < failure_auroc(rows) < high


def test_fewer_groups_have_no_interval():
    rows = judged(TRUE, TRUE)
    assert np.isnan(auroc_interval(rows[rows["group_id"] < "group_11"]).low)


def test_every_cell_is_counted_and_baselines_are_left_out():
    table = both().assign(iou=np.resize(TRUE, 72))
    table.loc[table["model"] != "ellipse", "iou_pred"] = TRUE
    table.loc[0, ["iou", "status"]] = [np.nan, "error"]
    table.loc[1, "iou_pred"] = np.nan
    (cell,) = calibration(table).to_dict("records")
    assert (cell["model"], cell["prompt"], cell["n_scores"]) == ("vit_t", "box", 34)
    assert (cell["n_left_out"], cell["left_out"]) == (2, "1 error, 1 no_prediction")
    assert cell["n_failures"] == (TRUE[2:] < 0.5).sum()
    assert (cell["auroc"], cell["spearman"]) == (1, pytest.approx(1))
    assert cell["mean_iou"] == pytest.approx(TRUE[2:].mean())


def test_prompts_are_not_pooled_and_baselines_alone_are_a_sentence():
    two = pd.concat([judged(TRUE, TRUE), judged(TRUE, TRUE, prompt="box_point")])
    with pytest.raises(StudyError, match="different prompt"):
        calibration(two, by=["model"])
    with pytest.raises(StudyError, match="baselines make no prediction"):
        predicted_rows(drawn(model="ellipse").assign(iou=0.5))
    assert np.isnan(calibration_error(judged(TRUE, TRUE).iloc[:0]))
