"""``samstudy lab``: JupyterLab on the notebooks, with the Python that samstudy is installed in."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from samstudy.errors import StudyError
from samstudy.paths import project_root

_FIRST = "notebooks/90_explore.ipynb"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``samstudy lab``."""
    parser.add_argument("notebook", nargs="?", default=_FIRST, help=f"what to open (default {_FIRST})")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--port", type=int, help="of the server (default: JupyterLab's own)")
    parser.add_argument("--allow-root", action="store_true", help="let root run it, as in a container")


def run(args: argparse.Namespace) -> int:
    """Run JupyterLab until it is ended.

    Returns
    -------
    int
        Its exit status.

    Raises
    ------
    StudyError
        If JupyterLab is not installed or there is no such notebook.
    """
    command, environment = lab_command(args.notebook, args.port, args.no_browser, args.allow_root)
    return subprocess.call(command, env=environment)


def lab_command(
    notebook: str = _FIRST, port: int | None = None, no_browser: bool = False, allow_root: bool = False
) -> tuple[list[str], dict[str, str]]:
    """Command and environment that open a notebook of the project.

    The kernel is this Python's: the kernels of its environment come before those of the user.

    Raises
    ------
    StudyError
        As :func:`run`.
    """
    if find_spec("jupyterlab") is None:
        raise StudyError("JupyterLab is not installed here: run `make env`, or pip install jupyterlab.")
    root = project_root()
    path = next((p.resolve() for p in (Path(notebook), root / notebook) if p.is_file()), None)
    if path is None:
        raise StudyError(f"there is no notebook {notebook} here or in {root}.")
    if not path.is_relative_to(root):
        root = path.parent
    command = [
        sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{path.relative_to(root).as_posix()}",
        "--MultiKernelManager.default_kernel_name=python3",
    ]  # fmt: skip
    command += [f"--ServerApp.port={port}"] if port is not None else []
    command += ["--ServerApp.open_browser=False"] if no_browser else []
    command += ["--ServerApp.allow_root=True"] if allow_root else []
    binaries = str(Path(sys.executable).parent)
    environment = os.environ | {
        "JUPYTER_PREFER_ENV_PATH": "1",
        "SAMSTUDY_ROOT": str(project_root()),
        "PATH": os.pathsep.join([binaries, os.environ.get("PATH", "")]),
    }
    return command, environment
