"""The benchmarks however their archives were unpacked: wrapped, apart, renamed, in other capitals, pointed at amiss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_fundus import CODES, DISC, DRAW, check, eye, grey, pair, save

from samstudy.datasets import load_dataset, tree
from samstudy.errors import StudyError


def isic(root: Path) -> None:
    for part in ("Training", "Validation", "Test"):
        for number in (1, 2):
            stem = f"ISIC_{len(part):03d}{number:04d}"
            save(root / f"ISIC2018_Task1-2_{part}_Input" / f"{stem}.jpg", eye())
            save(root / f"ISIC2018_Task1_{part}_GroundTruth" / f"{stem}_segmentation.png", grey(DISC))


def chest_xray(root: Path) -> None:
    halves = grey(DISC)
    for name in ("MCUCXR_0001_0", "MCUCXR_0002_1"):
        save(root / "MontgomerySet" / "CXR_png" / f"{name}.png", eye())
        for side, half in (("leftMask", np.s_[:, 20:]), ("rightMask", np.s_[:, :20])):
            mask = np.zeros_like(halves)
            mask[half] = halves[half]
            save(root / "MontgomerySet" / "ManualMask" / side / f"{name}.png", mask)
    save(root / "ChinaSet_AllFiles" / "CXR_png" / "CHNCXR_0001_0.png", eye())
    save(root / "mask" / "CHNCXR_0001_0_mask.png", halves)


def amos(root: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for part, case in (("Tr", 1), ("Va", 8)):
        codes = np.zeros((20, 20, 3), np.uint8)
        codes[4:16, 4:16, 1] = 8
        for kind, values in (("images", codes.astype(np.int16) * 10), ("labels", codes)):
            folder = root / f"{kind}{part}"
            folder.mkdir(parents=True, exist_ok=True)
            volume = nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 5.0, 1.0]))
            nibabel.save(volume, folder / f"amos_{case:04d}.nii.gz")


SETS: dict[str, Callable[[Path], None]] = {**DRAW, "isic": isic, "chest_xray": chest_xray, "amos": amos}


def folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def wrapped_three_times(root: Path) -> Path:
    inside = root / "archive" / "archive" / "copy"
    entries = folders(root)
    inside.mkdir(parents=True)
    for entry in entries:
        entry.rename(inside / entry.name)
    return root


def each_apart(root: Path) -> Path:
    """Each folder in one of another name, as downloads are."""
    for number, entry in enumerate(folders(root)):
        (root / f"download {number}").mkdir()
        entry.rename(root / f"download {number}" / entry.name)
    return root


def second_downloads(root: Path) -> Path:
    for entry in folders(root):
        entry.rename(entry.with_name(f"{entry.name} (1)"))
    return root


def in_small_letters(root: Path) -> Path:
    for path in sorted(root.rglob("*"), key=lambda path: -len(path.parts)):
        path.rename(path.with_name(path.name.lower()))
    return root


def linked(root: Path) -> Path:
    store = root.with_name("store")
    root.rename(store)
    root.mkdir()
    for entry in folders(store):
        (root / entry.name).symlink_to(entry, target_is_directory=True)
    return root


def one_above(root: Path) -> Path:
    return root.parent


def one_below(root: Path) -> Path:
    return folders(root)[0]


UNPACKED = (wrapped_three_times, each_apart, second_downloads, in_small_letters, linked, one_above, one_below)


def table(name: str, root: Path) -> list[tuple[str, str, str]]:
    dataset = load_dataset(name, root)
    return [(i, dataset.group_of(i), dataset.split_of(i)) for i in sorted(dataset.ids("all"))]


@pytest.mark.parametrize("unpacked", UNPACKED, ids=lambda function: function.__name__)
@pytest.mark.parametrize("name", SETS)
def test_the_same_images_groups_and_parts_however_it_was_unpacked(name, unpacked, tmp_path):
    root = tmp_path / "raw" / name
    SETS[name](root)
    expected = table(name, root)
    if (name, unpacked) == ("chest_xray", one_below):
        pytest.skip("ChinaSet_AllFiles has no masks: it is refused with the reason")
    root = unpacked(root)
    assert table(name, root) == expected
    findings, summary = check(load_dataset(name, root))
    assert summary["usable"] == len(expected)
    assert not (findings["level"] == "error").any()


def test_a_part_pointed_at_is_said_to_be_read_with_the_rest(tmp_path):
    isic(tmp_path / "set")
    dataset = load_dataset("isic", tmp_path / "set" / "ISIC2018_Task1-2_Training_Input")
    findings, _ = check(dataset)
    assert findings["problem"].str.contains("is a part of what is in .*set: all of it is read").any()


def test_isic_images_saved_as_jpeg_are_read(tmp_path):
    isic(tmp_path)
    for path in list(tmp_path.rglob("*.jpg")):
        path.rename(path.with_suffix(".jpeg"))
    findings, summary = check(load_dataset("isic", tmp_path))
    assert findings.empty
    assert summary["usable"] == 6


def test_refuge_masks_wrapped_apart_from_their_images_keep_their_codes(tmp_path):
    DRAW["refuge"](tmp_path)
    each_apart(tmp_path)
    sample = load_dataset("refuge", tmp_path).load("T0001")
    assert np.array_equal(sample.labels["optic_disc"], CODES <= 128)
    assert np.array_equal(sample.labels["optic_cup"], CODES == 0)


def test_rim_one_halves_in_different_folders_are_both_read(tmp_path):
    DRAW["rim_one_r3"](tmp_path)
    each_apart(tmp_path)
    dataset = load_dataset("rim_one_r3", tmp_path)
    assert dataset.ids("all") == ["N-10-R", "N-11-L", "G-22-L", "S-9-L"]
    assert np.array_equal(dataset.load("N-10-R").labels["optic_disc"], pair(DISC)[:, :40])


def test_of_two_downloads_of_one_folder_the_first_is_read(tmp_path):
    for name in ("masks (1)", "masks (2)", "masks"):
        (tmp_path / name).mkdir()
    assert tree.child(tmp_path, "masks").name == "masks"
    (tmp_path / "masks").rmdir()
    assert tree.child(tmp_path, "MASKS").name == "masks (1)"


def test_a_folder_that_only_sounds_like_a_part_is_not_climbed_from(tmp_path):
    empty = tmp_path / "Training" / "Images"
    empty.mkdir(parents=True)
    with pytest.raises(StudyError, match="are not there"):
        load_dataset("drishti_gs", empty)
