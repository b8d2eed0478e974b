"""The data sets of a profile as a section of the methods: what they are, how they are split, whose they are."""

from __future__ import annotations

from samstudy.datasets import DATASETS, load_dataset
from samstudy.datasets.base import DatasetInfo
from samstudy.datasets.catalogue import said_split
from samstudy.errors import StudyError
from samstudy.phantoms import shown_name
from samstudy.present import left_out
from samstudy.study import Profile, Study
from samstudy.supplement.blocks import Block, Facts, Section


def data_section(study: Study, chosen: Profile, limit: str) -> Section:
    """Describe every data set that a profile names, those that were left out too.

    Parameters
    ----------
    study : Study
        States options of registered data sets.
    chosen : Profile
    limit : str
        How many images of the test part were scored, in words.
    """
    absent = left_out(chosen.name)
    said = (
        f"Profile {chosen.name}: {chosen.about}. Scored are images of the test part, {limit}.",
        *([" ".join(absent)] if absent else ["Every data set and model of the profile was there."]),
    )
    return Section("Data sets", (*said, *(_facts(study, name) for name in chosen.datasets)))


def _facts(study: Study, name: str) -> Block:
    is_registered = name in DATASETS
    try:
        info = DATASETS[name].info if is_registered else load_dataset(name).info
    except StudyError as error:
        return Facts(shown_name(name), (("Left out", str(error)),))
    options = {option: value for option, value in study.datasets.get(name, {}).items() if option != "root"}
    stated = ", ".join(f"{option}: {value}" for option, value in options.items())
    entries = (
        ("Images", info.modality),
        ("Targets", ", ".join(info.targets)),
        ("Train / validation / test", said_split(DATASETS[name]) if is_registered else ""),
        ("Split", info.split_note),
        ("Groups are", info.group_noun),
        ("Options stated in study.yaml", stated),
        ("Intervals", info.interval_note),
        ("Tolerance of NSD", f"{info.nsd_tolerance:g} {info.distance_unit}"),
        ("Shown", info.display_note),
        *_owners(info),
    )
    return Facts(f"{shown_name(name)}: {info.title}", entries)


def _owners(info: DatasetInfo) -> tuple[tuple[str, str], ...]:
    return (
        ("In the training data of", info.trained_on or "none that is known here"),
        ("Licence", info.licence),
        ("Citation", info.citation),
        ("Page", info.url),
    )
