"""The phantoms of the two retinal OCT sets: same bytes, anatomy, greys, and how far trivial guesses get."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label
from skimage.filters import threshold_otsu

from samstudy.baselines import inscribed_ellipse
from samstudy.bootstrap import MIN_GROUPS
from samstudy.datasets import load_dataset
from samstudy.datasets.aroi import TARGETS
from samstudy.datasets.splits import read_rules
from samstudy.errors import StudyError
from samstudy.paths import splits_dir
from samstudy.phantoms import write_phantom
from samstudy.phantoms.aroi import _PATIENTS, PHANTOM
from samstudy.phantoms.oct import BANDS, Dome, Scanner, add_cysts, random_eye, section
from samstudy.phantoms.oct_image import render

REAL_COLOURS = {
    ("rnfl",): 0xFF0000,
    ("gcl", "ipl"): 0x808000,
    ("inl",): 0xFFFF00,
    ("opl",): 0x008000,
    ("onl",): 0x00FF00,
    ("rpe",): 0xFF00FF,
}
"""Colour of the layers in the labels of the real sample."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("name", ["aroi", "cystoid_fluid"])
def test_it_is_read_without_an_error_and_the_same_whatever_the_counts(tmp_path, name):
    one = write_phantom(name, tmp_path / "one", {"all": 1})
    two = write_phantom(name, tmp_path / "two", {"all": 2})
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert files and all((one / file).read_bytes() == (two / file).read_bytes() for file in files)
    dataset = load_dataset(f"phantom_{name}", two)
    table = dataset.check(progress=False)
    assert not (table["level"] == "error").any()
    for image_id in dataset.ids("all"):
        assert any(mask.any() for mask in dataset.load(image_id).labels.values())


def test_the_test_part_of_the_default_phantom_of_aroi_has_patients_enough_for_an_interval():
    drawn = set(_PATIENTS[: PHANTOM.counts["all"]])
    rules = read_rules(splits_dir() / "aroi.csv")
    tested = {f"patient{number}" for number in drawn} & set(rules["group_id"][rules["split"] == "test"])
    assert len(tested) >= MIN_GROUPS
    assert {"train", "val"} <= set(rules["split"][rules["group_id"].isin([f"patient{n}" for n in drawn])])
    assert set(_PATIENTS) == set(range(1, 25))


def test_more_patients_than_there_are_is_refused(tmp_path):
    with pytest.raises(StudyError, match="at most 24 patients; 25 were asked for"):
        write_phantom("aroi", tmp_path, {"all": 25})


def test_layers_lie_in_order_and_fluids_where_they_belong(tmp_path):
    dataset = load_dataset("phantom_aroi", write_phantom("aroi", tmp_path, {"all": 1}))
    labels = dataset.load(dataset.ids("all")[0]).labels
    depth = [np.nonzero(labels[name])[0].mean() for name in TARGETS[:4]]
    assert depth == sorted(depth)
    membrane = np.where(labels["under_bm"], np.arange(1024)[:, None], 2000).min(axis=0)
    rows, columns = np.nonzero(labels["ped"])
    assert len(rows) and (rows < membrane[columns]).all()


@pytest.fixture
def retina() -> Callable[..., tuple]:
    def cut(seed: int, **lesions: object) -> tuple:
        rng = np.random.default_rng(seed)
        scanner = Scanner((256, 128), (7.7, 46.0), 38, 0.2, (0.7, 0.5))
        return section(random_eye(rng, **lesions), scanner, 0.0, rng), rng

    return cut


def test_greys_follow_the_layers(retina):
    cut, rng = retina(3)
    image, bands = render(cut, rng, 0), cut.bands()
    grey = {name: image[bands == i].mean() for i, name in enumerate(BANDS) if (bands == i).any()}
    assert grey["rpe"] > grey["ipl"] > grey["onl"] > grey["vitreous"]
    assert grey["rnfl"] > grey["inl"]


def test_a_detachment_lifts_the_retina_and_leaves_the_membrane(retina):
    flat, _ = retina(5)
    lifted, _ = retina(5, ped=(Dome(0.0, 0.0, 1.5, 200.0),))
    middle = 64
    assert flat.top("choroid")[middle] == pytest.approx(lifted.top("choroid")[middle])
    assert 120 < flat.top("rpe")[middle] - lifted.top("rpe")[middle] < 280
    assert lifted.detached[middle] and not lifted.detached[0]


def test_cysts_do_not_touch_and_stay_between_their_borders(retina):
    cut, rng = retina(7, swelling=(Dome(0.0, 0.0, 2.0, 300.0),))
    add_cysts(cut, rng, 30, (-1.0, 1.0), ("onl", "elm"))
    parts, n = label(cut.cysts)
    assert n >= 4
    assert all(np.ptp(cut.cyst_grey[parts == i]) == 0 for i in range(1, n + 1)), "two cysts touch"
    inside = np.isin(cut.bands()[cut.cysts], [BANDS.index(name) for name in ("opl", "onl", "elm")])
    assert inside.mean() > 0.95


def test_otsu_in_the_box_does_not_solve_it(tmp_path):
    dataset = load_dataset("phantom_cystoid_fluid", write_phantom("cystoid_fluid", tmp_path, {"all": 4}))
    scores = []
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        mask, grey = sample.labels["cystoid_fluid"], sample.image[..., 0]
        rows, columns = (np.nonzero(mask.any(axis=axis))[0][[0, -1]] for axis in (1, 0))
        window = np.s_[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1]
        dark = np.zeros_like(mask)
        dark[window] = grey[window] <= threshold_otsu(grey[window])
        ellipse = inscribed_ellipse(np.array([columns[0], rows[0], columns[1], rows[1]]), mask.shape)
        scores.append([dice(mask, dark), dice(mask, ellipse)])
    assert (np.mean(scores, axis=0) < 0.8).all()


def test_layers_are_as_bright_as_in_real_scans(samples_dir):
    """Mean grey of each layer of two normal eyes, within a fifth."""
    folder = samples_dir / "NR206_OCT"
    real: list[list[float]] = []
    for part, name in (("train", "NORMAL1"), ("val", "NORMAL129")):
        grey = np.asarray(Image.open(folder / part / f"{name}.png").convert("L"))
        colour = np.asarray(Image.open(folder / f"{part}_labels" / f"{name}.png"), dtype=int)
        code = colour[..., 0] << 16 | colour[..., 1] << 8 | colour[..., 2]
        real.append([grey[code == value].mean() for value in REAL_COLOURS.values()])
    scanner = Scanner((500, 750), (4.0, 8.0), 38, 0.25, (0.7, 0.48))
    drawn: list[list[float]] = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        cut = section(random_eye(rng), scanner, 0.0, rng)
        image, bands = render(cut, rng, 3), cut.bands()
        drawn.append([image[np.isin(bands, list(map(BANDS.index, names)))].mean() for names in REAL_COLOURS])
    np.testing.assert_allclose(np.mean(drawn, axis=0), np.mean(real, axis=0), rtol=0.2)
