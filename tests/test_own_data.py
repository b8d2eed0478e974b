"""Data sets of one's own: what the lines in study.yaml find, and the sentences where they do not fit."""

from __future__ import annotations

import re
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from drawn_files import pixels, problems, write_nifti
from PIL import Image

from samstudy.datasets.own import own_dataset, read_entry
from samstudy.datasets.patterns import Files, Pattern
from samstudy.errors import DataError, StudyError

GREY = np.arange(2400, dtype=np.uint32).reshape(40, 60).astype(np.uint8)
CODES = np.zeros((40, 60), np.uint8)
CODES[:10], CODES[20:24] = 1, 2


@pytest.fixture
def put(tmp_path):
    """Return ``put(path, array)``: write a picture below ``<tmp>/set``."""

    def write(path, content=GREY):
        file = tmp_path / "set" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            Image.fromarray(content).save(file)
        return file

    return write


@pytest.fixture
def open_set(tmp_path):
    """Return ``open_set("images: ...")``: the data set that these lines describe; root is set."""
    return lambda lines: own_dataset("mine", {"root": "set"} | yaml.safe_load(lines), tmp_path)


def test_named_parts_join_images_with_label_maps(put, open_set):
    for name in ("P01_long", "P01_trans", "P02_long"):
        put(f"Images/{name}.png")
        put(f"masks/{name}_map.PNG", CODES)
    dataset = open_set(
        """
        images: images/{patient}_{view}.png
        masks: masks/{patient}_{view}_map.png
        labels: {1: gland, 2: nodule}
        groups: ^(P[0-9]+)
        modality: ultrasound
        spacing_mm: 0.1
        """
    )
    assert dataset.ids() == ["P01_long", "P01_trans", "P02_long"]
    assert dataset.group_of("P01_trans") == "P01"
    sample = dataset.load("P01_long")
    assert pixels(sample) == {"gland": 600, "nodule": 240}
    assert (sample.spacing_mm, sample.modality) == ((0.1, 0.1), "ultrasound")
    info = dataset.info
    assert (info.name, info.targets, info.group_noun, info.distance_unit) == (
        "mine",
        ("gland", "nodule"),
        "group",
        "mm",
    )
    assert dataset.check(progress=False).empty


def test_one_file_for_each_label_and_several_objects_of_one(put, open_set, disc):
    for stem in ("a (1)", "a (10)", "b"):
        put(f"benign/{stem}.png")
        put(f"benign/{stem}_mask.png", disc)
    put("benign/b_mask_1.png", disc)
    dataset = open_set('{images: "{kind}/{stem}.png", masks: {lesion: "{kind}/{stem}_mask*.png"}}')
    assert dataset.ids() == ["benign_a (1)", "benign_a (10)", "benign_b"]
    assert pixels(dataset.load("benign_a (1)")) == {"lesion": 317}
    assert pixels(dataset.load("benign_b")) == {"lesion#1": 317, "lesion#2": 317}
    assert dataset.check(progress=False).empty
    assert dataset.info.targets == ("lesion",)


def test_a_label_that_the_path_tells(put, open_set, disc):
    put("img/a.png")
    for label in ("liver", "spleen"):
        put(f"seg/{label}/a.png", disc)
    assert pixels(open_set("{images: img/*.png, masks: 'seg/{label}/{stem}.png'}").load("a")) == {
        "liver": 317, "spleen": 317,
    }  # fmt: skip
    put("flat/a_cell_1.png", disc)
    put("flat/a_cell_2.png", disc)
    assert sorted(pixels(open_set("{images: img/*.png, masks: 'flat/{stem}_{label}.png'}").load("a"))) == [
        "cell#1", "cell#2",
    ]  # fmt: skip


def test_the_longest_id_owns_a_mask(put, open_set, disc):
    for stem in ("a", "a_1"):
        put(f"images/{stem}.png")
        put(f"masks/{stem}_liver.png", disc)
    dataset = open_set("{images: images/*.png, masks: {liver: 'masks/{stem}_*.png'}}")
    assert [pixels(dataset.load(i)) for i in ("a", "a_1")] == [{"liver": 317}, {"liver": 317}]


