"""The second computation agrees with the package on a drawn run, and finds a number that was changed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset, tiny_sam

from samstudy import comparisons
from samstudy.calibration import calibration
from samstudy.clicks import clicks_to
from samstudy.datasets import load_dataset
from samstudy.evaluation import evaluate
from samstudy.models import SamModel
from samstudy.phantoms import write_phantom
from samstudy.ranks import friedman, holm, kruskal_wallis, signed_rank
from samstudy.results import write_table
from samstudy.statistics import headline, paired_gain, skill, summarise
from samstudy.study import load_study
from samstudy.verdicts import verdicts

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import claims  # noqa: E402
import recompute  # noqa: E402
import recomputed  # noqa: E402

PROMPTS = ["point_center", "points_p5", "box", "clicks_1", "clicks_2"]


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> dict[str, pd.DataFrame]:
    """Zero-shot and fine-tuning tables of a phantom and of a drawn set, under a SAM of random weights."""
    root = write_phantom("refuge", tmp_path_factory.mktemp("refuge"), {"train": 1, "test": 5})
    sets = [
        (load_dataset("phantom_refuge", root), ["optic_cup"]),
        (DrawnDataset(9, "teeeeeeee"), ["disc", "dot"]),
    ]
    models = [SamModel("tiny", tiny_sam(), source="tiny"), "ellipse"]
    tuned = [SamModel("tiny", tiny_sam(seed), "decoder", 10, fold=seed) for seed in (1, 2)]

    def both(models: list, prompts: list[str]) -> pd.DataFrame:
        each = [evaluate(ds, models, prompts, targets=some, progress=False) for ds, some in sets]
        return pd.concat(each, ignore_index=True)

    zero = both(models, PROMPTS)
    # random weights give masks that are all alike; some of them are to be good
    rng = np.random.default_rng(0)
    better = (zero["model"] == "tiny") & (zero["dataset"] == "drawn")
    zero.loc[better, "dice"] = rng.uniform(0.3, 1, better.sum()).round(2)
    zero.loc[better, "iou"] = zero["dice"] / (2 - zero["dice"])
    zero.loc[better, "iou_pred"] = (zero["iou"] + rng.normal(0, 0.1, len(zero))).round(2)
    shown = zero["prompt"].isin(["box", "point_center"])
    after = pd.concat([zero[shown], both(tuned, ["box", "point_center"])], ignore_index=True)
    return {"zero_shot": zero, "fine_tune": after}


def write_run(scores: dict[str, pd.DataFrame], root: Path) -> None:
    """What make leaves: score tables, CSV tables by the calls of the notebook, and the notebook itself."""
    zero, tuned = scores["zero_shot"], scores["fine_tune"]
    for stage, table in scores.items():
        for name, rows in table.groupby("dataset"):
            path = root / "data" / "results" / "demo" / f"{name}.{stage}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_table(rows, path)
    shutil.copy(ROOT / "study.yaml", root)
    study = load_study(root / "study.yaml")
    shown = study.profiles["demo"].shown(zero)
    is_sam = tuned["model"] != "ellipse"
    before = tuned[is_sam & (tuned["tuning"] == "none")]
    tables = {
        "table1_dice": summarise(headline(shown)),
        "table1_dice_all": summarise(headline(zero)),
        "table2_skill": skill(shown),
        "table3_gain": paired_gain(before, tuned[is_sam & (tuned["tuning"] != "none")]),
        "table5_verdicts": verdicts(study.hypotheses, zero, tuned),
        "table6_calibration": calibration(zero),
    }
    folder = root / "figures" / "demo" / "tables"
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    answers = shown[shown["model"] != "ellipse"]
    printed = [
        comparisons.compare_benchmarks(answers),
        comparisons.friedman_modes(answers).drop(columns="prompts"),
        comparisons.tally(comparisons.compare_modes(answers, against="box")),
    ]
    cells = [{"outputs": [{"data": {"text/html": each.round(4).to_html()}}]} for each in printed]
    notebook = root / "figures" / "demo" / "executed" / "30_summary.ipynb"
    notebook.parent.mkdir()
    notebook.write_text(json.dumps({"cells": cells}))


@pytest.fixture(scope="module")
def run(scores, tmp_path_factory) -> Path:
    """Folder of the run."""
    root = tmp_path_factory.mktemp("run")
    write_run(scores, root)
    return root


@pytest.fixture(scope="module")
def again(run) -> dict[str, tuple]:
    """Tables computed again, the run's own and the tolerance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recomputed, "N_DRAWS", 1000)
        return recompute.recompute(run, "demo")


