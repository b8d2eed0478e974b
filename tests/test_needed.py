"""Images needed to reach a score: known curves have known numbers, and what is not reached is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from score_tables import row

from samstudy.cells import over_repetitions
from samstudy.errors import StudyError
from samstudy.needed import images_needed, say_needed
from samstudy.results import make_table
from samstudy.statistics import estimate
from samstudy.tables import format_table, write_tables

N_GROUPS = 8


def curve(means: dict[int, float], spread: float = 0.0, folds: int = 1, **more: object) -> pd.DataFrame:
    """One object in each group; 0 images is zero-shot. Group g lies ``spread`` x (g - mean of g) from the mean."""
    rows = [
        row(group, 0, mean + spread * (group - (N_GROUPS - 1) / 2), shots=shots, fold=fold)
        | {"tuning": "decoder" if shots else "none"}
        | (more if shots else {key: value for key, value in more.items() if key != "tuning"})
        for group in range(N_GROUPS)
        for shots, mean in means.items()
        for fold in range(folds if shots else 1)
    ]
    return make_table(rows)


def needed(table: pd.DataFrame, **settings: object) -> pd.DataFrame:
    return images_needed(table, n_boot=200, **settings).set_index("goal")


RISING = {0: 0.5, 1: 0.6, 5: 0.8, 10: 0.86, 20: 0.9}


def test_the_first_number_that_reaches_a_level_is_taken():
    found = needed(curve(RISING), levels=(0.4, 0.8, 0.85, 0.95))
    assert found["n_needed"].to_dict() == {
        "Dice 0.40": 0,
        "Dice 0.80": 5,
        "Dice 0.85": 10,
        "Dice 0.95": np.inf,
        "50 % of the gain": 5,
        "90 % of the gain": 10,
    }
    assert found.loc["90 % of the gain", "level"] == pytest.approx(0.5 + 0.9 * 0.4)
    assert (found["most_shots"] == 20).all() and found["is_kept"].all()
    assert (found[["n_objects", "n_groups", "n_left_out"]] == [8, 8, 0]).all(axis=None)


def test_equal_groups_have_an_interval_of_nothing_and_unequal_ones_enclose_the_number():
    found = needed(curve(RISING), levels=(0.8, 0.95))
    assert (found["ci_low"] == found["n_needed"]).all() and (found["ci_high"] == found["n_needed"]).all()
    wide = needed(curve(RISING, spread=0.03), levels=(0.85,)).loc["Dice 0.85"]
    assert wide["ci_low"] < wide["n_needed"] <= wide["ci_high"]
    evaluated = {*RISING, np.inf}
    assert {wide["ci_low"], wide["ci_high"]} <= evaluated


def test_an_interval_may_be_open_at_its_end():
    row = needed(curve({0: 0.5, 5: 0.81}, spread=0.03), levels=(0.8,)).loc["Dice 0.80"]
    assert (row["n_needed"], row["ci_high"]) == (5, np.inf)


def test_a_curve_that_falls_again_is_said():
    table = curve({0: 0.5, 1: 0.82, 5: 0.7, 10: 0.9})
    row = needed(table).loc["Dice 0.80"]
    assert (row["n_needed"], row["is_kept"]) == (1, False)
    assert "with 5 images the mean is below it again" in row["note"]
    said = say_needed(images_needed(table, n_boot=50))
    assert "In 1 of 4 cases the mean falls below the level again" in said


def test_no_gain_has_no_share():
    found = needed(curve({0: 0.85, 1: 0.9, 5: 0.8}))
    assert np.isnan(found.loc["50 % of the gain", ["n_needed", "level", "ci_low"]].astype(float)).all()
    assert "5 images bring no gain" in found.loc["50 % of the gain", "note"]
    assert found.loc["Dice 0.80", "n_needed"] == 0


def test_a_gain_that_may_be_none_is_said():
    table = curve({0: 0.8, 5: 0.805, 10: 0.81})
    after, group = table["shots"] > 0, table["group_id"].str[-1].astype(int)
    table.loc[after, "dice"] += 0.05 * (group[after] - (N_GROUPS - 1) / 2)
    row = needed(table).loc["50 % of the gain"]
    assert (row["n_needed"], row["ci_high"]) == (5, np.inf)
    assert "the gain may be none" in row["note"]
    assert "the gain may be none in 1" in say_needed(images_needed(table, n_boot=200))


def test_repetitions_are_averaged_per_object_and_count_as_no_patients():
    table = curve({0: 0.5, 5: 0.8}, folds=3)
    tuned = table["shots"] == 5
    table.loc[tuned, "dice"] = 0.7 + 0.1 * table.loc[tuned, "fold"].astype(float)
    row = needed(table).loc["Dice 0.80"]
    assert (row["n_needed"], row["n_repetitions"], row["n_objects"], row["n_scores"]) == (5, 3, 8, 16)
    # an object without a score in one repetition keeps its weight
    table.loc[(table["fold"] == 2) & (table["group_id"] == "group_0"), "dice"] = np.nan
    averaged = over_repetitions(table[table["shots"] == 5], "dice")
    assert len(averaged) == 8
    assert estimate(averaged).value == pytest.approx((7 * 0.8 + 0.75) / 8)


def test_methods_and_prompts_have_curves_of_their_own():
    better = {0: 0.5, 1: 0.85, 20: 0.9}
    table = pd.concat([curve(RISING), curve(better, tuning="lora").query("shots > 0")], ignore_index=True)
    found = images_needed(table, (0.8,), (), n_boot=50).set_index("tuning")
    assert found["n_needed"].to_dict() == {"decoder": 5, "lora": 1}
    assert list(found["n_scores"]) == [40, 24]


def test_objects_that_a_stage_did_not_score_are_left_out_and_counted():
    table = curve(RISING)
    lost = (table["group_id"] == "group_3") & (table["shots"] == 5)
    table.loc[lost, ["dice", "status"]] = [np.nan, "error"]
    found = needed(table)
    assert (found["n_objects"] == 7).all()
    assert set(found["left_out"]) == {"1 error"}


def test_few_groups_have_no_interval_but_a_number():
    found = needed(curve(RISING).query("group_id < 'group_3'"))
    assert found.loc["Dice 0.80", "n_needed"] == 5
    assert found["ci_low"].isna().all()
    assert found["note"].str.startswith("no interval: 3 group(s)").all()


def test_the_table_and_the_sentence_say_more_than(tmp_path):
    found = images_needed(curve(RISING), (0.8, 0.95), (), n_boot=50)
    text = format_table(found, ["target", "prompt"], "goal", "n_needed", 0, most="most_shots")
    assert text["Dice 0.80"].item() == "5 [5, 5]"
    assert text["Dice 0.95"].item() == "> 20 [> 20, > 20]"
    paths = write_tables(found, tmp_path / "n", ["target"], "goal", "n_needed", 0, most="most_shots")
    assert "$>$ 20" in paths[2].read_text()
    said = say_needed(found)
    assert "* decoder, Dice 0.80: 5 images in 1 of 1 curves." in said
    assert "not reached in 1 of 1 curves: demo organ `box` (> 20)" in said
    assert say_needed(found.head(0)) == "There is no learning curve."


def test_tables_that_hold_no_curve_are_refused():
    with pytest.raises(StudyError, match="images_needed needs rows before and after fine-tuning"):
        images_needed(curve({0: 0.5}))
    with pytest.raises(StudyError, match="not 'hd95'"):
        images_needed(curve(RISING), metric="hd95")
    with pytest.raises(StudyError, match="unknown column 'fold'"):
        images_needed(curve(RISING).drop(columns="fold"))
