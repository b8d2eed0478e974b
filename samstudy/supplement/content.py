"""Finds what a profile has made: figures with their captions, tables, executed notebooks; nothing is computed again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from samstudy.errors import StudyError
from samstudy.paths import figures_dir, project_root, slug
from samstudy.present import present_datasets, tunable_datasets
from samstudy.supplement.blocks import FigureFile, Table

_SUMMARY = "30_summary"
_OF_EACH, _TUNED = ("00_data", "10_zero_shot"), "20_fine_tune"
_DIVIDER = re.compile(r"\|[:\-| ]+\|")
_ESCAPED_BAR = "\\|"


@dataclass(frozen=True)
class Executed:
    """An executed notebook with the figures and tables it wrote.

    Attributes
    ----------
    name, dataset : str
        Name of the file without suffix; the data set it is about, ``""`` for the summary of all.
    notebook : nbformat.NotebookNode
    figures, tables, scores : tuple
        Figures, tables to be read and files of scores, in the order of their names.
    sidecars : tuple of dict
        One for each figure.
    """

    name: str
    dataset: str
    notebook: nbformat.NotebookNode
    figures: tuple[FigureFile, ...]
    tables: tuple[Table, ...]
    scores: tuple[Path, ...]
    sidecars: tuple[dict[str, Any], ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """What the notebook was run with."""
        return dict(self.notebook.metadata.get("papermill", {}).get("parameters", {}))


def read_executed(profile: str) -> list[Executed]:
    """Read the executed notebooks of a profile, the summary first, then data set by data set.

    Parameters
    ----------
    profile : str
        Profile of ``study.yaml``. Notebooks that it does not ask for any more are left out.

    Returns
    -------
    list of Executed

    Raises
    ------
    StudyError
        If a notebook or something it wrote is missing or damaged: which, and that ``make all`` comes first.
    """
    folder = figures_dir(profile) / "executed"
    wanted = _wanted(profile)
    here = [name for name in wanted if (folder / f"{name}.ipynb").is_file()]
    command = f"`make all PROFILE={profile}`"
    if not here:
        raise StudyError(f"there are no executed notebooks in {folder}: run {command} first.")
    missing = [name for name in wanted if name not in here]
    if missing:
        raise StudyError(
            f"{len(missing)} of {len(wanted)} executed notebooks are not in {folder} ({_few(missing)}): a supplement "
            f"is made of all of them, run {command} first."
        )
    try:
        return [_read(folder / f"{name}.ipynb", dataset) for name, dataset in wanted.items()]
    except FileNotFoundError as error:
        raise StudyError(
            f"{error.filename} is not there: run {command} again, which brings it back."
        ) from error


def stamps(executed: Iterable[Executed]) -> list[str]:
    """Return what must be said of all results, as the figures of the summary are stamped: drawn images, small model."""
    first_in = [[*notebook.sidecars] for notebook in executed if notebook.sidecars]
    return list(dict.fromkeys(words for sidecar in (first_in or [[]])[0] for words in sidecar["stamps"]))


def _wanted(profile: str) -> dict[str, str]:
    found, tunable = present_datasets(profile), tunable_datasets(profile)
    wanted = {_SUMMARY: ""}
    for dataset in found:
        for stage in (*_OF_EACH, *([_TUNED] if dataset in tunable else [])):
            wanted[f"{slug(dataset)}.{stage}"] = dataset
    return wanted


def _few(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def _read(path: Path, dataset: str) -> Executed:
    try:
        notebook = nbformat.read(path, as_version=4)
    except (ValueError, nbformat.reader.NotJSONError) as error:
        raise StudyError(f"{path} is not a notebook: delete it and run make again.") from error
    lines = sorted(_lines(path.with_name(f"{path.name}.outputs")), key=by_number)
    written = [project_root() / line for line in lines]
    for file in written:
        file.stat()  # raises where it is missing
    sidecars = tuple(_sidecar(file) for file in written if file.suffix == ".json")
    figures = tuple(
        FigureFile(file.stem, read["caption"], file.with_suffix(".png"), file.with_suffix(".pdf"))
        for file, read in zip((f for f in written if f.suffix == ".json"), sidecars, strict=True)
    )
    tables = tuple(read_table(file) for file in written if file.suffix == ".md")
    scores = tuple(file for file in written if file.suffix == ".parquet")
    return Executed(path.stem, dataset, notebook, figures, tables, scores, sidecars)


def by_number(name: str) -> list[tuple[int, str]]:
    """Order figure 2 before figure 10, and a figure's files by their names."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _sidecar(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        return {"caption": "", "stamps": [], **read}
    except (ValueError, TypeError) as error:
        raise StudyError(f"{path} is not a figure's JSON: delete it and run make again.") from error


def read_table(path: Path) -> Table:
    """Read a table as :func:`samstudy.tables.write_tables` left it.

    Parameters
    ----------
    path : pathlib.Path
        The Markdown file; the LaTeX beside it says how many columns name a row.

    Returns
    -------
    Table
        Without rows where the file holds none.
    """
    lines = _lines(path)
    rows = [_cells(line) for line in lines if line.startswith("|") and not _DIVIDER.fullmatch(line)]
    caption = " ".join(line for line in lines if line and not line.startswith("|"))
    format_ = re.search(r"\\begin\{tabular\}\{(l*)", path.with_suffix(".tex").read_text(encoding="utf-8"))
    n_keys = len(format_[1]) if format_ else 1
    head, *body = rows or [()]
    return Table(path.stem, head, tuple(body), caption, n_keys, path.with_suffix(".csv"))


def _cells(line: str) -> tuple[str, ...]:
    parts = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return tuple(part.strip().replace(_ESCAPED_BAR, "|") for part in parts)
