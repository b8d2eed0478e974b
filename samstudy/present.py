"""Which data sets and models of a profile are on this machine: what make builds, and what it leaves out and why."""

from __future__ import annotations

import sys
from pathlib import Path

from samstudy.errors import StudyError
from samstudy.official import OFFICIAL_FILES
from samstudy.paths import project_root, raw_dir
from samstudy.phantoms import PREFIX, SCENES
from samstudy.study import Profile, Study, check_names, choose, load_study

_PACKAGED, _FOLDER = ("mni152", SCENES), "folder:"
_CONTROL = "it is the general-domain control (general_domain in study.yaml)"


def data_root(study: Study, name: str) -> Path | None:
    """Return where the files of a data set are looked for; None where it needs none.

    Parameters
    ----------
    study : Study
        ``datasets`` and ``own_datasets`` of ``study.yaml`` may state a root; a relative one begins at the project.
    name : str
        Name of a data set, known or not.
    """
    if name in _PACKAGED or name.startswith(PREFIX):
        return None
    if name.startswith(_FOLDER):
        return Path(name.removeprefix(_FOLDER)).expanduser()
    stated = {**study.datasets.get(name, {}), **study.own_datasets.get(name, {})}.get("root")
    return project_root() / Path(str(stated)).expanduser() if stated else raw_dir(name)


def missing_data(study: Study, chosen: Profile) -> dict[str, str]:
    """Return why each data set of a profile cannot be read here, by its name; only folders are looked at.

    Raises
    ------
    StudyError
        If an absent data set is no known one.
    """
    reasons = {}
    for name in chosen.datasets:
        root = data_root(study, name)
        if root is None or (root.is_dir() and any(p for p in root.iterdir() if not p.name.startswith("."))):
            continue
        state = "is empty" if root.is_dir() else "does not exist"
        is_own = name in study.own_datasets or name.startswith(_FOLDER)
        hint = "" if is_own else f"; `samstudy fetch {name}` gets it or says how"
        reasons[name] = f"{root} {state}{hint}"
    if reasons:
        check_names(study, chosen, kinds=("dataset",))
    return reasons


def present_datasets(profile: str) -> tuple[str, ...]:
    """Return the data sets of a profile whose files are here, in its order.

    Raises
    ------
    StudyError
        As :func:`missing_data`, for an unknown profile, when there is none (with how to get each), or when the
        checkpoint that is to be fine-tuned is not here.
    """
    study = load_study()
    chosen = choose(study, profile)
    missing = missing_data(study, chosen)
    found = tuple(name for name in chosen.datasets if name not in missing)
    if not found:
        said = ". ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise StudyError(f"none of the data sets of the profile {profile!r} is here. {said}.")
    without = missing_model(chosen.fine_tuning.model)
    if without:
        raise StudyError(
            f"the profile {profile!r} fine-tunes {chosen.fine_tuning.model}: {without} Or name another model "
            "under fine_tuning in study.yaml."
        )
    return found


def untunable_datasets(profile: str) -> dict[str, str]:
    """Return why each data set that is here is not fine-tuned on, by its name.

    A partial copy may lack a part, and on the general-domain control of ``study.yaml`` nothing is tuned.

    Raises
    ------
    StudyError
        As :func:`present_datasets`, or when none can be fine-tuned on.
    """
    study, found = load_study(), present_datasets(profile)
    reasons = {name: _CONTROL for name in found if name in study.hypotheses.general_domain}
    for name in found:
        if name not in reasons and data_root(study, name) is not None:
            # on demand: what comes with the package has every part
            from samstudy.datasets import load_dataset

            try:
                dataset = load_dataset(name)
            except StudyError as error:
                reasons[name] = str(error).rstrip(".")
                continue
            n_train, n_val = len(dataset.ids("train")), len(dataset.ids("val"))
            if not (n_train and n_val):
                reasons[name] = f"it has {n_train} training and {n_val} validation images here"
    if len(reasons) == len(found):
        said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise StudyError(f"none of the data sets of the profile {profile!r} can be fine-tuned on: {said}.")
    return reasons


def tunable_datasets(profile: str) -> tuple[str, ...]:
    """Return the data sets that are here and can be fine-tuned on; see :func:`untunable_datasets`."""
    reasons = untunable_datasets(profile)
    return tuple(name for name in present_datasets(profile) if name not in reasons)


def missing_model(name: str) -> str:
    """Return why a published checkpoint is not here and how to get it; ``""`` for any other model."""
    published = OFFICIAL_FILES.get(name)
    if published is None or published.path.is_file():
        return ""
    return f"the checkpoint is not here: {published.how_to_get(name)}"


def left_out(profile: str) -> list[str]:
    """Return a sentence for each data set and model of a profile that is not here, or not wholly."""
    study = load_study()
    chosen = choose(study, profile)
    lines = [f"left out: data set {name}: {reason}." for name, reason in missing_data(study, chosen).items()]
    partial = untunable_datasets(profile)
    lines += [
        f"left out: fine-tuning on {name}: {reason}."
        for name, reason in partial.items()
        if reason != _CONTROL
    ]
    for name in dict.fromkeys((*chosen.models, chosen.fine_tuning.model)):
        reason = missing_model(name)
        if reason:
            lines.append(f"left out: model {name}: {reason}")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Answer make: ``found PROFILE`` and ``tunable PROFILE`` print data sets, ``left-out PROFILE`` what is not here.

    Returns
    -------
    int
        Exit status: 0, or 1 after a sentence on standard error.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if len(arguments) != 2 or arguments[0] not in ("found", "tunable", "left-out"):
            raise StudyError("expected the words: found PROFILE, tunable PROFILE, or: left-out PROFILE.")
        if arguments[0] != "left-out":
            found = (present_datasets if arguments[0] == "found" else tunable_datasets)(arguments[1])
            _refuse_folders(found)
            sys.stdout.write(" ".join(found) + "\n")
        else:
            sys.stdout.writelines(f"{line}\n" for line in left_out(arguments[1]))
    except StudyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _refuse_folders(names: tuple[str, ...]) -> None:
    for name in names:
        if name.startswith(_FOLDER):
            raise StudyError(
                f"make has no rule for a folder of one's own: describe it under own_datasets in study.yaml, use "
                f"samstudy run --dataset {name}, or run the notebooks with it."
            )


if __name__ == "__main__":
    sys.exit(main())
