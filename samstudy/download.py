"""Downloads that show progress, go on where they were cut, and are checked before they get their name."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import requests
from tqdm import tqdm

from samstudy.errors import StudyError

_BLOCK_BYTES = 1 << 16
_TIMEOUT_S = (10, 60)


class DownloadError(StudyError):
    """A file could not be fetched whole; what has arrived is kept for the next try."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def download(
    url: str, path: Path, *, sha256: str | None = None, size_bytes: int | None = None, by_hand: str = ""
) -> Path:
    """Fetch ``url`` to ``path``.

    What arrives goes to ``<path>.part``; a later call asks the server for the rest of it. The file gets its
    name only when it is whole and its checksum agrees.

    Parameters
    ----------
    url : str
        http or https.
    path : pathlib.Path
        Final file; its folder is made.
    sha256 : str, optional
        Expected hash; without one only the size is checked.
    size_bytes : int, optional
        Expected size, for the progress bar and the check.
    by_hand : str
        Appended to the message when the server cannot be reached.

    Raises
    ------
    DownloadError
        Offline, refused, cut short, or of another checksum (the damaged file is removed).
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(url, part, size_bytes)
    except requests.HTTPError as error:
        raise DownloadError(
            f"{url} answered {error.response.status_code}: {by_hand or 'check the address.'}"
        ) from error
    except requests.RequestException as error:
        have = part.stat().st_size if part.is_file() else 0
        raise DownloadError(
            f"{url} could not be read ({_reason(error)}); {have} bytes are kept in {part.name}, so the same command "
            f"goes on from there. Without a network: {by_hand}"
        ) from error
    except OSError as error:
        raise DownloadError(f"cannot write {part}: {error.strerror or error}.") from error
    _check(part, url, sha256, size_bytes)
    part.replace(path)
    return path


def _reason(error: requests.RequestException) -> str:
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__


def _append(url: str, part: Path, size_bytes: int | None) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if size_bytes is not None and have == size_bytes:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
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


def _check(part: Path, url: str, sha256: str | None, size_bytes: int | None) -> None:
    found = part.stat().st_size
    if sha256 is not None and file_sha256(part) != sha256:
        fault = f"its SHA-256 is not {sha256[:12]}..."
    elif size_bytes is not None and found != size_bytes:
        fault = f"it has {found} bytes, not {size_bytes}"
    else:
        return
    with suppress(OSError):
        part.unlink()
    raise DownloadError(
        f"the file from {url} arrived damaged or is another one ({fault}); it was removed. Try again."
    )
