"""Unpacking archives that others made: nothing outside the folder, no bomb, no half tree.

What is refused, with the member's name, before anything is written:

* names that climb out (``..``, absolute, a drive letter, a backslash), links, devices, sparse files, two members of
  one name, and on Windows names that Windows reserves;
* encrypted members, and formats that only other programs open (7z, rar), with what to use instead;
* more than ``Limits`` allows: members, bytes in all, bytes against the size of the archive, or the free disk.

While writing, bytes are counted again, so a header that lies about a size is caught too. The tree is written to
a hidden folder beside its place and moved when it is whole; members that are there already are kept.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from samstudy.archive_formats import DAMAGE, ArchiveError, Member, members_of

__all__ = ["ArchiveError", "Limits", "in_words", "unpack"]

_BLOCK_BYTES = 1 << 20
_ON_WINDOWS = os.name == "nt"
_RESERVED_ON_WINDOWS = re.compile(
    r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$|[<>:\"|?*\x00-\x1f]|[. ]$", re.IGNORECASE
)


@dataclass(frozen=True)
class Limits:
    """How much an archive may unpack to.

    Attributes
    ----------
    bytes : int
        In all.
    ratio : float
        Times the size of the archive. Pictures are compressed already and hardly grow; label maps stored as
        plain bitmaps may grow a few hundred times, hence the allowance.
    allowance_bytes : int
        So much is allowed whatever the ratio.
    members : int
        Files and folders.
    """

    bytes: int = 500 * 2**30
    ratio: float = 100.0
    allowance_bytes: int = 8 * 2**20
    members: int = 500_000

    def allowed_bytes(self, archive_bytes: int) -> int:
        """Return the most that an archive of this size may unpack to."""
        return min(self.bytes, max(self.allowance_bytes, int(self.ratio * archive_bytes)))


def unpack(
    archive: str | Path, folder: str | Path, limits: Limits | None = None, progress: bool = True
) -> list[Path]:
    """Unpack a zip, tar (plain, gz, bz2, xz) or gz file below a folder.

    Parameters
    ----------
    archive : str or pathlib.Path
        Told by its first bytes, not by its name.
    folder : str or pathlib.Path
        Made where absent. Files in it that are not in the archive stay.
    limits : Limits, optional
        The defaults of :class:`Limits` when not given.
    progress : bool
        Show a bar.

    Returns
    -------
    list of pathlib.Path
        The files of the archive, in its order. Where all are there already, with the sizes the archive states,
        nothing is written.

    Raises
    ------
    ArchiveError
        If the archive is refused (see the module), damaged or cut short, does not fit on the disk, or a file of
        other contents is in its place. Nothing of it is left in ``folder``.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        return _unpacked(archive, folder, limits or Limits(), progress)
    except DAMAGE as error:
        raise ArchiveError(
            f"{archive.name} is damaged or cut short ({str(error) or type(error).__name__}): remove it and fetch "
            "it again."
        ) from error
    except NotImplementedError as error:
        raise ArchiveError(
            f"{archive.name} is compressed in a way that is not read here ({error}): unpack it by hand with 7-Zip."
        ) from error
    except OSError as error:
        raise ArchiveError(
            f"{archive.name} cannot be unpacked into {folder}: {error.strerror or error}. Check that the file is "
            "there, the disk has room and the folder can be written."
        ) from error


