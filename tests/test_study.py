"""``study.yaml`` is read into typed values, and every mistake in one is named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from samstudy.errors import StudyError
from samstudy.prompts import PROMPTS
from samstudy.study import check_names, load_study, profile

ROOT = Path(__file__).resolve().parent.parent


def grid() -> dict:
    return {
        "seed": 7,
        "profiles": {
            "small": {
                "about": "a test",
                "datasets": ["mni152"],
                "models": ["ellipse"],
                "prompts": ["box"],
                "zero_shot": {"limit": None},
                "fine_tuning": {
                    "model": "vit_t",
                    "shots": [5, 1],
                    "prompts": ["box"],
                    "limit": 3,
                    "seeds": [0],
                    "steps": 9,
                },
            }
        },
    }


def written(folder: Path, entries: object) -> Path:
    path = folder / "study.yaml"
    path.write_text(entries if isinstance(entries, str) else yaml.safe_dump(entries))
    return path


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_the_committed_study_is_valid(name: str) -> None:
    chosen = profile(name, ROOT / "study.yaml")
    assert chosen.name == name
    assert chosen.fine_tuning.shots[0] == 1
    assert "ellipse" in chosen.models


BENCHMARKS = (
    "isic", "drishti_gs", "rim_one_r3", "refuge", "drive", "aroi", "cystoid_fluid", "amos", "chest_xray",
)  # fmt: skip


def test_both_profiles_ask_in_every_way_that_is_registered() -> None:
    study = load_study(ROOT / "study.yaml")
    demo, paper = study.profiles["demo"], study.profiles["paper"]
    assert demo.datasets == ("mni152", *(f"phantom_{name}" for name in BENCHMARKS), "heldout_scenes")
    assert paper.datasets == ("mni152", *BENCHMARKS, "voc2012", "heldout_scenes")
    # everything mode: a coarse grid of points where there is no GPU, the official one where there is
    assert set(demo.prompts) == set(PROMPTS) - {"everything"}
    assert set(paper.prompts) == set(PROMPTS) - {"everything_8"}


def test_headline_prompts_are_prompts_of_the_profile_and_pick_rows(tmp_path: Path) -> None:
    entries = grid()
    entries["profiles"]["small"] |= {"prompts": ["box", "box_point"], "headline": ["box"]}
    chosen = load_study(written(tmp_path, entries)).profiles["small"]
    table = pd.DataFrame({"prompt": ["box", "point_center"], "dice": [0.5, 0.1]})
    assert list(chosen.shown(table)["dice"]) == [0.5]
    assert len(chosen.shown(table[table["prompt"] == "point_center"])) == 1
    entries["profiles"]["small"]["headline"] = ["boxx"]
    with pytest.raises(StudyError, match=r"headline.*'boxx'"):
        load_study(written(tmp_path, entries))


def test_values_and_hash_are_those_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, grid())
    study = load_study(path)
    small = study.profiles["small"]
    assert study.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (small.seed, small.zero_shot.limit, small.fine_tuning.limit) == (7, None, 3)
    assert small.fine_tuning.shots == (1, 5)


def test_a_profile_may_have_its_own_seed(tmp_path: Path) -> None:
    entries = grid()
    entries["profiles"]["small"]["seed"] = 1
    study = load_study(written(tmp_path, entries))
    assert (study.seed, study.profiles["small"].seed) == (7, 1)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("seed", "one", r"seed: expected a whole number from 0 up, found 'one'"),
        ("seed", True, r"seed: expected a whole number"),
        ("profiles", [], r"profiles: expected a section"),
        (
            "profiles.small.datasets",
            "mni152",
            r"profiles.small.datasets: expected a list of names .*'mni152'",
        ),
        ("profiles.small.datasets", [], r"expected a list of names"),
        ("profiles.small.prompts", ["box", "box"], r"profiles.small.prompts names something twice"),
        ("profiles.small.zero_shot.limit", 0, r"zero_shot.limit: expected null .* from 1 up, found 0"),
        (
            "profiles.small.fine_tuning.shots",
            [1, 2.5],
            r"fine_tuning.shots: expected a list of whole numbers",
        ),
        ("profiles.small.fine_tuning.shots", [0], r"from 1 up, or the word all, found \[0\]"),
        ("profiles.small.fine_tuning.model", ["vit_t"], r"fine_tuning.model: expected text"),
        ("profiles.small.fine_tuning", None, r"profiles.small.fine_tuning: expected a section"),
        ("profiles.small.modles", [], r"unknown entry in profiles.small 'modles'; did you mean 'models'"),
        ("sead", 1, r"unknown entry in the top level 'sead'; did you mean 'seed'"),
    ],
)
def test_a_wrong_entry_is_named_with_its_place(
    tmp_path: Path, place: str, value: object, sentence: str
) -> None:
    entries = grid()
    *sections, key = place.split(".")
    inner = entries
    for section in sections:
        inner = inner[section]
    inner[key] = value
    with pytest.raises(StudyError, match=r"^study\.yaml: .*" + sentence):
        load_study(written(tmp_path, entries))


def test_a_missing_entry_is_named(tmp_path: Path) -> None:
    entries = grid()
    del entries["profiles"]["small"]["fine_tuning"]["seeds"]
    with pytest.raises(StudyError, match=r"profiles.small.fine_tuning lacks the entry 'seeds'"):
        load_study(written(tmp_path, entries))


@pytest.mark.parametrize(
    ("text", "sentence"), [("a: [", "not valid YAML"), ("", "the file: expected a section")]
)
def test_a_file_that_holds_no_study(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(StudyError, match=sentence):
        load_study(written(tmp_path, text))


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="run from the checkout, or set SAMSTUDY_ROOT"):
        load_study(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("datasets", ["mni125"], "unknown dataset 'mni125'; did you mean 'mni152'"),
        ("models", ["elipse"], "unknown model 'elipse'; did you mean 'ellipse'"),
        ("prompts", ["boxx"], "unknown prompt 'boxx'; did you mean 'box'"),
    ],
)
def test_misspelt_names_get_a_near_miss(tmp_path: Path, place: str, value: list[str], sentence: str) -> None:
    entries = grid()
    entries["profiles"]["small"][place] = value
    path = written(tmp_path, entries)
    with pytest.raises(StudyError, match=f"profile 'small': {sentence}"):
        profile("small", path)
    study = load_study(path)
    check_names(study, study.profiles["small"], kinds=())


def test_folders_and_checkpoint_files_need_no_registration(tmp_path: Path) -> None:
    entries = grid()
    entries["profiles"]["small"] |= {"datasets": ["folder:/data/set"], "models": ["/weights/mine.pth"]}
    assert profile("small", written(tmp_path, entries)).models == ("/weights/mine.pth",)


def test_methods_and_automatic_are_read(tmp_path: Path) -> None:
    entries = grid()
    plain = load_study(written(tmp_path, entries)).profiles["small"].fine_tuning
    assert (plain.methods, plain.automatic.datasets) == (("decoder",), ())
    tuning = entries["profiles"]["small"]["fine_tuning"]
    entries["profiles"]["small"]["datasets"] = ["mni152", "phantom_drive"]
    automatic = {"datasets": ["phantom_drive"], "steps": 5, "learning_rate": 0.001}
    tuning |= {"methods": ["decoder", "lora"], "automatic": automatic}
    chosen = load_study(written(tmp_path, entries)).profiles["small"].fine_tuning
    assert chosen.methods == ("decoder", "lora")
    assert chosen.automatic.datasets == ("phantom_drive",)
    assert chosen.automatic.recipe == {"steps": 5, "learning_rate": 0.001}
    tuning["automatic"] = automatic | {"datasets": ["phantom_drives"]}
    with pytest.raises(StudyError, match=r"automatic.datasets: unknown data set .* mean 'phantom_drive'"):
        load_study(written(tmp_path, entries))
    tuning["automatic"] = automatic | {"step": 5}
    with pytest.raises(StudyError, match=r"unknown entry in .*automatic 'step'; did you mean 'steps'"):
        load_study(written(tmp_path, entries))


def test_data_sets_of_ones_own_and_targets_are_read(tmp_path: Path) -> None:
    entries = grid()
    entries["own_datasets"] = {"mine": {"root": "scans", "images": "*.png"}}
    entries["datasets"] = {"isic": {"root": "elsewhere", "release": 2017}}
    entries["profiles"]["small"]["datasets"] = ["mine"]
    entries["profiles"]["small"]["fine_tuning"]["targets"] = {"mine": ["cyst"]}
    path = written(tmp_path, entries)
    assert profile("small", path).fine_tuning.targets == {"mine": ("cyst",)}
    study = load_study(path)
    assert study.datasets["isic"] == {"root": "elsewhere", "release": 2017}
    assert study.own_datasets["mine"]["images"] == "*.png"
    entries["own_datasets"] = ["mine"]
    with pytest.raises(StudyError, match="own_datasets: expected a section"):
        load_study(written(tmp_path, entries))
