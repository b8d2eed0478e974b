"""A folder of one's own: what belongs together, what is wrong and where, and what comes out."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest
from drawn_files import pixels, problems
from PIL import Image

from samstudy.datasets import load_dataset
from samstudy.datasets.layout import scan
from samstudy.errors import DataError, StudyError

GREY = np.arange(2400, dtype=np.uint32).reshape(40, 60).astype(np.uint8)


def test_pairs_by_stem_suffix_capitals_dots_and_spaces(make_folder, disc):
    images = dict.fromkeys(("a.png", "b 1.PNG", "c.v2.tif", "D.bmp", "e.jpg", "f.png"), GREY)
    masks = {"a.gif": disc, "b 1_mask.png": disc, "c.v2_Segmentation.png": disc, "d.png": disc}
    root = make_folder(images, masks | {"e_annotation.PNG": disc, "f-seg.tiff": disc})
    dataset = load_dataset(f"folder:{root}")
    assert dataset.ids() == ["D", "a", "b 1", "c.v2", "e", "f"]
    assert all(pixels(dataset.load(i)) == {"mask": 317} for i in dataset.ids())
    assert dataset.check(progress=False).empty


def test_the_longest_image_name_owns_a_mask(make_folder, disc):
    images = {"a.png": GREY, "a_1.png": GREY, "a_1_x.png": GREY}
    masks = {"a_liver.png": disc, "a_1.png": disc, "a_1_liver.png": disc // 255, "a_1_x_liver.png": disc}
    dataset = load_dataset(f"folder:{make_folder(images, masks)}")
    assert pixels(dataset.load("a")) == {"liver": 317}
    assert pixels(dataset.load("a_1")) == {"mask": 317, "liver": 317}
    assert pixels(dataset.load("a_1_x")) == {"liver": 317}


def test_several_masks_name_labels_and_instances(make_folder, disc):
    masks = {
        "a_left lung.png": disc,
        "a_nucleus_1.png": disc,
        "a_nucleus_2.png": disc,
        "b/liver.png": disc,
        "b/b_spleen.png": disc,
        "c/0f3a9c81d2e4b5a6.png": disc,
        "c/ff3a9c81d2e4b5a6.png": disc,
        "d_1.png": disc,
        "d_002.png": disc,
        "e/rib_9_000.png": disc,
    }
    dataset = load_dataset(f"folder:{make_folder({f'{n}.png': GREY for n in 'abcde'}, masks)}")
    assert list(pixels(dataset.load("a"))) == ["left_lung", "nucleus#1", "nucleus#2"]
    assert sorted(pixels(dataset.load("b"))) == ["liver", "spleen"]
    assert list(pixels(dataset.load("c"))) == ["object#1", "object#2"]
    assert sorted(pixels(dataset.load("d"))) == ["object#1", "object#2"]
    assert list(pixels(dataset.load("e"))) == ["rib_9#0"]


def test_what_is_missing_is_a_row_with_its_reason(make_folder, disc):
    root = make_folder({"a.png": GREY, "lone.png": GREY}, {"a.png": disc, "orphan.png": disc})
    dataset = load_dataset(f"folder:{root}")
    assert dataset.ids() == ["a", "lone", "orphan"]
    with pytest.raises(DataError, match=r"images/lone\.png has no mask; looked for masks/lone\.\*"):
        dataset.load("lone")
    with pytest.raises(DataError, match=r"masks/orphan\.png has no image: images/orphan\.\* is missing"):
        dataset.load("orphan")
    table = dataset.check(progress=False)
    assert sorted(problems(table)) == ["images/lone.png", "masks/orphan.png"]
    assert table.attrs["summary"]["images"] == 3
    assert table.attrs["summary"]["usable"] == 1


def test_sizes_that_differ_name_both_sizes_and_the_mask(make_folder, disc):
    dataset = load_dataset(f"folder:{make_folder({'a.png': GREY}, {'a.png': disc[:30]})}")
    with pytest.raises(DataError, match=r"masks/a\.png is 60x30 pixels but its image a\.png is 60x40"):
        dataset.load("a")
    assert list(problems(dataset.check(progress=False))) == ["masks/a.png"]


def test_broken_files_do_not_stop_the_others(make_folder, disc):
    images = {"a.png": GREY, "b.png": b"\x89PNG\r\n", "c.png": GREY, "d.png": GREY}
    masks = {"a.png": disc, "b.png": disc, "c.png": b"", "d.png": np.zeros_like(disc)}
    table = load_dataset(f"folder:{make_folder(images, masks)}").check(progress=False)
    assert sorted(problems(table)) == ["images/b.png", "masks/c.png"]
    assert table.attrs["summary"]["objects"] == {"mask": 1}
    assert table.attrs["summary"]["empty_masks"] == {"mask": 1}
    assert table.attrs["summary"]["sizes"] == {"40x60": 2}


@pytest.mark.parametrize(
    ("images", "masks", "sentence"),
    [
        (
            {"a.png": GREY, "a.jpg": GREY},
            {"a.png": GREY},
            r"images/a\.png and a\.jpg have one name 'a'; rename one",
        ),
        (
            {"a.png": GREY},
            {"a.png": GREY, "a_mask.png": GREY},
            r"masks/a_mask\.png and a\.png both claim the whole mask of the image 'a'",
        ),
        ({"a.png": GREY}, {"a_x 1.png": GREY, "a_x_1.png": GREY}, "both claim the label 'x#1'"),
    ],
)
def test_ambiguous_names_are_refused_for_that_image(make_folder, images, masks, sentence):
    dataset = load_dataset(f"folder:{make_folder(images, masks)}")
    with pytest.raises(DataError, match=sentence):
        dataset.load("a")


def test_rubbish_is_passed_over_and_other_files_are_listed(make_folder, disc):
    root = make_folder({"a.png": GREY}, {"a.png": disc})
    for name in (".DS_Store", "Thumbs.db", "__MACOSX/a.png", "notes.txt", "scan", "sub/b.png"):
        path = root / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (root / "masks" / "zzz").mkdir()
    (root / "stray.png").write_bytes(b"x")
    dataset = load_dataset(f"folder:{root}")
    assert dataset.ids() == ["a"]
    listed = problems(dataset.check(progress=False), "note")
    assert sorted(listed) == ["images/notes.txt", "images/scan", "images/sub", "masks/zzz", "stray.png"]
    assert "a DICOM file must end in .dcm" in listed["images/scan"]


def test_folder_names_in_any_capitals(make_folder, disc):
    root = make_folder({"a.png": GREY}, {"a.png": disc})
    (root / "images").rename(root / "Images")
    (root / "masks").rename(root / "LABELS")
    assert load_dataset(f"folder:{root}").ids() == ["a"]


def test_wrong_layout_says_what_was_looked_for_and_found(tmp_path):
    with pytest.raises(StudyError, match="'folder' needs a path"):
        load_dataset("folder")
    with pytest.raises(
        StudyError, match=r"gone does not exist .* exists\); give one that holds images/ and masks/"
    ):
        load_dataset(f"folder:{tmp_path / 'gone'}")
    Image.fromarray(GREY).save(tmp_path / "x.png")
    (tmp_path / "pics").mkdir()
    with pytest.raises(
        StudyError, match=r"has no images/ and masks/; .*found pics/ and 1 image files such as x\.png"
    ):
        load_dataset(f"folder:{tmp_path}")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(StudyError, match=r"images holds no image; .* found nothing"):
        load_dataset(f"folder:{tmp_path}")
    with pytest.raises(StudyError, match="it is a folder: write 'folder:"):
        load_dataset(str(tmp_path))


def test_a_label_map_with_one_label_left_is_still_a_label_map(make_folder):
    codes = np.zeros((40, 60), np.uint8)
    codes[:10], codes[20:30] = 1, 2
    only, binary = (codes == 1).astype(np.uint8), (codes == 1).astype(np.uint8) * 255
    images = dict.fromkeys(("a.png", "b.png", "c.png"), GREY)
    dataset = load_dataset(f"folder:{make_folder(images, {'a.png': codes, 'b.png': only, 'c.png': binary})}")
    assert pixels(dataset.load("a")) == {"label_1": 600, "label_2": 600}
    assert pixels(dataset.load("b")) == {"label_1": 600}
    assert pixels(dataset.load("c")) == {"mask": 600}


@pytest.mark.parametrize(
    "names", ['{"1": "liver", "2": null}', '{"liver": 1, "background": 0}', "code,name\n1,liver\n2,\n"]
)
def test_names_of_codes_from_json_and_csv(make_folder, names):
    codes = np.zeros((40, 60), np.uint8)
    codes[:10] = 1
    root = make_folder({"a.png": GREY}, {"a.png": codes})
    (root / ("labels.csv" if names.startswith("code") else "labels.json")).write_text(names)
    dataset = load_dataset(f"folder:{root}")
    assert pixels(dataset.load("a")) == {"liver": 600}
    assert dataset.info.targets == ("liver",)


@pytest.mark.parametrize("text", ["{", "[1]", '{"one": "liver"}', '{"1": ["liver"]}'])
def test_bad_label_names_are_refused(make_folder, disc, text):
    root = make_folder({"a.png": GREY}, {"a.png": disc})
    (root / "labels.json").write_text(text)
    with pytest.raises(StudyError, match=r"labels\.json"):
        load_dataset(f"folder:{root}")


def test_split_without_a_table_is_grouped_and_stable(make_folder, disc):
    names = [f"p{k // 2}_{k % 2}.png" for k in range(40)]
    root = make_folder(dict.fromkeys(names, GREY), dict.fromkeys(names, disc))
    by_image, by_patient = load_dataset(f"folder:{root}"), load_dataset(f"folder:{root}", groups=r"^(p\d+)_")
    assert [len(by_image.ids(part)) for part in ("train", "val", "test", "all")] == [24, 6, 10, 40]
    assert by_image.default_split == "all"
    assert by_image.fingerprint() == load_dataset(f"folder:{root}").fingerprint() != by_patient.fingerprint()
    assert by_patient.group_of("p3_1") == "p3"
    assert all(by_patient.split_of(f"p{k}_0") == by_patient.split_of(f"p{k}_1") for k in range(20))
    assert (by_image.info.group_noun, by_patient.info.group_noun) == ("image", "group")
    with pytest.raises(StudyError, match="finds nothing in the image name 'p0_0'"):
        load_dataset(f"folder:{root}", groups=r"^(q\d+)_")
    with pytest.raises(StudyError, match="unknown option of folder 'group'; did you mean 'groups'"):
        load_dataset(f"folder:{root}", group="p")


def test_split_table_is_read_and_leaks_refused(make_folder, disc):
    names = [f"{n}.png" for n in "abcd"]
    root = make_folder(dict.fromkeys(names, GREY), dict.fromkeys(names, disc))
    table = root / "splits.csv"
    table.write_text("image_id,group_id,split\na,p1,train\nb,p1,train\nc,p2,test\ngone,p3,test\n")
    dataset = load_dataset(f"folder:{root}")
    assert (dataset.default_split, dataset.ids(), dataset.ids("train")) == ("test", ["c", "gone"], ["a", "b"])
    checked = dataset.check(progress=False)
    assert problems(checked) == {"splits.csv": "names 'gone', but there is no such image."}
    assert problems(checked, "note") == {"images/d.png": "is not in splits.csv: left out"}
    table.write_text("image_id,group_id,split\na,p1,train\nb,p1,test\n")
    with pytest.raises(StudyError, match=r"group 'p1' is on both sides .* 'a' is train and 'b' is test"):
        load_dataset(f"folder:{root}")
    table.write_text("image_id,split\na,training\n")
    with pytest.raises(StudyError, match="split 'training'; use one of train, val, test"):
        load_dataset(f"folder:{root}")
    table.write_text("image,split\na,train\n")
    with pytest.raises(StudyError, match="image_id missing"):
        load_dataset(f"folder:{root}")


def test_exif_orientation_is_applied_only_where_the_mask_asks_for_it(make_folder, disc):
    exif = Image.Exif()
    exif[274] = 6
    upright_mask = np.rot90(disc, -1).copy()
    root = make_folder({}, {"raw.png": disc, "up.png": upright_mask})
    for name in ("raw", "up"):
        Image.fromarray(disc).save(root / "images" / f"{name}.png", exif=exif)
    dataset = load_dataset(f"folder:{root}")
    for name in ("raw", "up"):
        sample = dataset.load(name)
        assert ((sample.image[..., 0] > 0) == sample.labels["mask"]).all()
    notes = dict(zip(*dataset.check(progress=False)[["image_id", "problem"]].to_numpy().T, strict=True))
    assert "tag 6, not applied" in notes["raw"]
    assert "is turned by its EXIF orientation tag" in notes["up"]


def test_window_option_and_sixteen_bit_radiograph(make_folder, disc):
    deep = np.where(disc > 0, 3000, 1000).astype(np.uint16)
    root = make_folder({"a.png": deep}, {"a.png": disc})
    assert set(np.unique(load_dataset(f"folder:{root}").load("a").image)) == {0, 255}
    assert load_dataset(f"folder:{root}", window=(4000, 4000)).load("a").image.max() == 64
    with pytest.raises(StudyError, match="width above 0"):
        load_dataset(f"folder:{root}", window=(40, 0))


def test_a_named_mask_of_several_codes_is_one_label_and_said(make_folder, disc):
    codes = np.zeros((40, 60), np.uint8)
    codes[:10], codes[20:30] = 1, 2
    dataset = load_dataset(f"folder:{make_folder({'a.png': GREY}, {'a_cup.png': codes})}")
    assert pixels(dataset.load("a")) == {"cup": 1200}
    assert "all of them are 'cup'" in dataset.check(progress=False)["problem"][0]


def test_name_of_a_folder_is_the_same_on_every_machine(make_folder, disc):
    root = make_folder({"a.png": GREY}, {"a.png": disc}, name="my set")
    dataset = load_dataset("folder", root=root)
    assert dataset.info.name == "folder-my_set"
    with pytest.raises(StudyError, match=r"unknown image of folder-my_set 'aa'; did you mean 'a'\?"):
        dataset.load("aa")


def test_listing_many_files_is_fast_and_opens_none(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for k in range(2000):
            (tmp_path / folder / f"case_{k:05d}.png").touch()
    start = time.perf_counter()
    assert len(load_dataset(f"folder:{tmp_path}")) == 2000
    assert time.perf_counter() - start < 3
    shutil.rmtree(tmp_path / "masks")
    (tmp_path / "masks").mkdir()
    assert all(entry.problem for entry in scan(tmp_path).entries)
