"""The results browser's rows and the masks behind them, and the command that opens JupyterLab."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import samstudy as ss
from samstudy.errors import StudyError
from samstudy.explore.lab import lab_command
from samstudy.explore.rows_again import Replayer, read_results
from samstudy.explore.score_rows import ScoreRows, lines
from samstudy.results import make_table


@pytest.fixture
def many() -> pd.DataFrame:
    """A hundred thousand drawn rows, every hundredth without a score."""
    rng, n = np.random.default_rng(0), 100_000
    table = pd.concat([make_table([{"status": "ok"}])] * n, ignore_index=True)
    for column, count in (("dataset", 11), ("target", 20), ("model", 5), ("prompt", 30), ("mask_choice", 4)):
        table[column] = np.array([f"{column}{i}" for i in range(count)])[rng.integers(0, count, n)]
    table["dice"] = np.where(np.arange(n) % 100, rng.random(n), np.nan)
    return table


def test_a_hundred_thousand_rows_are_filtered_and_sorted_at_once(many: pd.DataFrame) -> None:
    rows = ScoreRows(many)
    start = time.perf_counter()
    n_kept = rows.select({"dataset": "dataset3", "prompt": "prompt7"})
    first = rows.page(0)
    assert time.perf_counter() - start < 0.5
    expected = many[(many["dataset"] == "dataset3") & (many["prompt"] == "prompt7")].sort_values("dice")
    assert n_kept == len(expected)
    assert first.equals(expected.head(15))
    assert rows.page(rows.n_pages - 1)["dice"].isna().any() == expected["dice"].isna().any()
    rows.select({"dataset": "dataset3", "prompt": "prompt7"}, worst_first=False)
    assert rows.page(0)["dice"].tolist() == expected["dice"].dropna().tolist()[::-1][:15]
    assert rows.page(rows.n_pages).empty


def test_an_empty_table_and_wrong_names_are_answered() -> None:
    rows = ScoreRows(make_table([]))
    assert (rows.select(), rows.n_pages, len(rows.page(0))) == (0, 1, 0)
    with pytest.raises(StudyError, match="unknown dataset 'isik'"):
        rows.select({"dataset": "isik"})
    with pytest.raises(StudyError, match="unknown filter 'datset'; did you mean 'dataset'"):
        rows.select({"datset": "isic"})
    with pytest.raises(StudyError, match="not a score table: the columns dataset, target"):
        ScoreRows(pd.DataFrame({"dice": [1.0]}))


def test_lines_are_of_one_width() -> None:
    rows = pd.DataFrame({"dice": [0.5, np.nan], "image_id": ["a", "a_very_long_name_z012"]})
    assert lines(rows, [("dice", 6), ("image_id", 10)]) == ["0.500  a         ", "nan    a_ve..z012"]


def test_a_row_is_made_again_and_a_change_is_said(tmp_path: Path, make_folder, disc, monkeypatch) -> None:
    folder = make_folder({"a.png": 255 - disc // 2}, {"a.png": disc})
    study = (Path(__file__).resolve().parent.parent / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(study)
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    table = ss.evaluate(ss.load_dataset(f"folder:{folder}"), ["vit_t"], ["box"], "all")
    table["dataset"] = f"folder:{folder}"
    row = table[table["mask_choice"] == "single"].iloc[0]
    replayer = Replayer("demo", "cpu")
    sample, prompt, mask, remark = replayer.make(row)
    assert remark == ""
    assert mask.sum() == row["n_pred_px"]
    assert prompt.box_xyxy is not None
    assert sample.image_id == "a"
    changed = row.copy()
    changed["dice"] = 0.123
    assert "The table says Dice 0.123, the mask made now has" in replayer.make(changed)[3]
    tuned = row.copy()
    tuned["tuning"] = "decoder"
    with pytest.raises(StudyError, match=r"are not in .*tuned: run the notebook 20_fine_tune again"):
        replayer.make(tuned)


def test_tables_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    with pytest.raises(
        StudyError, match=r"no score table can be read in .*run `make all PROFILE=demo` first"
    ):
        read_results("demo")
    folder = tmp_path / "data" / "results" / "demo"
    folder.mkdir(parents=True)
    ss.write_table(make_table([{"dataset": "a", "dice": 0.5}]), folder / "a.zero_shot.parquet")
    (folder / "b.zero_shot.parquet").write_bytes(b"broken")
    table, left_out = read_results("demo")
    assert table["dataset"].tolist() == ["a"]
    assert len(left_out) == 1
    assert "b.zero_shot.parquet" in left_out[0]


def test_lab_opens_the_notebook_with_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "90_explore.ipynb").touch()
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    command, environment = lab_command(port=8890, no_browser=True)
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert "--LabApp.default_url=/lab/tree/notebooks/90_explore.ipynb" in command
    assert {"--ServerApp.port=8890", "--ServerApp.open_browser=False"} <= set(command)
    assert environment["PATH"].startswith(str(Path(sys.executable).parent))
    with pytest.raises(StudyError, match=r"there is no notebook nothing\.ipynb here or in"):
        lab_command("nothing.ipynb")
