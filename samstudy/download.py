"""Downloads that show progress, go on where they were cut, and are checked before they get their name.

The check and the final move are pooch's; what pooch lacks, going on with a part of a file, is the downloader
it is given here. Checkpoints and data sets come this way.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from pathlib import Path

import requests
from tqdm import tqdm

from samstudy.errors import StudyError

_BLOCK_BYTES = 1 << 16
_TIMEOUT_S = (10, 60)
_PLAIN = {"Accept-Encoding": "identity"}
"""Bytes as they are kept: a server that compresses on the way would make sizes and ranges meaningless."""


class DownloadError(StudyError):
    """A file could not be fetched whole; what has arrived is kept for the next try."""


class OfflineError(DownloadError):
    """The server could not be reached, or the connection broke."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def download(
    url: str, path: Path, *, checksum: str | None = None, size_bytes: int | None = None, by_hand: str = ""
) -> Path:
    """Fetch ``url`` to ``path``; do nothing where a file of that checksum is there.

    What arrives goes to ``<path>.part``; a later call asks the server for the rest of it. The file gets its
    name only when it is whole and its checksum agrees.

    Parameters
    ----------
    url : str
        http or https.
    path : pathlib.Path
        Final file; its folder is made.
    checksum : str, optional
        ``"sha256:<hex>"`` or ``"md5:<hex>"``; without one only the size is checked.
    size_bytes : int, optional
        Expected size, for the progress bar and the check.
    by_hand : str
        Appended to the message when the server cannot be reached.

    Raises
    ------
    OfflineError
        If the server cannot be reached, or the connection breaks.
    DownloadError
        If it is refused, or of another size or checksum (the damaged file is removed).
    """
    part = path.with_name(path.name + ".part")

    def resume(url: str, whole: str | Path, _: object) -> None:
        _append(url, part, size_bytes)
        _check_size(part, url, size_bytes)
        part.replace(whole)

    # on demand: in a notebook it warns of a progress bar that is not used here
    import pooch

    # its log lines repeat what the progress bar shows
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(url, checksum, path.name, path.parent, downloader=resume)
    except requests.HTTPError as error:
        hint = by_hand or "the publisher may have moved the file; check the address."
        raise DownloadError(f"{url} answered {error.response.status_code}: {hint}") from error
    except requests.RequestException as error:
        have = part.stat().st_size if part.is_file() else 0
        kept = (
            f"{have} bytes are kept in {part.name}, so the same command goes on from there"
            if have
            else "try again"
        )
        hint = f" Without a network: {by_hand}" if by_hand else ""
        raise OfflineError(f"{url} could not be read ({_reason(error)}); {kept}.{hint}") from error
    except OSError as error:
        raise DownloadError(f"cannot write {part}: {error.strerror or error}.") from error
    except ValueError as error:
        if isinstance(error, StudyError):
            raise
        algorithm, _, expected = (checksum or "").rpartition(":")
        raise _damaged(url, f"its {(algorithm or 'sha256').upper()} is not {expected[:12]}...") from error
    return path


def remote_size(url: str) -> int | None:
    """Ask a server for the size of a file in bytes; None where it does not say or cannot be reached."""
    try:
        with requests.head(url, headers=_PLAIN, allow_redirects=True, timeout=_TIMEOUT_S) as answer:
            stated = answer.headers.get("Content-Length", "")
            return int(stated) if answer.ok and stated.isdigit() else None
    except requests.RequestException:
        return None


def _reason(error: requests.RequestException) -> str:
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__


def _append(url: str, part: Path, size_bytes: int | None) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if size_bytes is not None and have == size_bytes:
        return
    headers = _PLAIN | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        have = have if resumed else 0
        rest = int(answer.headers.get("Content-Length") or 0)
        total = size_bytes or (have + rest if rest else None)
        with (
            part.open("ab" if resumed else "wb") as handle,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem) as bar,
        ):
            for block in answer.iter_content(_BLOCK_BYTES):
                handle.write(block)
                bar.update(len(block))
    arrived = part.stat().st_size
    if rest and arrived < have + rest:
        raise requests.ConnectionError(f"{arrived} of {have + rest} bytes")


def _check_size(part: Path, url: str, size_bytes: int | None) -> None:
    found = part.stat().st_size
    if size_bytes is not None and found != size_bytes:
        with suppress(OSError):
            part.unlink()
        raise _damaged(url, f"it has {found} bytes, not {size_bytes}")


def _damaged(url: str, fault: str) -> DownloadError:
    return DownloadError(
        f"the file from {url} arrived damaged or is another one ({fault}); it was removed. Try again."
    )
