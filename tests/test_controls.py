"""U-Net, linear probe and the stage that holds them against a tuned model: they learn, are kept, are asked fairly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from drawn import DrawnDataset, tiny_sam

from samstudy import controls, models, stages
from samstudy.controls import (
    UNetRecipe,
    fit_probe,
    load_probe,
    load_unet,
    save_probe,
    save_unet,
    stage,
    train_unet,
)  # fmt: skip
from samstudy.controls.gains import control_gains, one_score_each, say_controls
from samstudy.controls.unet import recipe_for
from samstudy.controls.views import augmented, example, normalised, off_canvas, regions
from samstudy.controls.whole_image import learning_samples, target_mask
from samstudy.errors import ModelError, StudyError
from samstudy.evaluation import evaluate
from samstudy.models import SamModel
from samstudy.tuning.examples import choose_shots
from samstudy.types import AUTOMATIC

SMALL = UNetRecipe(channels=(8, 16, 32), side=64, steps=60, learning_rate=1e-2, validate_every=20)
PROMPTS = ["box", "point_center", AUTOMATIC]


@pytest.fixture
def discs():
    """Ten discs for training, two for validation, six for testing."""
    found = DrawnDataset(18, "tttttttttt" + "vv" + "eeeeee", only="disc")
    found.info = replace(found.info, targets=("disc",))
    return found


def dice_by_prompt(dataset, model):
    table = evaluate(dataset, [model], PROMPTS, progress=False)
    assert set(table["mask_choice"]) == {"single"}
    assert set(table["status"]) <= {"ok", "pred_empty"}
    return table.groupby("prompt")["dice"].mean()


def test_a_unet_learns_from_the_images_that_sam_is_tuned_with(discs):
    state = torch.get_rng_state()
    model = train_unet(discs, ("disc",), 8, 1, SMALL, progress=False)
    assert torch.equal(state, torch.get_rng_state())
    assert model.history["train_ids"] == choose_shots(discs, 8, 1)
    assert model.history["val_ids"] == discs.ids("val")
    assert (model.shots, model.fold, model.tuning) == (8, 1, "scratch")
    found = dice_by_prompt(discs, model)
    assert found.min() > 0.85
    assert found["box"] >= found[AUTOMATIC]


def test_a_unet_comes_back_from_its_file_and_from_its_seed(discs, tmp_path):
    quick = replace(SMALL, steps=3)
    first, again = (train_unet(discs, (), 2, 0, quick, progress=False) for _ in range(2))
    kept = load_unet(save_unet(first, tmp_path / "unet.safetensors"))
    assert first.weights_sha == again.weights_sha == kept.weights_sha
    assert kept.weights_sha != train_unet(discs, (), 2, 1, quick, progress=False).weights_sha
    image = discs.load("page12").image
    assert (kept.mask(kept.embed(image)) == first.mask(first.embed(image))).all()
    with pytest.raises(ModelError, match="samstudy_probe"):
        load_probe(tmp_path / "unet.safetensors", None)


def test_thin_targets_are_learnt_from_crops_of_a_finer_image():
    line = np.zeros((200, 200), bool)
    line[100:103, 10:190] = True
    assert (recipe_for([line]).side, recipe_for([line]).crop) == (512, UNetRecipe().side)
    assert recipe_for([line | True]) == UNetRecipe()
    chosen = UNetRecipe(side=256, crop=128)
    assert recipe_for([line], chosen) == chosen


def test_a_side_that_the_resolutions_do_not_divide_is_refused(discs):
    with pytest.raises(StudyError, match="side of this U-Net must be a multiple of 4 pixels, not 66"):
        train_unet(discs, ("disc",), 2, 0, replace(SMALL, side=66), progress=False)


def test_a_picture_goes_to_the_canvas_and_back():
    mask = np.zeros((30, 60), bool)
    mask[5:20, 10:40] = True
    canvas = regions([mask], 60)
    assert canvas.pixels.shape == (1, 60, 60)
    assert canvas.content_hw == (30, 60)
    assert (
        off_canvas(canvas.pixels[None], canvas.content_hw, (30, 60))[0, 0].numpy() > 0.5
    ).tolist() == mask.tolist()
    flat = normalised(np.full((30, 60, 3), 7, np.uint8), 64)
    assert not flat.pixels.any()


def test_a_view_shows_picture_target_and_what_counts_alike(discs):
    sample = discs.load("page1")
    one = example(sample, sample.labels["disc"], 64)
    plain = augmented(one, 64, 0, 0, 0, np.random.default_rng(3))
    assert plain.shape == (1, 5, 64, 64)
    assert float(plain[0, 3].sum()) == pytest.approx(float(one.target.sum()), rel=0.05)
    inside = plain[0, 3] > 0.5
    assert plain[0, 0][inside].mean() > plain[0, 0][(plain[0, 4] > 0.5) & ~inside].mean() + 1
    assert augmented(one, 32, 15, 0.25, 0.3, np.random.default_rng(0)).shape == (1, 5, 32, 32)


def test_a_probe_stands_on_cached_embeddings_and_comes_back(discs, tiny_model, tmp_path, monkeypatch):
    model = fit_probe(tiny_model, discs, ("disc",), 8, 0)
    assert (model.shots, model.tuning, model.encoder_sha) == (8, "probe", tiny_model.encoder_sha)
    found = dice_by_prompt(discs, model)
    # cells of 16 pixels under an encoder of random weights; calling everything a disc gives 0.2
    assert found[AUTOMATIC] > 0.3
    kept = load_probe(save_probe(model, tmp_path / "probe.safetensors"), tiny_model)
    assert kept.weights_sha == model.weights_sha
    monkeypatch.setattr(SamModel, "embed", lambda *_: pytest.fail("the encoder ran again"))
    pd.testing.assert_series_equal(dice_by_prompt(discs, kept), found)
    other = SamModel("other", tiny_sam(seed=1))
    with pytest.raises(ModelError, match="that of 'other' is"):
        load_probe(tmp_path / "probe.safetensors", other)


def test_images_without_the_target_are_passed_over(discs):
    empty = DrawnDataset(6, "tttvee", empty=True)
    with pytest.raises(StudyError, match="shows an object to learn from"):
        learning_samples(empty, 2, 0, ("none",), 8)
    sample = DrawnDataset().load("page0")
    both = target_mask(sample, ())
    assert (both == sample.labels["disc"] | sample.labels["dot"]).all()
    assert not target_mask(replace(sample, valid=np.zeros(sample.size_hw, bool)), ("disc",)).any()


@pytest.fixture
def project(discs, monkeypatch, tmp_path: Path):
    """A project of one drawn data set whose fine-tuning has controls."""
    monkeypatch.setitem(models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(), source="tiny"))
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    for module in (stages, stage):
        monkeypatch.setattr(module, "load_dataset", lambda *_, **__: discs)
    tuning = {"model": "tiny", "shots": [2], "prompts": ["box"], "limit": 5, "seeds": [0, 3], "steps": 2}
    tuning["controls"] = {"datasets": ["phantom_drive"], "shots": 4}
    grid = {"about": "a test", "datasets": ["phantom_drive"], "models": ["tiny"], "prompts": ["box"]}
    grid |= {"zero_shot": {"limit": None}, "fine_tuning": tuning}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"seed": 0, "profiles": {"demo": grid}}))
    return tmp_path


def test_the_stage_has_every_method_on_the_same_objects_and_keeps_what_it_trained(project, monkeypatch):
    quick = replace(SMALL, steps=2)
    table = controls.run("phantom_drive", device="cpu", recipe=quick)
    rows = one_score_each(table)
    at_box = rows[rows["prompt"] == "box"]
    assert set(at_box["method"]) == {
        "tuned", "shuffled", "zero-shot", "unet", "linear_probe", "otsu", "ellipse"
    }  # fmt: skip
    assert at_box.groupby("method")["image_id"].nunique().eq(5).all()
    assert set(rows.loc[rows["prompt"] == AUTOMATIC, "method"]) == {
        "zero-shot", "unet", "linear_probe", "otsu", "ellipse"
    }  # fmt: skip
    trained = table[table["shots"] > 0]
    assert set(trained["shots"]) == {4}
    assert trained.groupby("tuning")["fold"].nunique().eq(2).all()
    monkeypatch.setattr(controls.unet, "train_unet", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(controls.probe, "fit_probe", lambda *_: pytest.fail("fitted again"))
    monkeypatch.setattr(stages, "finetune", lambda *_: pytest.fail("tuned again"))
    pd.testing.assert_frame_equal(table, controls.run("phantom_drive", device="cpu", recipe=quick))
    pd.testing.assert_frame_equal(table, stages.read("demo", "controls"))


def method_rows(method, dice, model="tiny", tuning="none", fold=0):
    shots = 0 if tuning == "none" else 10
    known = {
        "dataset": "drawn",
        "target": "disc",
        "object_id": "disc",
        "prompt": "box",
        "mask_choice": "single",
    }
    known |= {
        "model": model,
        "tuning": tuning,
        "shots": shots,
        "fold": fold,
        "status": "ok",
        "iou_pred": np.nan,
    }
    return pd.DataFrame(
        [known | {"image_id": f"i{i}", "group_id": f"g{i}", "dice": dice + 0.01 * i} for i in range(8)]
    )


def test_gains_are_paired_averages_over_repetitions_and_are_told():
    table = pd.concat(
        [
            method_rows("zero-shot", 0.5),
            method_rows("tuned", 0.7, tuning="decoder"),
            method_rows("tuned", 0.9, tuning="decoder", fold=1),
            method_rows("shuffled", 0.4, tuning="shuffled"),
            method_rows("unet", 0.6, model="unet", tuning="scratch"),
        ]
    )
    gains = control_gains(table, n_boot=200)
    found = gains.set_index(["method", "against"])["gain"]
    assert found["tuned", "zero-shot"] == pytest.approx(0.3)
    assert found["tuned", "unet"] == pytest.approx(0.2)
    assert found["shuffled", "zero-shot"] == pytest.approx(-0.1)
    assert set(gains["n_scores"]) == {8}
    told = say_controls(gains)
    assert "tuned 0.83 against zero-shot 0.54 (gain 0.30 [0.30, 0.30])" in told
    assert "**shuffled labels − zero-shot**: above 0 with all of its interval in 0 of 1, below in 1" in told
    assert say_controls(gains.iloc[:0]) == "There are no controls of fine-tuning in this run."
    twice = pd.concat([table, method_rows("tuned", 0.8, tuning="lora")])
    with pytest.raises(StudyError, match="several models or numbers of images for 'SAM, tuned'"):
        control_gains(twice, n_boot=10)
