"""Data sets by name: the registered benchmarks, and ``folder:<path>`` for one's own images."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from samstudy.datasets.base import Dataset, DatasetInfo, Record
from samstudy.datasets.folder import FolderDataset
from samstudy.datasets.mni152 import MNI152
from samstudy.datasets.phantom import phantom_of
from samstudy.errors import StudyError, unknown_name
from samstudy.paths import project_root
from samstudy.registry import Registry
from samstudy.study import load_study

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "FolderDataset", "Record", "load_dataset"]

DATASETS: Registry[type[Dataset]] = Registry("dataset")
DATASETS.register("mni152")(MNI152)
DATASETS.register("folder")(FolderDataset)
for _module, _kind in (
    ("isic", "ISIC"),
    ("drishti_gs", "DrishtiGS"),
    ("rim_one_r3", "RimOneR3"),
    ("refuge", "Refuge"),
    ("drive", "Drive"),
    ("aroi", "Aroi"),
    ("cystoid_fluid", "CystoidFluid"),
    ("amos", "Amos"),
    ("chest_xray", "ChestXray"),
):
    if find_spec(f"samstudy.datasets.{_module}"):
        _class = getattr(import_module(f"samstudy.datasets.{_module}"), _kind)
        DATASETS.register(_module)(_class)
        DATASETS.register(f"phantom_{_module}")(phantom_of(_class))


def load_dataset(spec: str, root: str | Path | None = None, **options: object) -> Dataset:
    """Open a data set; no image is read yet.

    Parameters
    ----------
    spec : str
        Registered name, or ``folder:<path>``.
    root : str or pathlib.Path, optional
        Where the files are, when not at the place that ``study.yaml`` states or ``data/raw/<name>``.
    **options
        Parameters of the data set, e.g. ``groups=r"^(P\\d+)"`` of a folder; they override those of ``study.yaml``.

    Returns
    -------
    Dataset

    Raises
    ------
    StudyError
        If the name is unknown (near misses are offered), the files are not there (where they were looked for,
        what was expected and how to get them), or an option is unknown.

    Examples
    --------
    >>> dataset = load_dataset("mni152")
    >>> sample = dataset.load(dataset.ids("test")[0])
    >>> sorted(sample.labels)
    ['brain', 'grey_matter', 'white_matter']
    """
    name, _, path = str(spec).partition(":")
    stated = _stated(name)
    if root is None and "root" in stated:
        root = project_root() / Path(str(stated["root"])).expanduser()
    options = {option: value for option, value in stated.items() if option != "root"} | options
    if name == "folder":
        root = path or root
        if not root:
            raise StudyError("'folder' needs a path: folder:/path/to/a/folder with images/ and masks/ in it.")
    elif spec not in DATASETS and Path(str(spec)).is_dir():
        raise StudyError(f"unknown dataset {spec!r}; it is a folder: write 'folder:{spec}'.")
    elif path:
        raise unknown_name("dataset", str(spec), [*(set(DATASETS) - {"folder"}), "folder:<path>"])
    kind = DATASETS[name]
    known = [p for p in inspect.signature(kind).parameters if p != "root"]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {name}", option, known)
    return kind(Path(root).expanduser() if root else None, **options)


def _stated(name: str) -> dict[str, object]:
    """Place and options that ``study.yaml`` states for a data set; none where there is no such file."""
    is_here = (project_root() / "study.yaml").is_file()
    return load_study().datasets.get(name, {}) if is_here else {}
