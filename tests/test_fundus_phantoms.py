"""The drawn fundus photographs: anatomy, what the experts draw, official files, and that loaders read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from samstudy.datasets import load_dataset
from samstudy.errors import StudyError
from samstudy.phantoms import drishti_gs, drive, refuge, rim_one_r3, write_phantom
from samstudy.phantoms.base import load_phantom
from samstudy.phantoms.fundus import Photograph
from samstudy.phantoms.fundus_experts import outline_masks
from samstudy.phantoms.fundus_eye import Outline, draw_eye
from samstudy.phantoms.fundus_stamps import beads, chords, covered, spots
from samstudy.phantoms.fundus_tissue import make_grid
from samstudy.phantoms.fundus_vessels import (
    ARTERY_TO_VEIN,
    AVASCULAR_MM,
    Territory,
    Vessel,
    grow_vessels,
)

COUNTS = {
    "drishti_gs": {"train": 1, "test": 1},
    "rim_one_r3": {"all": 2},
    "refuge": {"train": 2, "val": 1, "test": 2},
    "drive": {"train": 1, "test": 1},
}
SIZE_HW = {"drishti_gs": None, "rim_one_r3": (712, 536), "refuge": None, "drive": (584, 565)}
TERRITORY = Territory(0.9, (-0.15, 0.0), 0.4, (4.5, 0.45), (3.7, 0.3), 6.0)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return ``written(name)``: the tiny phantom of a benchmark, drawn once."""
    roots: dict[str, Path] = {}

    def root(name: str) -> Path:
        if name not in roots:
            roots[name] = write_phantom(name, tmp_path_factory.mktemp(name), COUNTS[name])
        return roots[name]

    return root


@pytest.fixture(scope="module")
def photo() -> Photograph:
    """A photograph of the DRIVE phantom."""
    return drive.draw_case("test", 0, 0)[0]


@pytest.fixture(scope="module")
def vessels() -> list[Vessel]:
    """Both trees of one eye."""
    return grow_vessels(np.random.default_rng(3), TERRITORY)


@pytest.mark.parametrize("name", COUNTS)
def test_the_loader_reads_every_image_without_a_finding(written: Callable, name: str) -> None:
    dataset = load_dataset(name, root=written(name))
    assert len(dataset) == sum(COUNTS[name].values())
    findings = dataset.check()
    assert set(findings["level"]) <= {"missing"}, findings
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        assert all(mask.any() for mask in sample.labels.values())
        if SIZE_HW[name]:
            assert sample.image.shape[:2] == SIZE_HW[name]


@pytest.mark.parametrize("name", COUNTS)
def test_default_counts_leave_no_part_empty(name: str) -> None:
    phantom = load_phantom(name)
    assert phantom.n_images == sum(phantom.counts.values())
    assert phantom.difficulty


@pytest.mark.parametrize("name", ["drishti_gs", "rim_one_r3", "refuge"])
def test_the_cup_lies_in_a_brighter_disc(written: Callable, name: str) -> None:
    dataset = load_dataset(name, root=written(name))
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        disc, cup = sample.labels["optic_disc"], sample.labels["optic_cup"]
        assert not (cup & ~disc).any()
        ratio = np.ptp(np.flatnonzero(cup.any(1))) / np.ptp(np.flatnonzero(disc.any(1)))
        assert 0.15 < ratio < 0.95
        green = sample.image[..., 1].astype(float)
        outer = ndimage.binary_dilation(disc, iterations=15) & ~ndimage.binary_dilation(disc, iterations=5)
        assert green[cup].mean() > green[disc & ~cup].mean() > green[outer].mean()


def test_same_seed_same_bytes_whatever_the_counts(written: Callable, tmp_path: Path) -> None:
    again = write_phantom("drive", tmp_path / "again", {"test": 1})
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert [path.name for path in files] == [
        "01_manual1.gif", "01_manual2.gif", "01_test.tif", "01_test_mask.gif",
    ]  # fmt: skip
    for path in files:
        assert (again / path).read_bytes() == (written("drive") / path).read_bytes()
    other = write_phantom("drive", tmp_path / "other", {"test": 1}, seed=1)
    assert (again / files[2]).read_bytes() != (other / files[2]).read_bytes()


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="has no part 'val'"):
        write_phantom("drive", tmp_path, {"val": 1})


