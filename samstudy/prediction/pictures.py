"""Which pictures are to be segmented: files, or those of a folder; no file is decoded."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from samstudy.datasets.tree import visible
from samstudy.errors import StudyError
from samstudy.images import IMAGE_SUFFIXES, FileError, kind_of, stem_of
from samstudy.images.volume import volume_shape


@dataclass(frozen=True)
class Picture:
    """One 2-D picture.

    Attributes
    ----------
    image_id : str
        The file's name without suffix; ``<stem>_z012`` for an axial slice of a volume, as in a folder data set.
    file : pathlib.Path
    index : int or None
        Axial slice of a NIfTI file.
    """

    image_id: str
    file: Path
    index: int | None = None


def list_pictures(paths: Sequence[str | Path]) -> tuple[list[Picture], list[str]]:
    """List the pictures of files and folders; a volume gives all its axial slices.

    Parameters
    ----------
    paths : sequence of str or pathlib.Path
        Any format of ``samstudy.images``. Folders are not searched below their first level.

    Returns
    -------
    pictures : list of Picture
        In the order of the paths, within a folder by name. A volume with a faulty header is one picture, whose
        reading tells why.
    ignored : list of str
        Names in the folders that are no pictures.

    Raises
    ------
    StudyError
        If a path is missing, a given file is of no known type, nothing is found, or two files share a name:
        their masks would too.
    """
    files: list[Path] = []
    ignored: list[str] = []
    for path in (Path(path).expanduser() for path in paths):
        if path.is_dir():
            inside = visible(path)
            files += [entry for entry in inside if entry.is_file() and kind_of(entry)]
            ignored += [entry.name for entry in inside if not (entry.is_file() and kind_of(entry))]
        elif not path.exists():
            raise StudyError(f"there is no file or folder {path}{_near(path)}; give --images what is there.")
        elif not kind_of(path):
            raise StudyError(f"{path} is of no known image type; known are {', '.join(IMAGE_SUFFIXES)}.")
        else:
            files.append(path)
    if not files:
        found = f"; found {', '.join(ignored[:4])}" if ignored else ""
        raise StudyError(
            f"no image in {', '.join(map(str, paths))}: looked for files that end in "
            f"{', '.join(IMAGE_SUFFIXES)}{found}."
        )
    _refuse_one_name(files)
    return [picture for file in files for picture in _of_file(file)], ignored


def _near(path: Path) -> str:
    names = [entry.name for entry in visible(path.parent)] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f" (there is {close[0]!r})" if close else ""


def _refuse_one_name(files: Sequence[Path]) -> None:
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(stem_of(file).casefold(), file)
        if other is not file:
            raise StudyError(
                f"{other} and {file} have one name, {stem_of(file)!r}, and so would their masks: rename one, or "
                "segment them into different folders."
            )


def _of_file(file: Path) -> list[Picture]:
    stem = stem_of(file)
    if kind_of(file) != "nifti":
        return [Picture(stem, file)]
    try:
        n_slices = volume_shape(file)[2]
    except FileError:
        return [Picture(stem, file)]
    if n_slices == 1:
        return [Picture(stem, file, 0)]
    return [Picture(f"{stem}_z{k:03d}", file, k) for k in range(n_slices)]
