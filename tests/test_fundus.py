"""The loaders of Drishti-GS1, RIM-ONE r3, REFUGE and DRIVE: what they read from copies in order and real samples."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_fundus import (
    CUP,
    DISC,
    FIELD,
    HEIGHT,
    SET_NAMES,
    VESSELS,
    WIDTH,
    check,
    circle,
    grey,
    pair,
    save,
)

from samstudy.datasets import load_dataset
from samstudy.datasets.splits import read_rules
from samstudy.errors import StudyError
from samstudy.paths import splits_dir


@pytest.mark.parametrize("name", SET_NAMES)
def test_a_copy_in_order_has_no_findings(name: str, tree: Callable[[str], Path]) -> None:
    dataset = load_dataset(name, tree(name))
    findings, summary = check(dataset)
    assert findings.empty
    assert summary["usable"] == len(dataset) == 4
    assert summary["objects"] == dict.fromkeys(dataset.info.targets, 4)
    assert not summary["empty_masks"]
    assert (dataset.check(progress=False)["level"] == "missing").any()


@pytest.mark.parametrize("name", SET_NAMES)
def test_nesting_capitals_and_rubbish_do_not_matter(
    name: str, tree: Callable[[str], Path], tmp_path: Path
) -> None:
    plain = tree(name)
    outer = tmp_path / "outer" / "unpacked"
    for path in sorted(p for p in plain.rglob("*") if p.is_file()):
        target = outer / path.relative_to(plain).as_posix().upper()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (outer / "__MACOSX").mkdir()
    (outer / "__MACOSX" / "._a.png").write_bytes(b"")
    nested = load_dataset(name, outer.parent)
    assert check(nested)[0].empty
    assert sorted(map(str.casefold, nested.ids("all"))) == sorted(
        map(str.casefold, load_dataset(name, plain).ids("all"))
    )


def test_ids_parts_and_groups(tree: Callable[[str], Path]) -> None:
    parts = {name: load_dataset(name, tree(name)) for name in SET_NAMES}
    assert parts["drive"].ids("train") == ["21_training"]
    assert parts["drive"].ids("val") == ["24_training"]
    assert parts["drive"].ids("test") == ["01_test", "02_test"]
    assert parts["refuge"].ids("train") == ["g0001", "n0001"]
    assert (parts["refuge"].ids("val"), parts["refuge"].ids("test")) == (["V0001"], ["T0001"])
    assert parts["drishti_gs"].ids("test") == ["drishtiGS_001", "drishtiGS_003"]
    assert parts["rim_one_r3"].ids("test") == ["G-22-L", "S-9-L"]
    assert parts["rim_one_r3"].group_of("N-10-R") == parts["rim_one_r3"].group_of("N-11-L")


def test_disc_includes_cup_in_each_set(tree: Callable[[str], Path]) -> None:
    for name in ("drishti_gs", "rim_one_r3", "refuge"):
        dataset = load_dataset(name, tree(name))
        for image_id in dataset.ids("all"):
            labels = dataset.load(image_id).labels
            assert list(labels) == ["optic_disc", "optic_cup"]
            if name != "drishti_gs":
                np.testing.assert_array_equal(labels["optic_disc"], DISC)
                np.testing.assert_array_equal(labels["optic_cup"], CUP)


@pytest.mark.parametrize(("threshold", "larger"), [("any", 2), ("majority", 1), ("all", -1)])
def test_soft_map_threshold_is_that_many_votes(
    threshold: str, larger: int, tree: Callable[[str], Path]
) -> None:
    dataset = load_dataset("drishti_gs", tree("drishti_gs"), soft_map=threshold)
    labels = dataset.load("drishtiGS_001").labels
    np.testing.assert_array_equal(labels["optic_disc"], circle(9 + larger))
    np.testing.assert_array_equal(labels["optic_cup"], circle(4 + larger))
    assert dataset.options_text == f"soft_map={threshold}"


def test_drishti_merged_images_and_parts_unpacked_apart(tree: Callable[[str], Path]) -> None:
    root = tree("drishti_gs")
    images = root / "Training" / "Images"
    (images / "ALL").mkdir()
    for path in images.glob("*.png"):
        path.rename(images / "ALL" / path.name)
    (root / "Training").rename(root / "inner")
    (root / "Training-001").mkdir()
    (root / "inner").rename(root / "Training-001" / "Training")
    findings, summary = check(load_dataset("drishti_gs", root))
    assert findings.empty
    assert summary["usable"] == 4


def test_rim_one_experts_attempts_and_stereo_halves(tree: Callable[[str], Path]) -> None:
    root = tree("rim_one_r3")
    later = pair(grey(circle(3)))
    save(root / "Healthy" / "Expert1_masks" / "N-10-R-2-Cup-exp1.png", later)
    first, second = load_dataset("rim_one_r3", root), load_dataset("rim_one_r3", root, expert="2")
    np.testing.assert_array_equal(first.load("N-10-R").labels["optic_cup"], circle(3))
    np.testing.assert_array_equal(second.load("N-10-R").labels["optic_disc"], np.roll(DISC, 1, axis=0))
    np.testing.assert_array_equal(
        load_dataset("rim_one_r3", root, expert="average").load("N-10-R").labels["optic_cup"], CUP
    )
    assert first.load("N-10-R").size_hw == (HEIGHT, WIDTH)
    findings, summary = check(first)
    assert summary["usable"] == 4
    assert findings["problem"].tolist() == [
        "is not read: Expert1_masks/N-10-R-2-Cup-exp1.png is taken for N-10-R."
    ]


def test_drive_scores_inside_the_field_of_view_of_either_annotator(tree: Callable[[str], Path]) -> None:
    root = tree("drive")
    first, second = load_dataset("drive", root), load_dataset("drive", root, annotator=2)
    sample = first.load("01_test")
    np.testing.assert_array_equal(sample.valid, FIELD)
    np.testing.assert_array_equal(sample.labels["vessels"], VESSELS)
    np.testing.assert_array_equal(second.load("01_test").labels["vessels"], np.roll(VESSELS, 3, axis=0))
    np.testing.assert_array_equal(second.load("21_training").labels["vessels"], VESSELS)
    assert (first.options_text, second.options_text) == ("annotator=1", "annotator=2")


def test_drive_without_test_labels_splits_its_training_images(tree: Callable[[str], Path]) -> None:
    root = tree("drive")
    for number in range(22, 41):
        for folder, name in (
            ("images", "_training.tif"), ("1st_manual", "_manual1.gif"), ("mask", "_training_mask.gif")
        ):  # fmt: skip
            source = root / "training" / folder / f"21{name}"
            shutil.copy(source, source.with_name(f"{number}{name}"))
    for folder in ("1st_manual", "2nd_manual"):
        shutil.rmtree(root / "test" / folder)
    dataset = load_dataset("drive", root)
    assert [len(dataset.ids(part)) for part in ("train", "val", "test")] == [12, 3, 5]
    assert dataset.options_text == "annotator=1 split=train20"
    table = dataset.check(progress=False)
    assert table["level"].tolist() == ["note"]
    assert "2 images without labels" in table["problem"].iloc[0]
    with pytest.raises(StudyError, match=r"annotator=2 asks for .*2nd_manual"):
        load_dataset("drive", root, annotator=2)


def test_wrong_options_say_what_there_is() -> None:
    for name, option, value in (
        ("drishti_gs", "soft_map", "majorty"),
        ("rim_one_r3", "expert", 3),
        ("drive", "annotator", 0),
    ):
        with pytest.raises(StudyError, match=f"unknown {option} of {name} '{value}'.*Known: "):
            load_dataset(name, "nowhere", **{option: value})


def test_committed_split_of_rim_one_keeps_the_eyes_of_a_person_together() -> None:
    table = read_rules(splits_dir() / "rim_one_r3.csv").iloc[:-1]
    assert len(table) == 159
    assert table["group_id"].nunique() == 97
    assert len(table[["group_id", "split"]].drop_duplicates()) == 97
    assert table["split"].value_counts().to_dict() == {"train": 78, "test": 65, "val": 16}


def test_real_drive_vessels_are_darker_than_what_is_around_them(samples_dir: Path) -> None:
    dataset = load_dataset("drive", samples_dir / "DRIVE")
    assert [len(dataset.ids(part)) for part in ("all", "test")] == [7, 3]
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        green, vessels = sample.image[..., 1], sample.labels["vessels"] & sample.valid
        assert sample.size_hw == (584, 565)
        assert 0.05 < vessels.sum() / sample.valid.sum() < 0.25
        assert green[vessels].mean() < green[sample.valid & ~vessels].mean() - 5


def test_real_drishti_cup_is_brighter_than_the_rim_than_the_retina(samples_dir: Path) -> None:
    areas = []
    for threshold in ("any", "majority", "all"):
        dataset = load_dataset("drishti_gs", samples_dir / "Drishti-GS1", soft_map=threshold)
        sample = dataset.load("drishtiGS_024")
        disc, cup, red = sample.labels["optic_disc"], sample.labels["optic_cup"], sample.image.mean(axis=2)
        assert red[cup].mean() > red[disc & ~cup].mean() > red[~disc].mean()
        areas.append(int(disc.sum()))
    assert areas == sorted(areas, reverse=True) == [128067, 123889, 116812]
