"""Data sets by name: benchmarks, their phantoms, controls, those described in ``study.yaml``, ``folder:<path>``."""

from __future__ import annotations

import inspect
from pathlib import Path

from samstudy.datasets.amos import Amos
from samstudy.datasets.aroi import Aroi
from samstudy.datasets.base import Dataset, DatasetInfo, Record
from samstudy.datasets.chest_xray import ChestXray
from samstudy.datasets.cystoid_fluid import CystoidFluid
from samstudy.datasets.drishti_gs import DrishtiGS
from samstudy.datasets.drive import Drive
from samstudy.datasets.folder import FolderDataset
from samstudy.datasets.heldout_scenes import HeldoutScenes
from samstudy.datasets.isic import ISIC
from samstudy.datasets.mni152 import MNI152
from samstudy.datasets.own import own_dataset
from samstudy.datasets.phantom import phantom_of
from samstudy.datasets.refuge import Refuge
from samstudy.datasets.rim_one_r3 import RimOneR3
from samstudy.datasets.voc2012 import Voc2012
from samstudy.errors import StudyError, unknown_name
from samstudy.paths import project_root
from samstudy.phantoms import PREFIX
from samstudy.registry import Registry
from samstudy.study import load_study

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "FolderDataset", "Record", "known_datasets", "load_dataset"]

DATASETS: Registry[type[Dataset]] = Registry("dataset")
DATASETS.register("mni152")(MNI152)
for _kind in (ISIC, DrishtiGS, RimOneR3, Refuge, Drive, Aroi, CystoidFluid, Amos, ChestXray):
    DATASETS.register(_kind.info.name)(_kind)
    DATASETS.register(f"{PREFIX}{_kind.info.name}")(phantom_of(_kind))
for _kind in (Voc2012, HeldoutScenes):
    DATASETS.register(_kind.info.name)(_kind)
DATASETS.register("folder")(FolderDataset)


def load_dataset(spec: str, root: str | Path | None = None, **options: object) -> Dataset:
    """Open a data set; no image is read yet.

    Parameters
    ----------
    spec : str
        Registered name, one under ``own_datasets`` in ``study.yaml``, or ``folder:<path>``.
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
    own = _described("own_datasets").get(str(spec))
    if own is not None:
        given = {"root": str(Path(root).expanduser().resolve())} if root else {}
        return own_dataset(str(spec), own | given | options, project_root())
    stated = _described("datasets").get(name, {})
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
        raise unknown_name("dataset", str(spec), known_datasets())
    if name not in DATASETS:
        raise unknown_name("dataset", name, known_datasets())
    kind = DATASETS[name]
    known = [p for p in inspect.signature(kind).parameters if p != "root"]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {name}", option, known)
    return kind(Path(root).expanduser() if root else None, **options)


def known_datasets() -> list[str]:
    """Return the registered names and those of one's own in ``study.yaml``."""
    return [*(name for name in DATASETS if name != "folder"), *_described("own_datasets"), "folder:<path>"]


def _described(section: str) -> dict[str, dict[str, object]]:
    """Return a section of ``study.yaml`` about data sets; empty where there is no such file."""
    is_here = (project_root() / "study.yaml").is_file()
    return getattr(load_study(), section) if is_here else {}
