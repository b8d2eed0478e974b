"""``folder:<path>``: a directory of one's own images and masks; ``samstudy.datasets.layout`` has the names.

Beside ``images/`` and ``masks/`` the folder may hold

* ``labels.json``: names of the codes of label maps, see ``samstudy.datasets.label_names``;
* ``splits.csv`` with the columns image_id, group_id, split: images not in it are left out. Without it every
  image is its own group (a volume is one group; DICOM slices group by patient) and groups are dealt by their
  hash, 60 : 15 : 25.

A NIfTI volume gives one image for each axial slice with any label, ``<stem>_z012``; for this its mask is read
when the folder is listed. Nothing else is decoded before it is loaded.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from samstudy.datasets.base import DatasetInfo, Record
from samstudy.datasets.label_names import read_label_names
from samstudy.datasets.layout import scan
from samstudy.datasets.listing import list_records, with_groups
from samstudy.datasets.paired import (
    DISPLAY_NOTE,
    PairedDataset,
    checked_window,
    group_words,
    spacing_is_known,
    split_by_hash,
    split_by_table,
)


class FolderDataset(PairedDataset):
    """Images and masks in a folder of one's own.

    Parameters
    ----------
    root : pathlib.Path
        Folder that holds ``images/`` and ``masks/``.
    groups : str, optional
        Regular expression that finds the group (the patient) in an image's name: its first bracket, or all of
        it.
    window : tuple of float, optional
        (level, width) for images of more than 8 bits; see ``samstudy.images.display`` for the default.

    Raises
    ------
    StudyError
        If the layout, ``labels.json``, ``splits.csv`` or ``groups`` does not fit: what was looked for, what
        was found.
    """

    info = DatasetInfo(
        name="folder",
        title="a folder of one's own images and masks",
        modality="any",
        targets=(),
        licence="the owner's",
        citation="none",
        how_to_get="folder:<path>, a folder with images/ and masks/ of the same names",
        group_noun="image",
        display_note=DISPLAY_NOTE,
    )

    def __init__(
        self, root: Path, groups: str | None = None, window: tuple[float, float] | None = None
    ) -> None:
        self.root = Path(root)
        window = checked_window(window)
        layout = scan(self.root)
        names = read_label_names(self.root)
        records = with_groups(list_records(layout.entries), groups)
        table = self.root / "splits.csv"
        if table.is_file():
            records, left_out = split_by_table(records, table)
        else:
            records, left_out = split_by_hash(records), []
        self.default_split = "test" if table.is_file() and any(r.split == "test" for r in records) else "all"
        self.info = _describe(self.root, records, names, bool(groups) or table.is_file())
        source = table.name if table.is_file() else "the folder"
        super().__init__(records, source, names, [*layout.ignored, *left_out], window)


def _describe(root: Path, records: list[Record], names: dict[str, str | None], grouped: bool) -> DatasetInfo:
    noun, note = group_words(records, grouped)
    return replace(
        FolderDataset.info,
        name=f"folder-{re.sub(r'[^A-Za-z0-9.-]+', '_', root.resolve().name) or 'root'}",
        title=f"folder {root.resolve().name}",
        targets=tuple(dict.fromkeys(name for name in names.values() if name)),
        n_images=len(records),
        group_noun=noun,
        interval_note=note,
        spacing_known=spacing_is_known(records),
    )
