"""The loaders of Drishti-GS1, RIM-ONE r3, REFUGE and DRIVE: every fault of a copy is named, and the rest goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn_fundus import (
    CODES,
    CUP,
    DISC,
    FIELD,
    VESSELS,
    check,
    circle,
    eye,
    grey,
    pair,
    save,
    soft_map,
)

from samstudy.datasets import load_dataset
from samstudy.errors import DataError

Fault = Callable[[Path], None]
STRAY = grey(circle(1.5), 77)
SWAPPED = np.array([128, 0, 255], np.uint8)


def remove(*paths: str) -> Fault:
    def fault(root: Path) -> None:
        for path in paths:
            (root / path).unlink()

    return fault


def rename(old: str, new: str) -> Fault:
    def fault(root: Path) -> None:
        (root / old).rename(root / new)

    return fault


def swap(one: str, other: str) -> Fault:
    def fault(root: Path) -> None:
        contents = (root / one).read_bytes()
        shutil.copy(root / other, root / one)
        (root / other).write_bytes(contents)

    return fault


def write(path: str, values: np.ndarray) -> Fault:
    def fault(root: Path) -> None:
        (root / path).unlink()
        save(root / path, values)

    return fault


def cut_short(path: str) -> Fault:
    def fault(root: Path) -> None:
        (root / path).write_bytes((root / path).read_bytes()[:-150])

    return fault


DISC_2 = "Training/GT/drishtiGS_002/SoftMap/drishtiGS_002_ODsegSoftmap.png"
CUP_2 = DISC_2.replace("ODseg", "cupseg")
DISC_10 = "Healthy/Expert1_masks/N-10-R-1-Disc-exp1.png"
CUP_10 = DISC_10.replace("Disc", "Cup")
STEREO_10 = "Healthy/Stereo Images/N-10-R.jpg"
BMP_1 = "Annotation-Training400/Disc_Cup_Masks/Glaucoma/g0001.bmp"
MANUAL_1 = "test/1st_manual/01_manual1.gif"
FIELD_1 = "test/mask/01_test_mask.gif"


def case(name: str, fault: Fault, file: str, sentence: str, lost: int = 1) -> object:
    return pytest.param(name, fault, file, sentence, lost, id=f"{name}: {sentence}")


FAULTS = [
    case("drishti_gs", remove(CUP_2), "drishtiGS_002.png", "has no optic_cup mask in Training/GT"),
    case("drishti_gs", remove("Training/Images/drishtiGS_002.png"), DISC_2, "without its image"),
    case("drishti_gs", write(DISC_2, STRAY), DISC_2, "holds the greys 77; 0, 64, 128"),
    case("drishti_gs", cut_short(DISC_2), DISC_2, "cannot be read"),
    case("drishti_gs", write(CUP_2, soft_map(4)[:-5]), CUP_2, "is 40x43 pixels but its image"),
    case("drishti_gs", swap(DISC_2, CUP_2), CUP_2, "are the two files exchanged"),
    case(
        "drishti_gs",
        rename("Training/GT", "Training/GTs"),
        "drishtiGS_004.png",
        "Training/GT is not there; there is 'GTs'",
        lost=2,
    ),
    case(
        "drishti_gs",
        rename("Training/GT/drishtiGS_002/SoftMap", "Training/GT/drishtiGS_002/Softmaps"),
        "GT/drishtiGS_002",
        "no folder SoftMap; there is 'Softmaps'",
    ),
    case(
        "drishti_gs", rename("Test", "Tests"), "Tests", "is it the folder 'Test' under another name", lost=2
    ),
    case("rim_one_r3", remove(DISC_10), "N-10-R.jpg", "has no optic_disc mask in Healthy/Expert1_masks"),
    case("rim_one_r3", remove(STEREO_10), DISC_10, "without its image"),
    case(
        "rim_one_r3",
        write(DISC_10, pair(grey(DISC) - grey(CUP, 155))),
        DISC_10,
        "holds areas of the value 100; only 0 and 255 (optic disc)",
    ),
    case("rim_one_r3", cut_short(STEREO_10), STEREO_10, "cannot be read"),
    case(
        "rim_one_r3",
        write(CUP_10, grey(CUP)[:, :30]),
        CUP_10,
        "is 30x48 pixels but its image N-10-R.jpg is 80x48",
    ),
    case("rim_one_r3", swap(DISC_10, CUP_10), CUP_10, "are the two files exchanged"),
    case("rim_one_r3", write(CUP_10, pair(grey(CUP))[:, ::-1]), CUP_10, "is drawn in the right half"),
    case(
        "rim_one_r3",
        rename("Healthy/Expert1_masks", "Healthy/Expert1_mask"),
        "N-11-L.jpg",
        "Healthy/Expert1_masks is not there; there is 'Expert1_mask'",
        lost=2,
    ),
    case(
        "rim_one_r3",
        rename(STEREO_10, "Healthy/Stereo Images/N10R.jpg"),
        "N10R.jpg",
        "official names are as N-10-R",
    ),
    case(
        "refuge",
        remove(BMP_1),
        "g0001.jpg",
        "has no disc and cup mask in Annotation-Training400/Disc_Cup_Masks",
    ),
    case("refuge", remove("Test400/T0001.jpg"), "T0001.bmp", "without its image"),
    case("refuge", write(BMP_1, CODES - (CODES == 128)), BMP_1, "holds the values 127; 0 for the cup"),
    case("refuge", cut_short(BMP_1), BMP_1, "cannot be read"),
    case("refuge", write(BMP_1, CODES[4:]), BMP_1, "is 40x44 pixels but its image"),
    case("refuge", write(BMP_1, np.choose(CODES // 127, SWAPPED)), BMP_1, "are the two codes exchanged"),
    case("refuge", write(BMP_1, 255 - CODES + (CODES == 128)), BMP_1, "background and disc exchanged"),
    case(
        "refuge",
        rename("REFUGE-Validation400-GT", "REFUGE-Validation-GTs"),
        "V0001.jpg",
        "REFUGE-Validation400-GT is not there; there is 'REFUGE-Validation-GTs'",
    ),
    case("drive", remove(MANUAL_1), "01_test.tif", "has no vessels mask in test/1st_manual"),
    case("drive", remove(FIELD_1), "01_test.tif", "has no field-of-view mask in test/mask"),
    case("drive", remove("test/images/01_test.tif"), MANUAL_1, "without its image"),
    case(
        "drive",
        write(MANUAL_1, np.where(STRAY, STRAY, grey(VESSELS))),
        MANUAL_1,
        "holds areas of the value 77; only 0 and 255 (vessel)",
    ),
    case("drive", cut_short("test/images/01_test.tif"), "01_test.tif", "cannot be read"),
    case("drive", write(FIELD_1, grey(FIELD)[3:]), FIELD_1, "is 40x45 pixels but its image"),
    case("drive", swap(FIELD_1, MANUAL_1), MANUAL_1, "background and vessel exchanged"),
    case("drive", write(FIELD_1, grey(FIELD, 0)), FIELD_1, "marks no pixel as field of view"),
    case(
        "drive",
        rename("test/1st_manual", "test/1st_manuals"),
        "02_test.tif",
        "test/1st_manual is not there; there is '1st_manuals'",
        lost=2,
    ),
]


@pytest.mark.parametrize(("name", "fault", "file", "sentence", "lost"), FAULTS)
def test_a_fault_is_named_and_the_other_images_load(
    name: str, fault: Fault, file: str, sentence: str, lost: int, tree: Callable[[str], Path]
) -> None:
    root = tree(name)
    fault(root)
    dataset = load_dataset(name, root)
    findings, summary = check(dataset)
    named = findings["file"].str.endswith(file) & findings["problem"].str.contains(sentence, regex=False)
    assert named.any(), findings.to_string()
    assert summary["usable"] == 4 - lost
    errors = findings[findings["level"] == "error"]
    assert len(errors)
    for image_id in errors["image_id"][errors["image_id"] != ""]:
        with pytest.raises(DataError):
            dataset.load(image_id)


def test_harmless_differences_are_notes(tree: Callable[[str], Path]) -> None:
    root = tree("drive")
    write(MANUAL_1, grey(VESSELS, 200))(root)
    save(root / "training" / "images" / "overview.png", eye())
    findings, summary = check(load_dataset("drive", root))
    assert summary["usable"] == 4
    assert set(findings["level"]) == {"note"}
    assert findings["problem"].str.contains("official names are as 21_training.tif").any()


def test_what_is_drawn_in_the_right_view_too_is_said(tree: Callable[[str], Path]) -> None:
    root = tree("rim_one_r3")
    write(DISC_10, np.hstack([grey(DISC), grey(DISC)]))(root)
    findings, summary = check(load_dataset("rim_one_r3", root))
    assert summary["usable"] == 4
    assert findings["problem"].tolist() == [f"has {DISC.sum()} px in the right view, which is not used."]


def test_a_cup_slightly_outside_is_added_to_the_disc(tree: Callable[[str], Path]) -> None:
    root = tree("rim_one_r3")
    cup = circle(4, centre_xy=(14, 24))
    write(CUP_10, pair(grey(cup)))(root)
    dataset = load_dataset("rim_one_r3", root)
    outside = int((cup & ~DISC).sum())
    assert 0 < outside < 0.2 * cup.sum()
    np.testing.assert_array_equal(dataset.load("N-10-R").labels["optic_disc"], DISC | cup)
    assert f"has {outside} px of cup outside the disc" in check(dataset)[0]["problem"].iloc[0]
