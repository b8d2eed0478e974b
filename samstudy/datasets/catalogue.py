"""``data/README.md``, made from what is registered, so that the page and the code cannot disagree."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from samstudy.datasets.base import Dataset, DatasetInfo
from samstudy.datasets.splits import PARTS, read_splits
from samstudy.paths import splits_dir, written_whole
from samstudy.registry import Registry

_HEAD = """# Data

Made by `samstudy.datasets.catalogue.write_catalogue` from what is registered; do not edit by hand.

- `splits/` holds the committed splits, `<dataset>.csv` with `image_id, group_id, split`; never drawn at run time.
- `raw/`, `cache/` and `results/` are not committed: inputs, embeddings, score tables.
- `samstudy check <dataset>` reads every file of a data set and says what is wrong with which.

| name | modality | targets | images | train / val / test | groups are | distances |
|---|---|---|---|---|---|---|
"""


def catalogue_markdown(datasets: Registry[type[Dataset]]) -> str:
    """Return the page: a table with one line, and a section, for each registered data set.

    Parameters
    ----------
    datasets : Registry
        ``samstudy.datasets.DATASETS``.

    Returns
    -------
    str
        Markdown. Counts come from the committed splits; data sets without one show a dash.
    """
    infos = [datasets[name].info for name in datasets]
    sections = "\n".join(_section(info) for info in infos)
    return f"{_HEAD}{''.join(_line(info) for info in infos)}\n{sections}"


def write_catalogue(datasets: Registry[type[Dataset]], path: Path) -> None:
    """Write the page to ``path``.

    Raises
    ------
    StudyError
        If it cannot be written.
    """
    with written_whole(path) as temporary:
        temporary.write_text(catalogue_markdown(datasets), encoding="utf-8")


def _line(info: DatasetInfo) -> str:
    cells = (
        f"`{info.name}`",
        info.modality,
        ", ".join(info.targets) or "as in the files",
        str(info.n_images or "as in the files"),
        _counts(info.name),
        info.group_noun,
        info.distance_unit if info.targets else "mm where the files tell, else px",
    )
    return f"| {' | '.join(cells)} |\n"


def _counts(name: str) -> str:
    path = splits_dir() / f"{name}.csv"
    if not path.is_file():
        return "–"
    counts = Counter(read_splits(path)["split"])
    return " / ".join(str(counts[part]) for part in PARTS)


def _section(info: DatasetInfo) -> str:
    rows = (
        ("Get it", info.how_to_get),
        ("Shown", info.display_note),
        ("Intervals", info.interval_note),
        ("Surface tolerance", f"{info.nsd_tolerance:g} {info.distance_unit}" if info.targets else ""),
        ("Licence", info.licence),
        ("Citation", info.citation),
        ("Page", f"<{info.url}>" if info.url else ""),
        ("Synthetic", "yes: drawn by this package" if info.synthetic else "no"),
    )
    lines = "".join(f"- {head}: {text}\n" for head, text in rows if text)
    return f"## `{info.name}` — {info.title}\n\n{lines}"
