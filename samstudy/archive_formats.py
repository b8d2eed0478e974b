"""What an archive is, by its first bytes, and its members one after the other, whatever the format."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from samstudy.errors import StudyError

DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError,
)  # fmt: skip
"""What reading a damaged or truncated archive raises."""

_BY_HAND = {
    "7z": "is a 7z archive, which is not read here: unpack it with 7-Zip (or `7z x`)",
    "rar": "is a rar archive, which is not read here: unpack it with 7-Zip or unrar (`unrar x`)",
    "web page": "is a web page, not an archive: the site may ask to log in or to agree to terms first. Remove it, "
    "fetch the file in a browser and put it in its place",
    "": "is no archive that is read here (zip, tar, tar.gz, tar.bz2, tar.xz, gz); was it downloaded whole?",
}
_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf'\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
)
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_TAR_MAGIC_AT = 257
_TAR_OVERHEAD_BYTES = 64 * 2**20


class ArchiveError(StudyError):
    """An archive that is damaged, unsafe, or of a format that is not read here."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes
    ----------
    name, raw_name : str
        Path with slashes, tidied; as the archive spells it.
    size_bytes : int
        As the archive states it; 0 for a gz file, which does not.
    is_folder, size_known : bool
    fault : str
        Why the entry is not taken whatever its name, the rest of a sentence; ``""`` where it is fine.
    open : callable
        Gives its contents, only until the next member is asked for.
    """

    name: str
    raw_name: str
    size_bytes: int
    is_folder: bool
    fault: str
    open: Callable[[], BinaryIO]
    size_known: bool = True


def kind_of_archive(path: Path) -> str:
    """Tell the format by the first bytes: ``zip``, ``tar``, ``gz``, ``7z``, ``rar``, ``web page`` or ``""``.

    ``tar`` may be compressed; ``gz`` is one compressed file that is no tar.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as handle:
        head = handle.read(512)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "web page"
    if path.suffix.lower() == ".tar" or _is_tar(_first_block(path)):
        return "tar"
    return "gz" if head.startswith(b"\x1f\x8b") else ""


def members_of(path: Path, allowed_bytes: int) -> Iterator[Member]:
    """Yield the members of an archive in its order.

    Parameters
    ----------
    path : pathlib.Path
    allowed_bytes : int
        A tar stream is read no further than a little beyond this, whatever its headers say.

    Raises
    ------
    ArchiveError
        If the format is one that other programs open, with which; or is none.
    zipfile.BadZipFile, tarfile.TarError, EOFError, ...
        ``DAMAGE``, where the archive is damaged; also while a member is read.
    """
    kind = kind_of_archive(path)
    readers = {"zip": _zip_members, "tar": _tar_members, "gz": _gz_member}
    if kind not in readers:
        raise ArchiveError(f"{path.name} {_BY_HAND[kind]}.")
    return readers[kind](path, allowed_bytes)


def _zip_members(path: Path, allowed_bytes: int) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            raw = _zip_name(info)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 0x1:
                fault = "is encrypted: a password is asked for"
            elif kind and kind not in (stat.S_IFREG, stat.S_IFDIR):
                fault = "is a link or a device"
            else:
                fault = ""
            name = str(PurePosixPath(raw))
            yield Member(name, raw, info.file_size, raw.endswith("/"), fault, lambda i=info: archive.open(i))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return the name as written; UTF-8 that is not marked as such, as some systems write it, is understood."""
    name = info.orig_filename
    if info.flag_bits & 0x800 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _tar_members(path: Path, allowed_bytes: int) -> Iterator[Member]:
    with _opened(path) as handle:
        stream = _Bounded(handle, allowed_bytes + _TAR_OVERHEAD_BYTES, path)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                if info.size < 0:
                    fault = "states a negative size"
                elif info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
                    fault = "is a link, a device or a sparse file"
                else:
                    fault = ""
                name = str(PurePosixPath(info.name))
                size = 0 if info.isdir() else info.size
                yield Member(
                    name, info.name, size, info.isdir(), fault, lambda i=info: archive.extractfile(i)
                )
        # to the end: only there is the checksum of a compressed stream
        while stream.read(1 << 20):
            pass


def _gz_member(path: Path, allowed_bytes: int) -> Iterator[Member]:
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else f"{path.name}.unpacked"
    yield Member(name, name, 0, False, "", partial(gzip.open, path), size_known=False)


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as handle:
        head = handle.read(6)
    return next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), Path.open)(
        path, "rb"
    )


def _first_block(path: Path) -> bytes:
    try:
        with _opened(path) as handle:
            return handle.read(512)
    except (*DAMAGE, OSError):
        return b""


def _is_tar(block: bytes) -> bool:
    return block[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar"


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than so many bytes: headers of a tar may be bombs too."""

    def __init__(self, handle: BinaryIO, most_bytes: int, path: Path) -> None:
        self._handle, self._left, self._name = handle, most_bytes, path.name

    def read(self, size: int = -1) -> bytes:
        block = self._handle.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise ArchiveError(f"{self._name} unpacks to far more than is allowed; it is refused.")
        return block
