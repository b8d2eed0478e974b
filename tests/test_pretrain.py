"""Scenes, simulated prompts, losses and the training loop of ``vit_t``."""

from __future__ import annotations

import argparse
import csv

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from samstudy.errors import StudyError
from samstudy.pretrain import curve, train
from samstudy.pretrain.canvas import Canvas
from samstudy.pretrain.heldout import heldout_scores, summary
from samstudy.pretrain.layouts import paint_layout
from samstudy.pretrain.leaves import LAYOUTS, draw_scene
from samstudy.pretrain.losses import pairwise_iou, pairwise_mask_loss, prompt_loss
from samstudy.pretrain.prompting import (
    TIGHT_SHARE,
    SceneDataset,
    jittered_box,
    negative_points,
    next_click,
    positive_points,
)
from samstudy.pretrain.shapes import Shape
from samstudy.pretrain.step import decode, normalised
from samstudy.vit_t import VitTConfig, build_vit_t, load_vit_t, load_vit_t_state

TINY = VitTConfig(
    image_size=32, stem_dims=(8, 8, 16), vit_dim=16, vit_depth=2, vit_heads=2, decoder_dim=32, decoder_heads=2
)


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(0, index, 64) for index in range(32)]


def test_a_scene_depends_on_its_number_only(scenes):
    again = draw_scene(0, 5, 64)
    np.testing.assert_array_equal(again.image, scenes[5].image)
    np.testing.assert_array_equal(again.node_map, scenes[5].node_map)
    assert not np.array_equal(draw_scene(0, 5, 64, "heldout").node_map, scenes[5].node_map)


def test_scenes_are_images_with_visible_weighted_objects(scenes):
    assert {scene.layout for scene in scenes} == set(LAYOUTS)
    for scene in scenes:
        assert scene.image.dtype == np.uint8
        assert scene.image.shape == (*scene.node_map.shape, 3)
        assert max(scene.node_map.shape) == 64
        assert len(scene.members) == len(scene.weights)
        assert all(scene.mask(i).sum() >= 4 for i in range(len(scene.members)))
    # small leaves that cover each other at 64 pixels may leave nothing that is large enough to be asked for
    assert sum(not len(scene.members) for scene in scenes) <= len(scenes) // 20


def test_scenes_are_ambiguous_by_construction(scenes):
    nested = 0
    for scene in scenes:
        masks = [scene.mask(i) for i in range(len(scene.members))]
        nested += any((a <= b).all() and a.sum() < b.sum() for a in masks for b in masks)
    assert nested >= len(scenes) // 3


def started(adopts: bool, seed: int = 0) -> Canvas:
    canvas = Canvas(np.random.default_rng(seed), (64, 64), 1, 0.3, 0.0, 0.002, adopts=adopts)
    canvas.start(np.array([0.5], np.float32))
    return canvas


def square(row: int, column: int, side: int) -> Shape:
    return Shape(np.full((side, side), 9.0, np.float32), row, column)


@pytest.mark.parametrize("adopts", [True, False])
def test_a_leaf_within_an_object_is_a_part_or_a_hole(adopts):
    canvas = started(adopts)
    body = canvas.paint(square(10, 10, 30))
    inner = canvas.paint(square(35, 20, 6))  # one of its six rows sticks out
    beside = canvas.paint(square(30, 36, 10))
    assert canvas.parents == [0, 0, body if adopts else 0, 0]
    assert beside == 3
    assert (canvas.nodes[40, 20:26] == (0 if adopts else inner)).all()
    assert (canvas.nodes[35:40, 20:26] == inner).all()


def test_a_leaf_on_parts_belongs_to_the_whole_they_make():
    canvas = started(True)
    body = canvas.paint(square(10, 10, 30))
    left, right = canvas.paint(square(20, 15, 6)), canvas.paint(square(20, 21, 6))
    over = canvas.paint(square(21, 18, 5))
    assert [canvas.parents[node] for node in (left, right, over)] == [body] * 3
    assert canvas.owner(np.zeros(0, int)) == 0


def test_composites_are_asked_for_as_wholes():
    shares = []
    for seed in range(24):
        canvas = started(True, seed)
        paint_layout(canvas, "composite")
        body = max(range(1, len(canvas.kinds)), key=canvas.kinds.__getitem__)
        assert canvas.kinds[body] == 3
        shares.append(np.isin(canvas.nodes, canvas.family(body)).mean())
    assert max(shares) > 0.45
    assert min(shares) < 0.1


