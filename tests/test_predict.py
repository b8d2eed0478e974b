"""New images: masks that a folder data set reads back, a row for each object, a sentence for each fault."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset, tiny_sam
from PIL import Image

from samstudy import load_dataset, models
from samstudy.cli import DONE, INCOMPLETE, REFUSED, main
from samstudy.embeddings import embed
from samstudy.errors import StudyError
from samstudy.images import read_codes, read_image
from samstudy.models import SamModel, load_model
from samstudy.prediction.pictures import Picture, list_pictures
from samstudy.prediction.prompt_file import read_prompt_file
from samstudy.prediction.segment import COLUMNS, predict_images
from samstudy.tuning import Recipe, finetune, save_tuned
from samstudy.types import AUTOMATIC, Prompt

RNG = np.random.default_rng(0)
TINY = SamModel("vit_t", tiny_sam(), source="vit_t")
BOXES = "image,object,x0,y0,x1,y1\n"


@pytest.fixture(autouse=True)
def tiny_as_vit_t(monkeypatch):
    """Let the command run on a tiny model."""
    monkeypatch.setitem(models.MODELS._items, "vit_t", lambda _: TINY)


@pytest.fixture
def images(tmp_path):
    """Return a folder with three pictures of 40 rows and 60 columns, one of 16 bits."""
    folder = tmp_path / "new" / "images"
    folder.mkdir(parents=True)
    for name in ("a.png", "b.jpg"):
        Image.fromarray(RNG.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(folder / name)
    Image.fromarray(RNG.integers(0, 4000, (40, 60)).astype(np.uint16)).save(folder / "deep.tif")
    return folder


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def predict(capsys, *arguments):
    status = main(["predict", "--weights", "vit_t", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def answer(file, prompt, index=None, choice="single"):
    """What the model itself answers."""
    picture = read_image(file, index).rgb
    prediction = TINY.predict(embed(TINY, picture), [prompt])[0]
    return prediction.masks[prediction.choose(choice)]


def box(*sides):
    return Prompt(box_xyxy=np.array(sides, np.float32))


def test_masks_overlays_and_table_of_boxes_and_points(capsys, images, tmp_path):
    prompts = written(
        tmp_path / "prompts.csv",
        "image,object,x0,y0,x1,y1,x,y,label\n"
        "a.png,cup,10,8,30.5,28,,,\n"
        "A.PNG,disc,5,4,60,40,,,\n"
        "images/deep.tif,,,,,,12,20,\n"
        "deep,vein,,,,,12,20,1\n"
        "deep,vein,,,,,40,5,0\n",
    )
    status, out, _ = predict(capsys, "--images", images, "--prompts", prompts, "--output", tmp_path / "new")
    assert status == DONE
    assert "4 masks in 2 images" in out
    assert "1 images without a prompt were passed over" in out
    table = pd.read_csv(tmp_path / "new" / "predictions.csv", keep_default_na=False)
    assert tuple(table.columns) == COLUMNS
    assert list(table.object_id) == ["cup", "disc", "object#1", "vein"]
    assert list(table.mask_choice) == ["single", "single", "predicted_iou", "single"]
    assert table.prompt[3] == "point 12 20; background 40 5"
    assert table.prompt_source[2] == "prompts.csv, line 4"
    assert set(table.weights_sha) == {TINY.weights_sha}
    point = {"points_xy": np.array([[12, 20]], np.float32), "point_labels": np.ones(1, np.int64)}
    expected = [
        answer(images / "a.png", box(10, 8, 30.5, 28)),
        answer(images / "a.png", box(5, 4, 60, 40)),
        answer(images / "deep.tif", Prompt(**point), choice="predicted_iou"),
    ]
    for row, mask in zip(table.itertuples(), expected, strict=False):
        with Image.open(tmp_path / "new" / row.mask) as file:
            np.testing.assert_array_equal(np.asarray(file), mask * 255)
        assert int(row.n_pred_px) == mask.sum()
        assert row.status == ("ok" if mask.any() else "pred_empty")
    for name in table.overlay.unique():
        with Image.open(tmp_path / "new" / name) as overlay:
            assert min(overlay.size) > 400


def test_the_output_is_a_folder_data_set(images, tmp_path):
    prompts = written(
        tmp_path / "p.csv",
        f"{BOXES}a,cup,10,8,30,28\na,disc,5,4,50,39\nb,cell#2,0,0,9,9\nb,cell#1,3,3,30,30\n",
    )
    predict_images("vit_t", [images], images.parent, prompts=prompts, progress=False)
    (images / "deep.tif").unlink()
    dataset = load_dataset(f"folder:{images.parent}")
    assert dataset.check(progress=False).query("level == 'error'").empty
    labels = dataset.load("a").labels
    assert set(labels) == {"cup", "disc"}
    np.testing.assert_array_equal(labels["disc"], answer(images / "a.png", box(5, 4, 50, 39)))
    assert set(dataset.load("b").labels) == {"cell#1", "cell#2"}


def test_masks_of_a_volume_lie_on_its_grid(capsys, tmp_path):
    affine = np.array([[0, -2.0, 0, 5], [0.5, 0, 0, -7], [0, 0, -3, 1], [0, 0, 0, 1]])
    values = RNG.normal(100, 30, (24, 30, 5))
    (tmp_path / "images").mkdir()
    volume = tmp_path / "images" / "liver.nii.gz"
    stored = nib.Nifti1Image(np.rint(values).astype(np.int16), affine)
    stored.header.set_slope_inter(0.5, 3)
    stored.set_qform(affine, 1)
    nib.save(stored, volume)
    size_hw = read_image(volume, 1).rgb.shape[:2]
    prompts = written(
        tmp_path / "p.csv", f"{BOXES}liver_z001,left lobe,2,3,20,19\nliver_z003,left lobe,1,1,12,17\n"
    )
    status, _, _ = predict(capsys, "--images", volume, "--prompts", prompts, "--output", tmp_path)
    assert status == DONE
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert list(table["mask"].unique()) == ["masks/liver/left lobe.nii.gz"]
    np.testing.assert_allclose(table.area_mm2, table.n_pred_px * 1.0)
    path = tmp_path / table["mask"][0]
    mask = nib.load(path)
    np.testing.assert_array_equal(mask.affine, nib.load(volume).affine)
    assert (mask.shape, mask.get_data_dtype()) == (values.shape, np.uint8)
    assert (int(mask.header["qform_code"]), set(np.unique(mask.get_fdata()))) == (1, {0, 1})
    expected = {
        1: answer(volume, box(2, 3, 20, 19), 1),
        3: answer(volume, box(1, 1, 12, 17), 3),
    }
    for index in range(5):
        codes = read_codes(path, index).codes
        np.testing.assert_array_equal(codes, expected.get(index, np.zeros(size_hw)))
    if all(one.any() for one in expected.values()):
        dataset = load_dataset(f"folder:{tmp_path}")
        assert dataset.ids("all") == ["liver_z001", "liver_z003"]
        np.testing.assert_array_equal(dataset.load("liver_z003").labels["left_lobe"], expected[3])


def test_automatic_asks_with_the_whole_image(capsys, images, tmp_path):
    status, out, _ = predict(capsys, "--images", images, "--automatic", "--output", tmp_path / "out")
    assert status == DONE
    assert "vit_t has not learnt to answer unasked" in out
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert list(table.image_id) == ["a", "b", "deep"]
    assert set(table.object_id) == {"mask"}
    assert set(table.prompt) == {"box 0 0 59 39"}
    whole = Prompt(box_xyxy=np.array([0, 0, 59, 39], np.float32), mode=AUTOMATIC)
    with Image.open(tmp_path / "out" / "masks" / "a" / "mask.png") as file:
        np.testing.assert_array_equal(np.asarray(file) > 0, answer(images / "a.png", whole))


def test_what_a_model_has_learnt_to_find_unasked_is_found_and_named(images, tmp_path):
    recipe = Recipe(prompts=("automatic",), targets=("disc",), steps=10, learning_rate=1e-2)
    weights = save_tuned(
        finetune(TINY, DrawnDataset(), 3, recipe=recipe, progress=False), tmp_path / "w.safetensors"
    )
    report = predict_images(weights, [images / "a.png"], tmp_path / "out", progress=False)
    assert report.table[["object_id", "tuning", "shots"]].to_numpy().tolist() == [["disc", "decoder", 3]]
    assert "not learnt" not in report.summary
    tuned = load_model(weights)
    whole = Prompt(box_xyxy=np.array([0, 0, 59, 39], np.float32), mode=AUTOMATIC)
    embedding = embed(tuned, read_image(images / "a.png").rgb)
    with_learnt, without = (tuned.predict(embedding, [p])[0] for p in (whole, replace(whole, mode="")))
    assert not np.allclose(with_learnt.low_res_logits, without.low_res_logits)
    with Image.open(tmp_path / "out" / "masks" / "a" / "disc.png") as file:
        np.testing.assert_array_equal(np.asarray(file) > 0, with_learnt.masks[0])


def test_what_fails_is_a_row_and_the_rest_is_kept(capsys, images, tmp_path):
    (images / "cut.png").write_bytes((images / "a.png").read_bytes()[:400])
    written(images / "notes.txt", "not an image")
    prompts = written(
        tmp_path / "prompts.csv",
        f"{BOXES}a,whole,0,0,60,40\na,beyond,10,10,61,30\ncut,x,1,1,9,9\ndeep,y,1,1,9,9\n",
    )
    status, out, err = predict(capsys, "--images", images, "--prompts", prompts, "--output", tmp_path / "out")
    assert status == INCOMPLETE
    assert "Not read, no images: notes.txt." in out
    assert "prompts.csv, line 3: the box (10, 10, 61, 30) reaches outside a.png, which is 60x40 pixels" in err
    assert "cut x: images/cut.png cannot be read" in err
    table = pd.read_csv(tmp_path / "out" / "predictions.csv", keep_default_na=False).set_index("object_id")
    assert (table.status == "error").to_dict() == {"beyond": True, "whole": False, "x": True, "y": False}
    assert table.error["x"] in err
    assert table.loc["x", "mask"] == ""


def test_a_model_that_fails_is_a_row_too(images, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(SamModel, "predict", fail)
    report = predict_images("vit_t", [images / "a.png"], tmp_path / "out", progress=False)
    assert report.problems == ["a mask: out of memory"]


PICTURES = [
    Picture("P01", Path("images/P01.png")),
    *(Picture(f"liver_z00{k}", Path("liver.nii"), k) for k in range(3)),
]


def read_prompts(tmp_path, text, suffix=".csv"):
    return read_prompt_file(written(tmp_path / f"p{suffix}", text), PICTURES)


def test_csv_of_any_spreadsheet_and_json_say_the_same(tmp_path):
    csv = read_prompts(
        tmp_path, f"{BOXES.replace('y1', 'y1,x,y,label')}P01,cup,1.5,2,9,8,,,\nP01,cup,,,,,3,4,0\n"
    )
    excel = read_prompts(
        tmp_path,
        "\ufeffImage;Object;X0;Y0;X1;Y1;X;Y;Label\r\n\r\nP01;cup;1,5;2;9;8;;;\r\nP01;cup;;;;;3;4;0\r\n",
    )
    entry = {"image": "P01.png", "object": "cup", "box": [1.5, 2, 9, 8], "points": [[3, 4, 0]]}
    for asked in (csv, excel, read_prompts(tmp_path, json.dumps([entry]), ".json")):
        ((image_id, (one,)),) = asked.items()
        assert (image_id, one.object_id) == ("P01", "cup")
        assert one.prompt.box_xyxy.tolist() == [1.5, 2, 9, 8]
        assert (one.prompt.points_xy.tolist(), one.prompt.point_labels.tolist()) == ([[3, 4]], [0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{BOXES}P02,,1,2,3,4", r"p\.csv, line 2: unknown image 'P02'; did you mean 'P01'"),
        (f"{BOXES}\nP01,,9,2,3,4", r"line 3: the box \(9, 2, 3, 4\) has its corners swapped"),
        (f"{BOXES}P01,,9,,13,4", r"line 2: y0 is ''; a number"),
        (f"{BOXES}P01,,nan,1,13,4", r"line 2: x0 is 'nan'; a number"),
        (f"{BOXES}P01,,,,,", "line 2: has neither a box nor a point"),
        (f"{BOXES},,1,2,3,4", "line 2: names no image"),
        (f"{BOXES}P01,a/b,1,2,3,4", "line 2: the object 'a/b' cannot be a file's name"),
        (f"{BOXES}P01,..,1,2,3,4", r"line 2: the object '\.\.' cannot be a file's name"),
        (
            f"{BOXES}P01,a,1,2,3,4\nP01,a,1,2,5,6",
            r"line 3: is a second box of 'a' .*the first: p\.csv, line 2.*a#1",
        ),
        (f"{BOXES}P01,a#1,1,2,3,4\nP01,A_1,1,2,5,6", "line 3: .* would have one mask file"),
        (f"{BOXES}P01,a,1,2,3,4,5", "line 2: has 7 cells, but the first line names 6"),
        (f"{BOXES}liver,a,1,2,3,4", r"line 2: liver is a volume of 3 slices; name one, such as liver_z001"),
        ("image,x,y,label\nP01,1,2,3", "line 2: the label is '3'; 1 is a point of the object"),
        ("image,object,x,y,label\nP01,a,1,2,0", "line 2: has points of the background only"),
        ("image,x,y,lable\nP01,1,2,0", r"unknown column of p\.csv 'lable'; did you mean 'label'"),
        ("image,x0,y0,x1\nP01,1,2,3", r"p\.csv has the columns image, x0, y0, x1; it needs"),
        (BOXES, "names no object"),
        ("", "of an empty file"),
    ],
)
def test_faults_of_a_csv_name_the_line(tmp_path, text, words):
    with pytest.raises(StudyError, match=words):
        read_prompts(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[{]", r"p\.json, line 1: is not JSON"),
        ("{}", "is not a list of entries"),
        ("[3]", "entry 1: is no"),
        ('[{"image": "P01", "bbox": [1]}]', r"unknown key of p\.json, entry 1 'bbox'; did you mean 'box'"),
        ('[{"image": "P01", "box": [1, 2, 3]}]', r"entry 1: the box is \[1, 2, 3\]; give"),
        ('[{"image": "P01", "points": [1, 2]}]', r"entry 1: points is \[1, 2\]; give"),
        ('[{"image": "P01", "box": [1, 2, "x", 3]}]', "entry 1: x1 is 'x'; a number"),
    ],
)
def test_faults_of_a_json_name_the_entry(tmp_path, text, words):
    with pytest.raises(StudyError, match=words):
        read_prompts(tmp_path, text, ".json")


def test_files_that_cannot_be_prompts(tmp_path):
    with pytest.raises(StudyError, match="there is no prompts file"):
        read_prompt_file(tmp_path / "p.csv", PICTURES)
    with pytest.raises(StudyError, match=r"neither \.csv nor \.json"):
        read_prompts(tmp_path, "", ".xlsx")
    (tmp_path / "p.csv").write_bytes(b"image\xff")
    with pytest.raises(StudyError, match="save it as UTF-8"):
        read_prompt_file(tmp_path / "p.csv", PICTURES)


def test_images_that_are_not_there(images, tmp_path):
    with pytest.raises(StudyError, match=r"no file or folder .*imagse \(there is 'images'\)"):
        list_pictures([images.parent / "imagse"])
    with pytest.raises(StudyError, match=r"no image in .*looked for files that end in \.png.*found images"):
        list_pictures([images.parent])
    with pytest.raises(StudyError, match="is of no known image type"):
        list_pictures([written(tmp_path / "p.csv", BOXES)])
    shutil.copy(images / "a.png", images / "A.jpg")
    with pytest.raises(StudyError, match=r"have one name, 'a', and so would their masks"):
        list_pictures([images])


def test_masks_of_an_earlier_run_are_not_written_over(capsys, images, tmp_path):
    arguments = ("--images", images / "a.png", "--automatic", "--output", tmp_path / "out")
    assert predict(capsys, *arguments)[0] == DONE
    status, _, err = predict(capsys, *arguments)
    assert status == REFUSED
    assert "holds the predictions of an earlier run" in err


def test_a_baseline_and_an_unstated_way_to_ask_are_refused(capsys, images, tmp_path):
    with pytest.raises(StudyError, match="'ellipse' sees no image"):
        predict_images("ellipse", [images], tmp_path / "out")
    with pytest.raises(SystemExit):
        predict(capsys, "--images", images, "--output", tmp_path / "out")
    assert "--prompts" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
