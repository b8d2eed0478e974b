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


def problem_of(name: str, root: Path, file: str) -> str:
    findings, _ = check(load_dataset(name, root))
    errors = findings[findings["level"] == "error"]
    return " | ".join(errors["problem"][errors["file"].str.endswith(file)])


def test_an_inverted_lesion_or_lung_mask_is_refused(tmp_path):
    isic(tmp_path / "isic")
    mask = tmp_path / "isic" / "ISIC2018_Task1_Test_GroundTruth" / "ISIC_0040001_segmentation.png"
    save(mask, grey(~DISC))
    assert "inverted" in problem_of("isic", tmp_path / "isic", mask.name)
    chest_xray(tmp_path / "chest")
    save(tmp_path / "chest" / "mask" / "CHNCXR_0001_0_mask.png", grey(~DISC))
    assert "inverted" in problem_of("chest_xray", tmp_path / "chest", "CHNCXR_0001_0_mask.png")


def test_a_lesion_that_fills_the_frame_is_no_inverted_mask(tmp_path):
    isic(tmp_path)
    whole = np.ones_like(DISC)
    for stem, mask in (("ISIC_0040001", whole), ("ISIC_0040002", np.tril(whole, 30))):
        save(tmp_path / "ISIC2018_Task1_Test_GroundTruth" / f"{stem}_segmentation.png", grey(mask))
    assert check(load_dataset("isic", tmp_path))[1]["usable"] == 6


def test_a_mask_that_is_not_there_is_named_by_its_folder(tmp_path):
    isic(tmp_path)
    (tmp_path / "ISIC2018_Task1_Test_GroundTruth" / "ISIC_0040001_segmentation.png").unlink()
    sentence = "has no lesion mask in ISIC2018_Task1_Test_GroundTruth."
    assert problem_of("isic", tmp_path, "ISIC_0040001.jpg") == sentence


@pytest.mark.parametrize(
    ("name", "folder", "mask"),
    [
        ("drive", "training/images", "21_manual1.gif"),
        ("drishti_gs", "Training/Images", "drishtiGS_002_ODsegSoftmap.png"),
        ("rim_one_r3", "Healthy/Stereo Images", "N-10-R-1-Disc-exp1.png"),
        ("refuge", "Test400", "T0001.bmp"),
    ],
)
def test_a_folder_of_images_that_is_not_there_is_named_at_every_mask(name, folder, mask, tmp_path):
    DRAW[name](tmp_path)
    (tmp_path / folder).rename(tmp_path / f"{folder}_old")
    sentence = problem_of(name, tmp_path, mask)
    assert f"is a mask without its image (the folder {(tmp_path / folder).parent.name}/" in sentence
    assert f"{Path(folder).name} is not there" in sentence


def test_areas_of_two_values_in_a_fluid_mask_need_a_threshold(tmp_path):
    mask = grey(DISC)
    mask[2:12, 2:12] = 77
    save(tmp_path / "144DME_as_F" / "images" / "144DME_as_F.jpeg", eye())
    save(tmp_path / "144DME_as_F" / "masks" / "144MASK_DME_as_F.png", np.dstack([mask] * 3))
    assert "areas of the value 77" in problem_of("cystoid_fluid", tmp_path, "144MASK_DME_as_F.png")
    dataset = load_dataset("cystoid_fluid", tmp_path, threshold=127)
    assert np.array_equal(dataset.load("144DME_as_F").labels["cystoid_fluid"], DISC)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("isic", ("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth")),
        ("drive", ("test",)),
        ("drishti_gs", ("Training",)),
        ("rim_one_r3", ("Healthy",)),
        ("amos", ("imagesTr", "labelsTr")),
    ],
)
def test_a_part_renamed_as_a_whole_is_an_error_of_check_and_of_a_run(name, parts, tmp_path):
    SETS[name](tmp_path)
    for part in parts:
        (tmp_path / part).rename(tmp_path / f"{part}_old")
    dataset = load_dataset(name, tmp_path)
    assert len(dataset) > 0
    for part in parts:
        assert any(sentence.startswith(f"{part}_old is ") for sentence in dataset.listing_errors())
    findings, _ = check(dataset)
    assert (findings["level"] == "error").any()
