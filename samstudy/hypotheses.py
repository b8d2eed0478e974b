"""The claims of the study as hypotheses that ``study.yaml`` fixes before a run is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from samstudy.entries import Section
from samstudy.errors import StudyError

COMPARE = ("level", "gap", "contrast", "spread", "gain")
DOMAINS = ("medical", "general")
SIDES = ("above", "below")


@dataclass(frozen=True)
class Hypothesis:
    """One testable sentence: a number, made of stated rows of the tables, and the side of a threshold it must be on.

    Attributes
    ----------
    name, claim, says : str
        Key in ``study.yaml``; the claim it is part of (``"C1"``); the sentence.
    compare : {"level", "gap", "contrast", "spread", "gain"}
        ``level``: the mean. ``gap``: the mean on general-domain images minus that on medical ones. ``contrast``:
        the difference between two targets in the same images. ``spread``: epsilon squared between data sets.
        ``gain``: after minus before fine-tuning. See :mod:`samstudy.verdicts`.
    measure : str
        A metric that is a fraction; looked up when the verdict is made.
    prompts : tuple of str
        Each prompt mode gets a verdict of its own.
    side, threshold : {"above", "below"}, float
        In the unit of the number.
    figure : str
        Stem of the figure that shows it; ``{model}`` stands for the model's name.
    domain : {"medical", "general"}
        Which data sets' rows are taken.
    datasets, targets : tuple of str
        Only these; empty: all. The name of a benchmark means its phantom too.
    against : str
        The target that is subtracted in a contrast.
    most_shots : int
        What counts as a small amount of data in a gain: training images.
    """

    name: str
    claim: str
    says: str
    compare: str
    measure: str
    prompts: tuple[str, ...]
    side: str
    threshold: float
    figure: str
    domain: str = "medical"
    datasets: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    against: str = ""
    most_shots: int = 0


@dataclass(frozen=True)
class Hypotheses:
    """All of the section ``hypotheses``.

    Attributes
    ----------
    general_domain : tuple of str
        Data sets that are not medical: the control of the claim about medical images.
    tests : tuple of Hypothesis
        In the order of the file.
    """

    general_domain: tuple[str, ...] = ()
    tests: tuple[Hypothesis, ...] = ()

    def is_general(self, datasets: pd.Series) -> pd.Series:
        """Say of each name of a data set whether its images are no medical ones: bool, on the same index."""
        return datasets.astype(str).isin(self.general_domain)

    def medical(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the medical data sets of a table with the column ``dataset``."""
        return table[~self.is_general(table["dataset"])]


def read_hypotheses(top: Section) -> Hypotheses:
    """Read the section of a study; one without it has no hypotheses.

    Raises
    ------
    StudyError
        For an unknown, missing or mistyped entry, with its place.
    """
    if "hypotheses" not in top.entries:
        return Hypotheses()
    section = top.section("hypotheses", ("general_domain", "tests"))
    tests = section.section("tests")
    return Hypotheses(
        section.names("general_domain"), tuple(_read(tests, str(name)) for name in tests.entries)
    )


def _read(tests: Section, name: str) -> Hypothesis:
    entry = tests.section(
        name,
        ("claim", "says", "compare", "measure", "prompts", "is", "threshold", "figure"),
        ("domain", "datasets", "targets", "against", "most_shots"),
    )
    given = entry.entries
    found = Hypothesis(
        name=name,
        claim=entry.text("claim"),
        says=entry.text("says"),
        compare=entry.choice("compare", COMPARE),
        measure=entry.text("measure"),
        prompts=entry.names("prompts"),
        side=entry.choice("is", SIDES),
        threshold=entry.number("threshold"),
        figure=entry.text("figure"),
        domain=entry.choice("domain", DOMAINS) if "domain" in given else "medical",
        datasets=entry.names("datasets") if "datasets" in given else (),
        targets=entry.names("targets") if "targets" in given else (),
        against=entry.text("against") if "against" in given else "",
        most_shots=entry.integer("most_shots", minimum=1) if "most_shots" in given else 0,
    )
    _refuse_contradictions(found, f"{tests.where}.{name}")
    return found


def _refuse_contradictions(test: Hypothesis, where: str) -> None:
    is_contrast, is_gain = test.compare == "contrast", test.compare == "gain"
    if is_contrast and (len(test.targets) != 1 or not test.against):
        raise StudyError(f"{where}: a contrast needs one target under `targets` and one under `against`.")
    if is_gain and not test.most_shots:
        raise StudyError(f"{where}: a gain needs `most_shots`, the largest number of training images.")
    if (test.against and not is_contrast) or (test.most_shots and not is_gain):
        raise StudyError(f"{where}: `against` belongs to a contrast and `most_shots` to a gain; remove it.")
