"""AMOS22: slices, codes, sides and splits on small drawn volumes, broken copies, and the phantom."""

from __future__ import annotations

import gzip
import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
from drawn_files import pixels, problems

from samstudy.bootstrap import MIN_GROUPS
from samstudy.datasets import load_dataset, slice_areas
from samstudy.datasets.amos import TARGETS, choose_slices, modality_of
from samstudy.datasets.slice_areas import SliceAreas
from samstudy.errors import DataError, StudyError
from samstudy.phantoms import write_phantom
from samstudy.phantoms.base import load_phantom

# stored left-anterior-superior, 2 mm x 3 mm pixels, slices of 5 mm
AFFINE = np.diag([-2.0, 3.0, 5.0, 1.0])
CODE = {name: code for code, name in enumerate(TARGETS, 1)}
TRAIN, VALIDATION = "amos_0004", "amos_0002"


def draw_labels():
    """R x A x S: liver and right kidney on the person's right, spleen and left kidney on the left."""
    labels = np.zeros((40, 30, 5), np.uint8)
    labels[4:16, 15:27, 2] = CODE["liver"]
    labels[4:12, 15:27, 3] = CODE["liver"]
    labels[30:36, 16:22, 3] = CODE["spleen"]
    labels[10:14, 6:10, 1] = CODE["right_kidney"]
    labels[26:30, 6:10, 1:3] = CODE["left_kidney"]
    labels[20, 12, 1] = CODE["aorta"]
    return labels


def draw_image(labels, mri=False):
    air, body = (0, 100) if mri else (-1000, 40)
    values = np.full(labels.shape, air, np.int16)
    values[2:-2, 3:-3] = body
    return values + labels.astype(np.int16) * 5


def write(path, values, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def rewrite(path, change, affine=AFFINE):
    """Change the voxels of a volume."""
    return write(path, change(np.asanyarray(nib.load(path).dataobj).copy()), affine)


@pytest.fixture
def home(tmp_path):
    """An archive of three cases as it unpacks: two of training (CT, MRI), one of validation."""
    for case, part in ((TRAIN, "Tr"), ("amos_0510", "Tr"), (VALIDATION, "Va")):
        labels = draw_labels()
        write(tmp_path / f"amos22/labels{part}/{case}.nii.gz", labels)
        write(tmp_path / f"amos22/images{part}/{case}.nii.gz", draw_image(labels, mri=case >= "amos_05"))
    return tmp_path / "amos22"


def errors(root):
    """Check a broken copy: errors by file, and that the cases without one are still read."""
    dataset = load_dataset("amos", root)
    found = problems(dataset.check(progress=False))
    assert dataset.load(f"{VALIDATION}_z002").labels
    return found


def test_slices_are_those_where_an_organ_is_largest(home):
    dataset = load_dataset("amos", home)
    assert dataset.ids("train") == [f"{case}_z00{k}" for case in (TRAIN, "amos_0510") for k in (1, 2, 3)]
    assert dataset.ids("test") == dataset.ids() == [f"{VALIDATION}_z00{k}" for k in (1, 2, 3)]
    assert dataset.group_of(f"{TRAIN}_z002") == TRAIN
    assert dataset.options_text == "slices=largest min_area_mm2=25 modality=both"


def test_codes_sides_and_spacing(home):
    sample = load_dataset("amos", home).load(f"{TRAIN}_z002")
    assert pixels(sample) == {"left_kidney": 16, "liver": 144}
    assert sample.spacing_mm == (3.0, 2.0)
    assert sample.modality == "CT"
    rows, columns = np.nonzero(sample.labels["liver"])
    # anterior up, the person's right on the left
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 14, 4, 15)
    inside = sample.image[..., 0][sample.labels["liver"]]
    # 40 + 6 * 5 = 70 HU in the window of -160 to 240
    assert np.unique(inside).tolist() == [round(230 / 400 * 255)]
    assert sample.image[0, 0].tolist() == [0, 0, 0]