def test_drive_files_are_as_the_official_ones(written: Callable) -> None:
    test = written("drive") / "test"
    with Image.open(test / "images" / "01_test.tif") as image:
        assert (image.format, image.mode, image.size) == ("TIFF", "RGB", (565, 584))
        picture = np.asarray(image)
    masks = {}
    for name in ("1st_manual/01_manual1", "2nd_manual/01_manual2", "mask/01_test_mask"):
        with Image.open(test / f"{name}.gif") as image:
            assert image.format == "GIF"
            masks[name[0]] = np.asarray(image.convert("L"))
        assert set(np.unique(masks[name[0]])) == {0, 255}
    first, second, field = (masks[key] > 0 for key in ("1", "2", "m"))
    assert not (first & ~field).any()
    assert 0.08 < first[field].mean() < 0.20
    dice = 2 * (first & second).sum() / (first.sum() + second.sum())
    assert 0.65 < dice < 0.95
    # corners are black but not empty, the field is about 540 px wide
    assert picture[:40, :40].mean() < 8 < picture[field].mean()
    assert 520 < np.ptp(np.flatnonzero(field.any(0))) < 565


def test_drishti_greys_are_votes(written: Callable) -> None:
    top = written("drishti_gs") / "Drishti-GS1_files"
    case = top / "Test" / "Test_GT" / "drishtiGS_001"
    assert (top / "Test" / "Images" / "drishtiGS_001.png").is_file()
    maps = {}
    for target in ("OD", "cup"):
        with Image.open(case / "SoftMap" / f"drishtiGS_001_{target}segSoftmap.png") as image:
            maps[target] = np.asarray(image)
        assert set(np.unique(maps[target])) == {0, 64, 128, 191, 255}
    assert (maps["cup"] <= maps["OD"]).all()
    # experts agree less on the cup than on the disc
    unsure = {target: ((grey > 0) & (grey < 255)).sum() / (grey > 127).sum() for target, grey in maps.items()}
    assert unsure["cup"] > unsure["OD"]
    row, column = map(int, (case / "AvgBoundary" / "drishtiGS_001_diskCenter.txt").read_text().split())
    assert maps["OD"][row, column] == 255
    ratios = (case / "drishtiGS_001_cdrValues.txt").read_text().split()
    assert len(ratios) == 4
    assert all(0.2 < float(ratio) < 1 for ratio in ratios)


