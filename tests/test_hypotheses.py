"""The hypotheses of ``study.yaml`` are read, typed, free of contradictions, and each names a figure that is made."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from samstudy.entries import Section
from samstudy.errors import StudyError
from samstudy.hypotheses import Hypotheses, Hypothesis, read_hypotheses
from samstudy.metrics import METRICS
from samstudy.prompts import PROMPTS
from samstudy.study import load_study

ROOT = Path(__file__).resolve().parent.parent
LEVEL = {
    "claim": "C3",
    "says": "vessels fail",
    "compare": "level",
    "measure": "dice",
    "prompts": ["box"],
    "is": "below",
    "threshold": 0.3,
    "figure": "fig2",
}


def read(**changes: object) -> Hypotheses:
    entry = {**copy.deepcopy(LEVEL), **changes}
    entry = {key: value for key, value in entry.items() if value is not None}
    entries = {"hypotheses": {"general_domain": ["photographs"], "tests": {"H": entry}}}
    return read_hypotheses(Section(entries, ""))


def test_the_committed_hypotheses_cover_the_four_claims() -> None:
    tests = load_study(ROOT / "study.yaml").hypotheses.tests
    assert {test.claim for test in tests} == {"C1", "C2", "C3", "C4"}
    assert {test.measure for test in tests} <= set(METRICS)
    assert {prompt for test in tests for prompt in test.prompts} <= set(PROMPTS)


def test_each_names_a_figure_that_the_summary_saves() -> None:
    notebook = json.loads((ROOT / "notebooks" / "30_summary.ipynb").read_text())
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    for test in load_study(ROOT / "study.yaml").hypotheses.tests:
        assert f'"{test.figure.replace("{model}", "{name}")}"' in code, test.name


def test_a_study_without_hypotheses_has_none() -> None:
    assert read_hypotheses(Section({"seed": 0}, "")) == Hypotheses((), ())


def test_entries_become_types() -> None:
    found = read(threshold=1, targets=["vessels"])
    (expected,) = found.tests
    assert found.general_domain == ("photographs",)
    assert expected == Hypothesis(
        "H", "C3", "vessels fail", "level", "dice", ("box",), "below", 1.0, "fig2", targets=("vessels",)
    )
    assert type(expected.threshold) is float


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"figure": None}, "hypotheses.tests.H lacks the entry 'figure'; add it"),
        ({"treshold": 1}, "unknown entry in hypotheses.tests.H 'treshold'; did you mean 'threshold'"),
        ({"compare": "levels"}, "hypotheses.tests.H.compare: unknown word 'levels'; did you mean 'level'"),
        ({"is": "beneath"}, "hypotheses.tests.H.is: unknown word 'beneath'"),
        ({"domain": "generel"}, "H.domain: unknown word 'generel'; did you mean 'general'"),
        ({"threshold": "low"}, "hypotheses.tests.H.threshold: expected a number, found 'low'"),
        ({"threshold": True}, "expected a number, found True"),
        ({"threshold": float("nan")}, "expected a number, found nan"),
        ({"prompts": "box"}, "expected a list of names"),
        ({"compare": "contrast"}, "H: a contrast needs one target under `targets` and one under `against`"),
        ({"compare": "contrast", "targets": ["a", "b"], "against": "c"}, "a contrast needs one target"),
        ({"compare": "gain"}, "H: a gain needs `most_shots`"),
        ({"against": "rpe_bm"}, "`against` belongs to a contrast and `most_shots` to a gain; remove it"),
        ({"most_shots": 5}, "`against` belongs to a contrast and `most_shots` to a gain; remove it"),
        ({"compare": "gain", "most_shots": 0}, "expected a whole number from 1 up, found 0"),
    ],
)
def test_a_mistake_is_named_with_its_place(changes: dict, sentence: str) -> None:
    with pytest.raises(StudyError, match=sentence):
        read(**changes)