def test_the_script_uses_nothing_of_the_package():
    for module in (recompute, recomputed, claims):
        lines = Path(module.__file__).read_text().splitlines()
        assert not any(line.startswith(("import samstudy", "from samstudy")) for line in lines)


def test_every_table_of_a_run_is_computed_again_to_the_same_numbers(again, monkeypatch, capsys):
    monkeypatch.setattr(recompute, "recompute", lambda root, profile: again)
    monkeypatch.setattr(sys, "argv", ["recompute.py", "somewhere"])
    code, out = recompute.main(), capsys.readouterr().out
    assert code == 0, out
    assert out.count(", 0 disagree") == len(recompute.KEYS)
    name, (mine, theirs, tolerance) = "table1_dice", again["table1_dice"]
    again_wrong = again | {name: (mine, theirs[1:], tolerance), "table3_gain": (mine, None, tolerance)}
    monkeypatch.setattr(recompute, "recompute", lambda root, profile: again_wrong)
    assert recompute.main() == 1
    out = capsys.readouterr().out
    assert "only in one table" in out and "table3_gain: not there to compare" in out


@pytest.mark.parametrize(
    ("table", "column", "by", "words"),
    [
        ("table1_dice", "mean", 1e-6, "mean is"),
        ("table1_dice", "ci_low", -0.2, "another resampling's lies in"),
        ("table2_skill", "skill", 1e-6, "skill is"),
        ("table3_gain", "p_wilcoxon", 0.01, "p_wilcoxon is"),
        ("table5_verdicts", "value", 1e-6, "value is"),
        ("table6_calibration", "auroc", 1e-6, "auroc is"),
        ("tally of modes", "higher", 1, "higher is"),
        ("between data sets", "p_holm", 0.01, "p_holm is"),
    ],
)
def test_a_changed_number_is_found(again, table, column, by, words):
    mine, theirs, tolerance = again[table]
    row = theirs[column].first_valid_index() if column != "ci_low" else theirs[column].idxmax()
    changed = theirs.copy()
    changed.loc[row, column] += by
    _, wrong = recompute.compare(table, mine, changed, tolerance)
    assert len(wrong) == 1
    assert words in wrong[0]


def test_a_verdict_that_its_interval_does_not_give_is_found(again):
    mine, theirs, _ = again["table5_verdicts"]
    row = theirs["ci_low"].first_valid_index()
    changed = theirs.assign(verdict=theirs["verdict"].where(theirs.index != row, "not testable here"))
    _, wrong = recompute.compare("table5_verdicts", mine, changed)
    assert len(wrong) == 1 and "its own interval says" in wrong[0]


def test_without_score_tables_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["recompute.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="run `make all` first"):
        recompute.main()


def test_clicks_needed_are_counted_alike(scores):
    zero = scores["zero_shot"]
    mine, theirs = recomputed.clicks(zero), clicks_to(zero, n_boot=50)
    keys = [*recomputed.CELL[:-1], "threshold"]
    both = theirs.merge(mine, on=keys, suffixes=("", "_mine"))
    assert len(both) == len(theirs) == len(mine) > 0
    for column in ("mean_clicks", "share_reached", "n_objects", "n_groups"):
        np.testing.assert_allclose(both[column].astype(float), both[f"{column}_mine"].astype(float))


def test_rank_tests_by_counting_are_the_libraries():
    rng = np.random.default_rng(3)
    for n in (5, 6, 8, 20, 40):
        for values in (rng.normal(0.2, 1, n), rng.integers(-3, 5, min(n, 12)).astype(float)):
            found = signed_rank(values)
            assert recomputed.signed_rank(values) == pytest.approx((found.p, found.effect))
    tied = rng.integers(0, 4, (9, 4)).astype(float)
    assert recomputed.friedman(tied) == pytest.approx(friedman(tied)[1:3])
    samples = [tied[:, 0], tied[:5, 1], tied[:, 2]]
    assert recomputed.epsilon_squared(samples) == pytest.approx(kruskal_wallis(samples).effect)
    p = [0.01, np.nan, 0.04, 0.03, 0.6]
    np.testing.assert_allclose(recomputed.holm(p), holm(p))
