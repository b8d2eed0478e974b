"""The fine-tuning section of ``study.yaml``: its numbers, repetitions and controls, and each mistake with its place."""

from __future__ import annotations

import subprocess
import sys

import pytest

from samstudy.entries import Section
from samstudy.errors import StudyError
from samstudy.tuning_plan import ALL_SHOTS, Automatic, Controls, Curve, read_fine_tuning, shown_shots

DATASETS = ("mni152", "phantom_isic", "phantom_drive")


def read(**changes: object):
    entries = {"model": "vit_t", "shots": [1], "prompts": ["box"], "limit": 3, "seeds": [0], "steps": 9}
    return read_fine_tuning(Section({"fine_tuning": entries | changes}, "profiles.small"), DATASETS)


def test_what_is_not_stated_is_off():
    plain = read()
    assert (plain.methods, plain.automatic, plain.folds) == (("decoder",), Automatic(), 1)
    assert (plain.curves, plain.controls, plain.transfer_limit) == (Curve(), Controls(), 0)
    assert plain.controls.datasets == ()


def test_all_is_the_largest_number_of_images():
    plain = read(shots=["all", 10, 1])
    assert plain.shots == (1, 10, ALL_SHOTS)
    assert shown_shots(plain.shots) == ["1", "10", "all"]
    with pytest.raises(StudyError, match=r"shots: .* or the word all, found \[1, 'al'\]"):
        read(shots=[1, "al"])
    with pytest.raises(StudyError, match="shots names something twice"):
        read(shots=["all", "all"])


def test_a_longer_curve_is_that_of_its_data_sets_alone():
    plain = read(
        shots=[1, 10],
        folds=2,
        curves={"datasets": ["phantom_isic"], "shots": [1, 5, "all"], "seeds": [0, 1, 2], "folds": 3},
    )
    assert plain.curve_of("phantom_isic") == Curve(("phantom_isic",), (1, 5, ALL_SHOTS), (0, 1, 2), 3)
    assert plain.curve_of("mni152") == Curve(("mni152",), (1, 10), (0,), 2)
    assert plain.curve_of("folder:/data/mine").shots == (1, 10)


def test_a_curve_takes_what_it_does_not_state_from_the_rest():
    plain = read(shots=[1, 10], seeds=[4, 5], folds=2, curves={"datasets": ["phantom_isic"]})
    assert plain.curve_of("phantom_isic") == Curve(("phantom_isic",), (1, 10), (4, 5), 2)


def test_controls_and_transfer_are_read():
    plain = read(controls={"datasets": ["phantom_isic"], "shots": 5}, transfer={"limit": 2})
    assert (plain.controls, plain.transfer_limit) == (Controls(("phantom_isic",), 5), 2)
    assert read(controls={"datasets": ["mni152"], "shots": "all"}).controls.shots == ALL_SHOTS


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("folds", 0, r"fine_tuning.folds: expected a whole number from 1 up, found 0"),
        ("curves", {"datasets": ["phantom_isik"]}, r"curves.datasets: unknown data set .* 'phantom_isic'"),
        ("curves", {"shots": [1]}, r"fine_tuning.curves lacks the entry 'datasets'"),
        ("curves", {"datasets": ["mni152"], "seeds": [-1]}, r"curves.seeds: expected a list of whole"),
        ("curves", {"datasets": ["mni152"], "seed": [1]}, r"'seed'; did you mean 'seeds'"),
        ("curves", ["mni152"], r"fine_tuning.curves: expected a section"),
        ("controls", {"datasets": ["mni152"]}, r"fine_tuning.controls lacks the entry 'shots'"),
        ("controls", {"datasets": ["isic"], "shots": 1}, r"controls.datasets: unknown data set"),
        ("controls", {"datasets": ["mni152"], "shots": 0}, r"controls.shots: .* or the word all, found 0"),
        ("transfer", {"limit": "few"}, r"transfer.limit: expected a whole number from 0 up, found 'few'"),
        ("transfer", 2, r"fine_tuning.transfer: expected a section"),
    ],
)
def test_a_mistake_is_named_with_its_place(key: str, value: object, sentence: str):
    with pytest.raises(StudyError, match=r"profiles.small.*" + sentence):
        read(**{key: value})


def test_names_are_read_without_torch():
    code = "import sys, samstudy.present, samstudy.tuning_plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