def test_volumes_with_the_channel_in_their_name(tmp_path, open_set):
    labels = np.zeros((6, 8, 4), np.uint8)
    labels[1:4, 2:5, 1:3] = 1
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for case in ("liver_01", "liver_02"):
        write_nifti(tmp_path / "set" / "imagesTr" / f"{case}_0000.nii.gz", labels.astype(np.float32) * 50)
        write_nifti(tmp_path / "set" / "labelsTr" / f"{case}.nii.gz", labels)
    dataset = open_set(
        """
        images: imagesTr/{stem}_0000.nii.gz
        masks: labelsTr/{stem}.nii.gz
        labels: {liver: 1}
        window: [40, 400]
        """
    )
    assert dataset.ids() == [f"liver_0{case}_z00{k}" for case in (1, 2) for k in (1, 2)]
    assert dataset.group_of("liver_01_z001") == "liver_01"
    assert pixels(dataset.load("liver_02_z002")) == {"liver": 9}
    assert dataset.load("liver_02_z002").image.max() == 134
    assert (dataset.info.group_noun, dataset.info.distance_unit) == ("volume", "mm")


def test_what_does_not_pair_is_named(put, open_set, disc):
    put("images/a.png")
    put("images/lone.png")
    put("masks/a_liver.png", disc)
    put("masks/b_liver.png", disc)
    put("masks/odd.png", disc)
    put("images/notes.txt", b"x")
    dataset = open_set(
        "{images: images/*, masks: {liver: 'masks/{stem}_liver.png', spleen: 'masks/{stem}_spleen.png'}}"
    )
    table = dataset.check(progress=False)
    assert problems(table) == {
        "images/lone.png": "has no mask; looked for masks/lone_liver.png and masks/lone_spleen.png.",
        "masks/b_liver.png": "has no image: none that fits images/* goes with it.",
    }
    assert problems(table, "note") == {
        "images/a.png": "has no file for 'spleen'; looked for masks/a_spleen.png",
        "images/notes.txt": "is not read: no known image type",
        "masks/odd.png": "is not read: it fits neither images nor masks",
    }
    assert pixels(dataset.load("a")) == {"liver": 317}
    with pytest.raises(DataError, match=r"images/lone\.png has no mask"):
        dataset.load("lone")


def test_two_files_for_one_mask_are_refused_for_that_image(put, open_set, disc):
    put("images/a.png")
    put("masks/a.png", disc)
    put("masks/a.gif", disc)
    dataset = open_set("{images: images/*.png, masks: 'masks/{stem}.*'}")
    with pytest.raises(
        DataError, match=r"masks/a\.png and a\.gif both fit the whole mask of the image 'a'; keep one"
    ):
        dataset.load("a")


def test_faults_are_those_of_a_folder(put, open_set, disc):
    for name, content in {
        "a": disc,
        "b": disc[:30],
        "c": b"cut",
        "d": np.where(CODES == 2, 5, CODES).astype(np.uint8),
    }.items():
        put(f"images/{name}.png")
        put(f"masks/{name}.png", content)
    dataset = open_set("{images: images/*.png, masks: 'masks/{stem}.png', labels: {1: x, 255: y}}")
    table = dataset.check(progress=False)
    assert "is 60x30 pixels but its image b.png is 60x40" in problems(table)["masks/b.png"]
    assert "is not an image that can be read" in problems(table)["masks/c.png"]
    assert "holds the codes 5" in problems(table, "note")["masks/d.png"]


