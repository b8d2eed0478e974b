"""Reads ``study.yaml``, the one place that says which data sets, models and prompts a profile runs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from samstudy.errors import StudyError, unknown_name
from samstudy.paths import project_root


@dataclass(frozen=True)
class ZeroShot:
    """How the models are evaluated as they are.

    Attributes
    ----------
    limit : int or None
        At most so many images of the test split; None means all.
    """

    limit: int | None


@dataclass(frozen=True)
class FineTuning:
    """How one model is fine-tuned on a few images and evaluated before and after.

    Attributes
    ----------
    model : str
        Name of the model that is tuned.
    shots : tuple of int
        Numbers of training images, ascending.
    prompts : tuple of str
        Prompt modes evaluated before and after.
    limit : int or None
        At most so many held-out images; None means all.
    seeds : tuple of int
        One fine-tuning run per seed and number of shots.
    steps : int
        Most optimiser steps of a run; early stopping may end it before.
    """

    model: str
    shots: tuple[int, ...]
    prompts: tuple[str, ...]
    limit: int | None
    seeds: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Profile:
    """One named grid of the study.

    Attributes
    ----------
    name, about : str
        Its name in ``study.yaml`` and what it is for, in a few words.
    datasets, models, prompts : tuple of str
        Registered names, in the order in which they are shown.
    zero_shot : ZeroShot
    fine_tuning : FineTuning
    seed : int
        Base seed of every prompt.
    """

    name: str
    about: str
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    prompts: tuple[str, ...]
    zero_shot: ZeroShot
    fine_tuning: FineTuning
    seed: int


@dataclass(frozen=True)
class Study:
    """All of ``study.yaml``.

    Attributes
    ----------
    path : pathlib.Path
        The file that was read.
    sha256 : str
        SHA-256 of its bytes, 64 hexadecimal digits.
    seed : int
    profiles : dict of str to Profile
    """

    path: Path
    sha256: str
    seed: int
    profiles: dict[str, Profile]


def load_study(path: str | Path | None = None) -> Study:
    """Read and check ``study.yaml``.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        By default the ``study.yaml`` of :func:`samstudy.paths.project_root`.

    Returns
    -------
    Study
        Keys and types are checked; names are not looked up (see :func:`check_names`).

    Raises
    ------
    StudyError
        If the file cannot be read, is not YAML, or has an unknown, missing or mistyped entry.
    """
    path = project_root() / "study.yaml" if path is None else Path(path)
    try:
        content = path.read_bytes()
        entries = yaml.safe_load(content)
    except OSError as error:
        raise StudyError(
            f"cannot read {path}: {error.strerror}. It holds the grid of the study; run from the checkout, "
            "or set SAMSTUDY_ROOT to the folder that holds it."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not valid YAML: {error}") from error
    try:
        top = _Section(entries, "", ("seed", "profiles"))
        seed = top.integer("seed")
        profiles = _Section(top.entries["profiles"], "profiles")
        read = {str(name): _read_profile(profiles, name, seed) for name in profiles.entries}
    except StudyError as error:
        raise StudyError(f"{path.name}: {error}") from error
    return Study(path, hashlib.sha256(content).hexdigest(), seed, read)


def profile(name: str = "demo", path: str | Path | None = None) -> Profile:
    """Return one profile of ``study.yaml``, with every name in it looked up.

    Parameters
    ----------
    name : str
        ``"demo"``, ``"paper"`` or another profile of the file.
    path : str or pathlib.Path, optional
        As for :func:`load_study`.

    Raises
    ------
    StudyError
        As :func:`load_study`; also if the profile, or a data set, model or prompt in it, is unknown (near
        misses are offered).
    """
    chosen = _choose(load_study(path), name)
    check_names(chosen)
    return chosen


def check_names(chosen: Profile, kinds: Iterable[str] = ("dataset", "model", "prompt")) -> None:
    """Raise StudyError for the first name of a profile that is neither registered nor a path.

    Parameters
    ----------
    chosen : Profile
    kinds : iterable of {"dataset", "model", "prompt"}
        What to look up. Looking up models imports torch, which takes seconds.
    """
    for kind in kinds:
        known = _registry(kind)
        for name in _names_of(chosen, kind):
            if name not in known and not _is_path(kind, name):
                raise StudyError(f"study.yaml: profile {chosen.name!r}: {unknown_name(kind, name, known)}")


def main(arguments: list[str] | None = None) -> int:
    """Look a profile up for make: ``datasets demo`` prints the names of its data sets on one line.

    Returns
    -------
    int
        Exit status: 0, or 1 after a sentence on standard error.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if len(arguments) != 2 or arguments[0] != "datasets":
            raise StudyError("expected the words: datasets PROFILE.")
        chosen = _choose(load_study(), arguments[1])
        check_names(chosen, kinds=("dataset",))
        for name in chosen.datasets:
            if _is_path("dataset", name):
                raise StudyError(
                    f"make has no rule for a folder of one's own: use samstudy run --dataset {name}, or run the "
                    "notebooks with it."
                )
    except StudyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(" ".join(chosen.datasets) + "\n")
    return 0


