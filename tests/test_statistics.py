"""The aggregates equal values computed apart, count what they leave out, and refuse to mix what differs."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon
from score_tables import both, drawn, row

from samstudy.errors import StudyError
from samstudy.prompts import PROMPTS, headline_choice
from samstudy.results import make_table
from samstudy.statistics import GRID, estimate, headline, paired_gain, skill, summarise, summarise_metrics
from samstudy.types import MASK_CHOICES


def test_summary_equals_pandas():
    table = drawn()
    (found,) = summarise(table).to_dict("records")
    assert found["mean"] == pytest.approx(table["dice"].mean())
    assert found["median"] == pytest.approx(table["dice"].median())
    assert [found["q25"], found["q75"]] == pytest.approx(list(table["dice"].quantile([0.25, 0.75])))
    assert (found["n_objects"], found["n_images"], found["n_groups"], found["n_scores"]) == (36, 12, 12, 36)
    assert (found["n_left_out"], found["left_out"], found["n_infinite"]) == (0, "", 0)
    assert (found["metric"], found["unit"], found["statistic"]) == ("dice", "fraction", "mean")
    assert found["ci_low"] < found["mean"] < found["ci_high"]
    assert found["note"] == ""


def test_interval_does_not_depend_on_row_order_or_on_other_cells():
    table = drawn()
    alone = summarise(table)
    shuffled = summarise(table.sample(frac=1, random_state=0))
    beside = summarise(pd.concat([drawn(1, model="vit_b"), table]))
    for other in (shuffled, beside[beside["model"] == "vit_t"]):
        assert other["ci_low"].item() == pytest.approx(alone["ci_low"].item())
        assert other["ci_high"].item() == pytest.approx(alone["ci_high"].item())
    assert summarise(table, seed=1)["ci_low"].item() != alone["ci_low"].item()


def test_what_is_left_out_is_counted_with_its_reason():
    statuses = ["error", "error", "ref_empty", "pred_empty"]
    extra = make_table(row(group, 7, np.nan, status=status) for group, status in enumerate(statuses))
    table = drawn()
    (found,) = summarise(pd.concat([table, extra])).to_dict("records")
    assert found["n_left_out"] == 4
    assert found["left_out"] == "2 error, 1 ref_empty, 1 undefined"
    assert found["mean"] == pytest.approx(table["dice"].mean())
    assert found["n_objects"] == 36


def test_a_cell_without_any_score_is_a_row():
    table = drawn()
    table["dice"], table["status"] = np.nan, "error"
    (found,) = summarise(table).to_dict("records")
    assert found["n_left_out"] == 36
    assert found["n_objects"] == 0
    assert math.isnan(found["mean"])
    assert math.isnan(found["ci_low"])


def test_several_metrics_are_their_summaries_in_order():
    table = drawn()
    found = summarise_metrics(table, ["hd95", "dice"])
    assert found["metric"].tolist() == ["hd95", "dice"]
    assert found["ci_low"].tolist() == [summarise(table, metric=m)["ci_low"].item() for m in ("hd95", "dice")]
    assert summarise_metrics(table, []).empty


def test_infinite_distances_stay():
    table = drawn()
    table.loc[:3, "hd95"] = np.inf
    (found,) = summarise(table, metric="hd95").to_dict("records")
    assert math.isnan(found["mean"])
    assert found["n_infinite"] == 4
    assert found["statistic"] == "median"
    assert found["median"] == pytest.approx(np.median(table["hd95"]))
    assert found["ci_low"] <= found["median"] <= found["ci_high"]
    assert found["unit"] == "mm"
    table["hd95"] = np.inf
    assert summarise(table, metric="hd95")["ci_low"].item() == np.inf


def test_missing_key_values_are_a_cell_of_their_own():
    table = drawn()
    table.loc[:5, "shots"] = pd.NA
    assert summarise(table)["n_scores"].tolist() == [6, 30]


def test_no_columns_to_split_by_is_one_cell():
    assert summarise(drawn(), by=[])["n_objects"].item() == 36


@pytest.mark.parametrize(
    ("column", "metric", "other"),
    [
        ("model", "dice", "vit_b"),
        ("shots", "dice", 5),
        ("tuning", "dice", "lora"),
        ("prompt", "dice", "point_center"),
        ("mask_choice", "dice", "oracle"),
        ("distance_unit", "hd95", "px"),
        ("nsd_tolerance", "nsd", 1.0),
    ],
)
def test_different_things_are_not_pooled(column, metric, other):
    table = pd.concat(
        [drawn(nsd=0.5), drawn(nsd=0.5, **({"choice" if column == "mask_choice" else column: other}))]
    )
    with pytest.raises(StudyError, match=f"pool scores of different {column} .*add '{column}' to `by`"):
        summarise(table, by=["target"], metric=metric)
    assert len(summarise(table, by=["target", column], metric=metric)) == 2


@pytest.mark.parametrize("metric", ["dice", "hd95"])
def test_estimate_is_the_summary_of_one_cell(metric):
    table = drawn()
    found, summary = estimate(table, metric), summarise(table, metric=metric).iloc[0]
    assert found.statistic == summary["statistic"]
    assert found.value == summary[found.statistic]
    assert (found.low, found.high) == (summary["ci_low"], summary["ci_high"])


def test_estimate_of_nothing_is_nan():
    found = estimate(drawn().assign(dice=np.nan))
    assert np.isnan(found[:3]).all()
    assert found.note == "no interval: 0 group(s), fewer than 5"


def test_bad_input_is_a_sentence():
    with pytest.raises(StudyError, match="unknown column 'tagret'; did you mean 'target'"):
        summarise(drawn(), by=["tagret"])
    with pytest.raises(StudyError, match="unknown metric 'dise'; did you mean 'dice'"):
        summarise(drawn(), metric="dise")
    with pytest.raises(StudyError, match="no rows"):
        summarise(drawn().head(0))


def test_headline_takes_the_authors_choice_and_keeps_baselines():
    rows = []
    for prompt in PROMPTS:
        rows += [row(0, 0, 0.5, choice=choice, prompt=prompt) for choice in MASK_CHOICES]
        rows += [row(0, 0, 0.5, model="ellipse", prompt=prompt)]
    kept = headline(make_table(rows))
    assert len(kept) == 2 * len(PROMPTS)
    of_sam = kept[kept["model"] == "vit_t"]
    assert of_sam["mask_choice"].tolist() == [headline_choice(prompt) for prompt in of_sam["prompt"]]
    assert set(kept.loc[kept["model"] == "ellipse", "mask_choice"]) == {"single"}


def test_headline_does_not_pass_another_choice_off_as_the_headline():
    only_single = make_table([row(0, 0, 0.5, prompt="point_center")])
    assert headline(only_single).empty


def test_headline_keeps_failed_rows():
    failed = row(0, 0, np.nan, choice="predicted_iou", prompt="point_center", status="error", iou_pred=np.nan)
    assert len(headline(make_table([failed]))) == 1


def test_skill_by_hand():
    table = both()
    mean, base = (table.loc[table["model"] == name, "dice"].mean() for name in ("vit_t", "ellipse"))
    (found,) = skill(table).to_dict("records")
    assert found["mean"] == pytest.approx(mean)
    assert found["baseline_mean"] == pytest.approx(base)
    assert found["skill"] == pytest.approx((mean - base) / (1 - base))
    assert found["ci_low"] < found["skill"] < found["ci_high"]


def test_skill_compares_the_same_objects():
    table = both()
    missing = (table["model"] == "ellipse") & (table["image_id"] == "image_0")
    (found,) = skill(table[~missing]).to_dict("records")
    rest = table[table["image_id"] != "image_0"]
    assert found["mean"] == pytest.approx(rest.loc[rest["model"] == "vit_t", "dice"].mean())
    assert (found["n_left_out"], found["left_out"]) == (3, "3 no_baseline")


def test_skill_of_every_mask_choice_uses_the_one_baseline():
    table = pd.concat([drawn(0), drawn(2, choice="oracle"), drawn(1, model="ellipse")], ignore_index=True)
    found = skill(table, by=[*GRID, "mask_choice"])
    assert found["mask_choice"].tolist() == ["single", "oracle"]
    assert found["baseline_mean"][0] == found["baseline_mean"][1]
    assert len(skill(table)) == 1


def test_skill_without_room_above_the_baseline_is_nan():
    table = both()
    table.loc[table["model"] == "ellipse", "dice"] = 1.0
    (found,) = skill(table).to_dict("records")
    assert math.isnan(found["skill"])
    assert found["note"] == "no interval: undefined on a resample"


def test_skill_needs_one_baseline():
    with pytest.raises(StudyError, match="no rows of the baseline 'ellipse'"):
        skill(drawn())
    with pytest.raises(StudyError, match="baseline: several scores for dataset 'demo'"):
        skill(pd.concat([both(), drawn(1, model="ellipse")]))


def test_gain_by_hand():
    before, after = drawn(0), drawn(3, 0.7, 0.95, shots=5, tuning="decoder")
    (found,) = paired_gain(before, after).to_dict("records")
    gains = after["dice"].to_numpy() - before["dice"].to_numpy()
    assert found["gain"] == pytest.approx(gains.mean())
    assert found["after"] - found["before"] == pytest.approx(found["gain"])
    assert found["n_better"] == (gains > 0).sum()
    assert found["ci_low"] < found["gain"] < found["ci_high"]
    assert found["shots"] == 5

    per_group = pd.Series(gains).groupby(before["group_id"]).mean()
    assert found["p_wilcoxon"] == pytest.approx(wilcoxon(per_group).pvalue)


def test_gain_pairs_by_object_not_by_position():
    before = drawn(0)
    after = before.sample(frac=1, random_state=1).assign(dice=lambda t: t["dice"] + 0.05)
    (found,) = paired_gain(before, after).to_dict("records")
    assert [found["gain"], found["ci_low"], found["ci_high"]] == pytest.approx([0.05] * 3)


def test_gain_counts_what_has_no_partner():
    (found,) = paired_gain(drawn(0).iloc[3:], drawn(0)).to_dict("records")
    assert (found["n_scores"], found["n_left_out"], found["left_out"]) == (33, 3, "3 unpaired")


def test_gain_pools_folds_and_counts_objects_once():
    before = drawn(0)
    after = pd.concat([drawn(3, shots=5, fold=0), drawn(4, shots=5, fold=1)])
    (found,) = paired_gain(before, after).to_dict("records")
    assert (found["n_objects"], found["n_scores"]) == (36, 72)


def test_gain_of_a_distance_is_a_median_difference():
    before, after = drawn(0), drawn(3, shots=5)
    before.loc[:1, "hd95"] = np.inf
    after.loc[0, "hd95"] = np.inf
    (found,) = paired_gain(before, after, metric="hd95").to_dict("records")
    assert (found["n_left_out"], found["left_out"]) == (1, "1 both_infinite")
    assert found["n_scores"] == 35
    assert found["gain"] == pytest.approx(np.median((after["hd95"] - before["hd95"]).drop(0)))
    assert np.isfinite(found["p_wilcoxon"])


def test_no_gain_is_no_evidence():
    (found,) = paired_gain(drawn(0), drawn(0)).to_dict("records")
    assert found["gain"] == 0
    assert found["p_wilcoxon"] == 1
    few = drawn(0).query("group_id in ['group_0', 'group_1']")
    assert math.isnan(paired_gain(few, few)["p_wilcoxon"].item())


def test_gain_refuses_tables_that_do_not_pair():
    with pytest.raises(StudyError, match="share no scored object"):
        paired_gain(drawn(0), drawn(0).assign(image_id="elsewhere"))
    with pytest.raises(StudyError, match="before: several scores for"):
        paired_gain(pd.concat([drawn(0), drawn(0, model="vit_b")]), drawn(0))
