"""What every registered data set must do, the ICBM-152 slices, and splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samstudy.datasets import DATASETS, Dataset, DatasetInfo, load_dataset
from samstudy.datasets.base import Reading, Record, validate
from samstudy.datasets.catalogue import catalogue_markdown
from samstudy.datasets.splits import PARTS, fingerprint, hashed_split, read_splits, refuse_leaks
from samstudy.errors import DataError, StudyError
from samstudy.paths import splits_dir


@pytest.fixture(scope="module")
def mni152() -> Dataset:
    return load_dataset("mni152")


@pytest.mark.parametrize("name", list(DATASETS))
def test_info_is_complete(name):
    info = DATASETS[name].info
    assert info.name == name
    for field in ("title", "modality", "licence", "citation", "how_to_get", "group_noun"):
        assert getattr(info, field), field
    assert info.nsd_tolerance > 0
    assert name == "folder" or (info.interval_note and info.targets)


def test_the_split_of_mni152_is_committed_and_complete(mni152):
    table = read_splits(splits_dir() / "mni152.csv")
    assert list(table.index) == mni152.ids("all")
    assert all(mni152.ids(part) for part in PARTS)
    assert sum(len(mni152.ids(part)) for part in PARTS) == len(mni152) == mni152.info.n_images
    assert mni152.ids() == mni152.ids(mni152.default_split)
    groups = [{mni152.group_of(i) for i in mni152.ids(part)} for part in PARTS]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])


def test_samples_keep_the_contract(mni152):
    sample = mni152.load(mni152.ids()[0])
    assert sample.image.dtype == np.uint8
    assert sample.image.shape == (*sample.size_hw, 3)
    assert {label.split("#")[0] for label in sample.labels} <= set(mni152.info.targets)
    assert all(m.dtype == bool and m.shape == sample.size_hw for m in sample.labels.values())
    assert (sample.spacing_mm is not None) == mni152.info.spacing_known
    again = mni152.load(sample.image_id)
    assert (again.image == sample.image).all()


def test_the_page_of_data_sets_is_current():
    page = Path(__file__).resolve().parents[1] / "data" / "README.md"
    assert page.read_text(encoding="utf-8") == catalogue_markdown(DATASETS), (
        "data/README.md is old; write it anew with samstudy.datasets.catalogue.write_catalogue"
    )


def test_unknown_names_offer_near_misses(mni152):
    with pytest.raises(StudyError, match="unknown dataset 'mni125'; did you mean 'mni152'"):
        load_dataset("mni125")
    with pytest.raises(StudyError, match="unknown dataset 'foldr:/x'; did you mean 'folder:<path>'"):
        load_dataset("foldr:/x")
    with pytest.raises(StudyError, match="unknown split 'tset'; did you mean 'test'"):
        mni152.ids("tset")
    with pytest.raises(StudyError, match="unknown image of mni152 'mni152_z999'"):
        mni152.load("mni152_z999")
    with pytest.raises(
        StudyError, match="unknown option of mni152 'min_prob'; did you mean 'min_probability'"
    ):
        load_dataset("mni152", min_prob=0.3)
    with pytest.raises(StudyError, match=r"min_probability is 1\.5"):
        load_dataset("mni152", min_probability=1.5)


def test_mni152_blocks_are_apart(mni152):
    slices = {part: [mni152.record(i).index for i in mni152.ids(part)] for part in PARTS}
    assert [len(slices[part]) for part in PARTS] == [40, 10, 30]
    for one in PARTS:
        for other in PARTS:
            gaps = np.abs(np.subtract.outer(slices[one], slices[other]))
            assert one == other or gaps.min() >= 9
    assert {mni152.group_of(f"mni152_z{k:03d}") for k in range(76, 81)} == {"slab_076-080"}


def test_mni152_is_upright_and_its_tissues_are_where_they_belong(mni152):
    sample = mni152.load("mni152_z076")
    brain, grey, white = (sample.labels[n] for n in ("brain", "grey_matter", "white_matter"))
    assert sample.size_hw == (233, 197)
    assert sample.spacing_mm == (1.0, 1.0)
    assert not (grey & white).any()
    assert ((grey | white) & brain).sum() > 0.97 * (grey | white).sum()
    assert sample.image[white].mean() > sample.image[grey].mean() + 40
    assert sample.image[~brain].mean() < 2
    # the anterior commissure, MNI y = 0, is row 232 - 134 = 98: the brain reaches further back than forward
    rows = np.flatnonzero(brain.any(axis=1))
    assert rows[-1] - 98 > 98 - rows[0] + 20


def test_mni152_least_probability_shrinks_the_tissues():
    strict, loose = (load_dataset("mni152", min_probability=p).load("mni152_z090") for p in (0.9, 0.0))
    for tissue in ("grey_matter", "white_matter"):
        assert strict.labels[tissue].sum() < loose.labels[tissue].sum()
        assert not (strict.labels[tissue] & ~loose.labels[tissue]).any()


def test_mni152_check_is_clean(mni152):
    table = mni152.check(progress=False)
    assert table.empty
    assert list(table.columns) == ["image_id", "file", "problem", "level"]
    assert table.attrs["summary"]["usable"] == 80
    assert table.attrs["summary"]["empty_masks"] == {}


def test_hashed_split_ignores_order_and_leaves_no_part_empty():
    names = [f"g{k}" for k in range(100)]
    parts = hashed_split(names)
    assert parts == hashed_split(reversed(names * 2))
    assert [list(parts.values()).count(part) for part in PARTS] == [60, 15, 25]
    assert hashed_split([]) == {}
    assert list(hashed_split(["a"]).values()) == ["test"]
    assert sorted(hashed_split(["a", "b"]).values()) == ["test", "train"]
    for n in range(3, 12):
        assert set(hashed_split(map(str, range(n))).values()) == set(PARTS)


def test_leaks_are_refused_and_fingerprints_ignore_order():
    rows = [("a", "p", "train"), ("b", "q", "test")]
    refuse_leaks(rows, "x")
    assert fingerprint(rows) == fingerprint(rows[::-1]) != fingerprint([("a", "p", "test"), rows[1]])
    with pytest.raises(
        StudyError, match="group 'p' is on both sides of the split in x: 'a' is train and 'c' is val"
    ):
        refuse_leaks([*rows, ("c", "p", "val")], "x")


def test_split_table_twice_or_missing(tmp_path):
    with pytest.raises(StudyError, match=r"s\.csv is missing"):
        read_splits(tmp_path / "s.csv")
    (tmp_path / "s.csv").write_text("image_id,split\na,train\na,test\n")
    with pytest.raises(StudyError, match="names the image 'a' more than once"):
        read_splits(tmp_path / "s.csv")


def test_two_records_of_one_id_are_refused():
    class Doubled(Dataset):
        info = DatasetInfo("doubled", "t", "m", (), "l", "c", "h")

        def __init__(self):
            super().__init__([Record("a", "a", "test"), Record("a", "a", "test")], "x")

        def _read(self, record):
            raise AssertionError

    with pytest.raises(StudyError, match="two images of doubled share the id 'a'"):
        Doubled()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": np.zeros((4, 6), np.uint8)}, r"picture of \(4, 6\) uint8"),
        ({"image": np.zeros((0, 6, 3), np.uint8)}, r"picture of \(0, 6, 3\)"),
        ({"labels": {}}, "has no mask"),
        ({"labels": {"m": np.zeros((4, 6), np.uint8)}}, "mask of type uint8 for 'm'"),
        ({"labels": {"m": np.zeros((6, 4), bool)}}, r"is 4x6 pixels but its image a\.png is 6x4"),
        ({"valid": np.zeros((2, 2), bool)}, "is 2x2 pixels"),
        ({"spacing_mm": (1.0, 0.0)}, "pixel spacing"),
        ({"spacing_mm": (1.0, float("nan"))}, "pixel spacing"),
    ],
)
def test_readings_are_validated_in_sentences(change, sentence):
    good = {"image": np.zeros((4, 6, 3), np.uint8), "labels": {"m": np.ones((4, 6), bool)}}
    record = Record("a", "a", "test", image=Path("images/a.png"))
    validate(record, Reading(**good))
    with pytest.raises(DataError, match=sentence):
        validate(record, Reading(**(good | change)))