def _choose(study: Study, name: str) -> Profile:
    if name not in study.profiles:
        raise unknown_name("profile", str(name), study.profiles)
    return study.profiles[name]


def _is_path(kind: str, name: str) -> bool:
    if kind == "dataset":
        return name.startswith("folder:")
    return kind == "model" and Path(name).suffix in {".pth", ".pt", ".safetensors"}


def _registry(kind: str) -> Iterable[str]:
    # Imported when asked for: a Makefile that wants the data sets should not wait for torch.
    return getattr(import_module(f"samstudy.{kind}s"), f"{kind}s".upper())


def _names_of(chosen: Profile, kind: str) -> tuple[str, ...]:
    if kind == "dataset":
        return chosen.datasets
    if kind == "model":
        return (*chosen.models, chosen.fine_tuning.model)
    return (*chosen.prompts, *chosen.fine_tuning.prompts)


def _read_profile(profiles: _Section, name: str, seed: int) -> Profile:
    section = profiles.section(
        name, ("about", "datasets", "models", "prompts", "zero_shot", "fine_tuning"), optional=("seed",)
    )
    zero_shot = section.section("zero_shot", ("limit",))
    tuning = section.section("fine_tuning", ("model", "shots", "prompts", "limit", "seeds", "steps"))
    return Profile(
        name=str(name),
        about=section.text("about"),
        datasets=section.names("datasets"),
        models=section.names("models"),
        prompts=section.names("prompts"),
        zero_shot=ZeroShot(limit=zero_shot.cap("limit")),
        fine_tuning=FineTuning(
            model=tuning.text("model"),
            shots=tuple(sorted(tuning.integers("shots", minimum=1))),
            prompts=tuning.names("prompts"),
            limit=tuning.cap("limit"),
            seeds=tuning.integers("seeds", minimum=0),
            steps=tuning.integer("steps", minimum=1),
        ),
        seed=section.integer("seed") if "seed" in section.entries else seed,
    )


class _Section:
    """A YAML mapping that knows where it stands, so that every complaint can say so."""

    def __init__(
        self, entries: Any, where: str, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
    ) -> None:
        self.where = where
        if not isinstance(entries, dict) or not entries:
            raise self._wrong("", "a section of `name: value` lines", entries)
        self.entries = entries
        known = (*required, *optional)
        for key in entries if known else ():
            if key not in known:
                raise unknown_name(f"entry in {where or 'the top level'}", str(key), known)
        missing = [key for key in required if key not in entries]
        if missing:
            raise StudyError(f"{where or 'the top level'} lacks the entry {missing[0]!r}; add it.")

    def section(self, key: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> _Section:
        return _Section(self.entries[key], f"{self.where}.{key}".lstrip("."), required, optional)

    def text(self, key: str) -> str:
        value = self.entries[key]
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, "text", value)
        return value

    def integer(self, key: str, minimum: int = 0) -> int:
        value = self.entries[key]
        if not _is_integer(value, minimum):
            raise self._wrong(key, f"a whole number from {minimum} up", value)
        return value

    def cap(self, key: str) -> int | None:
        value = self.entries[key]
        if value is not None and not _is_integer(value, 1):
            raise self._wrong(key, "null (all images) or a whole number from 1 up", value)
        return value

    def names(self, key: str) -> tuple[str, ...]:
        value = self.entries[key]
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
            raise self._wrong(key, "a list of names such as [box, point_center]", value)
        return self._distinct(key, value)

    def integers(self, key: str, minimum: int) -> tuple[int, ...]:
        value = self.entries[key]
        if not isinstance(value, list) or not value or not all(_is_integer(v, minimum) for v in value):
            raise self._wrong(key, f"a list of whole numbers from {minimum} up", value)
        return self._distinct(key, value)

    def _distinct(self, key: str, value: list) -> tuple:
        if len(set(value)) < len(value):
            raise StudyError(f"{self.where}.{key} names something twice: {value}. List each once.")
        return tuple(value)

    def _wrong(self, key: str, expected: str, value: Any) -> StudyError:
        where = f"{self.where}.{key}".strip(".") or "the file"
        return StudyError(f"{where}: expected {expected}, found {value!r}.")


def _is_integer(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum
