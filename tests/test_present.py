"""What make is told: the data sets of a profile that are here, and what is left out and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from samstudy.errors import StudyError
from samstudy.present import left_out, main, present_datasets, tunable_datasets

GRID = {
    "seed": 0,
    "own_datasets": {"mine": {"root": "scans"}},
    "profiles": {
        "small": {
            "about": "a test",
            "datasets": ["mni152", "phantom_drive", "drive", "mine"],
            "models": ["vit_t", "vit_b"],
            "prompts": ["box"],
            "zero_shot": {"limit": None},
            "fine_tuning": {
                "model": "vit_t", "shots": [1], "prompts": ["box"], "limit": 3, "seeds": [0], "steps": 9,
            },
        }
    },
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    write(tmp_path)
    return tmp_path


def write(folder: Path, **profile: object) -> None:
    entries = {**GRID, "profiles": {"small": GRID["profiles"]["small"] | profile}}
    (folder / "study.yaml").write_text(yaml.safe_dump(entries))


def test_what_needs_no_files_is_always_here(project: Path) -> None:
    assert present_datasets("small") == ("mni152", "phantom_drive")


def test_files_in_place_are_found_and_an_empty_folder_is_not(project: Path) -> None:
    (project / "data" / "raw" / "drive" / ".archives").mkdir(parents=True)
    (project / "scans").mkdir()
    assert present_datasets("small") == ("mni152", "phantom_drive")
    (project / "data" / "raw" / "drive" / "training").mkdir()
    (project / "scans" / "a.png").touch()
    assert present_datasets("small") == ("mni152", "phantom_drive", "drive", "mine")


def test_a_partial_copy_is_left_out_of_fine_tuning_and_told(
    project: Path, make_folder: Callable[..., Path], disc: np.ndarray
) -> None:
    root = make_folder({"a.png": disc}, {"a.png": disc}, name="scans")
    entry = {"root": str(root), "images": "images/{name}.png", "masks": "masks/{name}.png"}
    study = yaml.safe_load((project / "study.yaml").read_text()) | {"own_datasets": {"mine": entry}}
    (project / "study.yaml").write_text(yaml.safe_dump(study))
    assert "mine" in present_datasets("small")
    assert tunable_datasets("small") == ("mni152", "phantom_drive")
    told = [line for line in left_out("small") if "fine-tuning" in line]
    assert told == ["left out: fine-tuning on mine: it has 0 training and 0 validation images here."]
    study["profiles"]["small"]["datasets"] = ["mine"]
    (project / "study.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(StudyError, match="can be fine-tuned on: mine: it has 0 training"):
        tunable_datasets("small")


def test_what_is_left_out_is_told_with_its_reason(project: Path) -> None:
    lines = left_out("small")
    assert [line.split(":")[1].strip() for line in lines] == [
        "data set drive",
        "data set mine",
        "model vit_b",
    ]
    assert "drive does not exist; `samstudy fetch drive` gets it or says how." in lines[0]
    assert "samstudy fetch" not in lines[1]
    assert "samstudy fetch-model vit_b" in lines[2]


def test_make_gets_one_line_or_a_reason(project: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["found", "small"]) == 0
    assert capsys.readouterr().out == "mni152 phantom_drive\n"
    assert main(["left-out", "small"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    for words, sentence in (
        (["found", "smal"], "did you mean 'small'"),
        (["found"], "expected the words: found PROFILE"),
    ):
        assert main(words) == 1
        assert sentence in capsys.readouterr().err


def test_notebooks_may_use_a_folder_but_make_has_no_rule_for_it(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    (project / "images").mkdir()
    (project / "images" / "a.png").touch()
    write(project, datasets=[f"folder:{project}"])
    assert present_datasets("small") == (f"folder:{project}",)
    assert main(["found", "small"]) == 1
    assert f"samstudy run --dataset folder:{project}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        ({"datasets": ["drvie"]}, "unknown dataset 'drvie'; did you mean 'drive'"),
        ({"datasets": ["drive"]}, "none of the data sets of the profile 'small' is here. drive: "),
        ({"datasets": ["folder:/x"]}, "folder:/x: /x does not exist"),
    ],
)
def test_a_profile_that_cannot_be_built_says_why(project: Path, profile: dict, sentence: str) -> None:
    write(project, **profile)
    with pytest.raises(StudyError, match=sentence):
        present_datasets("small")


def test_the_model_to_be_tuned_must_be_here(project: Path) -> None:
    write(project, fine_tuning=GRID["profiles"]["small"]["fine_tuning"] | {"model": "vit_l"})
    with pytest.raises(StudyError, match="fine-tunes vit_l: the checkpoint is not here: looked for"):
        present_datasets("small")
