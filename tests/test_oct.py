"""The two retinal OCT sets: official layouts, label codes, traps, broken copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samstudy.datasets import load_dataset
from samstudy.datasets.aroi import TARGETS
from samstudy.datasets.cystoid_fluid import group_of
from samstudy.datasets.splits import read_rules
from samstudy.errors import StudyError
from samstudy.paths import splits_dir

PATIENTS = "AROI - online/24 patient"
SAMPLES = "2021-training-data-ZA/2021-training-data-ZA"


def layers() -> np.ndarray:
    """Codes of a 60 x 30 B-scan: four layers, a detachment and subretinal fluid, no intraretinal fluid."""
    codes = np.zeros((60, 30), np.uint8)
    codes[10:20], codes[20:30], codes[30:34], codes[34:] = 1, 2, 3, 4
    codes[32:34, 3:9] = 5
    codes[28:30, 3:9] = 6
    return codes


def cyst() -> np.ndarray:
    """A white square of 100 pixels with a hole of 4, three channels."""
    mask = np.zeros((30, 40, 3), np.uint8)
    mask[10:20, 10:20] = 255
    mask[14:16, 14:16] = 0
    return mask


def save(content: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(content).save(path)
    return path


@pytest.fixture
def aroi_root(tmp_path: Path) -> Path:
    """Two patients with two scans each."""
    for patient in ("patient1", "patient2"):
        for scan in ("0003", "0071"):
            folder, file = tmp_path / PATIENTS / patient, f"{patient}_raw{scan}.png"
            save(layers() * 30, folder / "raw" / "labeled" / file)
            save(layers(), folder / "mask" / "number" / file)
            save(np.repeat(layers()[..., None] * 30, 3, axis=2), folder / "mask" / "colour" / file)
        save(layers() * 30, folder / "raw" / "ALL" / f"{patient}_raw0001.png")
    (tmp_path / "AROI - online" / "inter_intra").mkdir()
    return tmp_path


@pytest.fixture
def cystoid_root(tmp_path: Path) -> Path:
    """Three samples in three ways of naming; 815DME_F with the stray second mask of the official archive."""
    grey = np.linspace(0, 255, 1200).reshape(30, 40).astype(np.uint8)
    for sample, masks in (
        ("815DME_F", ("815MASK_DME_F.png", "MASK-DME511.png")),
        ("DME84", ("MASK-DME84.png",)),
        ("dme_a10", ("dme_a10mask.png",)),
    ):
        save(grey, tmp_path / SAMPLES / sample / "images" / f"{sample}.jpeg")
        for name in masks:
            content = cyst() if "511" not in name else np.roll(cyst(), 9, axis=1)
            save(content, tmp_path / SAMPLES / sample / "masks" / name)
    return tmp_path


def problems(dataset, level: str = "error") -> dict[str, str]:
    """Return {file: problem} of a check, files by their last two parts."""
    table = dataset.check(progress=False)
    rows = table[table["level"] == level]
    return {"/".join(Path(file).parts[-2:]): text for file, text in zip(rows.file, rows.problem, strict=True)}


class TestAroi:
    def test_codes_become_the_seven_targets_and_an_absent_fluid_is_an_empty_mask(self, aroi_root):
        sample = load_dataset("aroi", aroi_root).load("patient1_raw0003")
        assert tuple(sample.labels) == TARGETS
        codes = layers()
        for code, target in enumerate(TARGETS, 1):
            np.testing.assert_array_equal(sample.labels[target], codes == code, err_msg=target)
        assert not sample.labels["irf"].any()
        assert sample.group_id == "patient1"

    def test_only_labelled_scans_are_listed_and_only_the_official_count_is_missing(self, aroi_root):
        dataset = load_dataset("aroi", aroi_root)
        assert dataset.ids("all") == [
            "patient1_raw0003", "patient1_raw0071", "patient2_raw0003", "patient2_raw0071",
        ]  # fmt: skip
        table = dataset.check(progress=False)
        assert list(table["problem"]) == ["holds 4 images; the official release has 1136."]
        assert table.attrs["summary"]["empty_masks"] == {"irf": 4}

    @pytest.mark.parametrize("inside", ["", "AROI - online", PATIENTS])
    def test_any_folder_of_the_archive_may_be_the_root(self, aroi_root, inside):
        assert len(load_dataset("aroi", aroi_root / inside)) == 4

    def test_capitals_and_system_files_do_not_matter(self, aroi_root):
        patient = aroi_root / PATIENTS / "patient1"
        (patient / "raw" / "labeled").rename(patient / "raw" / "Labeled")
        patient.rename(patient.with_name("Patient1"))
        (aroi_root / PATIENTS / "__MACOSX").mkdir()
        (aroi_root / PATIENTS / "Patient1" / "raw" / "Labeled" / "Thumbs.db").write_bytes(b"x")
        dataset = load_dataset("aroi", aroi_root)
        assert "patient1_raw0003" in dataset.ids("all")
        assert not problems(dataset) and not problems(dataset, "note")

    def test_a_renamed_mask_folder_is_named_with_its_nearest_and_the_rest_loads(self, aroi_root):
        masks = aroi_root / PATIENTS / "patient2" / "mask" / "number"
        masks.rename(masks.with_name("numbers"))
        dataset = load_dataset("aroi", aroi_root)
        found = problems(dataset)
        assert (
            found["labeled/patient2_raw0003.png"]
            == "stands alone: patient2 has no folder 'mask/number'; there is 'numbers'."
        )
        assert found["24 patient/patient2"] == "has no folder 'mask/number'; there is 'numbers'."
        assert dataset.load("patient1_raw0003").labels["rpe_bm"].any()

    def test_an_image_or_mask_alone_is_named(self, aroi_root):
        patient = aroi_root / PATIENTS / "patient1"
        (patient / "mask/number/patient1_raw0003.png").unlink()
        (patient / "raw/labeled/patient1_raw0071.png").unlink()
        found = problems(load_dataset("aroi", aroi_root))
        assert "has no mask" in found["labeled/patient1_raw0003.png"]
        assert found["number/patient1_raw0071.png"] == "is a mask without its image."

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (np.where(layers() == 4, 9, layers()).astype(np.uint8), "holds the codes 9; 0 to 7 are expected"),
            (np.stack([layers() * 30, layers() * 8, layers()], axis=-1), "holds colours; 0 to 7"),
            (layers()[:50], "is 30x50 pixels but its image patient1_raw0003.png is 30x60"),
            (layers()[::-1].copy(), "has layer 1 (ilm_ipl_inl) under layer 2 (ipl_inl_rpe) in most columns"),
            (np.array([0, 1, 2, 4, 3, 5, 6, 7], np.uint8)[layers()], "has layer 3 (rpe_bm) under layer 4"),
        ],
        ids=["wrong code", "colours", "size", "upside down", "swapped codes"],
    )
    def test_a_mask_that_cannot_be_right_is_refused_and_the_rest_loads(self, aroi_root, content, words):
        save(content, aroi_root / PATIENTS / "patient1/mask/number/patient1_raw0003.png")
        dataset = load_dataset("aroi", aroi_root)
        found = problems(dataset)
        assert list(found) == ["number/patient1_raw0003.png"]
        assert words in found["number/patient1_raw0003.png"]
        assert dataset.load("patient1_raw0071").labels["under_bm"].any()

    def test_a_truncated_file_is_named(self, aroi_root):
        file = aroi_root / PATIENTS / "patient2/raw/labeled/patient2_raw0003.png"
        file.write_bytes(file.read_bytes()[:60])
        assert "cannot be read" in problems(load_dataset("aroi", aroi_root))["labeled/patient2_raw0003.png"]

    def test_an_empty_mask_is_said(self, aroi_root):
        save(np.zeros((60, 30), np.uint8), aroi_root / PATIENTS / "patient1/mask/number/patient1_raw0003.png")
        found = problems(load_dataset("aroi", aroi_root), "note")
        assert "every target of this scan is empty" in found["number/patient1_raw0003.png"]

    def test_a_file_among_those_of_another_patient_is_refused(self, aroi_root):
        for sub in ("raw/labeled", "mask/number"):
            folder = aroi_root / PATIENTS / "patient2" / sub
            (folder / "patient2_raw0003.png").rename(folder / "patient1_raw0009.png")
        found = problems(load_dataset("aroi", aroi_root))
        assert "lies in the folder patient2" in found["labeled/patient1_raw0009.png"]

    def test_what_is_not_understood_is_said(self, aroi_root):
        save(layers(), aroi_root / PATIENTS / "patient1/raw/labeled/copy.bmp")
        (aroi_root / PATIENTS / "elsewhere").mkdir()
        found = problems(load_dataset("aroi", aroi_root), "note")
        assert set(found) == {"labeled/copy.bmp", "24 patient/elsewhere"}

    def test_the_split_is_by_patient_and_covers_all_24(self):
        rules = read_rules(splits_dir() / "aroi.csv")
        assert rules["split"].value_counts().to_dict() == {"train": 14, "test": 6, "val": 4, "hashed": 1}
        assert rules["group_id"].is_unique

    def test_absent_files_say_where_they_were_looked_for_and_how_to_get_them(self, tmp_path):
        with pytest.raises(StudyError, match=r"AROI - online.*ask the authors"):
            load_dataset("aroi", tmp_path)


class TestCystoidFluid:
    def test_the_mask_of_the_own_number_is_read_and_the_stray_one_said(self, cystoid_root):
        dataset = load_dataset("cystoid_fluid", cystoid_root)
        assert dataset.ids("all") == ["815DME_F", "DME84", "dme_a10"]
        np.testing.assert_array_equal(dataset.load("815DME_F").labels["cystoid_fluid"], cyst()[..., 0] > 0)
        assert not problems(dataset)
        found = problems(dataset, "note")
        assert "is not of the sample 815DME_F" in found["masks/MASK-DME511.png"]

    def test_holes_stay_unless_asked_and_the_choice_is_in_the_options(self, cystoid_root):
        as_stored = load_dataset("cystoid_fluid", cystoid_root)
        filled = load_dataset("cystoid_fluid", cystoid_root, fill_holes=True)
        assert as_stored.load("DME84").labels["cystoid_fluid"].sum() == 96
        assert filled.load("DME84").labels["cystoid_fluid"].sum() == 100
        assert as_stored.options_text == "fill_holes=False threshold=0"
        assert filled.options_text == "fill_holes=True threshold=0"

    def test_greys_are_fluid_above_the_threshold_and_are_counted(self, cystoid_root):
        mask = cyst()
        mask[9, 10:20] = 40
        save(mask, cystoid_root / SAMPLES / "DME84/masks/MASK-DME84.png")
        low = load_dataset("cystoid_fluid", cystoid_root)
        high = load_dataset("cystoid_fluid", cystoid_root, threshold=127)
        assert low.load("DME84").labels["cystoid_fluid"].sum() == 106
        assert high.load("DME84").labels["cystoid_fluid"].sum() == 96
        assert "holds 10 pixels between black and white" in problems(low, "note")["masks/MASK-DME84.png"]

    def test_a_colour_counts_by_its_brightest_channel_and_a_jpeg_is_cut_at_half(self, cystoid_root):
        mask = cyst()
        mask[..., :2] = 0
        save(mask, cystoid_root / SAMPLES / "DME84/masks/MASK-DME84.png")
        masks = cystoid_root / SAMPLES / "dme_a10" / "masks"
        (masks / "dme_a10mask.png").unlink()
        Image.fromarray(np.repeat(np.repeat(cyst(), 4, 0), 4, 1)[::4, ::4]).save(
            masks / "dme_a10mask.jpg", quality=90
        )
        dataset = load_dataset("cystoid_fluid", cystoid_root)
        assert dataset.load("DME84").labels["cystoid_fluid"].sum() == 96
        assert 90 <= dataset.load("dme_a10").labels["cystoid_fluid"].sum() <= 102

    @pytest.mark.parametrize("inside", ["", "2021-training-data-ZA", SAMPLES])
    def test_any_folder_of_the_archive_may_be_the_root(self, cystoid_root, inside):
        assert len(load_dataset("cystoid_fluid", cystoid_root / inside)) == 3

    def test_broken_samples_are_named_and_the_rest_loads(self, cystoid_root):
        top = cystoid_root / SAMPLES
        (top / "815DME_F/masks").rename(top / "815DME_F/mask")
        (top / "dme_a10/images/dme_a10.jpeg").unlink()
        found = problems(load_dataset("cystoid_fluid", cystoid_root))
        assert found[f"{Path(SAMPLES).name}/815DME_F"] == "has no folder 'masks'; there is 'mask'."
        assert found[f"{Path(SAMPLES).name}/dme_a10"] == "has no picture in its folder 'images'."
        assert load_dataset("cystoid_fluid", cystoid_root).load("DME84").labels["cystoid_fluid"].any()

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (255 - cyst(), "covers most of the picture's border: inverted"),
            (cyst()[:20], "is 40x20 pixels but its image DME84.jpeg is 40x30"),
        ],
        ids=["inverted", "size"],
    )
    def test_a_mask_that_cannot_be_right_is_refused(self, cystoid_root, content, words):
        save(content, cystoid_root / SAMPLES / "DME84/masks/MASK-DME84.png")
        assert words in problems(load_dataset("cystoid_fluid", cystoid_root))["masks/MASK-DME84.png"]

    def test_a_mask_of_another_sample_and_two_of_its_own_are_refused(self, cystoid_root):
        top = cystoid_root / SAMPLES
        (top / "DME84/masks/MASK-DME84.png").rename(top / "DME84/masks/MASK-DME85.png")
        save(cyst(), top / "dme_a10/masks/10mask.png")
        found = problems(load_dataset("cystoid_fluid", cystoid_root))
        assert "only files of another number" in found[f"{Path(SAMPLES).name}/DME84"]
        assert "holds 2 files in 'masks' that may be its own" in found[f"{Path(SAMPLES).name}/dme_a10"]

    @pytest.mark.parametrize(
        ("sample", "group"),
        [
            ("815DME_F", "dme_f_800-819"),
            ("144DME_as_F", "dme_as_f_140-159"),
            ("dme_a10", "dme_a_0-19"),
            ("DME_a10", "dme_a_0-19"),
            ("dme", "dme"),
        ],
    )
    def test_a_group_is_a_run_of_twenty_numbers_of_one_series(self, sample, group):
        assert group_of(sample) == group

    @pytest.mark.parametrize("options", [{"threshold": 255}, {"threshold": 0.5}, {"fill_holes": "yes"}])
    def test_senseless_options_are_refused_with_their_value(self, cystoid_root, options):
        with pytest.raises(StudyError, match=str(next(iter(options.values())))):
            load_dataset("cystoid_fluid", cystoid_root, **options)