def test_rim_one_masks_are_as_wide_as_the_pair_and_empty_on_the_right(written: Callable) -> None:
    folder = written("rim_one_r3") / "RIM-ONE r3" / "Healthy"
    with Image.open(folder / "Stereo Images" / "N-2-R.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (1072, 712))
        pair = np.asarray(image).astype(float)
    for name in (
        "Expert1_masks/N-2-R-1-{}-exp1",
        "Expert2_masks/N-2-R-1-{}-exp2",
        "Average_masks/N-2-R-{}-Avg",
    ):
        for target in ("Disc", "Cup"):
            with Image.open(folder / f"{name.format(target)}.png") as image:
                mask = np.asarray(image)
            assert mask.shape == (712, 1072)
            assert mask[:, :536].any()
            assert not mask[:, 536:].any()
    left, right = pair[:, :536].mean(2), pair[:, 536:].mean(2)
    errors = [np.abs(left[:, 30:500] - right[:, 30 - shift : 500 - shift]).mean() for shift in range(20)]
    # the right view is displaced, and not a plain copy
    assert 5 < int(np.argmin(errors)) < 18
    assert min(errors) > 0.5


def test_rim_one_ids_are_official_and_distinct() -> None:
    ids = [rim_one_r3.image_id(index) for index in range(40)]
    assert len(set(ids)) == len(ids)


def test_refuge_codes_and_folders(written: Callable) -> None:
    root = written("refuge")
    for index, part in ((0, "train"), (1, "train"), (0, "val"), (1, "test")):
        image_path, mask_path = refuge.case_paths(root, part, index)
        assert image_path.is_file()
        with Image.open(mask_path) as image:
            assert image.format == "BMP"
            assert set(np.unique(np.asarray(image.convert("L")))) == {0, 128, 255}
    names = [refuge.case_paths(root, "train", index)[0].name for index in range(9)]
    assert names == [
        f"{stem}.jpg" for stem in "n0001 g0001 n0002 n0003 n0004 g0002 n0005 n0006 n0007".split()
    ]


def test_vessels_follow_the_laws_of_their_trees(vessels: list[Vessel]) -> None:
    assert {vessel.kind for vessel in vessels} == {"artery", "vein"}
    for vessel in vessels:
        assert (np.diff(vessel.radii_mm) <= 0).all()
        away = np.hypot(*(vessel.points_mm - TERRITORY.fovea_mm).T)
        assert away.min() > 0.9 * AVASCULAR_MM
        assert np.hypot(*np.diff(vessel.points_mm, axis=0).T).max() < 0.1
    widest = {k: max(v.radii_mm[0] for v in vessels if v.kind == k) for k in ("artery", "vein")}
    assert widest["artery"] / widest["vein"] == pytest.approx(ARTERY_TO_VEIN, abs=0.15)
    length_mm = sum(np.hypot(*np.diff(vessel.points_mm, axis=0).T).sum() for vessel in vessels)
    assert 150 < length_mm < 400


def test_arcades_pass_above_and_below_the_fovea(vessels: list[Vessel]) -> None:
    points = np.concatenate([v.points_mm[v.radii_mm > 0.04] for v in vessels if v.kind == "vein"])
    beside_fovea = points[np.abs(points[:, 0] - TERRITORY.fovea_mm[0]) < 0.8]
    heights = beside_fovea[:, 1] - TERRITORY.fovea_mm[1]
    assert (np.abs(heights) > 1.0).all()
    assert heights.min() < 0 < heights.max()


def test_arteries_are_brighter_than_veins_and_both_darker_than_the_retina(photo: Photograph) -> None:
    green = photo.image[..., 1].astype(float)
    level = {}
    everything = np.zeros(photo.field.shape, bool)
    for kind in ("artery", "vein"):
        lines = [v for v in photo.eye.vessels if v.kind == kind and v.radii_mm[0] > 0.04]
        drawn = [beads(photo.grid.to_px(v.points_mm), v.radii_mm * photo.grid.px_per_mm) for v in lines]
        mask = covered(*(np.concatenate(part) for part in zip(*drawn, strict=True)), photo.grid.size_hw)
        mask &= photo.eye.disc.level(photo.grid.x_mm, photo.grid.y_mm) > 1.3
        near = ndimage.binary_dilation(mask, iterations=6) & ~ndimage.binary_dilation(mask, iterations=3)
        inside = ndimage.binary_erosion(photo.field, iterations=20)
        level[kind] = green[mask & inside].mean() / green[near & inside].mean()
        everything |= mask
    assert level["vein"] < level["artery"] < 0.97
    assert everything.any()


def test_the_fovea_is_darker_and_on_the_temporal_side(photo: Photograph) -> None:
    fovea, disc = photo.grid.to_px([photo.eye.fovea_mm, (0.0, 0.0)])
    assert (fovea[0] < disc[0]) == photo.eye.is_right
    red = photo.image[..., 1].astype(float)
    distance = np.hypot(photo.grid.x_mm - photo.eye.fovea_mm[0], photo.grid.y_mm - photo.eye.fovea_mm[1])
    assert red[distance < 0.3].mean() < 0.92 * np.median(red[(distance > 1.2) & (distance < 1.7)])


def test_a_redrawn_outline_overlaps_its_original(photo: Photograph) -> None:
    rng = np.random.default_rng(0)
    disc, cup = photo.eye.disc, photo.eye.cup
    true = outline_masks(photo, disc, cup)
    drawn = outline_masks(photo, disc.redrawn(rng, 0.012, 0.01), cup.redrawn(rng, 0.045, 0.022))
    for one, other in zip(true, drawn, strict=True):
        dice = 2 * (one & other).sum() / (one.sum() + other.sum())
        assert 0.8 < dice < 1.0


def test_an_outline_without_waves_is_an_ellipse() -> None:
    outline = Outline((1.0, -1.0), (2.0, 1.0), 0.0, ())
    x, y = np.array([3.0, 1.0, 1.0]), np.array([-1.0, 0.0, -0.5])
    np.testing.assert_allclose(outline.level(x, y), [1.0, 1.0, 0.5], atol=1e-4)


def test_mean_cup_to_disc_ratio_is_as_asked() -> None:
    ratios = []
    for seed in range(12):
        # a small circle: no time is spent on vessels
        eye = draw_eye(np.random.default_rng(seed), drishti_gs.GLAUCOMA, True, (0.0, 0.0), 1.2)
        ratios.append(eye.cup.radii_mm[1] / eye.disc.radii_mm[1])
    assert np.mean(ratios) == pytest.approx(drishti_gs.GLAUCOMA.cup_mean, abs=0.08)


def test_chords_of_a_straight_tube() -> None:
    points, radii = beads(np.array([[5.0, 10.0], [35.0, 10.0]]), np.array([4.0, 4.0]))
    depth = chords(points, radii, (21, 41))
    assert depth[10, 20] == pytest.approx(8.0, abs=0.15)
    assert depth[13, 20] == pytest.approx(2 * np.sqrt(16 - 9), abs=0.2)
    assert depth[15, 20] == 0


def test_a_thin_tube_absorbs_in_proportion_to_its_section() -> None:
    line = np.array([[2.0, 10.3], [38.0, 10.3]])
    totals = []
    for radius in (0.3, 0.6):
        depth = chords(*beads(line, np.array([radius, radius])), (21, 41))
        totals.append(depth[:, 10:30].sum())
    assert totals[1] / totals[0] == pytest.approx(4.0, rel=0.05)


def test_nothing_to_stamp_gives_an_empty_picture() -> None:
    none = np.zeros((0, 2)), np.zeros(0)
    assert not covered(*none, (8, 9)).any()
    assert spots(*none, np.zeros(0), (8, 9)).shape == (8, 9)
    outside = covered(np.array([[-50.0, 4.0]]), np.array([3.0]), (8, 9))
    assert not outside.any()


@pytest.mark.parametrize("is_right", [True, False])
def test_points_of_the_eye_land_on_their_pixels(is_right: bool) -> None:
    grid = make_grid((40, 60), 10.0, (0.5, -0.2), is_right)
    points = np.array([[grid.x_mm[12, 33], grid.y_mm[12, 33]]])
    np.testing.assert_allclose(grid.to_px(points), [[33, 12]], atol=1e-4)


def test_real_and_drawn_vessels_are_alike(samples_dir: Path, photo: Photograph, written: Callable) -> None:
    def facts(root: Path) -> list[tuple[float, float]]:
        found = []
        dataset = load_dataset("drive", root=root)
        for image_id in dataset.ids("all"):
            sample = dataset.load(image_id)
            mask, green = sample.labels["vessels"], sample.image[..., 1].astype(float)
            ring = ndimage.binary_dilation(mask, iterations=6) & ~ndimage.binary_dilation(mask, iterations=2)
            found.append((mask[sample.valid].mean(), green[mask].mean() / green[ring & sample.valid].mean()))
        return found

    real, drawn = np.array(facts(samples_dir / "DRIVE")), np.array(facts(written("drive")))
    margin = np.array([0.04, 0.06])
    assert ((drawn > real.min(axis=0) - margin) & (drawn < real.max(axis=0) + margin)).all()
