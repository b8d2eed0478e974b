"""Where the results of a supplement come from: commit, versions, commands and hashes of tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from samstudy.paths import project_root
from samstudy.provenance import provenance, table_hash
from samstudy.results import read_parquet, read_provenance
from samstudy.study import Study
from samstudy.supplement.blocks import Block, Facts, Section, Table
from samstudy.supplement.content import Executed

_UNKNOWN = "not recorded"


def sources_section(study: Study, executed: Sequence[Executed]) -> Section:
    """Collect the provenance of everything shown.

    Parameters
    ----------
    study : Study
        ``study.yaml`` as it is now; score tables made with another one are named.
    executed : sequence of Executed

    Returns
    -------
    Section
    """
    files = [path for notebook in executed for path in notebook.scores]
    tables = {path: read_parquet(path) for path in files}
    recorded = {path: read_provenance(path) for path in files}
    sidecars = [sidecar for notebook in executed for sidecar in notebook.sidecars]
    made = [*recorded.values(), *sidecars]
    blocks: list[Block] = [
        _facts("The results", made),
        *_warnings(study, made, recorded),
        _facts("This supplement", [provenance()]),
        Table("", ("score table", "rows", "content hash", "weights of the models", "options", "left out"),
              tuple(_score_row(path, tables[path], recorded[path]) for path in files),
              "Score tables: one row is one object, model, prompt mode and mask choice."),
        Table("", ("figure", "hash of its table", "rows", "command"), tuple(map(_figure_row, sidecars)), "Figures."),
        Table("", ("notebook", "parameters"), tuple(map(_notebook_row, executed)), "Executed notebooks."),
    ]  # fmt: skip
    return Section("Provenance", tuple(blocks))


def limits_given(executed: Iterable[Executed]) -> set[int]:
    """Return the caps on test images that notebooks were given beside those of ``study.yaml``."""
    return {limit for notebook in executed if (limit := notebook.parameters.get("limit"))}


def _facts(title: str, made: Sequence[dict[str, Any]]) -> Facts:
    times = sorted({entry["created_utc"] for entry in made if entry.get("created_utc")})
    versions = (", ".join(f"{k} {v}" for k, v in (entry.get("versions") or {}).items()) for entry in made)
    entries = (
        ("Commit", _all(map(_commit, made))),
        ("Hash of the code", _all(entry.get("code_sha") for entry in made)),
        ("Versions", _all(versions)),
        ("Python", _all(entry.get("python") for entry in made)),
        ("Platform", _all(entry.get("platform") for entry in made)),
        ("Made (UTC)", " to ".join(dict.fromkeys((times[0], times[-1]))) if times else _UNKNOWN),
    )
    return Facts(title, entries)


def _commit(entry: dict[str, Any]) -> str | None:
    commit = entry.get("git_commit")
    return (
        f"{commit}{', with changes that are not committed' if entry.get('git_dirty') else ''}"
        if commit
        else None
    )


def _all(values: Iterable[object]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values if value)) or _UNKNOWN


def _warnings(
    study: Study, made: Sequence[dict[str, Any]], recorded: dict[Path, dict[str, Any]]
) -> list[str]:
    said = []
    if len({entry.get("code_sha") for entry in made}) > 1:
        said.append("The results were made by more than one version of the code: see the commits above.")
    other = [path.name for path, entry in recorded.items() if _config(entry).get("study_sha") != study.sha256]
    if other:
        said.append(
            f"These score tables were made with another study.yaml than the one shown: {', '.join(other)}."
        )
    return said


def _config(entry: dict[str, Any]) -> dict[str, Any]:
    return entry.get("config") or {}


def _score_row(path: Path, table: pd.DataFrame, entry: dict[str, Any]) -> tuple[str, ...]:
    weights = table.loc[
        table["weights_sha"].fillna("") != "", ["model", "tuning", "weights_sha"]
    ].drop_duplicates()
    base = weights[weights["tuning"] == "none"]
    said = [f"{model} {sha}" for model, sha in zip(base["model"], base["weights_sha"], strict=True)]
    n_tuned = len(weights) - len(base)
    absent = _config(entry).get("left_out") or {}
    return (
        _relative(path),
        str(len(table)),
        table_hash(table),
        "; ".join([*said, *([f"{n_tuned} tuned"] if n_tuned else [])]) or "none",
        _all(table["dataset_options"].unique()).replace(_UNKNOWN, "none"),
        "; ".join(f"{model}: {reason}" for model, reason in absent.items()) or "nothing",
    )


def _relative(path: Path) -> str:
    root = project_root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _figure_row(sidecar: dict[str, Any]) -> tuple[str, ...]:
    values = (sidecar.get(name) for name in ("figure", "table_hash", "n_rows", "command"))
    return tuple("–" if value is None else str(value) for value in values)


def _notebook_row(notebook: Executed) -> tuple[str, str]:
    given = (f"{name} = {value}" for name, value in notebook.parameters.items())
    return notebook.name, ", ".join(given) or "those of the template"