def test_orientation_follows_the_affine(home):
    before = load_dataset("amos", home).load(f"{TRAIN}_z002")
    flipped = np.diag([-2.0, -3.0, 5.0, 1.0])
    flipped[1, 3] = 29 * 3
    for folder in ("imagesTr", "labelsTr"):
        rewrite(home / folder / f"{TRAIN}.nii.gz", lambda v: v[:, ::-1], flipped)
    after = load_dataset("amos", home).load(f"{TRAIN}_z002")
    assert after.content_sha() == before.content_sha()


def test_mri_window_is_of_the_non_zero_voxels(home):
    values = np.zeros((40, 30, 5), np.int16)
    values[5:35, 5:25] = np.linspace(1000, 2000, 600, dtype=np.int16).reshape(30, 20, 1)
    write(home / "imagesTr/amos_0510.nii.gz", values)
    dataset = load_dataset("amos", home, modality="mri")
    sample = dataset.load("amos_0510_z002")
    assert len(dataset) == 3
    assert sample.modality == "MRI"
    shown = sample.image[..., 0][values[::1, ::-1, 2].T > 0]
    low, high = np.percentile(values[values > 0], (0.5, 99.5))
    darkest = round((1100 - low) / (high - low) * 255)
    assert (shown.min(), shown.max()) == (0, 255)
    assert np.abs(np.quantile(shown, 0.1) - darkest) <= 1


@pytest.mark.parametrize(("number", "modality"), [(1, "CT"), (499, "CT"), (500, "MRI"), (600, "MRI")])
def test_modality_by_case_number(number, modality):
    assert modality_of(number) == modality


def test_small_sections_are_left_out_and_counted(home):
    dataset = load_dataset("amos", home)
    assert "aorta" not in dataset.load(f"{TRAIN}_z001").labels
    notes = problems(dataset.check(progress=False), "note")
    assert notes["."].startswith("has 3 organ sections of less than 25 mm2")
    assert pixels(load_dataset("amos", home, min_area_mm2=0).load(f"{TRAIN}_z001"))["aorta"] == 1


def test_choose_slices():
    areas = np.zeros((12, 3))
    areas[[3, 4], 1] = 50, 50
    areas[[7, 10], 2] = 20, 90
    assert choose_slices(areas, "largest", 25) == ([3, 10], 0)
    assert choose_slices(areas, "largest", 60) == ([10], 0)
    assert choose_slices(areas, "every2", 25) == ([4, 10], 0)
    assert choose_slices(areas[:9], "every1", 25) == ([3, 4], 0)
    assert choose_slices(np.zeros((5, 3)), "largest", 0) == ([], 0)


def test_every_nth_slice(home):
    ids = load_dataset("amos", home, slices="every2").ids("test")
    assert ids == [f"{VALIDATION}_z002"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"slices": "biggest"}, "slices is 'biggest'; use 'largest', or 'every10'"),
        ({"slices": "every0"}, "every0"),
        ({"modality": "mr"}, "did you mean 'mri'"),
        ({"min_area_mm2": -1}, "min_area_mm2 is -1"),
    ],
)
def test_wrong_options_are_named(home, options, words):
    with pytest.raises(StudyError, match=words):
        load_dataset("amos", home, **options)


def test_extra_nesting_capitals_and_rubbish(home):
    whole = load_dataset("amos", home).ids("all")
    (home / "imagesTr").rename(home / "ImagesTR")
    (home / "ImagesTR" / f"{TRAIN}.nii.gz").rename(home / "ImagesTR" / f"{TRAIN.upper()}.NII.GZ")
    (home / "imagesVa" / "._amos_0002.nii.gz").write_bytes(b"\x00")
    (home / "imagesVa" / "notes.txt").write_text("hello")
    write(home.parent / "__MACOSX/amos22/imagesTr/amos_0099.nii.gz", draw_labels())
    dataset = load_dataset("amos", home.parent)
    assert dataset.ids("all") == whole
    notes = problems(dataset.check(progress=False), "note")
    assert notes["imagesVa/notes.txt"] == "is not understood; a name like amos_0001.nii.gz is expected."


