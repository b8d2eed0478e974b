"""What every benchmark's loader and its phantom must do, whichever it is."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from samstudy.datasets import DATASETS, load_dataset
from samstudy.datasets.splits import PARTS, read_rules
from samstudy.errors import StudyError
from samstudy.masks import bounds_of
from samstudy.metrics import score
from samstudy.paths import PACKAGE_DIR, splits_dir
from samstudy.phantoms import PHANTOMS, write_phantom
from samstudy.phantoms.base import load_phantom
from samstudy.types import target_of

NAMES = list(PHANTOMS)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory):
    """Return the folder of a phantom with two cases of each part, drawn once."""
    drawn: dict[str, Path] = {}

    def draw(name: str) -> Path:
        if name not in drawn:
            folder = tmp_path_factory.mktemp(name)
            drawn[name] = write_phantom(name, folder, dict.fromkeys(load_phantom(name).counts, 2))
        return drawn[name]

    return draw


def contents(root: Path) -> dict[str, str]:
    """Hash of each file below a folder."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_is_described(name):
    info = DATASETS[name].info
    assert info.split_note
    assert info.downloads or info.steps
    assert all(
        re.match("(sha256|md5):[0-9a-f]{32,64}$", d.checksum or "md5:" + "0" * 32) for d in info.downloads
    )
    phantom = DATASETS[f"phantom_{name}"].info
    assert phantom.synthetic
    assert not info.synthetic
    assert phantom.title.startswith("PHANTOM")
    assert phantom.targets == info.targets


@pytest.mark.parametrize("name", NAMES)
def test_absent_files_say_where_they_were_looked_for_and_how_to_get_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    with pytest.raises(StudyError, match=rf"raw/{name} does not exist; looked for .*samstudy fetch {name}"):
        load_dataset(name)
    with pytest.raises(StudyError, match="holds nothing; looked for"):
        load_dataset(name, root=tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_loader_reads_its_phantom(name, few):
    dataset = load_dataset(name, root=few(name))
    found = dataset.check(progress=False)
    assert found[found["level"] == "error"].empty, found.to_string()
    assert found.attrs["summary"]["usable"] == len(dataset) > 0
    targets = set()
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        assert re.fullmatch(r"[\w.-]+", image_id)
        assert sample.image.dtype == np.uint8
        assert sample.group_id == dataset.group_of(image_id)
        assert (sample.spacing_mm is not None) == dataset.info.spacing_known
        assert {target_of(label) for label in sample.labels} <= set(dataset.info.targets)
        targets |= {target_of(label) for label, mask in sample.labels.items() if mask.any()}
    assert targets


@pytest.mark.parametrize("name", NAMES)
def test_no_group_is_on_two_sides(name, few):
    dataset = load_dataset(name, root=few(name))
    groups = [{dataset.group_of(i) for i in dataset.ids(part)} for part in PARTS]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert not read_rules(splits_dir() / f"{dataset.split_table}.csv").empty


@pytest.mark.parametrize("name", NAMES)
def test_the_loader_finds_its_files_one_folder_deeper(name, few, tmp_path):
    (tmp_path / "unpacked").symlink_to(few(name), target_is_directory=True)
    deeper = load_dataset(name, root=tmp_path)
    assert deeper.ids("all") == load_dataset(name, root=few(name)).ids("all")
    assert deeper.fingerprint() == load_dataset(name, root=few(name)).fingerprint()


@pytest.mark.parametrize("name", NAMES)
def test_a_phantom_is_the_same_whenever_it_is_drawn(name, few, tmp_path):
    counts = load_phantom(name).counts
    part = list(counts)[-1]
    first = contents(write_phantom(name, tmp_path, {part: 1}))
    both = contents(few(name))
    shared = {path for path in first if path in both}
    assert shared
    images = {path for path in shared if not path.endswith((".json", ".csv", ".txt", ".md"))}
    assert images
    assert all(first[path] == both[path] for path in images)


def test_phantoms_share_nothing_with_the_scenes_of_pretraining():
    for path in (PACKAGE_DIR / "phantoms").glob("*.py"):
        assert "pretrain" not in path.read_text(encoding="utf-8").replace("pretrained on", ""), path.name


def test_unknown_parts_and_names_of_phantoms_are_named(tmp_path):
    with pytest.raises(StudyError, match="no part 'tset'; its parts: "):
        write_phantom("drive", tmp_path, {"tset": 1})
    with pytest.raises(StudyError, match="unknown phantom 'drvie'; did you mean 'drive'"):
        write_phantom("drvie", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_default_phantoms_fill_every_part_and_are_not_solved_by_a_threshold(name):
    dataset = load_dataset(f"phantom_{name}")
    assert len(dataset) == load_phantom(name).n_images
    assert all(dataset.ids(part) for part in PARTS)
    scores = []
    for image_id in dataset.ids("test"):
        sample = dataset.load(image_id)
        grey = sample.image.mean(axis=2)
        for mask in sample.labels.values():
            if mask.sum() > 20:
                scores.append(score(mask, _otsu_in_box(grey, mask))["dice"])
    assert np.mean(scores) < 0.9, np.mean(scores)


def _otsu_in_box(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    box = bounds_of(mask)
    inside = grey[box]
    bright = inside > threshold_otsu(inside) if np.ptp(inside) else np.ones_like(inside, bool)
    either = [np.zeros_like(mask), np.zeros_like(mask)]
    either[0][box], either[1][box] = bright, ~bright
    return max(either, key=lambda found: (found & mask).sum() / max((found | mask).sum(), 1))
