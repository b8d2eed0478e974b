"""Exported files: plain segment-anything opens them, and they give the same masks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import DrawnDataset, tiny_sam
from segment_anything import SamPredictor, modeling, sam_model_registry

from samstudy import checkpoints, models
from samstudy.cli import DONE, REFUSED, main
from samstudy.embeddings import embed
from samstudy.errors import ModelError, StudyError
from samstudy.exporting import export
from samstudy.models import SamModel, load_model
from samstudy.prompts import make_prompt
from samstudy.seeds import rng_for
from samstudy.tuning import METHODS, Recipe, finetune, save_tuned
from samstudy.vit_t import load_vit_t

QUICK = Recipe(prompts=("box",), steps=10, validate_every=5, learning_rate=1e-2)
WIDTH, DIM, SIDE, PATCH = 48, 32, 64, 16


def small_official(checkpoint=None):
    """What ``segment_anything.build_sam`` does, at a width that runs in milliseconds."""
    encoder = modeling.ImageEncoderViT(
        img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=2, num_heads=2, out_chans=DIM, use_rel_pos=True,
        window_size=2, global_attn_indexes=(1,),
    )  # fmt: skip
    grid = (SIDE // PATCH, SIDE // PATCH)
    decoder = modeling.MaskDecoder(
        transformer_dim=DIM, transformer=modeling.TwoWayTransformer(2, DIM, 2, 64), iou_head_hidden_dim=DIM
    )
    prompts = modeling.PromptEncoder(DIM, grid, (SIDE, SIDE), mask_in_chans=16)
    sam = modeling.Sam(encoder, prompts, decoder).eval()
    if checkpoint is not None:
        sam.load_state_dict(torch.load(checkpoint, weights_only=True))
    return sam


@pytest.fixture
def base(monkeypatch, tmp_path):
    """A checkpoint file that is taken for a ``vit_b``."""
    monkeypatch.setitem(sam_model_registry, "vit_b", small_official)
    monkeypatch.setitem(checkpoints._WIDTH_TO_VARIANT, WIDTH, "vit_b")
    return write_base(tmp_path / "base.pth", seed=0)


def write_base(path, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save(small_official().state_dict(), path)
    return path


def tuned_file(model, path, method="decoder", **recipe):
    dataset, recipe = DrawnDataset(only="disc"), replace(QUICK, **recipe)
    return save_tuned(finetune(model, dataset, 2, method, recipe=recipe, progress=False), path)


def ask(mode="box"):
    sample = DrawnDataset().load("page5")
    return sample.image, make_prompt(mode, sample.labels["disc"], rng_for(0))


@pytest.mark.parametrize("method", METHODS)
def test_plain_segment_anything_gives_the_same_masks(base, tmp_path, method):
    tuned = load_model(tuned_file(load_model(base, "cpu"), tmp_path / "tuned.safetensors", method), "cpu")
    found = export(tmp_path / "tuned.safetensors", tmp_path / "out" / "sam.pth")
    state = torch.load(found.path, weights_only=True)
    official = small_official().state_dict()
    assert {k: (v.shape, v.dtype) for k, v in state.items()} == {
        k: (v.shape, v.dtype) for k, v in official.items()
    }
    before = load_model(base).sam.state_dict()
    changed = {name.split(".")[0] for name in state if not torch.equal(state[name], before[name])}
    assert changed >= {"mask_decoder"} | ({"image_encoder"} if method != "decoder" else set())

    image, prompt = ask()
    predictor = SamPredictor(sam_model_registry["vit_b"](checkpoint=found.path))
    predictor.set_image(image)
    ours = tuned.predict(embed(tuned, image, cache_dtype="float32"), [prompt])[0]
    for multimask, part in ((False, slice(0, 1)), (True, slice(1, 4))):
        masks, iou_pred, _ = predictor.predict(box=prompt.box_xyxy, multimask_output=multimask)
        np.testing.assert_array_equal(ours.masks[part], masks)
        np.testing.assert_allclose(ours.iou_pred[part], iou_pred, atol=1e-6)
    assert load_model(found.path).weights_sha == tuned.weights_sha == found.weights_sha


def test_the_history_lies_beside_it(base, tmp_path):
    path = tuned_file(load_model(base, "cpu"), tmp_path / "tuned.safetensors")
    export(path, tmp_path / "sam.pth")
    facts = json.loads((tmp_path / "sam.json").read_text())
    assert (facts["architecture"], facts["base"], facts["shots"]) == ("vit_b", "base", 2)
    assert facts["weights_sha"] == load_model(path).weights_sha
    assert facts["recipe"]["steps"] == 10


def test_another_base_and_a_lost_one_are_explained(base, tmp_path, capsys):
    path = tuned_file(load_model(base, "cpu"), tmp_path / "tuned.safetensors")
    write_base(base, seed=1)
    with pytest.raises(ModelError, match=r"tuned\.safetensors was tuned from 'base' .* use the same base"):
        export(path, tmp_path / "sam.pth")
    base.unlink()
    assert main(["export", "--weights", str(path), "--output", str(tmp_path / "sam.pth")]) == REFUSED
    assert "tuned.safetensors was tuned from 'base', its base: no checkpoint at" in capsys.readouterr().err
    assert not (tmp_path / "sam.pth").exists()


@pytest.fixture
def tiny_vit_t(monkeypatch):
    """``vit_t`` of random weights that are not whole in half precision."""
    monkeypatch.setitem(
        models.MODELS._items, "vit_t", lambda _: SamModel("vit_t", tiny_sam(), source="vit_t")
    )


def test_vit_t_is_a_file_that_load_vit_t_reads_to_the_bit(tiny_vit_t, tmp_path, capsys):
    path = tuned_file(load_model("vit_t"), tmp_path / "tuned.safetensors")
    output = tmp_path / "mine.safetensors"
    assert main(["export", "--weights", str(path), "--output", str(output)]) == DONE
    said = capsys.readouterr().out
    assert "not in the registry of segment-anything" in said
    assert f'load_vit_t("{output}")' in said
    tuned, exported = load_model(path), load_model(output)
    assert exported.weights_sha == tuned.weights_sha
    image, prompt = ask("points_p3")
    predictor = SamPredictor(load_vit_t(output))
    predictor.set_image(image)
    masks, _, _ = predictor.predict(prompt.points_xy, prompt.point_labels, multimask_output=False)
    np.testing.assert_array_equal(masks, tuned.predict(embed(tuned, image), [prompt])[0].masks[:1])


def test_what_the_official_format_cannot_hold_is_said(base, tmp_path):
    path = tuned_file(load_model(base, "cpu"), tmp_path / "tuned.safetensors", prompts=("automatic",))
    found = export(path, tmp_path / "sam.pth")
    assert "learnt embedding of the mode automatic is not in it" in found.words()
    assert torch.load(found.path, weights_only=True).keys() == small_official().state_dict().keys()


def test_a_finer_input_of_vit_t_is_kept(tiny_vit_t, tmp_path):
    path = tuned_file(load_model("vit_t"), tmp_path / "tuned.safetensors", image_size=96)
    assert export(path, tmp_path / "mine.safetensors").left_out == ""
    assert load_model(tmp_path / "mine.safetensors").image_size == load_model(path).image_size == 96


def test_a_model_that_is_not_official_any_more_is_not_written(base, tmp_path, monkeypatch):
    model = load_model(base, "cpu")
    model.sam.mask_decoder.extra = torch.nn.Linear(2, 2)
    monkeypatch.setattr("samstudy.exporting.load_model", lambda *_: model)
    with pytest.raises(ModelError, match=r"2 tensors differ, such as mask_decoder\.extra\.bias"):
        export(base, tmp_path / "sam.pth")


def test_names_that_cannot_be_written_to(base, tiny_vit_t, tmp_path):
    with pytest.raises(StudyError, match=r"should end in \.pth"):
        export(base, tmp_path / "sam.safetensors")
    with pytest.raises(StudyError, match=r"should end in \.safetensors"):
        export("vit_t", tmp_path / "sam.pth")
    with pytest.raises(StudyError, match="is the tuned file itself"):
        export(base, base)
    with pytest.raises(StudyError, match="'ellipse' has no weights"):
        export("ellipse", tmp_path / "sam.pth")
    with pytest.raises(StudyError, match="choose another output folder"):
        export(base, base / "sam.pth")
    assert replace(export(base, tmp_path / "a.pth"), path=0) == replace(
        export(base, tmp_path / "b.pth"), path=0
    )
