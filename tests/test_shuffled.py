"""The control of shuffled labels: prompts stay right, what is learnt is another's, and nothing is gained by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn import DrawnDataset

from samstudy.controls import ShuffledLabels
from samstudy.controls.shuffled import displaced
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.models import load_model
from samstudy.tuning import Recipe, finetune, save_tuned
from samstudy.tuning.examples import make_examples

DISCS = DrawnDataset(18, "tttttttttttt" + "vv" + "eeee", only="disc")
SIZES = {int(DISCS.load(i).labels["disc"].sum()) for i in DISCS.ids("all")}


def test_every_learning_image_learns_the_mask_of_another_group():
    mixed = ShuffledLabels(DISCS, 0)
    for image_id in (*DISCS.ids("train"), *DISCS.ids("val")):
        right, wrong = DISCS.load(image_id), mixed.load(image_id)
        assert (wrong.image == right.image).all()
        assert (wrong.labels["disc"] == right.labels["disc"]).all()
        assert (wrong.to_learn("disc") != right.labels["disc"]).any()
        assert int(wrong.to_learn("disc").sum()) in SIZES
        other_id, _ = mixed._next_showing(right, "disc")
        assert DISCS.group_of(other_id) != right.group_id
        assert wrong.content_sha() != right.content_sha()


def test_no_two_images_learn_the_mask_of_the_same_one():
    mixed = ShuffledLabels(DISCS, 3)
    taken = [mixed._next_showing(DISCS.load(i), "disc")[0] for i in mixed._circle]
    assert sorted(taken) == sorted(mixed._circle)


def test_the_seed_names_the_masks_and_test_images_are_as_they_were():
    first, again, other = (ShuffledLabels(DISCS, seed).load("page0").to_learn("disc") for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    mixed = ShuffledLabels(DISCS, 0)
    assert all(mixed.load(image_id).learns is None for image_id in DISCS.ids("test"))
    assert mixed.fingerprint() == DISCS.fingerprint()


def test_prompts_are_of_the_right_object_and_targets_of_the_wrong_one(tiny_model):
    recipe = Recipe(prompts=("box",), variants=1, flips=True)
    ids = DISCS.ids("train")[:2]
    right = make_examples(tiny_model, DISCS, ids, recipe, 0)
    wrong = make_examples(tiny_model, ShuffledLabels(DISCS, 0), ids, recipe, 0)
    for one, other in zip(right, wrong, strict=True):
        assert (one.prompts[0].box_xyxy == other.prompts[0].box_xyxy).all()
        assert not one.targets.equal(other.targets)
    upright, mirrored = wrong[0].targets, wrong[1].targets
    assert float(mirrored.sum()) == pytest.approx(float(upright.sum()), rel=0.1)


def test_tuned_on_shuffled_labels_it_does_not_beat_zero_shot_where_right_labels_do(tiny_model):
    recipe = Recipe(prompts=("box",), steps=60, patience=9, learning_rate=1e-2, prompts_per_image=2)
    right, wrong = (
        finetune(tiny_model, source, shots=12, recipe=recipe, progress=False)
        for source in (DISCS, ShuffledLabels(DISCS, 0))
    )
    wrong.tuning = "shuffled"
    table = evaluate(DISCS, [tiny_model, right, wrong], ["box"], progress=False)
    means = table[table["mask_choice"] == "single"].groupby("tuning")["dice"].mean()
    assert means["decoder"] > means["none"] + 0.2
    assert means["shuffled"] < means["none"] + 0.05


def test_a_kept_control_is_not_taken_for_a_tuned_model(tiny_model, tmp_path, monkeypatch):
    from samstudy import models

    monkeypatch.setitem(models.MODELS._items, "tiny", lambda _: replace(tiny_model))
    recipe = Recipe(prompts=("box",), steps=1, prompts_per_image=1)
    tuned = finetune(tiny_model, ShuffledLabels(DISCS, 0), shots=2, recipe=recipe, progress=False)
    tuned.history["tuning"] = "shuffled"
    path = save_tuned(tuned, tmp_path / "mixed.safetensors")
    assert load_model(path).tuning == "shuffled"


def test_what_cannot_be_shuffled_is_refused_with_the_reason():
    with pytest.raises(StudyError, match=r"it has 1 training image\(s\), and at least two are needed"):
        ShuffledLabels(DrawnDataset(4, "tvee"), 0)
    alone = DrawnDataset(6, "tttvee")
    read = alone._read
    alone._read = lambda record: read(record) if record.index == 0 else _without_dot(read(record))
    with pytest.raises(StudyError, match="page0 alone shows 'dot'"):
        ShuffledLabels(alone, 0).load("page0")


def _without_dot(reading):
    reading.labels.pop("dot")
    return reading


def test_a_displaced_mask_has_the_size_of_its_new_image():
    mask = np.zeros((10, 20), bool)
    mask[2:5, 3:9] = True
    moved = displaced(mask, (20, 40), np.random.default_rng(0))
    assert moved.shape == (20, 40)
    assert moved.sum() == 4 * mask.sum()