def test_splits_by_table_by_folders_or_dealt(put, open_set, disc, tmp_path):
    for name in ("train/a", "train/b", "test/c", "other/d"):
        put(f"{name}.png")
        put(f"{name}_mask.png", disc)
    lines = "{images: '*/{stem}.png', masks: '*/{stem}_mask.png', splits: %s}"
    by_folder = open_set(lines % "{train: train, test: test/*}")
    assert (by_folder.ids("train"), by_folder.ids()) == (["a", "b"], ["c"])
    assert problems(by_folder.check(progress=False), "note") == {
        "other/d.png": "is in none of the parts that splits describes: left out"
    }
    (tmp_path / "parts.csv").write_text(
        "image_id,group_id,split\na,p1,train\nb,p1,train\nc,p2,test\nd,p3,val\n"
    )
    by_table = open_set(lines % "parts.csv")
    assert [by_table.split_of(i) for i in "abcd"] == ["train", "train", "test", "val"]
    assert by_table.group_of("b") == "p1"
    assert open_set("{images: '*/{stem}.png', masks: '*/{stem}_mask.png'}").default_split == "all"
    with pytest.raises(
        StudyError, match=r"splits \(train: tain\) fits no image; give folders below the root"
    ):
        open_set(lines % "{train: tain}")
    with pytest.raises(StudyError, match=r"split table .*gone\.csv is missing"):
        open_set(lines % "gone.csv")
    with pytest.raises(
        StudyError, match=r"unknown entry in own_datasets\.mine\.splits 'tests'; did you mean 'test'"
    ):
        open_set(lines % "{tests: test}")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": "x"}, r"unknown entry in own_datasets\.mine 'image'; did you mean 'images'"),
        ({"masks": None}, r"own_datasets\.mine\.masks: expected a section"),
        (
            {"masks": "masks/{stm}.png"},
            r"unknown name in own_datasets\.mine\.masks '\{stm\}'; did you mean '\{stem\}'",
        ),
        ({"masks": "masks/all.png"}, r"say with \{stem\} which image a mask belongs to"),
        ({"masks": {"x": "{stem}_{label}.png"}}, r"unknown name in own_datasets\.mine\.masks\.x '\{label\}'"),
        ({"images": "../images/*.png"}, "give a path below the root"),
        ({"images": "/images/*.png"}, "give a path below the root"),
        ({"images": "images/{}.png"}, "a name in braces is a word"),
        ({"labels": {"one": "x"}}, r"own_datasets\.mine\.labels names the code 'one' 'x'; use numbers"),
        ({"labels": {1: "x"}, "masks": {"x": "{stem}.png"}}, "leave one of them out"),
        ({"window": [40, 0]}, r"mine\.window: expected \[level, width\], the width above 0, found \[40, 0\]"),
        ({"window": 3}, r"mine\.window: expected \[level, width\]"),
        ({"spacing_mm": 0}, r"mine\.spacing_mm: expected a number above 0, or \[row, column\], found 0"),
        ({"spacing_mm": [1, 2, 3]}, r"mine\.spacing_mm: expected a number above 0"),
        ({"spacing_mm": "1 mm"}, r"mine\.spacing_mm: expected a number above 0"),
        ({"groups": 3}, r"mine\.groups: expected text, found 3"),
        ({"root": ""}, r"mine\.root: expected text"),
    ],
)
def test_lines_that_do_not_do_are_refused_in_sentences(tmp_path, change, sentence):
    lines = {"root": "set", "images": "images/*.png", "masks": "masks/{stem}.png"}
    read_entry("mine", lines, tmp_path)
    with pytest.raises(StudyError, match=sentence):
        read_entry("mine", lines | change, tmp_path)


@pytest.mark.parametrize("name", ["my set", "a/b", "", "folder", "phantom_x", ".a", "größe"])
def test_names_that_are_no_file_names_or_taken_are_refused(tmp_path, name):
    with pytest.raises(StudyError, match=r"own_datasets\..*(file names|taken by the study)"):
        read_entry(name, {"root": "set", "images": "*.png", "masks": "{stem}.png"}, tmp_path)