def test_counts_against_the_release(home):
    write(home / "imagesTs/amos_0003.nii.gz", draw_image(draw_labels()))
    table = load_dataset("amos", home).check(progress=False)
    missing = table[table["level"] == "missing"]["problem"].tolist()
    assert missing == [
        "holds 2 train cases; the official release has 240.",
        "holds 1 test cases; the official release has 120.",
    ]
    assert "1 volumes whose labels are not public" in problems(table, "note")["imagesTs"]
    assert problems(table) == {}


def change(code, other):
    def exchange(labels):
        first, second = labels == CODE[code], labels == CODE[other]
        labels[first], labels[second] = CODE[other], CODE[code]
        return labels

    return exchange


def replaced(value, dtype=np.float32):
    def put(labels):
        labels = labels.astype(dtype)
        labels[0, 0, 0] = value
        return labels

    return put


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (replaced(16, np.uint8), "holds the wrong code 16; whole numbers from 0 to 15 are expected."),
        (replaced(-2), "holds the wrong code -2;"),
        (replaced(0.5), "holds the wrong code 0.5;"),
        (replaced(np.nan), "holds the wrong code nan;"),
        (change("right_kidney", "left_kidney"), "right kidney 32 mm to the left of the left kidney by its affine"),
        (lambda labels: labels[::-1], "has the liver"),
        (lambda labels: labels[:-4], "is 36x30x5 voxels but its image imagesTr/amos_0004.nii.gz is 40x30x5"),
        (lambda labels: labels[..., :4], "is 40x30x4 voxels"),
    ],
)  # fmt: skip
def test_faulty_labels_are_named_with_their_file(home, fault, words):
    rewrite(home / f"labelsTr/{TRAIN}.nii.gz", fault)
    found = errors(home)
    assert list(found) == [f"labelsTr/{TRAIN}.nii.gz"]
    assert words in next(iter(found.values()))
    with pytest.raises(DataError, match=f"labelsTr/{TRAIN}"):
        dataset = load_dataset("amos", home)
        dataset.load(next(i for i in dataset.ids("train") if i.startswith(TRAIN)))


def test_labels_elsewhere_in_the_world(home):
    moved = AFFINE.copy()
    moved[0, 3] = 30
    rewrite(home / f"labelsTr/{TRAIN}.nii.gz", lambda v: v, moved)
    assert "lies up to 30.0 mm away from its image" in errors(home)[f"labelsTr/{TRAIN}.nii.gz"]
    moved[0, 3] = 0.4
    rewrite(home / f"labelsTr/{TRAIN}.nii.gz", lambda v: v, moved)
    table = load_dataset("amos", home).check(progress=False)
    assert problems(table) == {}
    assert "voxel-to-world matrix that differs" in problems(table, "note")[f"labelsTr/{TRAIN}.nii.gz"]


@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_a_file_cut_short(home, folder):
    path = home / folder / f"{TRAIN}.nii.gz"
    noise = np.random.default_rng(0).integers(0, 2, (40, 30, 5), dtype=np.uint8) * CODE["liver"]
    write(path, noise if folder == "labelsTr" else draw_image(noise))
    path.write_bytes(path.read_bytes()[:-200])
    assert "copy it again if it was cut short" in errors(home)[f"{folder}/{TRAIN}.nii.gz"]


def test_missing_partners(home):
    (home / f"labelsTr/{TRAIN}.nii.gz").unlink()
    (home / "imagesTr/amos_0510.nii.gz").unlink()
    assert errors(home) == {
        f"imagesTr/{TRAIN}.nii.gz": f"has no label: labelsTr/{TRAIN}.nii.gz is not there.",
        "labelsTr/amos_0510.nii.gz": "has no image: imagesTr/amos_0510.nii.gz is not there.",
    }


