"""The folder of kept embeddings: how large it may grow, and which files go when it is full.

Nothing is locked. A file appears under its name when it is whole, and reading one sets its time. What was read least
recently goes first. On POSIX a reader that has opened a file keeps it after it is removed; one that comes too late
finds none and embeds again.
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from contextlib import suppress
from pathlib import Path

from samstudy.errors import StudyError
from samstudy.paths import cache_dir

LIMIT_VARIABLE = "SAMSTUDY_CACHE_GB"
DEFAULT_LIMIT_GB = 20.0
_SHARE_OF_FREE = 0.5
_SHARE_AFTER = 0.9  # files go until this share of the limit is left, so that not every write looks for room
_SHARE_UNSEEN = 0.05  # other processes write too: the folder is looked at again after so much of the limit
_ABANDONED_S = 3600.0
_written_since: dict[Path, int] = {}


def embeddings_dir() -> Path:
    """Folder of the kept embeddings, one folder in it for each image encoder."""
    return cache_dir() / "embeddings"


def limit_bytes(folder: Path, held_bytes: int) -> int:
    """How much a folder may hold.

    Parameters
    ----------
    folder : pathlib.Path
        Must exist where the default is taken.
    held_bytes : int
        What it holds now: that is room, too.

    Returns
    -------
    int
        ``SAMSTUDY_CACHE_GB`` (of 10^9 bytes; 0 keeps nothing) where it is set, else 20 GB or half of the room on
        the disk, whichever is less.

    Raises
    ------
    StudyError
        If the variable is no number or negative.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        room = _SHARE_OF_FREE * (shutil.disk_usage(folder).free + held_bytes)
        return int(min(DEFAULT_LIMIT_GB * 1e9, room))
    try:
        limit_gb = float(text)
    except ValueError:
        limit_gb = -1.0
    if not 0 <= limit_gb < float("inf"):
        raise StudyError(
            f"{LIMIT_VARIABLE} is {text!r}, but a number of gigabytes is expected, such as 20; 0 keeps nothing."
        )
    return int(limit_gb * 1e9)


def touch(path: Path) -> None:
    """Note that a file was read now; a folder that cannot be written, or a file that has just gone, is no error."""
    with suppress(OSError):
        os.utime(path)


def make_room(folder: Path, written_bytes: int) -> int:
    """Remove the least recently read files where the folder holds more than it may; to be called after a write.

    The folder is looked at after the first write of this process and then once for every twentieth of the limit
    that it has written. Several processes may therefore pass the limit, each by that much.

    Parameters
    ----------
    folder : pathlib.Path
        Of :func:`embeddings_dir`.
    written_bytes : int
        Size of the file just written.

    Returns
    -------
    int
        Number of files removed; a warning says so.
    """
    since = _written_since.get(folder)
    limit = limit_bytes(folder, since or 0)
    if since is not None and since + written_bytes < _SHARE_UNSEEN * limit:
        _written_since[folder] = since + written_bytes
        return 0
    _written_since[folder] = 0
    files = _files(folder)
    held = sum(size for _, size, _ in files)
    limit = limit_bytes(folder, held)
    if held <= limit:
        return 0
    n_removed, freed = 0, 0
    for _, size, path in sorted(files)[:-1]:
        if held - freed <= _SHARE_AFTER * limit:
            break
        with suppress(OSError):
            path.unlink(missing_ok=True)
            n_removed, freed = n_removed + 1, freed + size
    if n_removed:
        warnings.warn(
            f"the kept embeddings had grown to {held / 1e9:.3g} GB of at most {limit / 1e9:.3g} GB: the "
            f"{n_removed} used least recently were removed and will be made again when needed. "
            f"{LIMIT_VARIABLE} sets another limit.",
            stacklevel=4,
        )
    return n_removed


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size and path of every kept file; what a killed process left half written is removed."""
    found = []
    for path in folder.glob("*/*.safetensors"):
        with suppress(OSError):
            stat = path.stat()
            if not path.name.startswith("."):
                found.append((stat.st_mtime, stat.st_size, path))
            elif time.time() - stat.st_mtime > _ABANDONED_S:
                path.unlink(missing_ok=True)
    return found
