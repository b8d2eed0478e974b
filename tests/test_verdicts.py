"""Models whose answers are known get the verdicts they must: the reference, its complement, nothing, the ellipse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from score_tables import drawn

from samstudy.comparisons import compare_benchmarks
from samstudy.errors import StudyError
from samstudy.findings import balanced_mean, rank_spread
from samstudy.hypotheses import Hypotheses
from samstudy.metrics import score
from samstudy.results import make_table
from samstudy.statistics import estimate
from samstudy.study import load_study
from samstudy.verdicts import COLUMNS, say, verdicts

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = load_study(ROOT / "study.yaml").hypotheses
SIZE_HW = (64, 64)
N_PATIENTS = 6


def references(patient: int) -> dict[tuple[str, str], np.ndarray]:
    """What is to be found in the images of one patient: (data set, target) -> mask."""
    y, x = np.mgrid[:64, :64]
    mask = np.zeros(SIZE_HW, bool)
    vessels, band, layer, square = (mask.copy() for _ in range(4))
    vessels[8:56:8, 4:60] = vessels[4:60, 8 + patient] = True
    band[34:60, 2:62] = True
    layer[24 + patient : 26 + patient, 2:62] = layer[10 : 25 + patient, 30:32] = True
    square[20:40, 20 + patient : 44] = True
    disc = (y - 30) ** 2 + (x - 30) ** 2 <= (8 + patient) ** 2
    return {
        ("phantom_drive", "vessels"): vessels,
        ("phantom_aroi", "under_bm"): band,
        ("phantom_aroi", "rpe_bm"): layer,
        ("phantom_isic", "lesion"): square,
        ("heldout_scenes", "object"): disc,
    }


def ellipse_in(reference: np.ndarray) -> np.ndarray:
    rows, columns = (np.flatnonzero(reference.any(axis=axis)) for axis in (1, 0))
    y, x = np.mgrid[:64, :64]
    middle_y, middle_x = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    half_y, half_x = (rows[-1] - rows[0] + 1) / 2, (columns[-1] - columns[0] + 1) / 2
    return ((y - middle_y) / half_y) ** 2 + ((x - middle_x) / half_x) ** 2 <= 1


ANSWERS = {
    "reference": lambda reference: reference,
    "complement": lambda reference: ~reference,
    "empty": lambda reference: reference & False,
    "inscribed": ellipse_in,
}


def answered(name: str, tuning: str = "none", **more: object) -> pd.DataFrame:
    rows = [
        {
            "dataset": dataset,
            "image_id": f"image_{patient}",
            "group_id": f"patient_{patient}",
            "object_id": target,
            "target": target,
            "model": "vit_t",
            "tuning": tuning,
            "shots": 0 if tuning == "none" else 10,
            "prompt": "box",
            "mask_choice": "single",
            "iou_pred": 0.5,
            "status": "ok",
            "dice": score(reference, ANSWERS[name](reference), metrics=["dice"])["dice"],
        }
        | more
        for patient in range(N_PATIENTS)
        for (dataset, target), reference in references(patient).items()
    ]
    return make_table(rows)


def judged(zero: pd.DataFrame, tuned: pd.DataFrame | None = None, prompt: str = "box") -> dict[str, str]:
    found = verdicts(COMMITTED, zero, tuned, n_boot=100)
    of_prompt = found[found["prompt"] == prompt]
    return dict(zip(of_prompt["hypothesis"], of_prompt["verdict"], strict=True))


def test_the_ellipse_fails_on_vessels_by_the_number_that_its_masks_give() -> None:
    vessels = [references(patient)["phantom_drive", "vessels"] for patient in range(N_PATIENTS)]
    overlaps = [(ellipse_in(mask) & mask).sum() for mask in vessels]
    dice = [2 * n / (ellipse_in(mask).sum() + mask.sum()) for n, mask in zip(overlaps, vessels, strict=True)]
    found = verdicts(COMMITTED, answered("inscribed"), n_boot=100).set_index(["hypothesis", "prompt"])
    assert found.loc[("C3_vessels", "box"), "value"] == pytest.approx(np.mean(dice))


YES, NO, UNKNOWN = "supported", "not supported", "not testable here"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "reference",
            {"C1_general": YES, "C1_gap": NO, "C2_layers": NO, "C2_benchmarks": NO, "C3_vessels": NO},
        ),
        (
            "complement",
            {"C1_general": NO, "C1_gap": NO, "C2_layers": NO, "C2_benchmarks": NO, "C3_vessels": YES},
        ),
        ("empty", {"C1_general": NO, "C1_gap": NO, "C2_layers": NO, "C2_benchmarks": NO, "C3_vessels": YES}),
        (
            "inscribed",
            {"C1_general": YES, "C1_gap": YES, "C2_layers": YES, "C2_benchmarks": YES, "C3_vessels": YES},
        ),
    ],
)
def test_known_answers_get_the_verdicts_they_must(model: str, expected: dict[str, str]) -> None:
    assert judged(answered(model)) == {**expected, "C4_gain": UNKNOWN}


@pytest.mark.parametrize(
    ("before", "after", "value", "verdict"),
    [
        ("empty", "reference", 1.0, YES),
        ("reference", "reference", 0.0, NO),
        ("reference", "empty", -1.0, NO),
        ("complement", "empty", 0.0, NO),
    ],
)
def test_gains_of_known_answers(before: str, after: str, value: float, verdict: str) -> None:
    tuned = pd.concat([answered(before), answered(after, "decoder")], ignore_index=True)
    found = verdicts(COMMITTED, answered(before), tuned, n_boot=100)
    row = found[(found["hypothesis"] == "C4_gain") & (found["prompt"] == "box")].iloc[0]
    assert (row["value"], row["ci_low"], row["ci_high"], row["verdict"]) == (value, value, value, verdict)
    assert row["figure"] == "fig11_few_shot"


def test_only_a_small_amount_of_data_counts_and_the_most_of_it() -> None:
    tuned = [
        answered("empty"),
        answered("empty", "decoder", shots=1),
        answered("reference", "decoder", shots=20),
    ]
    tuned.append(answered("empty", "decoder", shots=50))
    assert judged(answered("empty"), pd.concat(tuned))["C4_gain"] == YES
    assert judged(answered("empty"), pd.concat([tuned[0], tuned[3]]))["C4_gain"] == UNKNOWN


def test_each_method_is_judged_alone_and_only_gains_have_one() -> None:
    tuned = [answered("empty"), answered("reference", "decoder"), answered("empty", "lora", shots=5)]
    found = verdicts(COMMITTED, answered("empty"), pd.concat(tuned), n_boot=100)
    of_gain = found[(found["hypothesis"] == "C4_gain") & (found["prompt"] == "box")].set_index("tuning")
    assert of_gain["verdict"].to_dict() == {"decoder": YES, "lora": NO}
    assert of_gain["value"].to_dict() == {"decoder": 1, "lora": 0}
    assert set(found.loc[found["hypothesis"] != "C4_gain", "tuning"]) == {"none"}
    assert not found.duplicated(["hypothesis", "model", "tuning", "prompt", "images"]).any()
    said = say(found, "C4")
    assert "* **supported**: vit_t (decoder), `box`" in said
    assert "* **not supported**: vit_t (lora), `box`" in said
    assert "(10 training images; only 6 groups" in said


def test_a_gain_says_the_images_and_repetitions_that_it_pools() -> None:
    first = answered("reference", "decoder", shots=20, fold=0)
    others = [answered(name, "decoder", shots=20, fold=i) for i, name in enumerate(["empty", "empty"], 1)]
    few = [answered("reference", "decoder", shots=3, fold=i) for i in range(3)]
    after = pd.concat([t[t["dataset"] != "phantom_isic"] for t in (first, *others)], ignore_index=True)
    few = pd.concat(few).query("dataset == 'phantom_isic'")
    found = verdicts(COMMITTED, answered("empty"), pd.concat([answered("empty"), after, few]), n_boot=100)
    (row,) = found[(found["hypothesis"] == "C4_gain") & (found["prompt"] == "box")].to_dict("records")
    assert row["note"].startswith("3 to 20 training images, each object's mean over 3 repetitions; only 6")
    # two of three data sets rose by a third, one by 1
    assert row["value"] == pytest.approx((1 / 3 + 1 / 3 + 1) / 3)
    assert row["n_objects"] == 24


def test_without_a_control_the_first_claim_is_not_testable() -> None:
    medical = answered("reference").query("dataset != 'heldout_scenes'")
    found = verdicts(COMMITTED, medical, n_boot=100)
    of_claim = found[(found["claim"] == "C1") & (found["prompt"] == "box")]
    assert set(of_claim["verdict"]) == {UNKNOWN}
    notes = dict(zip(of_claim["hypothesis"], of_claim["note"], strict=True))
    assert (
        notes["C1_gap"] == "there is no general-domain data set of drawn images in this run to compare with"
    )
    assert "no rows of this prompt with a general-domain data set (voc2012" in notes["C1_general"]


def test_few_patients_are_not_testable_and_said() -> None:
    few = answered("empty").query("group_id in ['patient_0', 'patient_1']")
    found = verdicts(COMMITTED, few, n_boot=100).set_index(["hypothesis", "prompt"])
    row = found.loc[("C3_vessels", "box")]
    assert row["verdict"] == UNKNOWN
    assert row["note"] == "no data set has 5 groups with a score (2 few_groups)"


def test_real_images_and_phantoms_are_judged_apart() -> None:
    real = answered("reference").assign(dataset=lambda t: t["dataset"].str.removeprefix("phantom_"))
    found = verdicts(
        COMMITTED,
        pd.concat([real, answered("empty")], ignore_index=True).drop_duplicates(
            ["dataset", "image_id", "object_id"]
        ),
        n_boot=100,
    )
    row = found[(found["hypothesis"] == "C3_vessels") & (found["prompt"] == "box")].set_index("images")
    assert row["verdict"].to_dict() == {"real": NO, "phantom": YES}
    assert row["datasets"].to_dict() == {"real": "drive", "phantom": "PHANTOM drive"}


def test_an_interval_that_holds_the_threshold_cannot_tell() -> None:
    table = drawn(0, 0.1, 0.5, target="vessels")
    found = verdicts(COMMITTED, table, n_boot=100)
    row = found[(found["hypothesis"] == "C3_vessels") & (found["prompt"] == "box")].iloc[0]
    assert row["ci_low"] < 0.3 < row["ci_high"]
    assert row["verdict"] == NO
    assert "this run cannot tell" in row["note"]


def test_the_baseline_gets_no_verdict_and_no_hypotheses_no_rows() -> None:
    assert verdicts(COMMITTED, answered("empty").assign(model="ellipse"), n_boot=100).empty
    nothing = verdicts(Hypotheses(), answered("empty"))
    assert list(nothing.columns) == COLUMNS
    assert say(nothing, "C1") == "study.yaml states no hypothesis about C1."


def test_a_verdict_is_a_sentence_with_its_number_n_and_figure() -> None:
    found = verdicts(COMMITTED, answered("empty"), n_boot=100)
    text = say(found, "C3")
    assert text.startswith("*Zero-shot segmentation of vessels fails.*")
    assert (
        "* **supported**: vit_t, `box`, PHANTOM drive: mean Dice 0.00 [0.00, 0.00], to be below 0.3; n = 6 objects of "
        "6 groups; see fig2_prompts_vit_t (only 6 groups" in text
    )
    assert (
        "* **not testable here**: vit_t, `point_center`: the zero-shot table has no rows of this prompt"
        in text
    )


def test_a_measure_must_be_a_known_fraction() -> None:
    (test,) = [test for test in COMMITTED.tests if test.name == "C3_vessels"]
    with pytest.raises(StudyError, match="C3_vessels: 'hd95' is no fraction"):
        verdicts(Hypotheses((), (replace(test, measure="hd95"),)), answered("empty"))
    with pytest.raises(StudyError, match="unknown metric 'dise'"):
        verdicts(Hypotheses((), (replace(test, measure="dise"),)), answered("empty"))


# --- the numbers --------------------------------------------------------------------------------------------


def test_the_mean_of_one_target_and_its_interval_are_the_summary_s() -> None:
    table = drawn()
    found, expected = balanced_mean(table, "dice"), estimate(table)
    assert (found.value, found.low, found.high) == pytest.approx(expected[:3])
    assert (found.n_groups, found.n_objects, found.datasets) == (12, 36, "demo")


def test_benchmarks_and_targets_weigh_alike() -> None:
    many = pd.concat([drawn(i, dataset="many", target=f"organ{i}", object_id=f"o{i}") for i in range(3)])
    few = drawn(5, 0.1, 0.2, dataset="few")
    means = many.groupby("target")["dice"].mean().mean(), few["dice"].mean()
    assert balanced_mean(pd.concat([many, few]), "dice").value == pytest.approx(np.mean(means))
    gap = balanced_mean(few, "dice", control=many)
    assert gap.value == pytest.approx(means[0] - means[1])
    assert gap.low < gap.value < gap.high


def test_spread_is_the_epsilon_squared_of_kruskal_and_wallis() -> None:
    table = pd.concat([drawn(i, 0.3 + i / 10, 0.6 + i / 10, dataset=f"set{i}") for i in range(3)])
    found = rank_spread(table, "dice", n_boot=100)
    assert found.value == pytest.approx(compare_benchmarks(table)["epsilon_squared"].item())
    assert found.low < found.value < found.high
    tied = table.assign(dice=table["dice"].round(1))
    expected = compare_benchmarks(tied)["epsilon_squared"].item()
    assert rank_spread(tied, "dice", n_boot=100).value == pytest.approx(expected)


def test_the_interval_of_a_spread_that_is_chance_alone_reaches_down_to_nothing() -> None:
    """Percentiles of resampled groups lie far above: they repeat groups, and ties raise epsilon squared."""
    found = []
    for seed in range(12):
        alike = [drawn(100 * seed + i, dataset=f"set{i}") for i in range(6)]
        rows = pd.concat(alike).groupby("dataset").head(3 * 5)
        found.append(rank_spread(rows, "dice", n_boot=200))
    assert sum(each.low < 0.02 for each in found) >= 10
    assert all(0 <= each.low <= each.value <= each.high <= 1 for each in found)


def test_the_spread_of_sets_that_do_not_overlap_is_near_its_most_and_of_equal_scores_nothing() -> None:
    apart = [drawn(i, 0, 0.01, dataset=f"set{i}").assign(dice=i) for i in range(3)]
    perfect = rank_spread(pd.concat(apart), "dice", n_boot=100)
    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)
    # the mean of three tenths is not a tenth in binary
    equal = [drawn(i, dataset=f"set{i}").assign(dice=0.1) for i in range(2)]
    equal[0] = equal[0].groupby("group_id").head(1)
    assert rank_spread(pd.concat(equal), "dice", n_boot=100)[:3] == (0, 0, 0)
