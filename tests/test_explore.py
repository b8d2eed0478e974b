"""The explorer's state, its pictures and what it keeps, without a browser."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import matplotlib
import nibabel as nib
import numpy as np
import psutil
import pytest
from drawn import DrawnDataset
from matplotlib.backend_bases import KeyEvent, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from samstudy.datasets import load_dataset
from samstudy.errors import DataError, StudyError
from samstudy.explore.canvas import Picture, blend
from samstudy.explore.front_end import has_front_end
from samstudy.explore.lists import models_here
from samstudy.explore.saving import save, saved_objects
from samstudy.explore.session import Marks, Session
from samstudy.explore.sources import ArraySource, DatasetSource, FileSource, open_source
from samstudy.inference import Embedding
from samstudy.metrics import score
from samstudy.models import SamModel
from samstudy.prediction.pictures import list_pictures
from samstudy.prediction.prompt_file import read_prompt_file
from samstudy.types import Prediction


class Square:
    """Answers a point with a square around it: fast, and its mask tells which prompt it is of."""

    name, weights_sha, encoder_sha, tuning = "square", "w", "", "none"
    shots, fold, image_size, uses_image = 0, 0, 0, True

    def embed(self, image: np.ndarray) -> Embedding:
        return Embedding(None, image.shape[:2], image.shape[:2])

    def predict(self, embedding: Embedding, prompts: list) -> list[Prediction]:
        masks = np.zeros((4, *embedding.size_hw), bool)
        x, y = prompts[0].points_xy[-1] if len(prompts[0].points_xy) else prompts[0].box_xyxy[:2]
        for i in range(4):
            masks[i, max(0, int(y) - i - 1) : int(y) + i + 2, max(0, int(x) - i - 1) : int(x) + i + 2] = True
        return [Prediction(masks, np.array([0.5, 0.6, 0.9, 0.7], np.float32))]


def opened(drawn: DrawnDataset, *models: object) -> Session:
    session = Session(models or (Square(),))
    source = DatasetSource(drawn)
    image_id = source.ids("test")[0]
    shown = source.load(image_id)
    session.open(shown, next(iter(shown.references)))
    return session


# --- the session --------------------------------------------------------------------------------------------


def test_points_and_boxes_become_a_prompt_and_can_be_taken_back(drawn: DrawnDataset) -> None:
    session = opened(drawn)
    session.add_point(3.004, 5)
    session.add_point(1, 2, positive=False)
    session.set_box(9, 8, 2, 1000)
    height = session.shown.rgb.shape[0]
    assert session.marks == Marks(((3.0, 5.0, 1), (1.0, 2.0, 0)), (2.0, 8.0, 9.0, height - 1.0))
    prompt = session.marks.prompt()
    assert prompt.points_xy.tolist() == [[3, 5], [1, 2]]
    assert prompt.point_labels.tolist() == [1, 0]
    session.clear()
    assert session.marks == Marks()
    assert [session.undo() for _ in range(5)] == [True, True, True, True, False]
    assert session.marks == Marks()


def test_an_older_answer_never_overwrites_a_newer_one(drawn: DrawnDataset) -> None:
    session = opened(drawn)
    session.add_point(5, 5)
    (old,) = session.questions()
    session.add_point(20, 12)
    (new,) = session.questions()
    assert session.receive(new, new.answer())
    newest = session.mask().copy()
    assert not session.receive(old, old.answer())
    assert (session.mask() == newest).all()
    session.undo()
    assert session.mask() is None
    assert not session.receive(new, new.answer())
    session.open(session.shown)
    assert not session.receive(new, new.answer())
    session.add_point(5, 5)
    (asked,) = session.questions()
    session.use([Square()])
    assert not session.receive(asked, asked.answer())


def test_background_points_alone_ask_nothing(drawn: DrawnDataset) -> None:
    session = opened(drawn)
    session.add_point(5, 5, positive=False)
    assert session.questions() == []
    session.add_point(9, 9)
    session.ask()
    assert session.mask() is not None


def test_the_authors_choice_is_shown_until_one_is_picked(drawn: DrawnDataset) -> None:
    session = opened(drawn)
    session.add_point(8, 8)
    session.ask()
    assert session.chosen() == 2
    session.choose(1)
    assert session.chosen() == 1
    session.add_point(9, 8)
    session.ask()
    assert session.chosen() == 0


def test_dice_is_that_of_the_study(drawn: DrawnDataset, tiny_model: SamModel) -> None:
    session = opened(drawn, tiny_model, Square())
    session.add_point(20, 15)
    session.ask()
    reference = session.shown.references[session.target]
    for place in (0, 1):
        scores = session.scores(place)
        assert len(scores) == 4
        for (_, dice), mask in zip(scores, session.answers[place].masks, strict=True):
            assert dice == pytest.approx(score(reference, mask, metrics=["dice"])["dice"])
    session.compare_with("")
    assert [dice for _, dice in session.scores()] == [None] * 4


def test_what_cannot_be_done_is_said(drawn: DrawnDataset) -> None:
    with pytest.raises(StudyError, match="no image is open: choose one first"):
        Session().add_point(1, 1)
    with pytest.raises(StudyError, match="3 models were given; the explorer compares 2"):
        Session([Square()] * 3)
    session = opened(drawn)
    with pytest.raises(StudyError, match=r"the point \(-5.0, 1.0\) is outside the image of"):
        session.add_point(-5, 1)
    with pytest.raises(StudyError, match="has no object 'lver'"):
        session.compare_with("lver")


def test_two_hundred_clicks_on_twenty_images_keep_memory_and_show_no_stale_mask() -> None:
    session, process = Session([Square()]), psutil.Process()
    rng = np.random.default_rng(0)

    def round_of_clicks() -> None:
        for i in range(20):
            source = ArraySource(rng.integers(0, 255, (400, 500, 3), np.uint8), f"image{i}")
            session.open(source.load(f"image{i}"))
            for _ in range(10):
                x, y = int(rng.integers(10, 490)), int(rng.integers(10, 390))
                session.add_point(x, y)
                session.ask()
                assert session.mask()[y, x]
                assert session.mask().sum() in (9, 49)

    round_of_clicks()
    gc.collect()
    before = process.memory_info().rss
    round_of_clicks()
    gc.collect()
    assert process.memory_info().rss - before < 20e6


# --- own images ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "names"),
    [
        (np.zeros((8, 9), np.uint8), ["array"]),
        (np.arange(72, dtype=np.uint16).reshape(8, 9) * 900, ["array"]),
        (np.zeros((8, 9, 3), np.uint8), ["array"]),
        (np.linspace(-1000, 500, 8 * 9 * 5).reshape(8, 9, 5), [f"array_z00{k}" for k in range(5)]),
    ],
)
def test_arrays_are_shown_as_eight_bit_rgb(array: np.ndarray, names: list[str]) -> None:
    source = ArraySource(array)
    assert source.ids() == names
    shown = source.load(names[-1])
    assert (shown.rgb.dtype, shown.rgb.shape) == (np.uint8, (8, 9, 3))
    assert source.windowed == (array.dtype != np.uint8)


def test_a_window_changes_what_is_shown() -> None:
    source = ArraySource(np.arange(72, dtype=np.uint16).reshape(8, 9) * 900)
    assert source.load("array", (100, 50)).rgb.mean() > source.load("array").rgb.mean()


@pytest.mark.parametrize(
    "array", [np.zeros(3), np.zeros((4, 5, 6, 7)), np.zeros((4, 5), complex), np.zeros((0, 5))]
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(
        StudyError, match="is an array H x W, H x W x 3 or H x W x K slices of real numbers, not"
    ):
        open_source(array)


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no file or folder"):
        FileSource(tmp_path / "nothing.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        FileSource(tmp_path).load("broken")


# --- saving -------------------------------------------------------------------------------------------------


def clicked(source: object, image_id: str, x: float, y: float, window: tuple | None = None) -> Session:
    session = Session([Square()])
    session.open(source.load(image_id, window))
    session.add_point(x, y)
    session.ask()
    return session


def test_saved_objects_are_a_data_set_and_prompts_that_predict_reads(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    session = clicked(ArraySource(image, "page"), "page", 20, 10)
    assert save(session, tmp_path / "set", "nodule#1").startswith("Saved nodule#1 of page")
    first = session.mask().copy()
    session.clear()
    session.set_box(30, 20, 40, 30)
    session.ask()
    save(session, tmp_path / "set", "nodule#2")
    assert save(session, tmp_path / "set", "nodule#2").startswith("Replaced")

    dataset = load_dataset(f"folder:{tmp_path / 'set'}")
    sample = dataset.load("page")
    assert (sample.image == image).all()
    assert (sample.labels["nodule#1"] == first).all()
    assert (sample.labels["nodule#2"] == session.mask()).all()
    asked = read_prompt_file(
        tmp_path / "set" / "prompts.json", list_pictures([tmp_path / "set" / "images"])[0]
    )
    assert [(one.object_id, one.prompt.n_points) for one in asked["page"]] == [
        ("nodule#1", 1),
        ("nodule#2", 0),
    ]
    assert asked["page"][1].prompt.box_xyxy.tolist() == [30, 20, 40, 30]
    assert saved_objects(tmp_path / "set") == [("page", "nodule#1"), ("page", "nodule#2")]
    record = json.loads((tmp_path / "set" / "saved.json").read_text())
    assert (record[0]["model"], record[0]["candidate"], record[0]["iou_pred"]) == ("square", 2, 0.9)
    assert not (dataset.check(progress=False)["level"] == "error").any()


def test_slices_of_a_volume_are_gathered_on_its_grid(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 100, (20, 24, 5)).astype(np.float32)
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "scan.nii.gz")
    source = FileSource(tmp_path / "scan.nii.gz")
    masks = {}
    for index, x in ((1, 8), (3, 12)):
        session = clicked(source, f"scan_z00{index}", x, 9)
        save(session, tmp_path / "set", "liver")
        masks[f"scan_z00{index}"] = session.mask()
    dataset = load_dataset(f"folder:{tmp_path / 'set'}")
    assert dataset.ids("all") == list(masks)
    for image_id, mask in masks.items():
        sample = dataset.load(image_id)
        assert (sample.labels["liver"] == mask).all()
        assert (sample.image == source.load(image_id).rgb).all()
        assert sample.spacing_mm == (3.0, 2.0)


def test_a_window_of_ones_own_is_kept_as_a_picture(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.arange(960.0).reshape(20, 24, 2), np.eye(4)), tmp_path / "scan.nii.gz")
    session = clicked(FileSource(tmp_path / "scan.nii.gz"), "scan_z001", 8, 9, (300, 100))
    save(session, tmp_path / "set", "liver")
    assert (load_dataset(f"folder:{tmp_path / 'set'}").load("scan_z001").image == session.shown.rgb).all()


def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    image = np.zeros((40, 60), np.uint8)
    session = Session([Square()])
    session.open(ArraySource(image, "page").load("page"))
    with pytest.raises(StudyError, match="no mask to save: add a point or a box first"):
        save(session, tmp_path, "nodule")
    session = clicked(ArraySource(image, "page"), "page", 20, 10)
    with pytest.raises(StudyError, match="cannot be a file's name"):
        save(session, tmp_path, "a/b")
    save(session, tmp_path, "nodule#2")
    with pytest.raises(StudyError, match="'nodule_2' and 'nodule#2' would have one mask file"):
        save(session, tmp_path, "nodule_2")
    other = clicked(ArraySource(image + 9, "page"), "page", 20, 10)
    with pytest.raises(StudyError, match=r"page\.png is another image of that name"):
        save(other, tmp_path, "nodule")
    (tmp_path / "prompts.json").write_text("{")
    with pytest.raises(StudyError, match=r"prompts\.json cannot be read"):
        save(session, tmp_path, "nodule")


# --- the picture --------------------------------------------------------------------------------------------


def pictured(drawn: DrawnDataset) -> tuple[Picture, list[str]]:
    figure, keys = Figure(figsize=(4, 4), dpi=100), []
    FigureCanvasAgg(figure)
    session = opened(drawn)
    picture = Picture(figure, session, session.ask, keys.append)
    picture.lay_out()
    figure.canvas.draw()
    return picture, keys


def mouse(picture: Picture, name: str, x: float, y: float, button: int = 1, **more: object) -> None:
    place = picture.figure.axes[0].transData.transform((x, y))
    MouseEvent(f"{name}_event", picture.figure.canvas, *place, button, **more)._process()


def press(picture: Picture, *keys: str) -> None:
    for key in keys:
        KeyEvent("key_press_event", picture.figure.canvas, key)._process()


def test_clicks_and_drags_mean_points_and_a_box(drawn: DrawnDataset) -> None:
    picture, _ = pictured(drawn)
    for button, more in ((1, {}), (3, {}), (1, {"modifiers": ["shift"]})):
        mouse(picture, "button_press", 10, 12, button, **more)
        mouse(picture, "button_release", 10, 12, button, **more)
    assert picture.session.marks.points == ((10, 12, 1), (10, 12, 0), (10, 12, 0))
    mouse(picture, "button_press", 5, 6)
    mouse(picture, "motion_notify", 15, 16)
    mouse(picture, "button_release", 20, 18)
    assert picture.session.marks.box_xyxy == (5, 6, 20, 18)
    shown = picture.figure.axes[0].images[0].get_array()
    mask = picture.session.mask()
    picture.update()
    shown = np.asarray(picture.figure.axes[0].images[0].get_array())
    assert (shown[mask] != picture.session.shown.rgb[mask]).any()
    assert (shown[~mask] == picture.session.shown.rgb[~mask]).all()


def test_the_keyboard_does_what_the_mouse_does(drawn: DrawnDataset) -> None:
    picture, keys = pictured(drawn)
    height, width = picture.session.shown.rgb.shape[:2]
    x, y = width // 2, height // 2
    press(picture, "right", "down", "enter", "shift+left", "backspace", "up", "-")
    assert picture.session.marks.points == ((x + 1, y + 1, 1), (x - 9, y + 1, 0), (x - 9, y, 0))
    press(picture, "b", "shift+down", "shift+right", "b")
    assert picture.session.marks.box_xyxy == (x - 9, y, x + 1, min(y + 10, height - 1))
    press(picture, "u", "1", "[", "s")
    assert keys == ["u", "1", "[", "s"]


def test_no_click_is_taken_while_the_toolbar_zooms(drawn: DrawnDataset) -> None:
    picture, _ = pictured(drawn)
    picture.figure.canvas.toolbar = type("Toolbar", (), {"mode": "zoom rect"})()
    mouse(picture, "button_press", 10, 12)
    mouse(picture, "button_release", 10, 12)
    assert picture.session.marks == Marks()


def test_blending_leaves_the_image_alone() -> None:
    rgb, mask = np.full((2, 2, 3), 100, np.uint8), np.array([[True, False], [False, False]])
    assert blend(rgb, mask, "#ffffff", 0.5)[0, 0].tolist() == [178, 178, 178]
    assert (rgb == 100).all()
    assert blend(rgb, None, "red", 0.5) is rgb


# --- lists and front ends -----------------------------------------------------------------------------------


def test_tuned_models_are_offered_by_what_they_were_tuned_for(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "results" / "demo" / "tuned"
    folder.mkdir(parents=True)
    (folder / "eye.vessel.vit_t.decoder.5shot.seed1.abcdef.safetensors").touch()
    facts = {
        "dataset": "eye",
        "base": "vit_t",
        "method": "decoder",
        "shots": 5,
        "recipe": {"targets": ["vessel"]},
    }
    (folder / "eye.vessel.vit_t.decoder.5shot.seed1.abcdef.json").write_text(json.dumps(facts))
    (folder / "unknown.safetensors").touch()
    offered = models_here(["mine/weights.safetensors"], tmp_path)
    words = list(offered)
    assert words[0] == "mine/weights.safetensors"
    assert "vit_t" in words
    assert "ellipse" not in words
    assert "eye vessel: vit_t decoder, 5 shots, seed1, abcdef (demo)" in words
    assert offered["unknown (demo)"].endswith("unknown.safetensors")


def test_without_a_browser_a_sentence_says_how(capsys: pytest.CaptureFixture) -> None:
    from samstudy.explore import explore

    assert not has_front_end()
    assert explore("mni152") is None
    assert capsys.readouterr().out == (
        "The explorer needs a browser: nothing interactive is shown here. Open the notebook in JupyterLab "
        "(`samstudy lab`) or VS Code and run this cell.\n"
    )


def test_saved_png_is_binary(tmp_path: Path) -> None:
    session = clicked(ArraySource(np.zeros((40, 60), np.uint8), "page"), "page", 20, 10)
    save(session, tmp_path, "nodule")
    assert set(np.unique(np.asarray(Image.open(tmp_path / "masks" / "page" / "nodule.png")))) == {0, 255}


def test_the_panel_answers_keys_and_lists(
    drawn: DrawnDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend = matplotlib.get_backend()
    from samstudy.explore import panel

    assert matplotlib.get_backend() == backend, "other figures of the notebook are drawn as before"
    monkeypatch.setattr(panel, "load_model", lambda name, device: Square())
    explorer = panel.Explorer([], tmp_path / "set", "cpu")
    explorer.start(drawn)
    assert "embedded in" in explorer.controls.status.value
    explorer.session.add_point(20, 15)
    explorer.answer()
    assert "1 point: answered in" in explorer.controls.status.value
    assert explorer.controls.candidate.label == "authors' choice"
    for key, index in (("2", 1), ("4", 3), ("0", 2), ("1", 0)):
        explorer.press(key)
        assert explorer.session.chosen() == index
    for key, opacity in (("[", 0.3), ("]", 0.4), ("]", 0.5)):
        explorer.press(key)
        assert explorer.picture.look.opacity == pytest.approx(opacity)
    explorer.press("s")
    assert "Saved" in explorer.controls.status.value
    first = explorer.controls.image.value
    explorer.press("n")
    assert explorer.controls.image.value != first
    assert explorer.session.marks == Marks()
    explorer.press("s")
    assert "<b>Not done:</b> there is no mask to save" in explorer.controls.status.value
    explorer.controls.second.value = explorer.controls.model.value
    assert len(explorer.session.models) == len(explorer.picture.figure.axes) == 2
    explorer.controls.dataset.value = "images of one's own"
    explorer.controls.own.value = str(tmp_path / "nothing.png")
    assert "there is no file or folder" in explorer.controls.status.value
