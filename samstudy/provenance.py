"""Where a result came from: commit, command, versions, time; and the hash that names a table."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from samstudy.paths import PACKAGE_DIR, project_root

_VERSIONED = (
    "samstudy",
    "torch",
    "torchvision",
    "segment-anything",
    "numpy",
    "scipy",
    "scikit-image",
    "nilearn",
)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE_DIR), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def code_sha() -> str:
    """SHA-256 (16 hex digits) of the package's Python sources: the code version results depend on."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE_DIR.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE_DIR).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def command_line() -> str:
    """Return the command this process was started with, shell-quoted, without the interpreter's folder.

    In a notebook that is the command that ran it (``SAMSTUDY_COMMAND``, set by the runner), not its kernel's.
    """
    if os.environ.get("SAMSTUDY_COMMAND"):
        return os.environ["SAMSTUDY_COMMAND"]
    return shlex.join([Path(sys.argv[0]).name or "python", *sys.argv[1:]])


def provenance(command: str | None = None) -> dict[str, Any]:
    """Describe how a result of this process was made.

    Parameters
    ----------
    command : str, optional
        What to state as the command; the process's own command line by default.

    Returns
    -------
    dict
        JSON-ready: ``git_commit`` (None outside a checkout), ``git_dirty``, ``command``, ``code_sha``,
        ``versions``, ``python``, ``platform`` (system and machine, no host name), ``created_utc``.
    """
    status = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "command": command or command_line(),
        "code_sha": code_sha(),
        "versions": {name: _version(name) for name in _VERSIONED},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def table_hash(table: pd.DataFrame) -> str:
    """SHA-256 (16 hex digits) of a table's content: column names, order of rows and exact values."""
    digest = hashlib.sha256(json.dumps(list(map(str, table.columns))).encode())
    digest.update(table.to_csv(index=False, float_format="%.17g").encode())
    return digest.hexdigest()[:16]


def record_output(path: str | Path) -> None:
    """Note a written file in the list named by ``SAMSTUDY_OUTPUTS``, where that is set.

    The notebook runner sets it, so that Make can bring back a single lost output.
    """
    log = os.environ.get("SAMSTUDY_OUTPUTS")
    if not log:
        return
    path = Path(path).resolve()
    root = project_root()
    name = path.relative_to(root) if path.is_relative_to(root) else path
    with Path(log).open("a", encoding="utf-8") as handle:
        handle.write(f"{name.as_posix()}\n")
