"""The general-domain control: drawn scenes, PASCAL VOC 2012, and what may be compared with them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from score_tables import drawn

from samstudy.datasets import DATASETS, Dataset, load_dataset
from samstudy.datasets.voc2012 import CLASSES
from samstudy.errors import DataError, StudyError
from samstudy.figures.common import stamps
from samstudy.hypotheses import Hypotheses
from samstudy.paths import project_root
from samstudy.phantoms import kind_of_images, shown_name
from samstudy.present import left_out, present_datasets, tunable_datasets
from samstudy.pretrain.leaves import draw_scene
from samstudy.study import load_study
from samstudy.verdicts import verdicts

Writer = Callable[..., Path]


def sentences(dataset: Dataset, level: str) -> list[str]:
    """What ``check`` says of files, ``"<file> <problem>"``, at one level."""
    found = dataset.check(progress=False)
    return [f"{row.file} {row.problem}" for row in found[found["level"] == level].itertuples()]


# --- drawn scenes -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes() -> Dataset:
    return load_dataset("heldout_scenes")


def test_scenes_are_the_heldout_stream_and_the_same_every_time(scenes: Dataset) -> None:
    sample, again = scenes.load("scene_007"), load_dataset("heldout_scenes").load("scene_007")
    assert sample.content_sha() == again.content_sha()
    np.testing.assert_array_equal(sample.image, draw_scene(0, 7, 384, "heldout").image)
    assert not np.array_equal(sample.image, draw_scene(0, 7, 384, "train").image)


def test_every_scene_has_objects_that_are_the_scene_s_own(scenes: Dataset) -> None:
    for image_id in scenes.ids()[::8]:
        sample = scenes.load(image_id)
        drawn_scene = draw_scene(0, int(image_id[-3:]), 384, "heldout")
        own = {drawn_scene.mask(index).tobytes() for index in range(len(drawn_scene.members))}
        assert list(sample.labels) == [f"object#{number}" for number in range(1, len(sample.labels) + 1)]
        assert len(sample.labels) == min(3, len(own))
        assert {mask.tobytes() for mask in sample.labels.values()} <= own
        assert all(mask.any() for mask in sample.labels.values())


def test_scenes_are_for_testing_only_and_each_is_a_group(scenes: Dataset) -> None:
    assert scenes.ids("train") == scenes.ids("val") == []
    assert len(scenes.ids()) == len(scenes) == scenes.info.n_images == 40
    assert len({scenes.group_of(image_id) for image_id in scenes.ids()}) == 40


def test_listing_scenes_draws_nothing_and_imports_nothing_of_pretraining() -> None:
    code = (
        "import sys; from samstudy.datasets import load_dataset; load_dataset('heldout_scenes'); "
        "sys.exit(any(name.startswith('samstudy.pretrain') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scenes_are_called_drawn_wherever_they_are_shown() -> None:
    info = DATASETS["heldout_scenes"].info
    assert info.synthetic
    assert info.title.startswith("DRAWN")
    assert "vit_t" in info.interval_note
    assert shown_name("heldout_scenes") == "DRAWN heldout_scenes"
    assert [kind_of_images(name) for name in ("phantom_isic", "heldout_scenes", "voc2012")] == [
        "phantom",
        "drawn",
        "real",
    ]
    table = drawn(dataset="heldout_scenes").assign(model="vit_t")
    assert (
        stamps(table)[0] == "DRAWN heldout_scenes: no photographs, of the kind that vit_t was pretrained on"
    )
    assert stamps(table.assign(model="vit_b"), info) == ["DRAWN heldout_scenes: no photographs"]
    both = pd.concat([drawn(dataset="phantom_isic"), table]).assign(model="vit_b")
    assert stamps(both) == [
        "the data sets named PHANTOM are drawn images, no patients",
        "DRAWN heldout_scenes: no photographs",
    ]


# --- what is done with a control ----------------------------------------------------------------------------


def test_nothing_is_tuned_on_a_control_and_nobody_is_bothered_with_it() -> None:
    assert present_datasets("demo")[-1] == "heldout_scenes"
    assert "heldout_scenes" not in tunable_datasets("demo")
    assert not [line for line in left_out("demo") if "heldout_scenes" in line]


def test_both_controls_are_in_the_full_study() -> None:
    study = load_study(project_root() / "study.yaml")
    assert study.hypotheses.general_domain == ("voc2012", "heldout_scenes")
    assert study.profiles["paper"].datasets[-2:] == study.hypotheses.general_domain


def test_medical_rows_are_those_of_no_control() -> None:
    table = pd.DataFrame(
        {"dataset": ["isic", "voc2012", "phantom_isic", "heldout_scenes"]}, index=[3, 1, 4, 2]
    )
    found = Hypotheses(("voc2012", "heldout_scenes"))
    assert list(found.medical(table)["dataset"]) == ["isic", "phantom_isic"]
    assert list(Hypotheses().medical(table).index) == [3, 1, 4, 2]


def test_real_images_are_compared_with_real_controls_and_drawn_with_drawn() -> None:
    table = pd.concat(
        [
            drawn(1, 0.30, 0.32, dataset="isic"),
            drawn(2, 0.90, 0.92, dataset="voc2012"),
            drawn(3, 0.50, 0.52, dataset="phantom_isic"),
            drawn(4, 0.60, 0.62, dataset="heldout_scenes"),
        ],
        ignore_index=True,
    )
    found = verdicts(load_study(project_root() / "study.yaml").hypotheses, table, n_boot=100)
    found = found[found["prompt"] == "box"].set_index(["hypothesis", "images"])
    mean = table.groupby("dataset")["dice"].mean()
    assert found.loc[("C1_gap", "real"), "value"] == pytest.approx(mean["voc2012"] - mean["isic"])
    assert found.loc[("C1_gap", "phantom"), "value"] == pytest.approx(
        mean["heldout_scenes"] - mean["phantom_isic"]
    )
    assert found.loc["C1_general", "datasets"].to_dict() == {
        "real": "voc2012",
        "drawn": "DRAWN heldout_scenes",
    }
    assert found.loc["C1_general", "value"].to_dict() == pytest.approx(
        {"real": mean["voc2012"], "drawn": mean["heldout_scenes"]}
    )
    alone = verdicts(
        load_study(project_root() / "study.yaml").hypotheses,
        table[table["dataset"].isin(["isic", "heldout_scenes"])],
        n_boot=100,
    ).set_index(["hypothesis", "prompt"])
    assert "no general-domain data set of real images" in alone.loc[("C1_gap", "box"), "note"]


def test_the_spread_between_data_sets_is_one_of_medical_sets() -> None:
    sets = {"isic": 1, "drive": 2, "voc2012": 3}
    table = pd.concat(
        [drawn(seed, 0.2 * seed, 0.2 * seed + 0.1, dataset=name) for name, seed in sets.items()]
    )
    found = verdicts(load_study(project_root() / "study.yaml").hypotheses, table, n_boot=100)
    row = found[(found["hypothesis"] == "C2_benchmarks") & (found["prompt"] == "box")].iloc[0]
    assert row["datasets"] == "isic, drive"


# --- PASCAL VOC 2012 ----------------------------------------------------------------------------------------


def palette_image(codes: np.ndarray) -> Image.Image:
    """A palette PNG with VOC's colours: the bits of an index spread over red, green and blue."""
    image = Image.fromarray(codes.astype(np.uint8), mode="P")
    colours = [
        [sum(((code >> (3 * bit + channel)) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
        for code in range(256)
    ]
    image.putpalette(np.array(colours, np.uint8).ravel().tolist())
    return image


def codes_of_two() -> tuple[np.ndarray, np.ndarray]:
    """Objects 1 (a person, 15) and 2 (a dog, 12), each with a border of void."""
    objects, classes = np.zeros((2, 30, 40), np.uint8)
    for number, index, left in ((1, 15, 4), (2, 12, 24)):
        objects[5:20, left : left + 12] = classes[5:20, left : left + 12] = 255
        objects[7:18, left + 2 : left + 10], classes[7:18, left + 2 : left + 10] = number, index
    return objects, classes


@pytest.fixture
def voc(tmp_path: Path) -> Writer:
    """Return ``voc(**codes)``: an official tree of 6 train and 3 val images; codes replace those of 2007_000010."""

    def write(objects: np.ndarray | None = None, classes: np.ndarray | None = None) -> Path:
        home = tmp_path / "VOCdevkit" / "VOC2012"
        for folder in ("JPEGImages", "SegmentationObject", "SegmentationClass", "ImageSets/Segmentation"):
            (home / folder).mkdir(parents=True)
        parts = {"train": range(10, 16), "val": range(20, 23)}
        usual = codes_of_two()
        for part, numbers in parts.items():
            stems = [f"2007_{number:06d}" for number in numbers]
            (home / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("\n".join(stems) + "\n")
            for stem in stems:
                mine = [usual[0] if objects is None else objects, usual[1] if classes is None else classes]
                codes = mine if stem.endswith("10") else usual
                Image.new("RGB", (40, 30), (90, 120, 60)).save(home / "JPEGImages" / f"{stem}.jpg")
                palette_image(codes[0]).save(home / "SegmentationObject" / f"{stem}.png")
                palette_image(codes[1]).save(home / "SegmentationClass" / f"{stem}.png")
        Image.new("RGB", (40, 30)).save(home / "JPEGImages" / "2007_000099.jpg")
        return tmp_path

    return write


def test_each_object_is_an_instance_and_void_is_not_scored(voc: Writer) -> None:
    dataset = load_dataset("voc2012", root=voc())
    objects, _ = codes_of_two()
    sample = dataset.load("2007_000010")
    assert list(sample.labels) == ["object#1", "object#2"]
    for number, mask in enumerate(sample.labels.values(), start=1):
        np.testing.assert_array_equal(mask, objects == number)
    np.testing.assert_array_equal(sample.valid, objects != 255)
    assert sample.group_id == sample.image_id
    assert dataset.options_text == "name_by=object"


def test_parts_are_the_lists_and_val_is_the_test_part(voc: Writer) -> None:
    dataset = load_dataset("voc2012", root=voc())
    assert dataset.ids() == ["2007_000020", "2007_000021", "2007_000022"]
    assert sorted(dataset.ids("train") + dataset.ids("val")) == [f"2007_{n:06d}" for n in range(10, 16)]
    assert "2007_000099" not in dataset.ids("all")
    assert sentences(dataset, "error") == []
    assert [text.split(";")[0] for text in sentences(dataset, "missing")] == [
        ". holds 6 train images",
        ". holds 3 test images",
    ]


def test_objects_may_be_called_by_their_class(voc: Writer) -> None:
    dataset = load_dataset("voc2012", root=voc(), name_by="class")
    assert list(dataset.load("2007_000010").labels) == ["person#1", "dog#2"]
    assert dataset.info.targets == CLASSES
    assert DATASETS["voc2012"].info.targets == ("object",)
    with pytest.raises(StudyError, match="unknown name_by of voc2012 'clas'; did you mean 'class'"):
        load_dataset("voc2012", root=dataset.root, name_by="clas")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda o, c: (o * 0, c), r"2007_000010\.png marks no object: nothing to score"),
        (lambda o, c: (o, c * 0), r"SegmentationClass/2007_000010\.png has no class where .* has object 1"),
        (lambda o, c: (o, np.where(c == 12, 33, c)), "holds the codes 33; only 0 to 20"),
        (
            lambda o, c: (o, c[:, :-1]),
            r"is 39x30 pixels but its SegmentationObject/2007_000010\.png is 40x30",
        ),
        (lambda o, c: (o[:-1], c[:-1]), r"is 40x29 pixels but its image 2007_000010\.jpg is 40x30"),
    ],
)
def test_wrong_masks_are_refused_in_a_sentence(voc: Writer, change: Callable, sentence: str) -> None:
    dataset = load_dataset("voc2012", root=voc(*change(*codes_of_two())))
    with pytest.raises(DataError, match=sentence):
        dataset.load("2007_000010")
    assert len(sentences(dataset, "error")) == 1


def test_the_class_of_most_pixels_is_taken_and_said(voc: Writer) -> None:
    objects, classes = codes_of_two()
    classes[7, 6] = 3
    dataset = load_dataset("voc2012", root=voc(objects, classes), name_by="class")
    assert "person#1" in dataset.load("2007_000010").labels
    (note,) = sentences(dataset, "note")
    assert note.endswith("gives object 1 several classes: the class of 87 of its 88 pixels is taken, person.")


def test_masks_saved_as_colour_are_refused(voc: Writer) -> None:
    root = voc()
    path = root / "VOCdevkit" / "VOC2012" / "SegmentationObject" / "2007_000011.png"
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(DataError, match=r"is in colour; a palette image is expected"):
        load_dataset("voc2012", root=root).load("2007_000011")


def test_missing_files_and_lists_are_named(voc: Writer) -> None:
    home = voc() / "VOCdevkit" / "VOC2012"
    (home / "SegmentationClass" / "2007_000020.png").unlink()
    (home / "JPEGImages" / "2007_000021.jpg").unlink()
    palette_image(codes_of_two()[0]).save(home / "SegmentationObject" / "2008_000001.png")
    (home / "ImageSets" / "Segmentation" / "train.txt").rename(
        home / "ImageSets" / "Segmentation" / "tran.txt"
    )
    dataset = load_dataset("voc2012", root=home)
    errors, notes = sentences(dataset, "error"), sentences(dataset, "note")
    assert any("2007_000020.jpg has no class mask in VOC2012/SegmentationClass" in text for text in errors)
    assert any("2007_000021.png is a mask without its image in VOC2012/JPEGImages" in text for text in errors)
    assert any(
        "train.txt is missing; there is 'tran.txt': its images are not read" in text for text in errors
    )
    assert (
        "SegmentationObject/2008_000001.png is not read: no list in ImageSets/Segmentation names it." in notes
    )
    (home / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(StudyError, match=r"has no list of images: .*samstudy fetch voc2012"):
        load_dataset("voc2012", root=home)


def test_absent_files_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    with pytest.raises(StudyError, match=r"raw/voc2012 does not exist; looked for .*samstudy fetch voc2012"):
        load_dataset("voc2012")


def test_the_download_is_the_one_that_torchvision_knows() -> None:
    voc = pytest.importorskip("torchvision.datasets.voc")
    (entry,) = DATASETS["voc2012"].info.downloads
    known = voc.DATASET_YEAR_DICT["2012"]
    assert (entry.url, entry.file_name, entry.checksum) == (
        known["url"], known["filename"], f"md5:{known['md5']}",
    )  # fmt: skip


def test_real_files_of_this_format_are_read(samples_dir: Path, tmp_path: Path) -> None:
    found = samples_dir / "VOC2011_labelme" / "data_dataset_voc"
    if not found.is_dir():
        pytest.skip("no VOC samples on this machine")
    for folder in ("JPEGImages", "SegmentationObject", "SegmentationClass"):
        (tmp_path / folder).symlink_to(found / folder, target_is_directory=True)
    stems = sorted(path.stem for path in (found / "JPEGImages").glob("*.jpg"))
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("\n".join(stems))
    dataset = load_dataset("voc2012", root=tmp_path, name_by="class")
    for image_id in dataset.ids():
        sample = dataset.load(image_id)
        assert all(mask.any() for mask in sample.labels.values())
        assert not any((mask & ~sample.valid).any() for mask in sample.labels.values())
    assert {label.split("#")[0] for label in dataset.load("2011_000025").labels} == {"bus", "car"}