def test_places_that_are_not_there_say_what_is(put, open_set, tmp_path):
    put("images/a.png")
    put("mask/a.png")
    with pytest.raises(
        StudyError, match=r"own_datasets\.mine\.masks is 'masks/\{stem\}\.png', but .* there is 'mask'"
    ):
        open_set("{images: images/*.png, masks: 'masks/{stem}.png'}")
    with pytest.raises(
        StudyError, match=r"is 'images/\*\.jpg', but no image fits it; looked at 2 files .* such as images/a"
    ):
        open_set("{images: images/*.jpg, masks: 'mask/{stem}.png'}")
    with pytest.raises(
        StudyError, match=r"the root of mine is .*gone, which is no folder; mend own_datasets\.mine\.root"
    ):
        open_set("{root: gone, images: images/*.jpg, masks: 'mask/{stem}.png'}")
    with pytest.raises(StudyError, match="groups='x' finds nothing in the image name 'a'"):
        open_set("{images: images/*.png, masks: 'mask/{stem}.png', groups: x}")
    put("images/b/a.png")
    with pytest.raises(
        StudyError, match=r"gives images/a\.png and images/b/a\.png the same id 'a'; name what tells them"
    ):
        open_set("{images: 'images/**/{stem}.png', masks: 'mask/{stem}.png'}")


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("images/*.png", "Images/a b.PNG", {}),
        ("images/*.png", "images/sub/a.png", None),
        ("**/a?.png", "x/y/ab.png", {}),
        ("**/a?.png", "ab.png", {}),
        ("[ab]/{stem}.png", "b/x.y.png", {"stem": "x.y"}),
        ("[!ab]/{stem}.png", "b/x.png", None),
        ("{p}/{p}_{stem}.png", "p1/p1_x.png", {"p": "p1", "stem": "x"}),
        ("{p}/{p}_{stem}.png", "p1/p2_x.png", None),
        ("a.png", "abpng", None),
    ],
)
def test_patterns(pattern, path, values):
    assert Pattern(pattern).match(path) == values


@pytest.mark.parametrize("stem", ["a*b", "a[1]", "a?", "{x}", "a^]b", "a.b+(c)"])
def test_names_with_signs_stand_for_themselves(stem):
    filled = Pattern("m/{stem}.png").filled({"stem": stem})
    assert filled.match(f"m/{stem}.png") == {}
    assert filled.match("m/ab.png") is None
    assert str(filled) == f"m/{stem}.png"


def test_many_files_are_paired_fast_and_none_is_opened(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for k in range(2000):
            (tmp_path / folder / f"case_{k:05d}.png").touch()
    lines = {"root": str(tmp_path), "images": "images/*.png", "masks": {"x": "masks/{stem}*.png"}}
    start = time.perf_counter()
    assert len(own_dataset("mine", lines, tmp_path)) == 2000
    assert time.perf_counter() - start < 4


def test_a_link_to_a_folder_above_ends(put, tmp_path):
    put("a/x.png")
    (tmp_path / "set" / "a" / "loop").symlink_to(tmp_path / "set")
    assert list(Files(tmp_path / "set", [Pattern("**/*.png")]).by_path) == ["a/x.png"]


def documented():
    """Return the lines of each data set in docs/own_data.md."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "own_data.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    first = yaml.safe_load(blocks[0])["own_datasets"]["thyroid"]
    second = yaml.safe_load(blocks[1])["liver_ct"]
    return [first, second, *(yaml.safe_load(part) for part in blocks[2].split("\n\n"))]


def test_the_documented_layouts_find_their_files(tmp_path, put, disc):
    entries = documented()
    assert len(entries) == 6
    for lines in entries:
        read_entry("mine", {"root": "set"} | lines, tmp_path)
    for path in ("patient7/raw/012.png", "benign/a.png"):
        put(path)
    for path in ("patient7/mask/012.png", "benign/a_mask.png", "benign/a_mask_1.png"):
        put(path, disc)
    found = own_dataset("mine", {"root": "set"} | entries[2], tmp_path)
    assert (found.ids(), found.group_of("patient7_012")) == (["patient7_012"], "patient7")
    found = own_dataset("mine", {"root": "set"} | entries[4], tmp_path)
    assert sorted(pixels(found.load("benign_a"))) == ["lesion#1", "lesion#2"]
