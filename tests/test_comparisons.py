"""Comparisons equal SciPy on values per group worked out apart, correct their families, count what they leave out."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import friedmanchisquare, kruskal, wilcoxon
from score_tables import N_GROUPS, drawn, row

from samstudy.comparisons import compare_benchmarks, compare_modes, friedman_modes, group_values, tally
from samstudy.errors import StudyError
from samstudy.ranks import holm
from samstudy.results import make_table

MODES = {"box": 0, "points_p5": 1, "box_point": 2}


def modes(**more) -> pd.DataFrame:
    return pd.concat(
        [drawn(seed, prompt=prompt, **more) for prompt, seed in MODES.items()], ignore_index=True
    )


def per_group(table: pd.DataFrame, prompt: str) -> pd.Series:
    return table[table["prompt"] == prompt].groupby("group_id")["dice"].mean()


def benchmarks(*levels: float) -> pd.DataFrame:
    tables = [drawn(i, low, low + 0.1, dataset=f"set{i}") for i, low in enumerate(levels)]
    return pd.concat(tables, ignore_index=True)


def test_pairs_equal_scipy_on_the_means_of_groups():
    table = modes()
    found = compare_modes(table)
    assert list(zip(found["prompt_a"], found["prompt_b"], strict=True)) == [
        ("box", "points_p5"),
        ("box", "box_point"),
        ("points_p5", "box_point"),
    ]
    for each in found.itertuples():
        difference = per_group(table, each.prompt_a) - per_group(table, each.prompt_b)
        expected = wilcoxon(difference)
        assert (each.statistic, each.p) == pytest.approx(tuple(expected))
        n_ranks = N_GROUPS * (N_GROUPS + 1) / 2
        assert abs(each.rank_biserial) == pytest.approx(1 - 2 * expected.statistic / n_ranks)
        assert each.difference == pytest.approx(difference.mean())
        assert (each.n_groups, each.n_objects, each.n_left_out, each.note) == (N_GROUPS, 36, 0, "")
    assert list(found["p_holm"]) == pytest.approx(list(holm(found["p"])))


def test_each_cell_is_a_family_of_its_own():
    table = pd.concat([modes(), modes(model="vit_b")], ignore_index=True)
    both, alone = compare_modes(table), compare_modes(modes())
    assert list(both["p_holm"]) == pytest.approx([*alone["p_holm"], *alone["p_holm"]])


def test_one_mode_against_the_others_is_a_smaller_family():
    found = compare_modes(modes(), against="points_p5")
    assert list(found["prompt_a"]) == ["box", "box_point"]
    assert set(found["prompt_b"]) == {"points_p5"}
    assert list(found["p_holm"]) == pytest.approx(list(holm(found["p"])))


def test_a_better_mode_is_better_in_every_group():
    table = pd.concat(
        [drawn(0, prompt="box"), drawn(0, prompt="box_point").assign(dice=lambda t: t["dice"] - 0.1)],
        ignore_index=True,
    )
    (found,) = compare_modes(table).to_dict("records")
    assert found["rank_biserial"] == 1
    assert found["difference"] == pytest.approx(0.1)
    (within,) = compare_modes(table, tolerance=0.2).to_dict("records")
    assert (within["p"], within["rank_biserial"], within["tolerance"]) == (1, 0, 0.2)


def test_what_is_not_in_both_is_counted():
    table = modes()
    is_box = table["prompt"] == "box"
    failed = is_box & (table["image_id"] == "image_0")
    table.loc[failed, ["dice", "status"]] = np.nan, "error"
    found = compare_modes(table[~(is_box & (table["image_id"] == "image_1"))], against="box")
    assert set(found["left_out"]) == {"3 error, 3 unpaired"}
    assert set(found["n_groups"]) == {N_GROUPS - 2}
    assert set(found["n_objects"]) == {30}


def test_the_headline_choice_is_compared_and_a_choice_can_be_a_cell():
    table = pd.concat([modes(), modes(choice="oracle")], ignore_index=True)
    assert len(compare_modes(table)) == 3
    assert len(compare_modes(table, by=["model", "mask_choice"])) == 6
    with pytest.raises(
        StudyError, match="several scores of 'organ#0' in 'image_0' for the prompt 'box'; name"
    ):
        compare_modes(pd.concat([modes(fold=0), modes(fold=1)]))


def test_modes_of_different_headline_choices_are_compared():
    points = drawn(3, prompt="point_center", choice="predicted_iou")
    found = compare_modes(pd.concat([drawn(), points], ignore_index=True))
    assert (found["n_objects"].item(), found["n_left_out"].item()) == (36, 0)


def test_distances_are_compared_by_medians_and_nsd_states_its_tolerance():
    table = modes(nsd=0.5)
    table.loc[(table["prompt"] == "box") & (table["image_id"] == "image_0"), "hd95"] = np.inf
    found = compare_modes(table, metric="hd95", against="points_p5").iloc[0]
    assert np.isfinite(found["difference"])
    assert found["n_objects"] == 36
    assert np.isnan(found["nsd_tolerance"])
    assert set(compare_modes(table, metric="nsd")["nsd_tolerance"]) == {2.0}


def test_too_few_groups_are_no_test():
    few = modes().query("group_id in ['group_0', 'group_1']")
    found = compare_modes(few)
    assert found[["p", "p_holm", "rank_biserial"]].isna().all(axis=None)
    assert set(found["note"]) == {"no test: 2 group(s), fewer than 5"}
    assert friedman_modes(few)["note"].item() == "no test: 2 group(s), fewer than 5"


def test_one_mode_has_nothing_to_compare_with():
    found = compare_modes(drawn())
    assert found.empty
    assert "p_holm" in found
    assert friedman_modes(drawn())["note"].item() == "no test: fewer than 3 prompt modes"


def test_tally_counts_what_is_clear_after_correction():
    lower = drawn(0, prompt="box_point").assign(dice=lambda t: t["dice"] - 0.1)
    table = pd.concat([drawn(0), lower, drawn(0, prompt="points_p5")], ignore_index=True)
    few = table.query("group_id == 'group_0'").assign(target="rare")
    found = tally(compare_modes(pd.concat([table, few]), against="box")).set_index("prompt_a")
    assert found.loc["box_point", ["n_tested", "n_untested", "higher", "lower", "undecided"]].tolist() == [
        1,
        1,
        0,
        1,
        0,
    ]
    assert found.loc["points_p5", ["higher", "lower", "undecided"]].tolist() == [0, 0, 1]
    assert found.loc["box_point", "difference"] == pytest.approx(-0.1)
    assert tally(compare_modes(table, against="box"), level=0)["undecided"].tolist() == [1, 1]


def test_too_few_groups_for_any_clear_difference_are_counted_apart():
    """Seven groups and three tests: 3 x 2 / 128 is under 0.05, 6 x 2 / 128 would not be."""
    others = ["box_jitter5", "box_jitter10", "box_jitter20", "box_point", "boxes_parts", "points_p5"]
    lower = [drawn(0, prompt=other).assign(dice=lambda t: t["dice"] - 0.1) for other in others]
    seven = [f"group_{i}" for i in range(7)]
    table = pd.concat([drawn(0), *lower], ignore_index=True).query("group_id in @seven")
    for n_tests in (3, 6):
        tests = compare_modes(table[table["prompt"].isin(["box", *others[:n_tests]])], against="box")
        assert tests["p_least"].tolist() == [n_tests * 2 / 128] * n_tests
        assert (tests["p_holm"] >= tests["p_least"]).all()
        found = tally(tests)
        assert (found["undecidable"] == (n_tests * 2 / 128 >= 0.05)).all()
        assert (found["lower"] == (n_tests * 2 / 128 < 0.05)).all()
    fewest = table[table["group_id"].isin(seven[:4])]
    assert compare_modes(fewest, against="box")["p_least"].isna().all()


def test_friedman_equals_scipy():
    table = modes()
    (found,) = friedman_modes(table).to_dict("records")
    expected = friedmanchisquare(*(per_group(table, mode) for mode in MODES))
    assert (found["statistic"], found["p"]) == pytest.approx(tuple(expected))
    assert found["kendall_w"] == pytest.approx(expected.statistic / (N_GROUPS * 2))
    assert (found["n_prompts"], found["n_groups"], found["n_objects"]) == (3, N_GROUPS, 36)
    assert found["p_holm"] == found["p"]


def test_benchmarks_equal_scipy_on_one_value_per_group():
    table = benchmarks(0.3, 0.5, 0.5)
    (found,) = compare_benchmarks(table).to_dict("records")
    values = [each.groupby("group_id")["dice"].mean() for _, each in table.groupby("dataset")]
    expected = kruskal(*values)
    assert (found["statistic"], found["p"]) == pytest.approx(tuple(expected))
    assert found["epsilon_squared"] == pytest.approx(expected.statistic / (3 * N_GROUPS - 1))
    assert found["lowest"] == pytest.approx(values[0].mean())
    assert (found["n_datasets"], found["n_groups"], found["n_objects"]) == (3, 36, 108)


def test_a_benchmark_of_few_groups_is_left_out_and_said():
    small = drawn(5, dataset="small").query("group_id == 'group_3'")
    (found,) = compare_benchmarks(pd.concat([benchmarks(0.3, 0.5), small])).to_dict("records")
    assert found["datasets"] == "set0, set1"
    assert found["left_out"] == "3 few_groups"
    (alone,) = compare_benchmarks(pd.concat([benchmarks(0.3), small])).to_dict("records")
    assert alone["note"] == "no test: 1 data set(s) of 5 groups"
    assert np.isnan(alone["p_holm"])


def test_every_target_of_a_group_weighs_the_same():
    rows = [row(0, item, 1.0) for item in range(9)] + [row(0, 9, 0.0, target="other")]
    assert group_values(make_table(rows), "dice")["value"].item() == pytest.approx(0.5)


def test_bad_input_is_a_sentence():
    with pytest.raises(StudyError, match="unknown prompt mode of the table 'boks'; did you mean 'box'"):
        compare_modes(modes(), against="boks")
    with pytest.raises(StudyError, match="unknown metric 'dise'"):
        friedman_modes(modes(), metric="dise")
    with pytest.raises(StudyError, match="unknown column 'tagret'"):
        compare_modes(modes(), by=["tagret"])
    with pytest.raises(StudyError, match="pool scores of different model"):
        compare_benchmarks(pd.concat([drawn(), drawn(model="vit_b")]), by=["prompt"])
