"""``samstudy fetch <name>``: download what is openly downloadable, and say what a person has to do for the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from samstudy.archive_formats import kind_of_archive
from samstudy.archives import Limits, in_words, unpack
from samstudy.datasets import DATASETS
from samstudy.datasets.base import DatasetInfo, Download
from samstudy.download import OfflineError, download, remote_size
from samstudy.errors import StudyError, unknown_name
from samstudy.images import kind_of
from samstudy.paths import project_root, raw_dir, written_whole
from samstudy.study import load_study

ARCHIVES = ".archives"
"""Folder below ``data/raw/<name>`` in which the downloaded files are kept; hidden, so that no loader reads it."""

Tell = Callable[[str], None]


def fetch(
    name: str, tell: Tell, root: str | Path | None = None, only: str = "", limits: Limits | None = None
) -> list[Path]:
    """Get the files of a data set, or say how.

    Parameters
    ----------
    name : str
        Registered name.
    tell : callable
        Called with each line for the user: what is downloaded, its size and the free disk space before it
        starts; the steps a person has to take; what comes next.
    root : str or pathlib.Path, optional
        Where to unpack, ``data/raw/<name>`` by default.
    only : str
        Download only the files with this text in their name.
    limits : samstudy.archives.Limits, optional
        What the archives may unpack to.

    Returns
    -------
    list of pathlib.Path
        The files that were unpacked or were there already; empty where there is nothing to download.

    Raises
    ------
    StudyError
        If the name is unknown, ``only`` fits no file, or the disk has too little room.
    DownloadError, ArchiveError
        If a file cannot be fetched or unpacked. Offline, the sentence is followed by the steps for doing it in a
        browser. What has arrived is kept.
    """
    if name.partition(":")[0] == "folder":
        raise StudyError(
            f"{name!r} is a folder of your own: there is nothing to fetch; run samstudy check {name}."
        )
    if name not in DATASETS and name in _described():
        raise StudyError(
            f"{name!r} is a data set of your own, described in study.yaml: there is nothing to fetch."
        )
    info = DATASETS[name].info
    target = Path(root).expanduser() if root else raw_dir(name)
    if not info.downloads:
        _tell_steps(info, target, tell)
        return []
    chosen = _chosen(info, only)
    _tell_plan(info, chosen, target, tell)
    placed: list[Path] = []
    for number, entry in enumerate(chosen, start=1):
        tell(f"[{number}/{len(chosen)}] {entry.file_name}")
        try:
            archive = _download(entry, target)
        except OfflineError as error:
            raise OfflineError(f"{error}{_by_hand(info, chosen, target)}") from error
        placed += _place(archive, target / entry.folder, limits)
    tell(f"{len(placed)} files are in {target}; the downloads are kept in {target / ARCHIVES}.")
    tell(_next(info, target))
    if info.steps:
        tell(f"Instead, or for what these files lack, by hand:\n{_numbered(info.steps)}")
    return placed


def _described() -> Iterable[str]:
    """Names under ``own_datasets`` in ``study.yaml``."""
    return load_study().own_datasets if (project_root() / "study.yaml").is_file() else ()


def _chosen(info: DatasetInfo, only: str) -> list[Download]:
    names = [entry.file_name for entry in info.downloads]
    chosen = [entry for entry in info.downloads if only.casefold() in entry.file_name.casefold()]
    if not chosen:
        raise unknown_name(f"file of {info.name}", only, names)
    return chosen


def _tell_plan(info: DatasetInfo, chosen: Sequence[Download], target: Path, tell: Tell) -> None:
    sizes = [entry.size_bytes or remote_size(entry.url) for entry in chosen]
    stated = sum(size for size in sizes if size)
    arrived = sum(_arrived(entry, target) for entry in chosen)
    free = shutil.disk_usage(_existing(target)).free
    tell(f"{info.title}. Licence: {info.licence}. Cite: {info.citation}.")
    for entry, size in zip(chosen, sizes, strict=True):
        checksum = "checked by its checksum" if entry.checksum else "no checksum is published"
        tell(f"  {entry.file_name}  {in_words(size) if size else 'size not stated'}, {checksum}")
    unknown = f"{sizes.count(None)} files of unknown size" if None in sizes else ""
    total = " and ".join(filter(None, (f"{in_words(stated)} in all" if stated else "", unknown)))
    here = f", {in_words(arrived)} of it here already" if arrived else ""
    tell(f"To download: {total}{here}. Free disk at {target}: {in_words(free)}.")
    # pictures are compressed already: unpacked they take about as much again
    needed = max(stated - arrived, 0) + stated
    if needed > free and not all((target / ARCHIVES / entry.file_name).is_file() for entry in chosen):
        raise StudyError(
            f"{info.name} needs about {in_words(needed)} (the downloads and what they unpack to), but {target} has "
            f"{in_words(free)} free; make room, or give another folder with --root."
        )


def _arrived(entry: Download, target: Path) -> int:
    whole = target / ARCHIVES / entry.file_name
    part = whole.with_name(f"{whole.name}.part")
    return next((path.stat().st_size for path in (whole, part) if path.is_file()), 0)


def _existing(folder: Path) -> Path:
    return next((path for path in (folder, *folder.parents) if path.exists()), Path())


def _download(entry: Download, target: Path) -> Path:
    path = target / ARCHIVES / entry.file_name
    size = path.stat().st_size if path.is_file() else entry.size_bytes
    if entry.size_bytes is not None and size != entry.size_bytes:
        raise StudyError(
            f"{path} is there, but has {size} bytes; the published file has {entry.size_bytes}. Remove it, then run "
            "the same command again."
        )
    return download(entry.url, path, checksum=entry.checksum, size_bytes=entry.size_bytes)


def _place(archive: Path, folder: Path, limits: Limits | None) -> list[Path]:
    if kind_of_archive(archive) in ("", "gz") and _is_plain(archive):
        place = folder / archive.name
        if not (place.is_file() and place.stat().st_size == archive.stat().st_size):
            with written_whole(place) as temporary:
                shutil.copyfile(archive, temporary)
        return [place]
    return unpack(archive, folder, limits)


def _is_plain(path: Path) -> bool:
    """Whether a file is used as it is: an image (``.nii.gz`` too) or a table."""
    return bool(kind_of(path)) or path.suffix.lower() in (".csv", ".json", ".txt", ".xlsx", ".pdf", ".md")


def _by_hand(info: DatasetInfo, chosen: Sequence[Download], target: Path) -> str:
    steps = [
        f"open {entry.url} in a browser, and unpack {entry.file_name} into {target / entry.folder}"
        for entry in chosen
    ]
    return f"\nBy hand:\n{_numbered([*steps, f'run samstudy check {info.name}'])}"


def _tell_steps(info: DatasetInfo, target: Path, tell: Tell) -> None:
    if not info.steps:
        tell(f"{info.name}: {info.how_to_get}.")
        return
    tell(f"{info.title} has no open download. By hand:\n{_numbered(info.steps)}")
    tell(f"Terms: {info.licence}. Page: {info.url}" if info.url else f"Terms: {info.licence}.")
    landmarks = getattr(DATASETS[info.name], "landmarks", ())
    holds = (
        f", so that it (or a folder up to three levels below) holds {' or '.join(landmarks)}"
        if landmarks
        else ""
    )
    tell(f"Unpack into {target}{holds}.")
    tell(_next(info, target))


def _numbered(steps: Sequence[str]) -> str:
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1))


def _next(info: DatasetInfo, target: Path) -> str:
    where = "" if target == raw_dir(info.name) else f" --root {target}"
    return f"Next: samstudy check {info.name}{where}"