def test_items_hold_consistent_prompts():
    data = SceneDataset(0, 10, 22, 64, n_targets=2)
    assert len(data) == 12
    for item in (data[i] for i in range(12)):
        assert item["image"].shape == (3, 64, 64)
        assert item["targets"].shape == (2, 3, 32, 32)
        assert int(item["targets"].max()) <= 4
        for k in range(2):
            for x, y in item["positive"][k].int().tolist():
                assert item["targets"][k, 0, y // 2, x // 2] > 0
            for x, y in item["negative"][k].int().tolist():
                assert item["targets"][k, 0, y // 2, x // 2] < 4 or item["targets"][k, 0].float().mean() > 3.9
            x, y = item["positive"][k, 0].int().tolist()
            assert (item["targets"][k][item["exists"][k]][:, y // 2, x // 2] > 0).all()
    torch.testing.assert_close(SceneDataset(0, 21, 22, 64, 2)[0]["targets"], data[11]["targets"])


def test_boxes_are_tight_or_near():
    mask = np.zeros((50, 80), bool)
    mask[10:30, 20:60] = True
    rng = np.random.default_rng(0)
    boxes = np.stack([jittered_box(mask, rng) for _ in range(200)])
    tight = (boxes == [20, 10, 59, 29]).all(axis=1)
    assert abs(tight.mean() - TIGHT_SHARE) < 0.1
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= 79).all()
    assert (boxes[:, :2] <= boxes[:, 2:]).all()


def test_points_are_inside_and_outside_even_for_extreme_masks():
    rng = np.random.default_rng(0)
    pixel = np.zeros((20, 30), bool)
    pixel[7, 11] = True
    assert (positive_points(pixel, rng) == [11, 7]).all()
    outside = negative_points(pixel, jittered_box(pixel, rng), rng).astype(int)
    assert not pixel[outside[:, 1], outside[:, 0]].any()
    full = np.ones((20, 30), bool)
    assert np.isfinite(negative_points(full, jittered_box(full, rng), rng)).all()


def test_clicks_go_where_the_mask_is_wrong():
    target = torch.zeros(8, 16, 16)
    target[:, 2:12, 2:12] = 1
    missing = torch.full_like(target, -5.0)
    surplus = torch.where(target > 0.5, 5.0, -5.0)
    surplus[:, 14:, 14:] = 5
    generator = torch.Generator().manual_seed(0)
    points, labels = next_click(missing, target, generator)
    assert (labels == 1).all()
    assert ((points >= 4) & (points < 24)).all()
    points, labels = next_click(surplus, target, generator)
    assert (labels == 0).all()
    assert (points >= 28).all()
    _, labels = next_click(torch.where(target > 0.5, 5.0, -5.0), target, generator)
    assert (labels == 1).all()


def test_pairwise_loss_equals_the_written_formula():
    generator = torch.Generator().manual_seed(1)
    logits, targets = (
        torch.randn(1, 2, 6, 5, generator=generator),
        torch.rand(1, 3, 6, 5, generator=generator),
    )
    for balance in (1.0, 0.4, 0.0):
        loss = pairwise_mask_loss(logits, targets, balance)
        for m in range(2):
            for t in range(3):
                x, y = logits[0, m], targets[0, t]
                p, area = x.sigmoid(), y.sum()
                dice = 1 - (2 * (p * y).sum() + 1) / (p.sum() + area + 1)
                even = 1 / (2 * area + 1.5)
                inside = (0.5 / (area + 1)) ** balance * even ** (1 - balance)
                outside = (0.5 / (31 - area)) ** balance * even ** (1 - balance)
                cross = -(inside * y * F.logsigmoid(x) + outside * (1 - y) * F.logsigmoid(-x)).sum()
                torch.testing.assert_close(loss[0, m, t], dice + cross)


def test_iou_counts_two_empty_masks_as_equal():
    logits = torch.full((1, 1, 4, 4), -1.0)
    assert pairwise_iou(logits, torch.zeros(1, 1, 4, 4)).item() == 1
    logits[..., :2] = 1
    target = torch.zeros(1, 1, 4, 4)
    target[..., 1:3] = 1
    assert pairwise_iou(logits, target).item() == pytest.approx(1 / 3)


def test_each_acceptable_target_needs_one_of_the_three_masks():
    targets = torch.zeros(1, 2, 8, 8)
    targets[:, 0, :4], targets[:, 1, :2] = 1, 1
    both = torch.stack([targets[0, 0], targets[0, 0], targets[0, 1], targets[0, 0]])[None] * 40 - 20
    one = torch.stack([targets[0, 0]] * 4)[None] * 40 - 20
    iou = torch.tensor([[1.0, 1.0, 0.5, 1.0]])
    exists = torch.tensor([[True, True]])
    good, measured = prompt_loss(both, iou, targets, exists, 0.0, share_mean=0.0)
    torch.testing.assert_close(measured, iou)
    assert good < 1e-3
    ones = torch.ones(1, 4)
    assert prompt_loss(one, ones, targets, exists, 0.0, share_mean=0.0)[0] > 0.1
    assert prompt_loss(one, ones, targets, torch.tensor([[True, False]]), 0.0, share_mean=0.0)[0] < 1e-3


def test_decoding_many_images_equals_one_by_one():
    torch.manual_seed(0)
    sam = build_vit_t(TINY)
    embedding = torch.randn(2, 32, 4, 4)
    boxes = torch.tensor([[1, 2, 20, 25], [5, 5, 9, 30], [0, 0, 31, 31], [8, 8, 12, 12]], dtype=torch.float32)
    with torch.no_grad():
        logits, iou_pred = decode(sam, embedding, {"points": None, "boxes": boxes, "masks": None})
        for i in range(2):
            sparse, dense = sam.prompt_encoder(None, boxes[2 * i : 2 * i + 2], None)
            masks, scores = sam.mask_decoder(
                image_embeddings=embedding[i : i + 1],
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )
            torch.testing.assert_close(logits[2 * i : 2 * i + 2, 1:], masks)
            torch.testing.assert_close(iou_pred[2 * i : 2 * i + 2, 1:], scores)


def test_training_input_equals_sams_preprocessing():
    sam = build_vit_t(TINY)
    image = torch.randint(0, 255, (1, 3, 32, 32), dtype=torch.uint8)
    image[:, :, 20:] = 0
    ours = normalised(sam, image, torch.tensor([[20, 32]]))
    torch.testing.assert_close(ours[0], sam.preprocess(image[0, :, :20].float()))


def test_schedules_start_and_end_where_they_should():
    recipe = train.Recipe()
    assert train.learning_rate_at(0, 1000, recipe) < 0.01 * recipe.learning_rate
    assert train.learning_rate_at(recipe.warmup_steps, 1000, recipe) == pytest.approx(recipe.learning_rate)
    assert train.learning_rate_at(1000, 1000, recipe) == pytest.approx(0.01 * recipe.learning_rate)
    assert type(train.learning_rate_at(500, 1000, recipe)) is float, "NumPy scalars do not load safely"
    assert train.balance_at(0, 100, recipe) == 1
    assert train.balance_at(50, 100, recipe) == pytest.approx(0.5)
    assert train.balance_at(90, 100, recipe) == 0
    assert train.balance_at(0, 100, train.Recipe(balanced_until=0, unbalanced_from=0)) == 0


@pytest.mark.parametrize("text", ["256", "256x8", "axb:c", "100x4:10", "64x0:3", ""])
def test_unreadable_stages_are_refused(text):
    with pytest.raises(StudyError, match="stage"):
        train.parse_stages(text)


def run_tiny(folder, **options):
    return train.pretrain(
        folder,
        stages="32x2:3,48x2:2",
        seed=4,
        device="cpu",
        workers=0,
        config=TINY,
        checkpoint_every=2,
        **options,
    )


def test_a_killed_run_resumes_to_the_same_weights(tmp_path, monkeypatch):
    whole = torch.load(run_tiny(tmp_path / "whole"), weights_only=True)
    real, calls = train.step_loss, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(train, "step_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        run_tiny(tmp_path / "cut")
    monkeypatch.setattr(train, "step_loss", real)
    resumed = torch.load(run_tiny(tmp_path / "cut"), weights_only=True)
    assert len(calls) == 4
    assert resumed["step"] == whole["step"] == 5
    for name, value in whole["ema"].items():
        torch.testing.assert_close(resumed["ema"][name], value, rtol=0, atol=1e-6)
    with pytest.raises(StudyError, match="made with seed 4"):
        train.pretrain(tmp_path / "cut", stages="32x2:1", seed=5, device="cpu", workers=0, config=TINY)

    path = train.export_weights(tmp_path / "cut" / "checkpoint.pt", tmp_path / "w.safetensors")
    config, _, metadata = load_vit_t_state(path)
    assert config.image_size == 48
    assert metadata["steps"] == "5"
    assert len(metadata["recipe"]) == 12
    table = heldout_scores(load_vit_t(path), n_scenes=2, n_targets=1, batch_size=2)
    assert list(summary(table).index) == ["box", "point", "clicks_4"]
    assert table["oracle"].between(0, 1).all()


def test_a_run_starts_from_given_weights(tmp_path):
    first = train.export_weights(run_tiny(tmp_path / "first"), tmp_path / "first.safetensors")
    options = {"initial": first, "recipe": train.Recipe(learning_rate=0.0)}
    second = train.export_weights(run_tiny(tmp_path / "second", **options), tmp_path / "second.safetensors")
    _, before, metadata = load_vit_t_state(first)
    _, after, warm = load_vit_t_state(second)
    assert metadata["initial"] == "random"
    assert warm["initial"] == "first.safetensors"
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


def test_the_curve_is_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(curve, "LOG_EVERY", 2)
    run_tiny(tmp_path)
    with (tmp_path / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert rows[1]["image_size"] == "48"
    assert all(float(row["loss"]) > 0 for row in rows)


def test_command_line_options_reach_the_run(tmp_path):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    export = tmp_path / "w.safetensors"
    args = parser.parse_args(
        [
            "--output",
            str(tmp_path),
            "--stages",
            "32x1:1",
            "--device",
            "cpu",
            "--workers",
            "0",
            "--export",
            str(export),
        ]
    )
    assert train.run(args) == 0
    assert load_vit_t_state(export)[2]["stages"] == "32x1:1"


def test_exporting_nothing_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="no checkpoint"):
        train.export_weights(tmp_path / "checkpoint.pt", tmp_path / "w.safetensors")
