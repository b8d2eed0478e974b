"""ISIC challenge: the three releases, their parts and suffixes, damaged copies, downloads, and the phantom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_files import problems
from PIL import Image
from scipy.ndimage import binary_dilation

from samstudy.datasets import DATASETS, load_dataset
from samstudy.datasets.isic import RELEASES
from samstudy.errors import DataError, StudyError
from samstudy.phantoms import write_phantom
from samstudy.phantoms.base import load_phantom

FOLDERS = {
    2016: {
        "train": ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
        "test": ("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth"),
    },
    2017: {
        "train": ("ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"),
        "val": ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth"),
        "test": ("ISIC-2017_Test_v2_Data", "ISIC-2017_Test_v2_Part1_GroundTruth"),
    },
    2018: {
        "train": ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),
        "val": ("ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1_Validation_GroundTruth"),
        "test": ("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth"),
    },
}
FIRST = {"train": 0, "val": 500, "test": 800}


def lesion() -> np.ndarray:
    mask = np.zeros((30, 40), np.uint8)
    mask[8:20, 10:30] = 255
    return mask


def picture() -> np.ndarray:
    skin = np.full((30, 40, 3), (220, 180, 160), np.uint8)
    skin[lesion() > 0] = (110, 70, 50)
    return skin


def save(path: Path, values: np.ndarray, **options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)
    return path


def write_release(
    root: Path, year: int, count: int = 2, parts: tuple[str, ...] = ("train", "val", "test")
) -> Path:
    for part, (images, masks) in FOLDERS[year].items():
        for number in range(FIRST[part], FIRST[part] + count) if part in parts else ():
            save(root / images / f"ISIC_{number:07d}.jpg", picture(), quality=98)
            suffix = "_Segmentation" if year == 2016 else "_segmentation"
            save(root / masks / f"ISIC_{number:07d}{suffix}.png", lesion())
            if year == 2017:
                save(root / images / f"ISIC_{number:07d}_superpixels.png", picture())
    return root


@pytest.mark.parametrize("year", RELEASES)
def test_each_release_is_read_with_its_parts(tmp_path, year):
    dataset = load_dataset("isic", write_release(tmp_path, year))
    assert dataset.options_text == f"release={year}"
    assert dataset.ids("test") == ["ISIC_0000800", "ISIC_0000801"]
    assert len(dataset) == 2 * len(FOLDERS[year])
    if year != 2016:
        assert dataset.ids("val") == ["ISIC_0000500", "ISIC_0000501"]
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        assert list(sample.labels) == ["lesion"]
        assert (sample.labels["lesion"] == (lesion() > 0)).all()
        assert sample.group_id == image_id
    table = dataset.check(False)
    wanted = RELEASES[year].counts["test"]
    assert f"holds 2 test images; the official release has {wanted}." in set(table["problem"])
    assert not (table["level"] == "error").any()


def test_2016_gets_its_validation_part_from_training_images(tmp_path):
    dataset = load_dataset("isic", write_release(tmp_path, 2016, count=40))
    assert 2 <= len(dataset.ids("val")) <= 16
    assert len(dataset.ids("val")) + len(dataset.ids("train")) == len(dataset.ids("test")) == 40
    fewer = load_dataset("isic", write_release(tmp_path / "few", 2016, count=10))
    assert all(fewer.split_of(i) == dataset.split_of(i) for i in fewer.ids("all"))


def test_releases_are_not_mixed(tmp_path):
    write_release(tmp_path, 2016)
    write_release(tmp_path, 2017)
    dataset = load_dataset("isic", tmp_path)
    assert dataset.options["release"] == 2017
    assert len(dataset) == 6
    notes = problems(dataset.check(False), "note")
    assert notes == {
        ".": "holds the release 2016 too; not read, since releases share images (release=2016 reads it)."
    }
    assert len(load_dataset("isic", tmp_path, release="2016")) == 4
    with pytest.raises(StudyError, match=r"holds the release 2017, 2016 of isic, not 2018\. How to get them"):
        load_dataset("isic", tmp_path, release=2018)
    with pytest.raises(StudyError, match="unknown release of isic '2019'"):
        load_dataset("isic", tmp_path, release=2019)


def test_folders_may_be_nested_and_in_other_capitals(tmp_path):
    root = write_release(tmp_path / "a" / "b", 2017)
    for images, masks in FOLDERS[2017].values():
        outer = root / masks.upper()
        (root / masks).rename(root / "aside")
        outer.mkdir()
        (root / "aside").rename(outer / masks)
        (root / images).rename(root / images.lower())
    dataset = load_dataset("isic", tmp_path)
    assert len(dataset) == 6
    assert not problems(dataset.check(False))


def test_a_part_alone_is_read(tmp_path):
    dataset = load_dataset("isic", write_release(tmp_path, 2017, parts=("val",)))
    assert dataset.ids() == dataset.ids("all") == ["ISIC_0000500", "ISIC_0000501"]
    assert "holds 0 train images; the official release has 2000." in set(dataset.check(False)["problem"])


def test_damaged_copy_names_each_file_and_keeps_the_rest(tmp_path):
    root = write_release(tmp_path, 2018, count=7, parts=("train",))
    images, masks = (root / name for name in FOLDERS[2018]["train"])
    (masks / "ISIC_0000000_segmentation.png").unlink()
    (images / "ISIC_0000001.jpg").unlink()
    save(masks / "ISIC_0000002_segmentation.png", lesion() // 255 * 100)
    save(masks / "ISIC_0000003_segmentation.png", lesion()[:, :35])
    whole = (images / "ISIC_0000004.jpg").read_bytes()
    (images / "ISIC_0000004.jpg").write_bytes(whole[: len(whole) // 3])
    save(masks / "ISIC_0000005_segmentation.png", np.zeros((30, 40), np.uint8))
    save(images / "ISIC_0000006_superpixels.png", picture())
    (images / "ISIC_0000000.jpg.part").write_bytes(b"")
    (images / "LICENSE.txt").write_text("terms")
    dataset = load_dataset("isic", root)
    table = dataset.check(False)
    image, mask = FOLDERS[2018]["train"]
    found = problems(table)
    assert "has no lesion mask" in found[f"{image}/ISIC_0000000.jpg"]
    assert "is a lesion mask without its image" in found[f"{mask}/ISIC_0000001_segmentation.png"]
    assert "areas of the value 100; only 0 and 255 (lesion)" in found[f"{mask}/ISIC_0000002_segmentation.png"]
    assert "is 35x30 pixels but its image" in found[f"{mask}/ISIC_0000003_segmentation.png"]
    assert "cannot be read" in found[f"{image}/ISIC_0000004.jpg"]
    assert len(found) == 5
    notes = problems(table, "note")
    assert notes == {
        f"{mask}/ISIC_0000005_segmentation.png": "is empty: no pixel is lesion.",
        f"{image}/ISIC_0000000.jpg.part": "is not understood, *.jpg is expected here: not read.",
    }
    assert table.attrs["summary"]["usable"] == 2
    assert table.attrs["summary"]["empty_masks"] == {"lesion": 1}
    with pytest.raises(DataError, match="has no lesion mask"):
        dataset.load("ISIC_0000000")
    assert dataset.load("ISIC_0000006").labels["lesion"].any()


def test_renamed_folders_are_named_with_what_is_there(tmp_path):
    root = write_release(tmp_path, 2017)
    (root / "ISIC-2017_Test_v2_Part1_GroundTruth").rename(root / "ISIC-2017_Test_v2_Part1_GroundTruths")
    (root / "ISIC-2017_Validation_Data").rename(root / "ISIC-2017_Validation_Dat")
    found = problems(load_dataset("isic", root).check(False))
    there = "there is 'ISIC-2017_Test_v2_Part1_GroundTruths'"
    assert there in found["ISIC-2017_Test_v2_Part1_GroundTruth"]
    assert there in found["ISIC-2017_Test_v2_Data/ISIC_0000800.jpg"]
    assert "there is 'ISIC-2017_Validation_Dat'" in found["ISIC-2017_Validation_Data"]
    for name in ("ISIC-2017_Test_v2_Part1_GroundTruths", "ISIC-2017_Validation_Dat"):
        assert "is it the folder" in found[name]
    assert len(found) == 8


def test_missing_files_say_what_was_expected(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(
        StudyError, match=r"holds pictures; looked for ISIC2018_Task1-2_Training_Input or .*fetch isic"
    ):
        load_dataset("isic", tmp_path)
    (tmp_path / "ISIC-2017_Training_Data").mkdir()
    with pytest.raises(StudyError, match="holds no image of isic"):
        load_dataset("isic", tmp_path)


def test_downloads_are_the_newest_release():
    files = DATASETS["isic"].info.downloads
    newest = max(RELEASES)
    assert {f.file_name.removesuffix(".zip") for f in files} == set(RELEASES[newest].landmarks)
    assert all(f.url.endswith(f"/{newest}/{f.file_name}") for f in files)
    assert all(len(f.checksum.removeprefix("sha256:")) == 64 for f in files)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    return write_phantom("isic", tmp_path_factory.mktemp("phantom"), {"train": 2, "val": 1, "test": 3})


def test_phantom_is_read_by_the_loader(phantom):
    dataset = load_dataset("phantom_isic", phantom)
    assert [len(dataset.ids(part)) for part in ("train", "val", "test")] == [2, 1, 3]
    assert dataset.options_text == "release=2017"
    assert not len(dataset.check(False))
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        height, width = sample.size_hw
        assert 4 * height == 3 * width
        mask = sample.labels["lesion"]
        assert 0.02 < mask.mean() < 0.95
        # a lesion is darker in blue than the skin around it, whatever the tone
        ring = _ring(mask)
        assert sample.image[mask][:, 2].mean() + 5 < np.median(sample.image[ring][:, 2])


def _ring(mask: np.ndarray) -> np.ndarray:
    return binary_dilation(mask, iterations=40) & ~binary_dilation(mask, iterations=12)


def test_phantom_cases_do_not_depend_on_the_counts(phantom, tmp_path):
    write_phantom("isic", tmp_path, {"test": 1})
    files = list(tmp_path.rglob("*.*g"))
    assert len(files) == 3
    assert all(path.read_bytes() == (phantom / path.relative_to(tmp_path)).read_bytes() for path in files)
    assert load_phantom("isic").n_images == sum(load_phantom("isic").counts.values())


def test_real_samples(samples_dir):
    root = samples_dir / "ISIC2017"
    if not root.is_dir():
        pytest.skip("no dermoscopic images among the samples")
    dataset = load_dataset("isic", root)
    assert len(dataset) == len(dataset.ids("val")) == 8
    shares = []
    for image_id in dataset.ids("all")[:3]:
        sample = dataset.load(image_id)
        mask = sample.labels["lesion"]
        shares.append(mask.mean())
        assert sample.image[mask][:, 2].mean() + 5 < sample.image[~mask][:, 2].mean()
    assert max(shares) > 0.9
