"""Volumes and DICOM slices in a folder of one's own, and folders made of real samples."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from drawn_files import pixels, problems, write_dicom, write_volumes
from PIL import Image

from samstudy.datasets import load_dataset
from samstudy.errors import DataError


def test_volumes_give_a_sample_for_each_labelled_slice(tmp_path):
    values = np.random.default_rng(0).normal(500, 100, (6, 8, 5)).astype(np.float32)
    labels = np.zeros((6, 8, 5), np.uint8)
    labels[1:3, 2:5, 1:4] = 1
    labels[4, 4, 3] = 2
    write_volumes(tmp_path, "case.1", values, labels)
    write_volumes(tmp_path, "empty", values, np.zeros_like(labels))
    write_volumes(tmp_path, "short", values, labels)
    nib.save(nib.Nifti1Image(labels[..., :3], np.eye(4)), tmp_path / "masks" / "short.nii.gz")
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.ids() == ["case.1_z001", "case.1_z002", "case.1_z003", "empty", "short"]
    assert {dataset.group_of(i) for i in dataset.ids()[:3]} == {"case.1"}
    sample = dataset.load("case.1_z003")
    assert pixels(sample) == {"label_1": 6, "label_2": 1}
    assert (sample.size_hw, sample.spacing_mm) == ((8, 6), (3.0, 2.0))
    assert pixels(dataset.load("case.1_z001")) == {"label_1": 6}
    assert (dataset.info.group_noun, dataset.info.distance_unit) == ("volume", "mm")
    found = problems(dataset.check(progress=False))
    assert found["masks/empty.nii.gz"] == "has no labelled voxel: nothing to score."
    assert "has 8x6x3 voxels but its image short.nii.gz has 8x6x5" in found["masks/short.nii.gz"]


def test_nan_and_negative_values_in_volumes_and_a_shifted_mask(tmp_path):
    values = np.full((6, 8, 2), -1000.0, np.float32)
    values[2:4, 2:6] = 60
    values[0, 0, 0] = np.nan
    labels = (values == 60).astype(np.int16)
    write_volumes(tmp_path, "ct", values, labels)
    nib.save(nib.Nifti1Image(labels, np.diag([2.0, 3.0, 6.0, 1.0])), tmp_path / "masks" / "ct.nii.gz")
    dataset = load_dataset(f"folder:{tmp_path}")
    sample = dataset.load("ct_z000")
    assert sample.image[sample.labels["mask"]].min() == sample.image.max() == 140
    notes = "; ".join(dataset.check(progress=False)["problem"])
    assert "has 1 NaN or infinite values" in notes
    assert "matrix that differs from that of images/ct.nii.gz by up to 1;" in notes


def test_a_volume_needs_a_volume_as_its_mask(tmp_path, disc):
    write_volumes(tmp_path, "a", np.zeros((4, 4, 3), np.int16), np.ones((4, 4, 3), np.int16))
    (tmp_path / "masks" / "a.nii.gz").unlink()
    Image.fromarray(disc).save(tmp_path / "masks" / "a.png")
    with pytest.raises(DataError, match=r"masks/a\.png is no mask for the volume images/a\.nii\.gz"):
        load_dataset(f"folder:{tmp_path}").load("a")


def test_splits_may_name_a_whole_volume(tmp_path):
    labels = np.ones((4, 4, 2), np.uint8)
    for stem in ("a", "b"):
        write_volumes(tmp_path, stem, labels * 9, labels)
    (tmp_path / "splits.csv").write_text("image_id,split\na,train\nb,test\n")
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.ids("train") == ["a_z000", "a_z001"]
    assert dataset.group_of("b_z001") == "b"


def test_dicom_slices_group_by_hashed_patient(tmp_path, disc):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    patients = {"a": "Doe^Jane", "b": "Doe^Jane", "c": "ANONYMOUS"}
    for name, patient in patients.items():
        stored = np.where(disc > 0, 1100, 0).astype(np.int16)
        write_dicom(
            tmp_path / "images" / f"{name}.dcm",
            stored,
            RescaleSlope=1,
            RescaleIntercept=-1000,
            PixelSpacing=[0.5, 0.5],
            PatientID=patient,
        )
        Image.fromarray(disc).save(tmp_path / "masks" / f"{name}.png")
    dataset = load_dataset(f"folder:{tmp_path}")
    assert dataset.group_of("a") == dataset.group_of("b") != dataset.group_of("c") == "c"
    assert "Doe" not in dataset.group_of("a")
    sample = dataset.load("a")
    assert sample.spacing_mm == (0.5, 0.5)
    assert sample.image[sample.labels["mask"]].min() == 166
    assert sample.image[~sample.labels["mask"]].max() == 0


def link(root, pairs):
    """Link (image, mask) files of the samples into a folder; masks given as {name: file}."""
    for image, masks in pairs:
        for folder, files in (("images", image), ("masks", masks)):
            for name, file in files.items():
                path = root / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(file)
    return load_dataset(f"folder:{root}")


def test_real_chest_radiographs(samples_dir, tmp_path):
    base = samples_dir / "ChestXrayMasksAndLabels" / "Lung Segmentation"
    images, masks = ({p.name: p for p in sorted((base / d).glob("*.png"))} for d in ("CXR_png", "masks"))
    dataset = link(tmp_path, [(images, masks)])
    table = dataset.check(progress=False)
    assert problems(table) == {}
    assert table.attrs["summary"]["objects"] == {"mask": len(images)}
    fractions = [dataset.load(i).labels["mask"].mean() for i in dataset.ids()]
    assert 0.1 < min(fractions) < max(fractions) < 0.5


def test_real_ct_slices_and_nuclei(samples_dir, tmp_path):
    ct = samples_dir / "CHAOS" / "Data_3D"
    images = {f"{p.name[2:5]}.dcm": p for p in ct.glob("DICOM_anon/*.dcm")}
    liver = {f"{p.stem[-3:]}_liver.png": p for p in ct.glob("Ground/*.png")}
    dataset = link(tmp_path / "ct", [(images, liver)])
    sample = dataset.load(dataset.ids()[4])
    inside = sample.image[sample.labels["liver"]].mean()
    assert 140 < inside < 230
    nuclei = samples_dir / "DSB2018" / "stage1_train"
    images = {p.name: p for p in nuclei.glob("*/images/*.png")}
    masks = {f"{p.parts[-3]}/{p.name}": p for p in nuclei.glob("*/masks/*.png")}
    dataset = link(tmp_path / "dsb", [(images, masks)])
    assert sum(len(dataset.load(i).labels) for i in dataset.ids()) == len(masks)


def test_real_hippocampus_volumes(samples_dir, tmp_path):
    base = samples_dir / "MSD_Task04_Hippocampus"
    images, masks = (
        {p.name: p for p in sorted((base / d).glob("*.nii.gz"))} for d in ("imagesTr", "labelsTr")
    )
    (tmp_path / "images").mkdir()
    (tmp_path / "labels.json").write_text(json.dumps({"1": "anterior", "2": "posterior"}))
    dataset = link(tmp_path, [(images, masks)])
    assert dataset.info.targets == ("anterior", "posterior")
    assert len({dataset.group_of(i) for i in dataset.ids()}) == len(images)
    assert set(dataset.check(progress=False).attrs["summary"]["objects"]) == {"anterior", "posterior"}
