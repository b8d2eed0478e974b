"""Reads ``study.yaml``, the one place that says which data sets, models and prompts a profile runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from samstudy.entries import Section
from samstudy.errors import StudyError, unknown_name
from samstudy.hypotheses import Hypotheses, read_hypotheses
from samstudy.paths import project_root
from samstudy.tuning_plan import ALL_SHOTS, Automatic, Controls, Curve, FineTuning, read_fine_tuning

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ALL_SHOTS",
    "Automatic",
    "Controls",
    "Curve",
    "FineTuning",
    "Profile",
    "Study",
    "ZeroShot",
    "check_names",
    "choose",
    "load_study",
    "profile",
]


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
class Profile:
    """One named grid of the study.

    Attributes
    ----------
    name, about : str
        Its name in ``study.yaml`` and what it is for, in a few words.
    datasets, models, prompts : tuple of str
        Registered names, in the order in which they are shown.
    headline : tuple of str
        Those of the prompts that the main tables and figures show and that tests compare; the others have figures and
        a table of their own.
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
    headline: tuple[str, ...]
    zero_shot: ZeroShot
    fine_tuning: FineTuning
    seed: int

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of the headline prompts; the whole table where it has none of them."""
        kept = table[table["prompt"].isin(self.headline)]
        return kept if len(kept) else table


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
    datasets : dict of str to dict
        Place (``root``) and options of registered data sets, where they are not the defaults.
    own_datasets : dict of str to dict
        Data sets of one's own, as :func:`samstudy.datasets.own.own_dataset` reads them.
    hypotheses : Hypotheses
        The claims, as they are to be tested.
    """

    path: Path
    sha256: str
    seed: int
    profiles: dict[str, Profile]
    datasets: dict[str, dict[str, Any]]
    own_datasets: dict[str, dict[str, Any]]
    hypotheses: Hypotheses = field(default_factory=Hypotheses)


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
        top = Section(entries, "", ("seed", "profiles"), ("datasets", "own_datasets", "hypotheses"))
        seed = top.integer("seed")
        profiles = Section(top.entries["profiles"], "profiles")
        read = {str(name): _read_profile(profiles, name, seed) for name in profiles.entries}
        settings, own = (_described(top, key) for key in ("datasets", "own_datasets"))
        hypotheses = read_hypotheses(top)
    except StudyError as error:
        raise StudyError(f"{path.name}: {error}") from error
    return Study(path, hashlib.sha256(content).hexdigest(), seed, read, settings, own, hypotheses)


def _described(top: Section, key: str) -> dict[str, dict[str, Any]]:
    if key not in top.entries:
        return {}
    section = top.section(key)
    return {str(name): dict(section.section(name).entries) for name in section.entries}


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
    study = load_study(path)
    chosen = choose(study, name)
    check_names(study, chosen)
    return chosen


def choose(study: Study, name: str) -> Profile:
    """Return a profile without looking up the names in it; StudyError if there is none of that name."""
    if name not in study.profiles:
        raise unknown_name("profile", str(name), study.profiles)
    return study.profiles[name]


def check_names(study: Study, chosen: Profile, kinds: Iterable[str] = ("dataset", "model", "prompt")) -> None:
    """Raise StudyError for the first name of a profile that is neither registered nor a path.

    Parameters
    ----------
    study : Study
        Describes data sets of one's own.
    chosen : Profile
    kinds : iterable of {"dataset", "model", "prompt"}
        What to look up. Looking up models imports torch, which takes seconds.
    """
    for kind in kinds:
        known = [*_registry(kind), *(study.own_datasets if kind == "dataset" else ())]
        for name in _names_of(chosen, kind):
            if name not in known and not _is_path(kind, name):
                raise StudyError(f"study.yaml: profile {chosen.name!r}: {unknown_name(kind, name, known)}")


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


def _read_profile(profiles: Section, name: str, seed: int) -> Profile:
    section = profiles.section(
        name, ("about", "datasets", "models", "prompts", "zero_shot", "fine_tuning"), ("headline", "seed")
    )
    prompts = section.names("prompts")
    headline = section.names("headline") if "headline" in section.entries else prompts
    for prompt in headline:
        if prompt not in prompts:
            raise StudyError(
                f"profiles.{name}.headline: {unknown_name('prompt of this profile', prompt, prompts)}"
            )
    zero_shot = section.section("zero_shot", ("limit",))
    datasets = section.names("datasets")
    return Profile(
        name=str(name),
        about=section.text("about"),
        datasets=datasets,
        models=section.names("models"),
        prompts=prompts,
        headline=headline,
        zero_shot=ZeroShot(limit=zero_shot.cap("limit")),
        fine_tuning=read_fine_tuning(section, datasets),
        seed=section.integer("seed") if "seed" in section.entries else seed,
    )