def test_a_renamed_folder(home):
    (home / "labelsTr").rename(home / "label_Tr")
    found = errors(home)
    assert found[f"imagesTr/{TRAIN}.nii.gz"] == (
        "has no label: the folder labelsTr is not there; there is 'label_Tr'."
    )
    assert found["label_Tr"].endswith("(is it labelsTr renamed?).")


def test_nothing_there(tmp_path):
    with pytest.raises(StudyError, match="looked for imagesTr or imagesVa or labelsTr or labelsVa"):
        load_dataset("amos", tmp_path)


def test_label_volumes_are_read_once(home, monkeypatch):
    first = load_dataset("amos", home).ids("all")

    def refuse(path):
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(slice_areas, "read_nifti", refuse)
    assert load_dataset("amos", home).ids("all") == first
    rewrite(home / f"labelsTr/{TRAIN}.nii.gz", replaced(16, np.uint8))
    with pytest.raises(AssertionError, match="read again"):
        load_dataset("amos", home)


def test_slice_areas(home):
    areas = slice_areas.slice_areas(home / f"labelsTr/{TRAIN}.nii.gz", len(TARGETS))
    assert isinstance(areas, SliceAreas)
    assert areas.areas_mm2[2, CODE["liver"]] == 144 * 6
    assert areas.centre_mm[CODE["spleen"]] == pytest.approx(2 * 32.5)
    assert areas.centre_mm[CODE["bladder"]] is None


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Two training cases, of which the second shows the pelvis, one of validation, one without labels."""
    return write_phantom("amos", tmp_path_factory.mktemp("amos"), {"train": 3, "val": 1, "test": 1})


def test_the_phantom_is_an_archive_of_amos(phantom):
    dataset = load_dataset("phantom_amos", phantom)
    table = dataset.check(progress=False)
    assert set(table["level"]) <= {"note"}
    assert set(table.attrs["summary"]["objects"]) == set(TARGETS)
    index = json.loads((phantom / "amos22/dataset.json").read_text())
    assert index["training"][2]["label"] == "./labelsTr/amos_0507.nii.gz"
    modalities = {dataset.group_of(i): dataset.load(i).modality for i in dataset.ids("all")}
    assert modalities == {"amos_0001": "CT", "amos_0004": "CT", "amos_0507": "MRI", "amos_0002": "CT"}
    assert dataset.ids("test") == [i for i in dataset.ids("all") if i.startswith("amos_0002")]


def test_the_test_part_of_the_default_phantom_has_cases_enough_for_an_interval():
    """The archive's validation part is the study's test part."""
    assert load_phantom("amos").counts["val"] >= MIN_GROUPS


def test_the_phantom_has_the_values_of_tissues(phantom):
    labels = np.asanyarray(nib.load(phantom / "amos22/labelsTr/amos_0004.nii.gz").dataobj)
    values = np.asanyarray(nib.load(phantom / "amos22/imagesTr/amos_0004.nii.gz").dataobj)
    assert values.dtype == np.int16
    assert 40 < np.median(values[labels == CODE["liver"]]) < 140
    assert -10 < np.median(values[labels == CODE["gall_bladder"]]) < 30
    assert (values < -900).mean() > 0.2
    # an area in the order of a real liver's largest section
    voxel_mm2 = np.prod(nib.load(phantom / "amos22/labelsTr/amos_0004.nii.gz").header.get_zooms()[:2])
    assert 100 < (labels == CODE["liver"]).sum(axis=(0, 1)).max() * voxel_mm2 / 100 < 260


def test_the_phantom_is_the_same_every_time(phantom, tmp_path):
    write_phantom("amos", tmp_path, {"train": 1})
    for folder in ("imagesTr", "labelsTr"):
        again, before = (root / "amos22" / folder / "amos_0001.nii.gz" for root in (tmp_path, phantom))
        assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(before.read_bytes()).digest()
        # no time stamp in the gzip header
        assert again.read_bytes()[4:8] == bytes(4)
    assert gzip.decompress(again.read_bytes())[344:348] == b"n+1\0"
