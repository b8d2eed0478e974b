"""The findings of ``Dataset.check`` as a person reads them: what is there, what is wrong, with which file."""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from samstudy.datasets.base import Dataset
from samstudy.datasets.official import OfficialDataset
from samstudy.paths import written_whole

WIDTH = 100
_SIZES_SHOWN = 6
_INDENT = "    "
_LEVELS = {
    "error": "cannot be used",
    "missing": "the official release has more",
    "note": "used, but worth knowing",
}
_KINDS = (
    ("mismatched in size", r"(pixels|voxels|slices) but its|has \S+ voxels but|is a volume of|must both be volumes"),
    ("unreadable", r"cannot be (read|shown)|not an image|no known (image|mask) type|cut short|nothing to show"),
    ("wrong side or order", r"exchanged|swapped|mirrored|upside down|inverted|wrong (side|half)|right half|same lung"),
    ("missing", r"\bhas no\b|is missing|not there|no such image|without its|stands? alone|official release has"
     r"|is left out|lacks|is empty; "),
    ("wrongly coded", r"\b(codes?|values?|greys?|colours?|fractions|labels?)\b|in colour|saved as JPEG"),
    ("not read", r"not read|not used|not understood|not searched|left out"),
)  # fmt: skip


def check_report(dataset: Dataset, table: pd.DataFrame, most: int = 5) -> str:
    """Return what ``samstudy check`` prints.

    Parameters
    ----------
    dataset : Dataset
    table : pandas.DataFrame
        What ``dataset.check()`` returned.
    most : int
        So many files are named of each problem; the rest is counted.

    Returns
    -------
    str
        Lines of at most 100 columns (longer where a single word is): images of each part, beside the official
        release where its counts are known; objects and empty masks of each target; image sizes; then the
        findings, grouped by kind and problem, those that cost images first.
    """
    summary = table.attrs["summary"]
    blocks = [
        _wrapped(f"{dataset.info.name}: {dataset.info.title}"),
        _parts(dataset, summary),
        _targets(dataset, summary),
        _sizes(summary["sizes"]),
        *(_findings(table, level, words, most) for level, words in _LEVELS.items()),
        _verdict(table, summary),
    ]
    return "\n\n".join(block for block in blocks if block)


def kind_of_problem(problem: str) -> str:
    """Return the kind of fault a finding's sentence tells of, ``missing`` or ``wrongly coded``; else ``other``."""
    return next((kind for kind, words in _KINDS if re.search(words, problem, re.IGNORECASE)), "other")


def write_findings(table: pd.DataFrame, path: Path) -> None:
    """Write every finding as CSV, with the columns ``level, kind, image_id, file, problem``.

    Raises
    ------
    StudyError
        If the file cannot be written.
    """
    kinds = ["remark" if row.level == "note" else kind_of_problem(row.problem) for row in table.itertuples()]
    columns = ["level", "kind", "image_id", "file", "problem"]
    with written_whole(path) as temporary:
        table.assign(kind=kinds)[columns].to_csv(temporary, index=False)


def _parts(dataset: Dataset, summary: Mapping) -> str:
    rows = [(part, count) for part, count in summary["splits"].items() if count]
    text = _table([*rows, ("all", summary["images"])], ("split of the study", "images"))
    if dataset.info.split_note:
        text += f"\n{_wrapped(dataset.info.split_note)}"
    official = dataset.official_counts() if isinstance(dataset, OfficialDataset) else {}
    if official:
        rows = [(part, have, wanted) for part, (have, wanted) in official.items()]
        text += f"\n\n{_table(rows, (f'{dataset.counted} of the archive', 'here', 'official release'))}"
    return text


def _targets(dataset: Dataset, summary: Mapping) -> str:
    objects, empty = summary["objects"], summary["empty_masks"]
    names = dict.fromkeys([*dataset.info.targets, *objects, *empty])
    rows = [(name, objects.get(name, 0), empty.get(name, 0)) for name in names]
    return _table(rows, ("target", "objects", "empty masks")) if rows else ""


def _sizes(sizes: Mapping[str, int]) -> str:
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    rows = ordered[:_SIZES_SHOWN]
    rest = ordered[_SIZES_SHOWN:]
    if rest:
        rows.append((f"{len(rest)} other sizes", sum(count for _, count in rest)))
    return _table(rows, ("height x width", "images")) if rows else ""


def _table(rows: Sequence[Sequence], head: Sequence[str]) -> str:
    text = tabulate(
        rows, head, tablefmt="simple", disable_numparse=True, colalign=("left", *["right"] * (len(head) - 1))
    )
    return "\n".join(line.rstrip() for line in text.splitlines())


def _findings(table: pd.DataFrame, level: str, words: str, most: int) -> str:
    """Return one level's findings: errors by their kind, and what many files have in common once."""
    chosen = table[table["level"] == level]
    if chosen.empty:
        return ""
    groups: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in chosen.itertuples():
        kind = kind_of_problem(row.problem) if level == "error" else ""
        file = "" if row.file == "." else row.file
        groups[kind][_pattern(row.problem)].append((file or row.image_id or "the folder", row.problem))
    lines = [f"{level.upper()}: {words} ({len(chosen)})"]
    for kind, problems in groups.items():
        lines += [f"  {kind} ({sum(map(len, problems.values()))})"] if kind else []
        for found in problems.values():
            lines += _alike(found, most)
    return "\n".join(lines)


def _alike(found: Sequence[tuple[str, str]], most: int) -> list[str]:
    """Return the lines of findings that differ in names and numbers alone."""
    problems = {problem for _, problem in found}
    if len(found) > 1 and len(problems) == 1:
        lines = [_wrapped(f"{len(found)} files: each {problems.pop()}", _INDENT)]
        lines += [f"{_INDENT}  {file}" for file, _ in found[:most]]
    else:
        lines = [_wrapped(f"{file} {problem}", _INDENT) for file, problem in found[:most]]
    return lines + ([f"{_INDENT}  ... and {len(found) - most} more"] if len(found) > most else [])


def _pattern(problem: str) -> str:
    """Return what sentences about different files have in common: names and numbers left out."""
    without_names = re.sub(r"'[^']*'|\"[^\"]*\"|\S*[/_.]\w\S*", "", problem)
    return re.sub(r"\d+", "", without_names)


def _verdict(table: pd.DataFrame, summary: Mapping) -> str:
    unusable = summary["images"] - summary["usable"]
    others = int(((table["level"] == "error") & (table["image_id"] == "")).sum())
    lines = [
        f"{unusable} of {summary['images']} images cannot be used."
        if unusable
        else "every image can be used."
    ]
    if others:
        lines.append(f"{others} files or folders are not as the layout has them.")
    n_missing = int((table["level"] == "missing").sum())
    if n_missing:
        lines.append("Parts of the official release are missing; a run uses what is here.")
    return "\n".join(lines)


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
