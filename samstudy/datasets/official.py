"""What the loaders of the benchmarks share: finding the unpacked archive, its parts, and its split."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from samstudy.datasets.base import Dataset, DatasetInfo, Record
from samstudy.datasets.splits import apply_rules, read_rules
from samstudy.datasets.tree import enclosing, locate_all, visible
from samstudy.errors import StudyError, unknown_name
from samstudy.paths import raw_dir, splits_dir


class OfficialDataset(Dataset):
    """A benchmark, read in the layout its archive unpacks to.

    A loader lists its files in ``_list`` (nothing is decoded there, except where only the content tells which
    slices there are) and reads one record in ``_read``. What it cannot use is never left out silently: an image
    without a mask, or a mask without an image, is a ``Record`` with a ``problem``; a folder that is not there, or
    a file that is not understood, goes to ``_find``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Where the archive was unpacked; ``data/raw/<name>`` by default. The folder itself, or one up to three
        levels below it, holds the ``landmarks``; a part of it will do too.

    Raises
    ------
    StudyError
        If the files are not there: where they were looked for, what was expected, how to get them. If a group
        is on both sides of the split.
    """

    info: ClassVar[DatasetInfo]
    landmarks: ClassVar[tuple[str, ...]]
    """Slash-separated patterns, any of which marks the root (see ``tree.locate_all``)."""
    expected: ClassVar[Mapping[str, int]] = {}
    """Images in each part of the official release: ``train``, ``val``, ``test``, or ``all`` without parts."""
    counted: ClassVar[str] = "images"
    """What ``expected`` counts."""
    split_table: ClassVar[str]
    """Name of the table in ``data/splits``, the benchmark's own for its phantom too."""

    def __init__(self, root: Path | None = None) -> None:
        self._findings: list[tuple[Path, str, str]] = []
        self.root = self._locate(Path(root) if root else self.default_root())
        listed = self._list()
        if not listed:
            raise StudyError(f"{self.root} holds no image of {self.info.name}. {self._help()}")
        self._official = Counter(record.split or "all" for record in listed)
        source = splits_dir() / f"{self.split_table}.csv"
        super().__init__(apply_rules(read_rules(source), listed, self.split_table), source.name)
        self.default_split = "test" if self.ids("test") else "all"

    @abstractmethod
    def _list(self) -> list[Record]:
        """Return every record; ``split`` is the part the archive states, or ``""`` where it has none."""

    @classmethod
    def default_root(cls) -> Path:
        """Folder where the files are when no root is given."""
        return raw_dir(cls.info.name)

    @classmethod
    def _chosen(cls, option: str, value: object, known: Sequence[str]) -> str:
        """Return an option's value as text; StudyError with near misses if it is none of ``known``."""
        text = str(value).strip().casefold()
        if text not in known:
            raise unknown_name(f"{option} of {cls.info.name}", str(value), known)
        return text

    def _locate(self, start: Path) -> Path:
        found = self._home(start, self.landmarks)
        if found is not None:
            return found
        wanted = " or ".join(self.landmarks)
        if not start.is_dir():
            state = f"{start} does not exist"
        else:
            names = [entry.name for entry in visible(start)]
            state = f"{start} holds {', '.join(names[:8]) + (', ...' if len(names) > 8 else '') or 'nothing'}"
        raise StudyError(
            f"the files of {self.info.name} are not there: {state}; looked for {wanted} in it and three levels "
            f"below. {self._help()}"
        )

    def _home(self, start: Path, landmarks: Sequence[str]) -> Path | None:
        """Return the folder that holds every part that is there: below ``start``, or around it; None without any."""
        found = locate_all(start, landmarks)
        if found is None and start.is_dir() and (found := enclosing(start.absolute(), landmarks)):
            self._find(start, f"is a part of what is in {found}: all of it is read.", "note")
        return found

    def _help(self) -> str:
        return f"How to get them: {self.info.how_to_get} (`samstudy fetch {self.info.name}`)."

    def _find(self, path: Path, text: str, level: str = "error") -> None:
        """Keep a finding about a file or folder that belongs to no record, for ``check``."""
        self._findings.append((path, text, level))

    def official_counts(self) -> dict[str, tuple[int, int]]:
        """Return, for each part of the official release, how many (``counted``) are here and how many it has."""
        here = {**self._official, "all": sum(self._official.values())}
        return {part: (here.get(part, 0), wanted) for part, wanted in self.expected.items()}

    def _listing_findings(self) -> list[tuple[Path, str, str]]:
        found = list(self._findings)
        for part, (have, wanted) in self.official_counts().items():
            if have != wanted:
                where = "" if part == "all" else f" {part}"
                text = f"holds {have}{where} {self.counted}; the official release has {wanted}."
                found.append((self.root, text, "missing" if have < wanted else "note"))
        return found
