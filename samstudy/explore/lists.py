"""What an explorer offers: the data sets and models that are on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from samstudy.datasets import DATASETS
from samstudy.errors import StudyError
from samstudy.models import MODELS
from samstudy.official import OFFICIAL_FILES
from samstudy.paths import project_root
from samstudy.present import data_root
from samstudy.study import Study, load_study

_NOT_OFFERED = ("ellipse", "otsu")


def datasets_here(study: Study | None = None) -> list[str]:
    """Names of the data sets whose files are here, those of one's own in ``study.yaml`` among them.

    Only folders are looked at; a phantom is offered always, and drawn when it is first opened.
    """
    study = study or load_study()
    names = [*(name for name in DATASETS if name != "folder"), *study.own_datasets]
    roots = {name: data_root(study, name) for name in names}
    return [name for name, root in roots.items() if root is None or root.is_dir()]


def models_here(more: Sequence[str | Path] = (), root: Path | None = None) -> dict[str, str]:
    """Models that can be asked, by the words they are offered with.

    Parameters
    ----------
    more : sequence of str or pathlib.Path
        Checkpoint files or names that are offered first.
    root : pathlib.Path, optional
        Of the project.

    Returns
    -------
    dict of str to str
        Words to name or file: registered SAMs whose checkpoint is here, then every model that was tuned by the
        stages (``data/results/<profile>/tuned``).
    """
    found = {_words(str(name)): str(name) for name in more}
    for name in MODELS:
        file = OFFICIAL_FILES.get(name)
        if name not in _NOT_OFFERED and (file is None or file.path.is_file()):
            found.setdefault(name, name)
    folder = (root or project_root()) / "data" / "results"
    for path in sorted(folder.glob("*/tuned/*.safetensors")):
        found.setdefault(f"{_tuned_words(path)} ({path.parent.parent.name})", str(path))
    return found


def _words(name: str) -> str:
    return name if name in MODELS else f"{Path(name).parent.name}/{Path(name).name}"


def _tuned_words(path: Path) -> str:
    """``"mni152 brain: vit_t, decoder, 20 shots, seed 0"`` from what lies beside the file, else its name."""
    try:
        history = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        targets = " ".join(history["recipe"].get("targets") or ["all targets"])
        dataset, base, method, shots = (history[key] for key in ("dataset", "base", "method", "shots"))
    except (OSError, ValueError, KeyError, TypeError):
        return path.stem
    repetition = next((part for part in path.stem.split(".") if part.startswith("seed")), "")
    prompts = " automatic" if list(history["recipe"].get("prompts", ())) == ["automatic"] else ""
    return f"{dataset} {targets}: {base} {method}{prompts}, {shots} shots, {repetition}, {path.stem[-6:]}"


def checked_folder(path: str) -> Path:
    """Turn what was typed into a folder or file that exists.

    Raises
    ------
    StudyError
        If nothing is there.
    """
    found = Path(path.strip()).expanduser()
    if not path.strip() or not found.exists():
        raise StudyError(
            f"there is no file or folder {path.strip() or '(nothing was typed)'}: check the path."
        )
    return found
