"""Chest radiographs: both layouts, images without a mask, the sides of the lungs, damaged copies, and the phantom."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_files import problems
from PIL import Image

from samstudy.datasets import load_dataset
from samstudy.datasets.chest_xray import UNMASKED
from samstudy.errors import DataError, StudyError
from samstudy.phantoms.base import load_phantom, write_phantom

SIZE_HW = (60, 50)
BUNDLE = ("CHNCXR_0001_0", "CHNCXR_0330_1", "MCUCXR_0001_0", "MCUCXR_0104_1")


def lung(side: str) -> np.ndarray:
    """Return one lung as 0 / 255, uint8; ``left`` is the left of the picture."""
    mask = np.zeros(SIZE_HW, np.uint8)
    mask[10:45, 5:20] = 255
    return mask if side == "left" else np.ascontiguousarray(mask[:, ::-1])


def save(path: Path, values: np.ndarray | Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (values if isinstance(values, Image.Image) else Image.fromarray(values)).save(path)
    return path


def radiograph() -> np.ndarray:
    both = lung("left") | lung("right")
    return (200 - both // 2).astype(np.uint8)


def write_bundle(root: Path, stems=BUNDLE) -> Path:
    """Write a Kaggle bundle; Shenzhen images have a palette, Montgomery are grey."""
    top = root / "Lung Segmentation"
    for stem in stems:
        picture = Image.fromarray(radiograph())
        save(top / "CXR_png" / f"{stem}.png", picture.convert("P") if stem.startswith("CHN") else picture)
        suffix = "_mask" if stem.startswith("CHN") else ""
        save(top / "masks" / f"{stem}{suffix}.png", lung("left") | lung("right"))
    return top


def write_montgomery(root: Path, count: int = 4) -> Path:
    top = root / "MontgomerySet"
    for number in range(1, count + 1):
        stem = f"MCUCXR_{number:04d}_0"
        save(top / "CXR_png" / f"{stem}.png", radiograph())
        for side in ("left", "right"):
            save(top / "ManualMask" / f"{side}Mask" / f"{stem}.png", lung(side))
    return top


def test_bundle_pairs_both_kinds_of_names(tmp_path):
    write_bundle(tmp_path)
    dataset = load_dataset("chest_xray", tmp_path)
    assert dataset.ids("all") == sorted(BUNDLE)
    assert dataset.options_text == "source=kaggle"
    assert dataset.group_of("CHNCXR_0330_1") == "CHNCXR_0330"
    for stem in BUNDLE:
        sample = dataset.load(stem)
        assert list(sample.labels) == ["lungs"]
        assert sample.labels["lungs"].sum() == 2 * 35 * 15
        assert (sample.image[..., 0] == radiograph()).all()


@pytest.mark.parametrize("nesting", ["", "data", "download/data"])
def test_root_is_found_below_other_folders_and_in_capitals(tmp_path, nesting):
    top = write_bundle(tmp_path / nesting)
    (top / "masks").rename(top / "MASKS")
    (tmp_path / nesting / "__MACOSX").mkdir()
    assert len(load_dataset("chest_xray", tmp_path).ids("all")) == 4
    assert len(load_dataset("chest_xray", top).ids("all")) == 4


def test_a_bundle_that_is_there_twice_is_read_once(tmp_path):
    write_bundle(tmp_path)
    write_bundle(tmp_path / "data")
    dataset = load_dataset("chest_xray", tmp_path)
    assert len(dataset) == 4
    assert "holds the same set" in problems(dataset.check(False), "note")["data/Lung Segmentation"]


def test_images_that_never_had_a_mask_are_left_out_and_counted(tmp_path):
    assert len(UNMASKED) == 96
    top = write_bundle(tmp_path)
    for number in (25, 36):
        for folder in ("CXR_png", "test"):
            save(top / folder / f"CHNCXR_{number:04d}_0.png", radiograph())
    dataset = load_dataset("chest_xray", tmp_path)
    table = dataset.check(False)
    assert len(dataset) == 4
    assert not (table["level"] == "error").any()
    assert problems(table, "note")["Lung Segmentation/masks"].startswith(
        "has no mask of 2 images: 96 have none"
    )
    assert "holds 4 images; the official release has 704." in set(table["problem"])


def test_resized_masks_are_cut_at_half(tmp_path):
    top = write_bundle(tmp_path)
    soft = (lung("left") | lung("right")).astype(np.uint8)
    soft[10, 5:20], soft[44, 5:20] = 127, 128
    save(top / "masks" / "MCUCXR_0001_0.png", soft)
    dataset = load_dataset("chest_xray", tmp_path)
    lungs = dataset.load("MCUCXR_0001_0").labels["lungs"]
    assert not lungs[10, 5:20].any()
    assert lungs[44, 5:20].all()
    notes = problems(dataset.check(False), "note")
    assert notes["Lung Segmentation/masks/MCUCXR_0001_0.png"].endswith("(a resized copy); cut above 127.")


def test_masks_of_one_bit_and_of_zero_and_one_are_read(tmp_path):
    top = write_bundle(tmp_path)
    both = lung("left") | lung("right")
    save(top / "masks" / "MCUCXR_0001_0.png", Image.fromarray(both).convert("1"))
    save(top / "masks" / "MCUCXR_0104_1.png", both // 255)
    dataset = load_dataset("chest_xray", tmp_path)
    assert {dataset.load(i).labels["lungs"].sum() for i in dataset.ids("all")} == {1050}
    notes = problems(dataset.check(False), "note")
    assert "holds 0 and 1 instead of 0 and 255" in notes["Lung Segmentation/masks/MCUCXR_0104_1.png"]
    assert "Lung Segmentation/masks/MCUCXR_0001_0.png" not in notes


def test_damaged_bundle_names_each_file_and_keeps_the_rest(tmp_path):
    stems = [*BUNDLE, "CHNCXR_0002_0", "CHNCXR_0003_0", "CHNCXR_0004_0"]
    top = write_bundle(tmp_path, stems)
    masks = top / "masks"
    (masks / "CHNCXR_0001_0_mask.png").unlink()
    (top / "CXR_png" / "CHNCXR_0002_0.png").unlink()
    wrong = lung("left") | lung("right") // 255 * 7
    save(masks / "CHNCXR_0003_0_mask.png", wrong)
    save(masks / "CHNCXR_0004_0_mask.png", lung("left")[:-10])
    whole = (masks / "CHNCXR_0330_1_mask.png").read_bytes()
    (masks / "CHNCXR_0330_1_mask.png").write_bytes(whole[: len(whole) // 2])
    save(masks / "MCUCXR_0001_0.png", np.dstack([lung("left"), lung("right"), lung("left")]))
    (top / "CXR_png" / "notes.doc").write_text("x")
    dataset = load_dataset("chest_xray", tmp_path)
    table = dataset.check(False)
    found = problems(table)
    folder = "Lung Segmentation"
    assert "has no lung mask" in found[f"{folder}/CXR_png/CHNCXR_0001_0.png"]
    assert "without its image" in found[f"{folder}/masks/CHNCXR_0002_0_mask.png"]
    assert (
        "holds areas of the value 7; only 0 and 255 (lung)" in found[f"{folder}/masks/CHNCXR_0003_0_mask.png"]
    )
    assert "is 50x50 pixels but its image" in found[f"{folder}/masks/CHNCXR_0004_0_mask.png"]
    assert "cannot be read" in found[f"{folder}/masks/CHNCXR_0330_1_mask.png"]
    assert "is in colour" in found[f"{folder}/masks/MCUCXR_0001_0.png"]
    assert len(found) == 6
    assert table.attrs["summary"]["usable"] == 1
    assert problems(table, "note")[f"{folder}/CXR_png/notes.doc"] == "is not a PNG file: not read."
    with pytest.raises(DataError, match="has no lung mask"):
        dataset.load("CHNCXR_0001_0")


def test_renamed_folders_are_named_with_what_is_there(tmp_path):
    top = write_bundle(tmp_path)
    (top / "masks").rename(top / "mask")
    found = problems(load_dataset("chest_xray", tmp_path).check(False))
    assert found["Lung Segmentation/masks"] == "is missing; there is 'mask'."
    assert found["Lung Segmentation/CXR_png/MCUCXR_0001_0.png"].endswith(
        "is missing or empty; there is 'mask'."
    )
    (top / "mask").rename(top / "masks")
    (top / "CXR_png").rename(top / "CXR_pngs")
    found = problems(load_dataset("chest_xray", tmp_path).check(False))
    assert found["Lung Segmentation/CXR_png"] == "is missing; there is 'CXR_pngs'."
    assert len(found) == 5


def test_montgomery_unites_left_and_right(tmp_path):
    write_montgomery(tmp_path)
    dataset = load_dataset("chest_xray", tmp_path)
    assert dataset.options_text == "source=nlm"
    assert dataset.load("MCUCXR_0001_0").labels["lungs"].sum() == 1050
    assert not problems(dataset.check(False))


def test_sixteen_bits_are_windowed(tmp_path):
    top = write_montgomery(tmp_path, 1)
    values = radiograph().astype(np.uint16) * 16
    save(top / "CXR_png" / "MCUCXR_0001_0.png", Image.fromarray(values))
    image = load_dataset("chest_xray", tmp_path).load("MCUCXR_0001_0").image
    assert image.dtype == np.uint8
    assert image.max() == 255
    assert image.min() == 0


def test_swapped_sides_are_named_but_do_not_change_the_union(tmp_path):
    top = write_montgomery(tmp_path)
    for side, other in (("left", "right"), ("right", "left")):
        save(top / "ManualMask" / f"{side}Mask" / "MCUCXR_0003_0.png", lung(other))
    dataset = load_dataset("chest_xray", tmp_path)
    table = dataset.check(False)
    assert table.attrs["summary"]["usable"] == 4
    (file,) = problems(table)
    assert file == "MontgomerySet/ManualMask/leftMask/MCUCXR_0003_0.png"
    assert "leftMask of 3 other images lies in the left: left and right are swapped" in problems(table)[file]
    assert dataset.load("MCUCXR_0003_0").labels["lungs"].sum() == 1050


def test_one_lung_twice_and_a_missing_side_are_errors(tmp_path):
    top = write_montgomery(tmp_path)
    manual = top / "ManualMask"
    shutil.copy(manual / "leftMask" / "MCUCXR_0001_0.png", manual / "rightMask" / "MCUCXR_0001_0.png")
    (manual / "rightMask" / "MCUCXR_0002_0.png").unlink()
    save(manual / "leftMask" / "MCUCXR_0003_0.png", lung("left")[:50])
    found = problems(load_dataset("chest_xray", tmp_path).check(False))
    assert (
        "covers the same lung as leftMask/" in found["MontgomerySet/ManualMask/rightMask/MCUCXR_0001_0.png"]
    )
    assert "has no lung mask in ManualMask/rightMask" in found["MontgomerySet/CXR_png/MCUCXR_0002_0.png"]
    assert "is 50x50 pixels" in found["MontgomerySet/ManualMask/leftMask/MCUCXR_0003_0.png"]
    assert len(found) == 3


def test_shenzhen_of_nlm_needs_masks_from_elsewhere(tmp_path):
    write_montgomery(tmp_path, 1)
    save(tmp_path / "ChinaSet_AllFiles" / "CXR_png" / "CHNCXR_0001_0.png", radiograph())
    save(tmp_path / "ChinaSet_AllFiles" / "CXR_png" / "CHNCXR_0025_0.png", radiograph())
    dataset = load_dataset("chest_xray", tmp_path)
    assert dataset.ids("all") == ["MCUCXR_0001_0"]
    assert (
        "NLM publishes no masks for Shenzhen"
        in problems(dataset.check(False), "missing")["ChinaSet_AllFiles"]
    )
    save(tmp_path / "mask" / "mask" / "CHNCXR_0001_0_mask.png", lung("left") | lung("right"))
    dataset = load_dataset("chest_xray", tmp_path)
    assert set(dataset.ids("all")) == {"CHNCXR_0001_0", "MCUCXR_0001_0"}
    assert dataset.load("CHNCXR_0001_0").labels["lungs"].sum() == 1050


def test_shenzhen_alone_says_why_nothing_can_be_used(tmp_path):
    save(tmp_path / "ChinaSet_AllFiles" / "CXR_png" / "CHNCXR_0001_0.png", radiograph())
    with pytest.raises(StudyError, match=r"no image of chest_xray can be used: .*NLM publishes no masks"):
        load_dataset("chest_xray", tmp_path)


def test_a_second_mask_is_named(tmp_path):
    top = write_bundle(tmp_path)
    save(top / "masks" / "MCUCXR_0001_0_mask.png", lung("left"))
    found = problems(load_dataset("chest_xray", tmp_path).check(False))
    assert found == {
        "Lung Segmentation/masks/MCUCXR_0001_0_mask.png": "is a second mask of the image of MCUCXR_0001_0.png."
    }


def test_source_is_chosen_and_checked(tmp_path):
    write_bundle(tmp_path)
    write_montgomery(tmp_path)
    assert load_dataset("chest_xray", tmp_path).options["source"] == "kaggle"
    dataset = load_dataset("chest_xray", tmp_path, source="nlm")
    assert dataset.ids("all") == [f"MCUCXR_{n:04d}_0" for n in range(1, 5)]
    assert problems(dataset.check(False), "note")["Lung Segmentation"] == "is not read: source=nlm."
    with pytest.raises(StudyError, match="unknown source of chest_xray 'kagle'; did you mean 'kaggle'"):
        load_dataset("chest_xray", tmp_path, source="kagle")
    with pytest.raises(StudyError, match=r"looked for CXR_png .* needs a Kaggle account"):
        load_dataset("chest_xray", tmp_path / "nowhere")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    return write_phantom("chest_xray", tmp_path_factory.mktemp("phantom"), {"all": 4})


def test_phantom_is_read_by_the_loader(phantom):
    dataset = load_dataset("phantom_chest_xray", phantom)
    table = dataset.check(False)
    assert not (table["level"] == "error").any()
    assert "has no mask of 2 images" in " ".join(table["problem"])
    assert len(dataset) == 4
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        grey, lungs = sample.image.mean(axis=2), sample.labels["lungs"]
        assert 0.12 < lungs.mean() < 0.45
        assert not lungs[-1].any()
        # beside the lungs, at their height, are heart and chest wall
        rows = lungs.any(axis=1)
        assert grey[lungs].mean() + 25 < grey[rows][:, grey.shape[1] // 2 - 8 :][:, :16].mean()


def test_phantom_cases_do_not_depend_on_the_counts(phantom, tmp_path):
    write_phantom("chest_xray", tmp_path, {"all": 1})
    for path in tmp_path.rglob("*.png"):
        assert path.read_bytes() == (phantom / path.relative_to(tmp_path)).read_bytes()
    assert load_phantom("chest_xray").n_images == sum(load_phantom("chest_xray").counts.values())
    with pytest.raises(StudyError, match="at most 104 cases"):
        write_phantom("chest_xray", tmp_path, {"all": 500})


def test_real_samples(samples_dir):
    root = samples_dir / "ChestXrayMasksAndLabels"
    if not root.is_dir():
        pytest.skip("no chest radiographs among the samples")
    dataset = load_dataset("chest_xray", root)
    assert len(dataset) == 12
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        grey, lungs = sample.image.mean(axis=2), sample.labels["lungs"]
        middle = grey[lungs.any(axis=1)][:, 236:276]
        assert grey[lungs].mean() + 25 < middle.mean()
        assert 0.15 < lungs.mean() < 0.45
