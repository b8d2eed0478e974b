"""The fine-tuning of a profile of ``study.yaml``: what is tuned, with how many images, how often, with which controls.

No torch here: make asks for names alone and should not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from samstudy.entries import Section
from samstudy.errors import StudyError, unknown_name

ALL_SHOTS = 10**9
"""What the word ``all`` under ``shots`` is read as: every training image there is."""


@dataclass(frozen=True)
class Automatic:
    """Fine-tuning for the prompt mode ``automatic``, which is harder to learn than to follow a prompt.

    Attributes
    ----------
    datasets : tuple of str
        Of the profile; none by default.
    recipe : dict
        Fields of :class:`samstudy.tuning.Recipe` in which it differs: ``steps``, ``learning_rate``, ``image_size``,
        ``loss``.
    """

    datasets: tuple[str, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """A learning curve: numbers of training images, each with every repetition.

    Attributes
    ----------
    datasets : tuple of str
        Of the profile, whose curve it is.
    shots : tuple of int
        Numbers of training images, ascending; :data:`ALL_SHOTS` is all of them.
    seeds : tuple of int
        One draw of training images and prompts for each.
    folds : int
        Training and validation groups are dealt so many times for each seed (:mod:`samstudy.folds`).
    """

    datasets: tuple[str, ...] = ()
    shots: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    folds: int = 1


@dataclass(frozen=True)
class Controls:
    """Where the tuned model is held against a U-Net, a linear probe and shuffled labels.

    Attributes
    ----------
    datasets : tuple of str
        Of the profile; none by default.
    shots : int
        Number of training images of each of them; :data:`ALL_SHOTS` is all of them.
    """

    datasets: tuple[str, ...] = ()
    shots: int = 10


@dataclass(frozen=True)
class FineTuning:
    """How one model is fine-tuned on a few images and evaluated before and after.

    Attributes
    ----------
    model : str
        Name of the model that is tuned.
    shots : tuple of int
        Numbers of training images, ascending; :data:`ALL_SHOTS` is all of them.
    prompts : tuple of str
        Prompt modes evaluated before and after.
    limit : int or None
        At most so many held-out images; None means all.
    seeds : tuple of int
        One draw of training images and prompts for each.
    steps : int
        Most optimiser steps of a run; early stopping may end it before.
    targets : dict of str to tuple of str
        What is tuned on a data set, by its name; every target where it is not named.
    methods : tuple of str
        Fine-tuning methods (:data:`samstudy.tuning.METHODS`), each with every repetition and number of shots.
    automatic : Automatic
        Where a model of its own is tuned to answer without a prompt.
    folds : int
        Training and validation groups are dealt so many times for each seed (:mod:`samstudy.folds`); 1 keeps the
        committed split.
    curves : Curve
        Data sets with a longer learning curve, in place of ``shots``, ``seeds`` and ``folds``.
    controls : Controls
        Where and with how many images the controls of fine-tuning are run.
    transfer_limit : int
        Images of every other data set on which each tuned model is tried; 0 for none.
    """

    model: str
    shots: tuple[int, ...]
    prompts: tuple[str, ...]
    limit: int | None
    seeds: tuple[int, ...]
    steps: int
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    methods: tuple[str, ...] = ("decoder",)
    automatic: Automatic = Automatic()
    folds: int = 1
    curves: Curve = Curve()
    controls: Controls = Controls()
    transfer_limit: int = 0

    def curve_of(self, dataset: str) -> Curve:
        """Return the numbers of images and the repetitions that a data set is tuned with."""
        if dataset in self.curves.datasets:
            return replace(self.curves, datasets=(dataset,))
        return Curve((dataset,), self.shots, self.seeds, self.folds)


def shown_shots(shots: Iterable[int]) -> list[str]:
    """Return numbers of training images as ``study.yaml`` has them: :data:`ALL_SHOTS` is the word ``all``."""
    return ["all" if count == ALL_SHOTS else str(count) for count in shots]


def read_fine_tuning(profile: Section, datasets: tuple[str, ...]) -> FineTuning:
    """Read the section ``fine_tuning`` of a profile.

    Parameters
    ----------
    profile : Section
    datasets : tuple of str
        Of the profile; others are refused where the section names data sets.

    Raises
    ------
    StudyError
        For an unknown, missing or mistyped entry, with its place.
    """
    section = profile.section(
        "fine_tuning",
        ("model", "shots", "prompts", "limit", "seeds", "steps"),
        ("targets", "methods", "automatic", "folds", "curves", "controls", "transfer"),
    )
    given = section.entries
    targets = section.section("targets") if "targets" in given else None
    plain = FineTuning(
        model=section.text("model"),
        shots=_shots(section),
        prompts=section.names("prompts"),
        limit=section.cap("limit"),
        seeds=section.integers("seeds", minimum=0),
        steps=section.integer("steps", minimum=1),
        targets={str(name): targets.names(name) for name in targets.entries} if targets else {},
        methods=section.names("methods") if "methods" in given else FineTuning.methods,
        automatic=_automatic(section, datasets) if "automatic" in given else Automatic(),
        folds=section.integer("folds", minimum=1) if "folds" in given else 1,
        controls=_controls(section, datasets) if "controls" in given else Controls(),
        transfer_limit=section.section("transfer", ("limit",)).integer("limit") if "transfer" in given else 0,
    )
    return replace(plain, curves=_curves(section, datasets, plain)) if "curves" in given else plain


def _shots(section: Section) -> tuple[int, ...]:
    return tuple(sorted(section.integers("shots", minimum=1, words={"all": ALL_SHOTS})))


def _curves(tuning: Section, datasets: tuple[str, ...], plain: FineTuning) -> Curve:
    section = tuning.section("curves", ("datasets",), ("shots", "seeds", "folds"))
    given = section.entries
    return Curve(
        datasets=_known(section, datasets),
        shots=_shots(section) if "shots" in given else plain.shots,
        seeds=section.integers("seeds", minimum=0) if "seeds" in given else plain.seeds,
        folds=section.integer("folds", minimum=1) if "folds" in given else plain.folds,
    )


def _controls(tuning: Section, datasets: tuple[str, ...]) -> Controls:
    section = tuning.section("controls", ("datasets", "shots"))
    return Controls(_known(section, datasets), section.integer("shots", minimum=1, words={"all": ALL_SHOTS}))


def _automatic(tuning: Section, datasets: tuple[str, ...]) -> Automatic:
    section = tuning.section("automatic", ("datasets",), ("steps", "learning_rate", "image_size", "loss"))
    read = {
        "steps": lambda key: section.integer(key, minimum=1),
        "learning_rate": section.number,
        "image_size": lambda key: section.integer(key, minimum=1),
        "loss": section.text,
    }
    chosen = _known(section, datasets)
    return Automatic(chosen, {key: read[key](key) for key in section.entries if key in read})


def _known(section: Section, datasets: tuple[str, ...]) -> tuple[str, ...]:
    chosen = section.names("datasets")
    for dataset in chosen:
        if dataset not in datasets:
            reason = unknown_name("data set of this profile", dataset, datasets)
            raise StudyError(f"{section.where}.datasets: {reason}")
    return chosen
