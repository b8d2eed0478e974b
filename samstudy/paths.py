"""Where the study's files live, and how they are written so that a killed run leaves no half file."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from samstudy.errors import StudyError

PACKAGE_DIR = Path(__file__).resolve().parent


def project_root() -> Path:
    """Folder that holds ``study.yaml``.

    ``SAMSTUDY_ROOT`` when set, else the nearest ancestor of the working folder with a ``study.yaml``,
    else the checkout the package was imported from, else the working folder.
    """
    if os.environ.get("SAMSTUDY_ROOT"):
        return Path(os.environ["SAMSTUDY_ROOT"]).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, PACKAGE_DIR.parent):
        if (folder / "study.yaml").is_file():
            return folder
    return here


def raw_dir(dataset: str) -> Path:
    """Folder where the official files of a benchmark are expected."""
    return project_root() / "data" / "raw" / dataset


def splits_dir() -> Path:
    """Folder of the committed splits."""
    return project_root() / "data" / "splits"


def cache_dir() -> Path:
    """Folder of recomputable files (``SAMSTUDY_CACHE`` when set)."""
    if os.environ.get("SAMSTUDY_CACHE"):
        return Path(os.environ["SAMSTUDY_CACHE"]).resolve()
    return project_root() / "data" / "cache"


def results_dir(profile: str) -> Path:
    """Folder of the score tables of a profile."""
    return project_root() / "data" / "results" / profile


def figures_dir(profile: str) -> Path:
    """Folder of the figures, tables and executed notebooks of a profile."""
    return project_root() / "figures" / profile


def checkpoints_dir() -> Path:
    """Folder where checkpoints are downloaded to and looked for."""
    return project_root() / "data" / "raw" / "checkpoints"


def slug(dataset: str) -> str:
    """File-name form of a data set: ``"folder:/data/My set"`` -> ``"folder_My_set"``."""
    name = f"folder_{Path(dataset.split(':', 1)[1]).name}" if dataset.startswith("folder:") else dataset
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)


def table_path(profile: str, dataset: str, stage: str) -> Path:
    """Where the score table of a stage is kept."""
    return results_dir(profile) / f"{slug(dataset)}.{stage}.parquet"


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; rename it onto ``path`` when the block ends well.

    Parameters
    ----------
    path : str or pathlib.Path
        Final name; its folder is made. The temporary file has the same suffix.

    Raises
    ------
    StudyError
        If the folder cannot be made or written (read-only, full), with the path and the reason.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise StudyError(
            f"cannot write {path}: {error.strerror or error}. Check that the folder exists, is writable and "
            "that the disk has room, or choose another output folder."
        ) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Make a folder, and find out before anything is computed whether it can be written.

    Raises
    ------
    StudyError
        As :func:`written_whole`.
    """
    probe = Path(folder) / ".samstudy-probe"
    with written_whole(probe) as temporary:
        temporary.write_text("", encoding="utf-8")
    probe.unlink()
