"""The page of the data sets says for each what a reader needs, and where its numbers come from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from samstudy.datasets.base import DatasetInfo, Download
from samstudy.datasets.catalogue import catalogue_markdown
from samstudy.datasets.official import OfficialDataset
from samstudy.registry import Registry

INFO = DatasetInfo(
    "set_a", "Set A", "CT", tuple("abcdefgh"), "CC0", "Nobody 2020", "see its page", "https://x.org",
    group_noun="patient", split_note="published parts", trained_on="MedSAM (its list)",
)  # fmt: skip


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Return ``page(rules, **changes)``: the page of one benchmark with this split table."""
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    (tmp_path / "data" / "splits").mkdir(parents=True)

    def make(rules, expected, **changes):
        (tmp_path / "data" / "splits" / "set_a.csv").write_text(f"image_id,group_id,split\n{rules}\n")
        kind = type("SetA", (OfficialDataset,), {"info": replace(INFO, **changes), "split_table": "set_a"})
        kind.expected = expected
        registry = Registry("dataset")
        registry.register("set_a")(kind)
        registry.register("phantom_set_a")(kind)
        return catalogue_markdown(registry)

    return make


def row(page):
    line = next(line for line in page.splitlines() if line.startswith("| [`set_a`]"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("rules", "expected", "images", "parts"),
    [
        ("a,,train\nb,,train\nc,,test\n*,,test", {"all": 3}, "3", "2 / 0 / 1"),
        ("p1_*,p1,train\np2_*,p2,val\np3_*,p3,test\n*,,hashed", {"all": 9}, "9", "1 / 1 / 1 patients"),
        ("*,,hashed", {"all": 1460}, "1460", "60 : 15 : 25 by hash"),
        ("*,,official", {"train": 4, "test": 5}, "9", "4 / – / 5; the archive's own"),
        (
            "*,,official_val20",
            {"train": 4, "test": 5},
            "9",
            "4 / – / 5; the archive's own, a fifth of train as val",
        ),
    ],
)
def test_counts_come_from_the_split_table_or_the_release(page, rules, expected, images, parts):
    cells = row(page(rules, expected))
    assert (cells[3], cells[4], cells[5]) == (images, parts, "patient")
    assert cells[2] == "a, b, c, d, e, f and 2 more"
    assert cells[7] == "`phantom_set_a`"


def test_a_section_says_how_to_get_it_and_who_trained_on_it(page):
    entry = Download("https://x.org/a.zip", "a.zip", "md5:00ff", 1_500_000, "part")
    text = page("*,,hashed", {"all": 1}, downloads=(entry,), steps=("Register.", "Unpack."))
    assert "[a.zip](https://x.org/a.zip), 1.5 MB, `md5:00ff`, into `data/raw/set_a/part`" in text
    assert "- By hand:\n  1. Register.\n  2. Unpack.\n" in text
    assert "- In the training data of: MedSAM (its list)\n" in text
    assert "- Split: published parts\n" in text
    assert text.count("## `") == 1
    assert row(text)[6] == "fetch"
    assert row(page("*,,hashed", {"all": 1}, steps=("Register.",)))[6] == "by hand"
    assert "none that is known here" in page("*,,hashed", {"all": 1}, trained_on="")
