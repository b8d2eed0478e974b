"""What ``samstudy check`` prints: counts beside the official ones, and each fault with its file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from samstudy.cli import DONE, INCOMPLETE, main
from samstudy.datasets import DatasetInfo, Record, load_dataset
from samstudy.datasets.base import Reading
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.report import WIDTH, check_report, kind_of_problem, write_findings

GREY = np.arange(2400, dtype=np.uint32).reshape(40, 60).astype(np.uint8)


def section(report, head):
    """Return the block of a report that begins with ``head``."""
    return next(block for block in report.split("\n\n") if block.startswith(head))


def cells(block):
    """Return {first cell: other cells} of a printed table."""
    rows = [line.rsplit(maxsplit=line.count("  ") and 2) for line in block.splitlines()[2:]]
    return {row[0].strip(): row[1:] for row in rows if len(row) > 1}


@pytest.fixture
def broken(make_folder, disc):
    """Ten images, five of them with a fault each, one with an empty mask."""
    images = {f"{n}.png": GREY for n in "abcdefgh"} | {"cut.png": b"\x89PNG\r\n", "large.png": GREY[:30]}
    masks = {f"{n}.png": disc for n in "abcdef"} | {"cut.png": disc, "large.png": disc, "orphan.png": disc}
    return load_dataset(f"folder:{make_folder(images, masks | {'f.png': disc * 0})}")


def test_counts_and_findings_are_complete(broken):
    report = check_report(broken, broken.check(progress=False))
    assert cells(section(report, "target")) == {"mask": ["5", "1"]}
    assert cells(section(report, "height x width")) == {"40x60": ["6"]}
    errors = section(report, "ERROR: cannot be used (5)")
    assert "  missing (3)\n" in errors
    assert "  unreadable (1)\n" in errors
    assert "  mismatched in size (1)\n" in errors
    for words in (
        "images/g.png has no mask", "images/h.png has no mask", "masks/orphan.png has no image",
        "images/cut.png is not an image", "masks/large.png is 60x40 pixels but its image large.png is 60x30",
    ):  # fmt: skip
        assert words in " ".join(errors.split())
    assert report.splitlines()[-1] == "5 of 11 images cannot be used."


def test_a_clean_set_says_so_within_the_width(make_folder, disc):
    dataset = load_dataset(f"folder:{make_folder({'a.png': GREY}, {'a.png': disc})}")
    report = check_report(dataset, dataset.check(progress=False))
    assert report.endswith("every image can be used.")
    assert "ERROR" not in report
    assert "NOTE" not in report


def many(problems, level="error"):
    rows = [
        (f"i{k}", f"images/{'long folder name ' * 4}/i{k:03d}.png", text, level)
        for k, text in enumerate(problems)
    ]
    table = pd.DataFrame(rows, columns=["image_id", "file", "problem", "level"])
    sizes = {f"{k}x{k}": 30 - k for k in range(1, 20)}
    table.attrs["summary"] = {
        "images": 200, "usable": 200 - len(rows), "objects": {"lesion": 9}, "empty_masks": {}, "sizes": sizes,
        "splits": {"train": 150, "val": 0, "test": 50},
    }  # fmt: skip
    return table


def test_long_lists_are_cut_and_counted(drawn):
    same = ["cannot be read: cut short." for _ in range(30)]
    alike = [f"holds areas of the value {k}; only 0 and 255 are expected." for k in range(12)]
    report = check_report(drawn, many(same + alike), most=3)
    errors = section(report, "ERROR: cannot be used (42)")
    assert "30 files: each cannot be read: cut short." in errors
    assert "... and 27 more" in errors
    assert "... and 9 more" in errors
    assert errors.count(".png") == 6
    assert "13 other sizes" in report
    assert max(map(len, report.splitlines())) <= WIDTH


class Drawn(OfficialDataset):
    """Five of seven images, as an archive with two parts."""

    info = DatasetInfo("five", "Five of seven", "any", ("disc",), "l", "c", "h", split_note="official")
    landmarks = ("images",)
    expected = {"train": 4, "test": 3}  # noqa: RUF012
    split_table = "five"

    def _list(self):
        (self.root / "notes").touch()
        self._find(self.root / "notes", "is not read.", "note")
        return [Record(f"i{k}", f"i{k}", "train" if k < 3 else "test") for k in range(5)]

    def _read(self, record):
        return Reading(np.zeros((4, 6, 3), np.uint8), {"disc": np.ones((4, 6), bool)})


@pytest.fixture
def five(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    (tmp_path / "raw" / "images").mkdir(parents=True)
    (tmp_path / "data" / "splits").mkdir(parents=True)
    (tmp_path / "data" / "splits" / "five.csv").write_text("image_id,split\n*,official\n")
    return Drawn(tmp_path / "raw")


def test_official_counts_stand_beside_those_found(five):
    assert five.official_counts() == {"train": (3, 4), "test": (2, 3)}
    report = check_report(five, five.check(progress=False))
    assert cells(section(report, "images of the archive")) == {"train": ["3", "4"], "test": ["2", "3"]}
    missing = section(report, "MISSING: the official release has more (2)")
    assert "the folder holds 3 train images; the official release has 4." in missing
    assert "notes is not read." in section(report, "NOTE")
    assert report.endswith(
        "every image can be used.\nParts of the official release are missing; a run uses what is here."
    )


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ("has no mask; looked for masks/a.*.", "missing"),
        ("is a mask without its image.", "missing"),
        ("is missing; there is 'mask1'.", "missing"),
        ("holds 3 train images; the official release has 4.", "missing"),
        ("cannot be read: image file is truncated; copy it again if it was cut short.", "unreadable"),
        ("is not an image that can be read: its contents match no known format.", "unreadable"),
        ("is 60x30 pixels but its image a.png is 60x40 (width x height).", "mismatched in size"),
        ("has 8x6x3 voxels but its image a.nii.gz has 8x6x5.", "mismatched in size"),
        ("holds areas of the value 7; only 0 and 255 (lesion) are expected.", "wrongly coded"),
        ("holds the wrong codes 17; whole numbers from 0 to 15 are expected.", "wrongly coded"),
        ("has the rim (128) inside the cup (0); are the two codes exchanged?", "wrong side or order"),
        ("has the liver 90 mm to the left of the spleen: the volume is mirrored.", "wrong side or order"),
        ("and a.jpg have one name 'a'; rename one.", "other"),
    ],
)
def test_kinds_of_problems(problem, kind):
    assert kind_of_problem(problem) == kind


def test_all_findings_go_to_csv(broken, tmp_path, capsys):
    table = broken.check(progress=False)
    write_findings(table, tmp_path / "sub" / "findings.csv")
    written = pd.read_csv(tmp_path / "sub" / "findings.csv", keep_default_na=False)
    assert list(written) == ["level", "kind", "image_id", "file", "problem"]
    assert sorted(written["file"]) == sorted(table["file"])
    status = main(["check", f"folder:{broken.root}", "--output", str(tmp_path / "all.csv")])
    assert status == INCOMPLETE
    assert (tmp_path / "all.csv").read_text() == (tmp_path / "sub" / "findings.csv").read_text()
    assert f"All 5 findings: {tmp_path / 'all.csv'}" in capsys.readouterr().out


def test_notes_alone_leave_the_check_done(make_folder, disc, capsys):
    root = make_folder({"a.png": GREY}, {"a.png": disc})
    (root / "images" / "notes.txt").touch()
    assert main(["check", f"folder:{root}"]) == DONE
    assert "NOTE: used, but worth knowing (1)" in capsys.readouterr().out