def _unpacked(archive: Path, folder: Path, limits: Limits, progress: bool) -> list[Path]:
    files = [member for member in _checked(archive, limits) if not member.is_folder]
    places = [folder / member.name for member in files]
    if all(m.size_known and _has_size(folder / m.name, m.size_bytes) for m in files):
        return places
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_without_room(archive, folder, sum(member.size_bytes for member in files))
    # one name for each archive: what a killed run left is found again and removed
    working = folder / f".unpacking-{archive.name}"
    shutil.rmtree(working, ignore_errors=True)
    try:
        working.mkdir()
        _write(archive, working, limits, progress)
        _refuse_conflicts(archive, working, folder, places)
        _move(working, folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return places


def _checked(archive: Path, limits: Limits) -> list[Member]:
    """Return the members after judging every name and the sum of the stated sizes; nothing is written."""
    size = archive.stat().st_size
    allowed = limits.allowed_bytes(size)
    members, seen, total = [], set(), 0
    for member in members_of(archive, allowed):
        _refuse_member(archive, member)
        total += member.size_bytes
        if total > allowed:
            raise _too_much(archive, size, allowed)
        if member.name in seen and not member.is_folder:
            raise ArchiveError(
                f"{archive.name} holds {member.name!r} twice; unpack it by hand and look at both."
            )
        seen.add(member.name)
        members.append(member)
        if len(members) > limits.members:
            raise ArchiveError(f"{archive.name} holds more than {limits.members:,} members; it is refused.")
    if not any(not member.is_folder for member in members):
        raise ArchiveError(f"{archive.name} holds no file; was it downloaded whole?")
    return members


def _refuse_member(archive: Path, member: Member) -> None:
    name, parts = member.raw_name, PurePosixPath(member.name).parts
    if "\\" in name or "\x00" in name:
        fault = "has a backslash or a zero byte in its name"
    elif name.startswith("/") or re.match(r"[A-Za-z]:", name):
        fault = "has an absolute path"
    elif ".." in parts:
        fault = "climbs out of the folder"
    elif not parts and not member.is_folder:
        fault = "has no name"
    elif member.fault:
        fault = member.fault
    elif _ON_WINDOWS and any(_RESERVED_ON_WINDOWS.search(part) for part in parts):
        fault = "has a name that Windows reserves"
    else:
        return
    raise ArchiveError(
        f"{archive.name} is not unpacked: its member {name!r} {fault}. If you trust its source, unpack it by "
        "hand (7-Zip, unzip, tar) into an empty folder and look at what comes out."
    )


def _too_much(archive: Path, size: int, allowed: int) -> ArchiveError:
    return ArchiveError(
        f"{archive.name} ({in_words(size)}) unpacks to more than {in_words(allowed)}, the most that is allowed for an "
        "archive of its size; it is refused. If you trust its source, unpack it by hand."
    )


def _refuse_without_room(archive: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ArchiveError(
            f"{archive.name} unpacks to {in_words(needed)}, but {folder} has {in_words(free)} free; make room, or "
            "give another folder with --root."
        )


def _write(archive: Path, working: Path, limits: Limits, progress: bool) -> None:
    size = archive.stat().st_size
    allowed, written = limits.allowed_bytes(size), 0
    bar = tqdm(desc=f"unpacking {archive.name}", unit="B", unit_scale=True, disable=not progress)
    with bar:
        for member in members_of(archive, allowed):
            _refuse_member(archive, member)
            target = working / member.name
            if member.is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as handle:
                for block in _blocks(member):
                    written += len(block)
                    if written > allowed:
                        raise _too_much(archive, size, allowed)
                    handle.write(block)
                    bar.update(len(block))
                found = handle.tell()
            if member.size_known and found != member.size_bytes:
                raise ArchiveError(
                    f"{archive.name} is damaged: {member.name!r} has {found} bytes, but {member.size_bytes} are "
                    "stated. Remove it and fetch it again."
                )


def _blocks(member: Member) -> Iterator[bytes]:
    with member.open() as handle:
        while block := handle.read(_BLOCK_BYTES):
            yield block


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _refuse_conflicts(archive: Path, working: Path, folder: Path, places: list[Path]) -> None:
    for place in places:
        if place.exists() and not _same(working / place.relative_to(folder), place):
            raise ArchiveError(
                f"{place} is there already and differs from the one in {archive.name}; move it away (or the whole "
                "folder, if an earlier unpacking was cut short), then try again."
            )


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _move(source: Path, target: Path) -> None:
    """Move what a folder holds; a folder that is there already is filled up."""
    for entry in source.iterdir():
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move(entry, place)
        else:
            entry.replace(place)


def in_words(n_bytes: int) -> str:
    """Return a size as people say it: ``"11.2 GB"``, in powers of 1000 as disks are sold."""
    value, unit = float(n_bytes), "bytes"
    for bigger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, bigger
    return f"{value:.0f} {unit}" if unit == "bytes" or value >= 99.5 else f"{value:.1f} {unit}"
