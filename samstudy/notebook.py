"""Runs a notebook template with checked parameters, so that a failed run never looks finished.

papermill alone only warns of a parameter it does not know, and leaves a half-executed notebook under the
final name; Make would take that for a result.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import papermill
import traitlets
import zmq
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from samstudy.errors import StudyError
from samstudy.paths import project_root, written_whole
from samstudy.provenance import table_hash
from samstudy.template import check_parameters

_KERNEL_FAILURES = (PapermillExecutionError, CellExecutionError, CellTimeoutError, DeadKernelError)
_OWN_ERRORS = ("StudyError", "DataError", "ModelError")


class _ThisPython(AsyncKernelManager):
    """Starts the kernel with the running interpreter, whichever `python3` kernel the user has installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(**get_kernel_dict())

    @traitlets.default("transport_encryption")
    def _encrypt_where_possible(self) -> str:
        return "auto" if zmq.has("curve") else "disabled"


def run_notebook(
    template: str | Path, output: str | Path, parameters: Mapping[str, Any] | None = None
) -> list[str]:
    """Execute a template; write the executed notebook only if every cell ran.

    Parameters
    ----------
    template : str or pathlib.Path
        Notebook with a cell tagged ``parameters``.
    output : str or pathlib.Path
        Executed notebook. Beside it: ``<output>.outputs``, the files the run wrote (one a line, sorted,
        relative to the checkout), and ``<output>.tables``, the content hash of each table among them,
        rewritten only when one changes.
    parameters : mapping, optional
        Values, or their text as typed on a command line; see :func:`samstudy.template.check_parameters`.

    Returns
    -------
    list of str
        The files the run wrote.

    Raises
    ------
    StudyError
        If the template or a parameter is wrong, or a cell failed. In the last case the notebook as far as it
        ran is kept as ``<stem>.failed.ipynb`` and an older ``output`` is removed.
    """
    template, output = Path(template), Path(output)
    values = check_parameters(template, parameters or {})
    failed = output.with_suffix(".failed.ipynb")
    with tempfile.TemporaryDirectory(prefix="samstudy-") as folder:
        executed, log = Path(folder) / "executed.ipynb", Path(folder) / "outputs.txt"
        try:
            with _environment(SAMSTUDY_OUTPUTS=str(log), SAMSTUDY_COMMAND=_command(template, output, values)):
                _execute(template, executed, values)
        except _KERNEL_FAILURES as error:
            _keep_failed(executed, failed, template, output)
            raise StudyError(f"{_what_failed(template, error)} As far as it ran: {failed}") from error
        written = sorted(set(log.read_text(encoding="utf-8").splitlines())) if log.exists() else []
        _write_lists(output, written)
        # The executed notebook comes last: its time stamp is what Make goes by.
        _write_tidied(executed, template, output, output)
    failed.unlink(missing_ok=True)
    return written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``samstudy notebook``."""
    parser.add_argument("template", help="notebook to run, e.g. notebooks/10_zero_shot.ipynb")
    parser.add_argument("output", help="where the executed notebook goes")
    parser.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter of the template; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Run ``samstudy notebook``: say what runs and how long it took.

    Returns
    -------
    int
        0. Failures are raised as StudyError, for the command line to print.
    """
    # Make ends its children with SIGTERM; as an exception it lets the kernel and temporary files go too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.stderr.write(f"{args.template} -> {args.output}\n")
    start = time.monotonic()
    run_notebook(args.template, args.output, dict(args.parameter))
    sys.stderr.write(f"{args.output} done in {time.monotonic() - start:.0f} s\n")
    return 0


def _execute(template: Path, executed: Path, values: dict[str, Any]) -> None:
    # On a terminal the progress bars of the cells themselves are shown, elsewhere one bar over cells.
    on_terminal = sys.stderr.isatty()
    papermill.execute_notebook(
        template,
        executed,
        values,
        progress_bar=not on_terminal,
        stderr_file=sys.stderr if on_terminal else None,
        kernel_manager_class=_ThisPython,
    )


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    # The kernel inherits this process's environment; papermill has no argument for it.
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _command(template: Path, output: Path, values: Mapping[str, Any]) -> str:
    words = ["samstudy", "notebook", str(template), str(output)]
    for name, value in values.items():
        words += ["-p", name, "null" if value is None else str(value)]
    return shlex.join(words)


def _lists(output: Path) -> tuple[Path, Path]:
    return output.with_name(f"{output.name}.outputs"), output.with_name(f"{output.name}.tables")


def _write_lists(output: Path, written: list[str]) -> None:
    outputs, tables = _lists(output)
    _write_text(outputs, "".join(f"{path}\n" for path in written))
    root = project_root()
    parquet = [path for path in written if path.endswith(".parquet")]
    hashes = [f"{table_hash(pd.read_parquet(root / path))}  {path}\n" for path in parquet]
    text = "".join(hashes)
    if not tables.exists() or tables.read_text(encoding="utf-8") != text:
        _write_text(tables, text)


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_tidied(executed: Path, template: Path, output: Path, destination: Path) -> None:
    """Copy a notebook without the traces of where and how fast it happened to run."""
    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.get("papermill", {}).update(input_path=str(template), output_path=str(output))
    for cell in notebook.cells:
        cell.get("outputs", [])[:] = [kept for kept in cell.get("outputs", []) if not _is_progress(kept)]
    with written_whole(destination) as temporary:
        nbformat.write(notebook, temporary)


def _is_progress(output: nbformat.NotebookNode) -> bool:
    # tqdm redraws its line with carriage returns; a saved notebook would show every state of it.
    is_stderr = output.output_type == "stream" and output.name == "stderr"
    return is_stderr and ("\r" in output.text or not output.text.strip())


def _keep_failed(executed: Path, failed: Path, template: Path, output: Path) -> None:
    for path in (output, *_lists(output)):
        path.unlink(missing_ok=True)
    if executed.exists():
        _write_tidied(executed, template, output, failed)
    else:
        with written_whole(failed) as temporary:
            shutil.copyfile(template, temporary)


def _what_failed(template: Path, error: Exception) -> str:
    if isinstance(error, DeadKernelError):
        return f"{template} failed: its kernel died, often for lack of memory. Use a smaller limit or model."
    if isinstance(error, CellTimeoutError):
        return f"{template} failed: a cell did not answer in time."
    message = error.evalue if error.ename in _OWN_ERRORS else f"{error.ename}: {error.evalue}"
    line = next((text for text in getattr(error, "source", "").splitlines() if text.strip()), "").strip()
    where = f" at `{line}`" if line else ""
    return f"{template} failed{where}: {message.rstrip()}{'' if message.rstrip().endswith('.') else '.'}"
