"""Models with known answers, sent the whole way: images, evaluation, statistics, verdicts, tables in files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset, Oracle

from samstudy.baselines import inscribed_ellipse
from samstudy.datasets.base import Reading, Record
from samstudy.evaluation import evaluate
from samstudy.prompts import tight_box_xyxy
from samstudy.statistics import headline, paired_gain, skill, summarise, summarise_metrics
from samstudy.study import load_study
from samstudy.tables import write_tables
from samstudy.verdicts import verdicts

HYPOTHESES = load_study(Path(__file__).resolve().parent.parent / "study.yaml").hypotheses
PROMPTS = ["box", "point_center"]
YES, NO = "supported", "not supported"
SIDE = 48


def vessels(i: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[6:42:9, 2:46] = mask[2:46, 6 + i] = True
    return mask


def under(i: int) -> np.ndarray:
    return np.arange(SIDE)[:, None] >= np.full(SIDE, 26 + i)


def layer(i: int) -> np.ndarray:
    # slanted, so that its box says little about it
    depth = np.arange(SIDE)[:, None] - np.arange(SIDE) // 2
    return (depth >= i) & (depth < i + 2)


def disc(i: int) -> np.ndarray:
    y, x = np.ogrid[:SIDE, :SIDE]
    return (y - 22) ** 2 + (x - 24) ** 2 <= (8 + i) ** 2


def square(i: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10:30, 8 + i : 40] = True
    return mask


SETS = {
    "phantom_drive": {"vessels": vessels},
    "phantom_aroi": {"under_bm": under, "rpe_bm": layer},
    "phantom_isic": {"lesion": square},
    "heldout_scenes": {"object": disc},
}


class Known(DrawnDataset):
    """Seven images, each a group of its own, the last for training."""

    def __init__(self, name: str):
        super().__init__(7, "eeeeeet")
        self.info = replace(self.info, name=name, targets=tuple(SETS[name]))

    def _read(self, record: Record) -> Reading:
        labels = {target: shape(record.index) for target, shape in SETS[self.info.name].items()}
        noise = np.random.default_rng(record.index).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        return Reading(noise, labels)


def ellipse(reference: np.ndarray) -> np.ndarray:
    return inscribed_ellipse(tight_box_xyxy(reference), reference.shape)


def noisy(reference: np.ndarray) -> np.ndarray:
    return reference ^ (np.random.default_rng(int(reference.sum())).random(reference.shape) < 0.1)


ANSWERS = {
    "reference": lambda reference: reference,
    "complement": np.logical_not,
    "empty": np.zeros_like,
    "ellipse": ellipse,
    "noisy": noisy,
}


def scored(name: str, tuning: str = "none", shots: int = 0) -> pd.DataFrame:
    tables = []
    for dataset in map(Known, SETS):
        model = Oracle(
            dataset, lambda reference: np.stack([ANSWERS[name](reference)] * 4), tuning=tuning, shots=shots
        )
        models = [model, "ellipse"] if tuning == "none" else [model]
        tables.append(evaluate(dataset, models, PROMPTS, cache=False, progress=False))
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def zero() -> dict[str, pd.DataFrame]:
    """Score table of every answer beside the ellipse."""
    return {name: scored(name) for name in ANSWERS}


def in_file(table: pd.DataFrame, folder: Path, rows: list[str], value: str | None = None) -> pd.DataFrame:
    """The table as a reader finds it: written, and read again."""
    write_tables(table, folder / "table", rows, "prompt" if "prompt" not in rows else None, value)
    return pd.read_csv(folder / "table.csv")


CELL = ["dataset", "target", "model"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("reference", {"dice": 1, "iou": 1, "nsd": 1, "hd95": 0, "assd": 0}),
        ("complement", {"dice": 0, "iou": 0}),
        ("empty", {"dice": 0, "iou": 0, "nsd": 0, "hd95": np.inf, "assd": np.inf}),
    ],
)
def test_scores_in_the_table_of_the_paper_are_exactly_those_of_the_answer(zero, tmp_path, name, expected):
    table = summarise_metrics(headline(zero[name]), list(expected), n_boot=50)
    found = in_file(table, tmp_path, [*CELL, "metric", "prompt"])
    found = found[found["model"] == "known"]
    assert len(found) == 5 * len(PROMPTS) * len(expected)
    shown = found["mean"].where(found["statistic"] == "mean", found["median"])
    for metric, value in expected.items():
        of_metric = found["metric"] == metric
        assert (shown[of_metric] == value).all()
        assert (found.loc[of_metric, ["ci_low", "ci_high"]] == value).all(axis=None)
    assert (found["n_left_out"] == 0).all() and (found["n_groups"] == 6).all()
    statuses = set(zero[name].loc[zero[name]["model"] == "known", "status"])
    assert statuses == ({"pred_empty"} if name == "empty" else {"ok"})


def test_a_noisy_answer_scores_what_its_pixels_give(zero):
    found = summarise(headline(zero["noisy"]), n_boot=50).set_index(["dataset", "target", "model", "prompt"])
    for dataset, shapes in SETS.items():
        for target, shape in shapes.items():
            pairs = [(shape(i), noisy(shape(i))) for i in range(6)]
            dice = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]
            for prompt in PROMPTS:
                row = found.loc[(dataset, target, "known", prompt)]
                assert row["mean"] == pytest.approx(np.mean(dice), abs=1e-12)
                assert row["ci_low"] <= row["mean"] <= row["ci_high"]


@pytest.mark.parametrize("name", ANSWERS)
def test_skill_is_one_for_the_reference_and_nothing_for_the_ellipse(zero, tmp_path, name):
    found = in_file(skill(zero[name], n_boot=50), tmp_path, CELL, "skill").query("prompt == 'box'")
    baseline = found["baseline_mean"]
    assert baseline.between(0.05, 0.999).all()
    wanted = {"reference": 1.0, "ellipse": 0.0, "noisy": (found["mean"] - baseline) / (1 - baseline)}
    np.testing.assert_allclose(found["skill"], wanted.get(name, -baseline / (1 - baseline)), atol=1e-12)
    if name in ("reference", "ellipse"):
        assert (found[["ci_low", "ci_high"]] == wanted[name]).all(axis=None)


NUMBERS = {
    "reference": {"C1_general": 1, "C1_gap": 0, "C2_layers": 0, "C2_benchmarks": 0, "C3_vessels": 1},
    "complement": {"C1_general": 0, "C1_gap": 0, "C2_layers": 0, "C2_benchmarks": 0, "C3_vessels": 0},
    "empty": {"C1_general": 0, "C1_gap": 0, "C2_layers": 0, "C2_benchmarks": 0, "C3_vessels": 0},
}


@pytest.mark.parametrize(
    ("name", "supported"),
    [
        ("reference", {"C1_general", "C4_gain"}),
        ("complement", {"C3_vessels"}),
        ("empty", {"C3_vessels"}),
        ("ellipse", {"C1_general", "C1_gap", "C2_layers", "C2_benchmarks", "C3_vessels", "C4_gain"}),
    ],
)
def test_verdicts_in_their_table_are_those_the_answer_must_get(zero, tmp_path, name, supported):
    tuned = pd.concat([zero["empty"], scored(name, "decoder", 10)], ignore_index=True)
    judged = verdicts(HYPOTHESES, zero[name], tuned, n_boot=100)
    found = in_file(judged, tmp_path, ["hypothesis", "model", "images", "verdict", "prompt"], "value")
    assert set(found["prompt"]) == set(PROMPTS) and len(found) == 6 * len(PROMPTS)
    for prompt in PROMPTS:
        rows = found[found["prompt"] == prompt].set_index("hypothesis")
        assert set(rows.index[rows["verdict"] == YES]) == supported
        assert set(rows["verdict"]) <= {YES, NO}
        for hypothesis, number in NUMBERS.get(name, {}).items():
            exactly = rows.loc[hypothesis, ["value", "ci_low", "ci_high"]].astype(float)
            assert list(exactly) == pytest.approx([number] * 3, abs=1e-12)
    assert set(found.loc[found["hypothesis"] == "C1_general", "images"]) == {"drawn"}


def test_gains_are_exactly_after_minus_before(zero, tmp_path):
    before = zero["empty"][zero["empty"]["model"] == "known"]
    gains = paired_gain(before, scored("reference", "decoder", 10), n_boot=50)
    found = in_file(gains, tmp_path, ["dataset", "target"], "gain")
    assert (found[["gain", "ci_low", "ci_high", "after"]] == 1).all(axis=None)
    assert (found["before"] == 0).all() and (found["n_better"] == 6).all()
    # all six rose alike: the two extremes of 64 signs
    assert (found["p_wilcoxon"] == 2 / 64).all()
