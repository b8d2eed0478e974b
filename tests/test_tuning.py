"""Fine-tuning: it learns, keeps its promises about data, and its files come back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import DrawnDataset, tiny_sam

from samstudy import models
from samstudy.errors import ModelError, StudyError
from samstudy.evaluation import evaluate
from samstudy.models import SamModel, load_model
from samstudy.tuning import Recipe, finetune, save_tuned
from samstudy.tuning.examples import choose_shots, to_decoder_grid
from samstudy.tuning.losses import prompt_losses

QUICK = Recipe(prompts=("box",), steps=10, validate_every=5, prompts_per_image=2)


@pytest.fixture
def many():
    """Twelve training images, two for validation, four for testing."""
    return DrawnDataset(18, "tttttttttttt" + "vv" + "eeee")


def test_tuning_beats_the_untuned_decoder_on_held_out_objects(tiny_model):
    discs = DrawnDataset(18, "tttttttttttt" + "vv" + "eeee", only="disc")
    recipe = Recipe(prompts=("box",), steps=120, patience=9, learning_rate=1e-2, prompts_per_image=2)
    tuned = finetune(tiny_model, discs, shots=12, recipe=recipe, progress=False)
    table = evaluate(discs, [tiny_model, tuned], ["box"], progress=False)
    means = table[table.mask_choice == "single"].groupby("tuning").dice.mean()
    assert means["decoder"] > means["none"] + 0.2
    assert set(table.shots) == {0, 12}


def test_only_the_mask_decoder_changes_and_the_base_stays(tiny_model, many):
    before = {k: v.clone() for k, v in tiny_model.sam.state_dict().items()}
    tuned = finetune(tiny_model, many, shots=2, recipe=QUICK, progress=False)
    after = tuned.sam.state_dict()
    assert all(torch.equal(before[k], v) for k, v in tiny_model.sam.state_dict().items())
    changed = {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])}
    assert changed == {"mask_decoder"}
    assert tuned.encoder_sha == tiny_model.encoder_sha
    assert tuned.weights_sha != tiny_model.weights_sha
    assert not any(p.requires_grad for p in tuned.sam.parameters())


def test_the_encoder_never_runs_twice_on_an_image(tiny_model, many, monkeypatch):
    finetune(tiny_model, many, shots=3, recipe=QUICK, progress=False)
    monkeypatch.setattr(SamModel, "embed", lambda *_: pytest.fail("the encoder ran again"))
    finetune(tiny_model, many, shots=3, recipe=QUICK, progress=False)


def test_the_same_seed_gives_the_same_weights(tiny_model, many):
    a, b = (finetune(tiny_model, many, shots=2, recipe=QUICK, seed=4, progress=False) for _ in range(2))
    assert a.weights_sha == b.weights_sha
    assert (
        a.weights_sha != finetune(tiny_model, many, shots=2, recipe=QUICK, seed=5, progress=False).weights_sha
    )


def test_test_images_are_never_read(tiny_model):
    dataset = DrawnDataset(18, "tttttttttttt" + "vv" + "eeee", broken=(14, 15, 16, 17))
    finetune(tiny_model, dataset, shots=12, recipe=replace(QUICK, steps=1), progress=False)


def test_fewer_shots_are_a_subset_of_more(many):
    chosen = [choose_shots(many, n, seed=0) for n in (1, 5, 12)]
    assert chosen[1][:1] == chosen[0]
    assert chosen[2][:5] == chosen[1]
    assert len(set(chosen[2])) == 12
    assert chosen[1] != choose_shots(many, 5, seed=1)


def test_shots_come_from_different_groups_first(many, monkeypatch):
    monkeypatch.setattr(type(many), "group_of", lambda self, i: str(int(i.removeprefix("page")) % 4))
    assert len({many.group_of(i) for i in choose_shots(many, 4, seed=0)}) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shots": 13}, "13 training images were asked for, but the training split of drawn has 12"),
        ({"shots": 0}, "choose 1 to 12"),
        ({"method": "decodr"}, "unknown fine-tuning method 'decodr'; did you mean 'decoder'"),
        ({"model": "ellipse"}, "'ellipse' has no mask decoder"),
        ({"recipe": Recipe(prompts=("boxes_parts",))}, "composite prompts"),
    ],
)
def test_bad_arguments_are_sentences(tiny_model, many, change, words):
    arguments = {
        "model": tiny_model,
        "dataset": many,
        "shots": 2,
        "recipe": QUICK,
        "progress": False,
    } | change
    with pytest.raises(StudyError, match=words):
        finetune(**arguments)


def test_without_validation_images_it_says_what_to_do(tiny_model):
    with pytest.raises(StudyError, match=r"no validation images.*splits\.csv"):
        finetune(tiny_model, DrawnDataset(4, "ttte"), shots=1, recipe=QUICK, progress=False)


@pytest.fixture
def tiny_registered(monkeypatch):
    """Make load_model("tiny") work."""
    monkeypatch.setitem(models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(), source="tiny"))


def test_a_saved_model_comes_back(tiny_model, many, tiny_registered, tmp_path):
    tuned = finetune(tiny_model, many, shots=2, recipe=QUICK, seed=3, progress=False)
    path = save_tuned(tuned, tmp_path / "w.safetensors")
    back = load_model(path)
    assert back.weights_sha == tuned.weights_sha
    assert (back.name, back.tuning, back.shots, back.fold) == ("tiny", "decoder", 2, 3)
    history = json.loads((tmp_path / "w.json").read_text())
    assert history["split_sha"] == many.fingerprint()
    assert history["recipe"]["steps"] == 10
    assert history["curve"][0]["step"] == 0
    assert history["train_ids"] == choose_shots(many, 2, 3)


def test_another_base_is_refused(tiny_model, many, monkeypatch, tmp_path):
    tuned = finetune(tiny_model, many, shots=1, recipe=replace(QUICK, steps=1), progress=False)
    path = save_tuned(tuned, tmp_path / "w.safetensors")
    monkeypatch.setitem(
        models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(seed=1), source="tiny")
    )
    with pytest.raises(ModelError, match=r"tuned from 'tiny' with the image encoder .* use the same base"):
        load_model(path)


def test_an_untuned_model_is_not_saved(tiny_model, tmp_path):
    with pytest.raises(StudyError, match="has not been tuned"):
        save_tuned(tiny_model, tmp_path / "w.safetensors")


def test_the_loss_is_zero_for_the_reference_and_counts_no_padding():
    target = torch.zeros(1, 8, 8)
    target[0, 2:5, 2:5] = 1
    counted = torch.ones(8, 8)
    counted[6:] = 0
    sure = torch.where(target[:, None].bool(), 50.0, -50.0).expand(1, 4, 8, 8).clone()
    sure[:, :, 6:] = 50.0
    assert float(prompt_losses(sure, torch.ones(1, 4), target, counted)) == pytest.approx(0, abs=1e-4)
    wrong = sure.clone()
    wrong[:, 1:] *= -1
    wrong[:, 2] = sure[:, 2]
    best_of_three = prompt_losses(wrong, torch.tensor([[1.0, 0, 1, 0]]), target, counted)
    assert float(best_of_three) == pytest.approx(0, abs=1e-4)
    wrong[:, 0] *= -1
    assert float(prompt_losses(wrong, torch.tensor([[0.0, 0, 1, 0]]), target, counted)) > 10


def test_the_decoder_grid_keeps_areas_and_pads_bottom_right():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 15:30] = True
    grid = to_decoder_grid(mask, (64, 96), 96, 2)
    assert grid.shape == (48, 48)
    assert float(grid.sum()) * 4 / (64 * 96) == pytest.approx(mask.mean(), rel=0.02)
    assert not grid[32:].any()
    assert grid[8:16, 12:24].mean() == pytest.approx(1, abs=0.1)


def test_one_target_can_be_learnt_alone(tiny_model, many):
    tuned = finetune(tiny_model, many, shots=2, recipe=replace(QUICK, targets=("disc",)), progress=False)
    alone = DrawnDataset(18, "tttttttttttt" + "vv" + "eeee", only="disc")
    assert tuned.weights_sha == finetune(tiny_model, alone, shots=2, recipe=QUICK, progress=False).weights_sha
    table = evaluate(many, [tuned], ["box"], targets=["disc"], progress=False)
    assert set(table.target) == {"disc"}
    with pytest.raises(StudyError, match=r"unknown target of drawn 'disk'; did you mean 'disc'"):
        finetune(tiny_model, many, shots=2, recipe=replace(QUICK, targets=("disk",)), progress=False)
