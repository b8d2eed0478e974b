"""``data/README.md``, made from what is registered, so that the page and the code cannot disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from samstudy.archives import in_words
from samstudy.datasets.base import Dataset, DatasetInfo, Download
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.phantom import PREFIX
from samstudy.datasets.splits import PARTS, read_rules
from samstudy.paths import splits_dir, written_whole
from samstudy.registry import Registry

_HEAD = """# Data

Made by `samstudy.datasets.catalogue.write_catalogue` from what is registered; do not edit by hand.

- `samstudy fetch <name>` downloads what is openly downloadable into `raw/<name>/` (goes on where it was cut, checks,
  unpacks safely); else it says where to register, what to download and where to unpack. `--root` is another place.
- `samstudy check <name>` reads every file, counts, and says what is missing or wrong with which file.
- `splits/` holds the committed splits: `image_id, group_id, split`, or the rule for it; never drawn at run time.
- `raw/`, `cache/` and `results/` are not committed: inputs, embeddings, score tables.
- Images of one's own: `folder:<path>`, or a few lines in `study.yaml` ([docs/own_data.md](../docs/own_data.md)).

| name | modality | targets | images | train / val / test | groups are | get it | phantom |
|---|---|---|---|---|---|---|---|
"""

_PHANTOMS = f"""
## Phantoms

`{PREFIX}<name>` is a drawn stand-in for a benchmark: synthetic images in the official layout, with its file names and
label codes, read by the very same loader. It is drawn at first use and needs nothing; it is called PHANTOM in every
figure and table, and its numbers say nothing about the real data. Licence: as this package.

"""

_RULES = {
    "official": "the archive's own",
    "official_val20": "the archive's own, a fifth of train as val",
    "hashed": "60 : 15 : 25 by hash",
}


def catalogue_markdown(datasets: Registry[type[Dataset]]) -> str:
    """Return the page: a table with one line, and a section, for each registered data set that is no phantom.

    Parameters
    ----------
    datasets : Registry
        ``samstudy.datasets.DATASETS``.

    Returns
    -------
    str
        Markdown. Counts of the parts come from the committed splits, or from the official release where these are
        rules.
    """
    kinds = [datasets[name] for name in datasets if not name.startswith(PREFIX)]
    lines = "".join(_line(kind, f"{PREFIX}{kind.info.name}" in datasets) for kind in kinds)
    return f"{_HEAD}{lines}{_PHANTOMS}{chr(10).join(_section(kind.info) for kind in kinds)}"


def write_catalogue(datasets: Registry[type[Dataset]], path: Path) -> None:
    """Write the page to ``path``.

    Raises
    ------
    StudyError
        If it cannot be written.
    """
    with written_whole(path) as temporary:
        temporary.write_text(catalogue_markdown(datasets), encoding="utf-8")


def _line(kind: type[Dataset], has_phantom: bool) -> str:
    info = kind.info
    cells = (
        f"[`{info.name}`](#{_anchor(info)})",
        info.modality,
        _listed(info.targets) or "as in the files",
        _n_images(kind),
        said_split(kind),
        info.group_noun,
        "fetch" if info.downloads else "by hand" if info.steps else "nothing to do",
        f"`{PREFIX}{info.name}`" if has_phantom else "–",
    )
    return f"| {' | '.join(cells)} |\n"


def _anchor(info: DatasetInfo) -> str:
    return f"data-{info.name.replace('_', '-')}"


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _n_images(kind: type[Dataset]) -> str:
    official = issubclass(kind, OfficialDataset)
    if official and kind.expected:
        total = sum(kind.expected.values())
        return f"{total}" if kind.counted == "images" else f"{total} {kind.counted}"
    return str(kind.info.n_images or "as in the files")


def said_split(kind: type[Dataset]) -> str:
    """Return images, or groups where the table names these, of each part; else the rule."""
    path = splits_dir() / f"{getattr(kind, 'split_table', kind.info.name)}.csv"
    if not path.is_file():
        return "dealt by hash, or a table of one's own"
    rules = read_rules(path)
    # a pattern without a group is for images that the release does not have
    are_images = ~rules.index.str.contains("*", regex=False)
    named = rules[rules["split"].isin(PARTS) & (are_images | (rules["group_id"] != ""))]
    if len(named):
        counts = Counter(named["split"])
        noun = "" if named.index.isin(rules.index[are_images]).all() else f" {kind.info.group_noun}s"
        return " / ".join(str(counts[part]) for part in PARTS) + noun
    rule = _RULES[rules["split"].iloc[0]]
    parts = kind.expected if issubclass(kind, OfficialDataset) and "all" not in kind.expected else {}
    stated = " / ".join(str(parts.get(part, "–")) for part in PARTS)
    return f"{stated}; {rule}" if parts else rule


def _section(info: DatasetInfo) -> str:
    rows = (
        ("Targets", ", ".join(info.targets)),
        ("Split", info.split_note),
        (
            "In the training data of",
            info.trained_on or ("" if info.name == "folder" else "none that is known here"),
        ),
        ("Shown", info.display_note),
        ("Intervals", info.interval_note),
        ("Surface tolerance", f"{info.nsd_tolerance:g} {info.distance_unit}" if info.targets else ""),
        ("Licence", info.licence),
        ("Citation", info.citation),
        ("Page", f"<{info.url}>" if info.url else ""),
    )
    lines = "".join(f"- {head}: {text}\n" for head, text in rows if text)
    return f'<a id="{_anchor(info)}"></a>\n\n## `{info.name}` — {info.title}\n\n{lines}{_get_it(info)}'


def _get_it(info: DatasetInfo) -> str:
    lines = [f"- Get it: {info.how_to_get}"]
    if info.downloads:
        lines.append(f"- `samstudy fetch {info.name}` downloads")
        lines += [f"  - {_download(entry, info.name)}" for entry in info.downloads]
    if info.steps:
        lines.append("- By hand:")
        lines += [f"  {number}. {step}" for number, step in enumerate(info.steps, start=1)]
    return "\n".join(lines) + "\n"


def _download(entry: Download, name: str) -> str:
    size = in_words(entry.size_bytes) if entry.size_bytes else "size not stated"
    checksum = f"`{entry.checksum}`" if entry.checksum else "no checksum published"
    folder = "/".join(filter(None, ("data/raw", name, entry.folder)))
    return f"[{entry.file_name}]({entry.url}), {size}, {checksum}, into `{folder}`"
