"""Inference equals SamPredictor, whatever the batch, and keeps every candidate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from samstudy.embeddings import embed, embedding_key
from samstudy.errors import DataError, StudyError
from samstudy.inference import decode_low_res, encode_image
from samstudy.models import SamModel
from samstudy.prompts import make_prompt
from samstudy.seeds import rng_for
from samstudy.types import Prediction, Prompt
from samstudy.vit_t import set_image_size

ONE_SHOT = ("point_center", "points_parts", "points_p5n5", "box", "box_jitter10", "box_point")
SIZES_HW = [(40, 56), (90, 31), (64, 64), (200, 150)]


def picture(size_hw, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def blob(size_hw):
    mask = np.zeros(size_hw, bool)
    mask[size_hw[0] // 4 : size_hw[0] // 2, size_hw[1] // 5 : size_hw[1] // 2] = True
    mask[-6:-2, -7:-2] = True
    return mask


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("mode", ONE_SHOT)
def test_equals_sam_predictor(tiny_model, size_hw, mode):
    image, prompt = picture(size_hw), make_prompt(mode, blob(size_hw), rng_for(0, mode))
    ours = tiny_model.predict(tiny_model.embed(image), [prompt])[0]
    official = SamPredictor(tiny_model.sam)
    official.set_image(image)
    points = (prompt.points_xy, prompt.point_labels) if len(prompt.points_xy) else (None, None)
    for multimask, ours_at in ((False, slice(0, 1)), (True, slice(1, 4))):
        masks, iou_pred, low_res = official.predict(*points, box=prompt.box_xyxy, multimask_output=multimask)
        np.testing.assert_array_equal(ours.masks[ours_at], masks)
        np.testing.assert_allclose(ours.iou_pred[ours_at], iou_pred, atol=1e-6)
        np.testing.assert_allclose(ours.low_res_logits[ours_at], low_res, atol=1e-5)


@pytest.mark.parametrize("size_hw", SIZES_HW)
@pytest.mark.parametrize("mode", ["point_center", "box", None])
def test_a_mask_prompt_equals_sam_predictor(tiny_model, size_hw, mode):
    image = picture(size_hw)
    prompt = make_prompt(mode, blob(size_hw), rng_for(0, mode)) if mode else Prompt()
    embedding = tiny_model.embed(image)
    first = tiny_model.predict(embedding, [make_prompt("box", blob(size_hw), rng_for(0))])[0]
    logits = first.low_res_logits[:1]
    ours = tiny_model.predict(embedding, [replace(prompt, mask_logits=logits)])[0]
    official = SamPredictor(tiny_model.sam)
    official.set_image(image)
    points = (prompt.points_xy, prompt.point_labels) if len(prompt.points_xy) else (None, None)
    for multimask, ours_at in ((False, slice(0, 1)), (True, slice(1, 4))):
        masks, iou_pred, low_res = official.predict(
            *points, box=prompt.box_xyxy, mask_input=logits, multimask_output=multimask
        )
        np.testing.assert_array_equal(ours.masks[ours_at], masks)
        np.testing.assert_allclose(ours.iou_pred[ours_at], iou_pred, atol=1e-6)
        np.testing.assert_allclose(ours.low_res_logits[ours_at], low_res, atol=1e-5)
    if mode:
        without = tiny_model.predict(embedding, [prompt])[0]
        assert not np.array_equal(without.low_res_logits, ours.low_res_logits)


def test_a_mask_of_another_size_is_a_sentence(tiny_model):
    embedding = tiny_model.embed(picture((40, 56)))
    prompt = Prompt(mask_logits=np.zeros((4, 32, 32), np.float32), mode="mine")
    with pytest.raises(StudyError, match=r"'mine' has shape \(4, 32, 32\).* takes \(1, 32, 32\)"):
        tiny_model.predict(embedding, [prompt])


def test_a_batch_of_mixed_prompts_equals_one_by_one(tiny_model):
    image, mask = picture((40, 56)), blob((40, 56))
    modes = [*ONE_SHOT, "boxes_parts", "everything_8"]
    prompts = [make_prompt(mode, mask, rng_for(turn, mode)) for turn in range(4) for mode in modes]
    embedding = tiny_model.embed(image)
    low_res = tiny_model.predict(embedding, prompts[:2])[1].low_res_logits
    prompts += [replace(prompts[0], mask_logits=low_res[i : i + 1]) for i in range(2)]
    together = tiny_model.predict(embedding, prompts)
    for prompt, found in zip(prompts, together, strict=True):
        alone = tiny_model.predict(embedding, [prompt])[0]
        assert (alone.masks != found.masks).mean() < 1e-3
        np.testing.assert_allclose(alone.iou_pred, found.iou_pred, atol=1e-5)


def test_a_composite_prompt_is_the_union_of_its_parts(tiny_model):
    embedding = tiny_model.embed(picture((40, 56)))
    prompt = make_prompt("boxes_parts", blob((40, 56)), rng_for(0))
    assert len(prompt.parts) == 2
    parts = tiny_model.predict(embedding, prompt.parts)
    whole = tiny_model.predict(embedding, [prompt])[0]
    np.testing.assert_array_equal(whole.masks, parts[0].masks | parts[1].masks)
    np.testing.assert_allclose(whole.iou_pred, (parts[0].iou_pred + parts[1].iou_pred) / 2)


def test_prompts_of_the_same_content_are_answered_once(tiny_model, monkeypatch):
    mask = np.zeros((40, 56), bool)
    mask[10:20, 10:30] = True
    modes = ["box", "point_center", "boxes_parts", "points_parts", "box_largest", "clicks_1", "automatic"]
    prompts = [make_prompt(mode, mask, rng_for(0, mode)) for mode in modes]
    embedding = tiny_model.embed(picture((40, 56)))
    asked = []
    monkeypatch.setattr(
        "samstudy.inference.decode_low_res",
        lambda sam, features, part, size_hw: (
            asked.extend(part) or decode_low_res(sam, features, part, size_hw)
        ),
    )
    found = tiny_model.predict(embedding, prompts * 2)
    assert len(asked) == 3  # a box, a point, and the whole image
    assert found[0].masks is found[2].masks is found[4].masks is found[7].masks
    assert found[1].masks is found[3].masks is found[5].masks
    assert not np.array_equal(found[0].low_res_logits, found[6].low_res_logits)
    logits = found[0].low_res_logits
    asked.clear()
    tiny_model.predict(embedding, [replace(prompts[0], mask_logits=logits[i : i + 1]) for i in (0, 1, 0)])
    assert len(asked) == 2


def test_no_prompts_and_an_empty_prompt(tiny_model):
    embedding = tiny_model.embed(picture((40, 56)))
    assert tiny_model.predict(embedding, []) == []
    with pytest.raises(StudyError, match="neither a point nor a box nor a mask"):
        tiny_model.predict(embedding, [Prompt(mode="nothing")])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((8, 8), np.uint8), r"uint8 array H x W x 3.*\(8, 8\)"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((0, 8, 3), np.uint8), "no pixels"),
        (np.zeros((1, 400, 3), np.uint8), "too elongated"),
    ],
)
def test_bad_images_are_sentences(tiny_model, image, words):
    with pytest.raises(DataError, match=words):
        encode_image(tiny_model.sam, image)


def test_mask_choice_rules():
    reference = np.array([[1, 1, 0, 0]], bool)
    masks = np.array([[[0, 0, 0, 0]], [[1, 0, 0, 0]], [[1, 1, 0, 0]], [[1, 1, 1, 1]]], bool)
    prediction = Prediction(masks, np.array([0.9, 0.1, 0.2, 0.8], np.float32))
    chosen = {
        rule: prediction.choose(rule, reference) for rule in ("single", "first", "predicted_iou", "oracle")
    }
    assert chosen == {"single": 0, "first": 1, "predicted_iou": 3, "oracle": 2}
    assert Prediction(masks[:1], np.array([np.nan], np.float32)).choose("oracle", reference) == 0
    with pytest.raises(ValueError, match="needs the reference"):
        prediction.choose("oracle")
    with pytest.raises(ValueError, match="unknown mask choice 'best'"):
        prediction.choose("best", reference)


def test_the_key_signs_pixels_and_encoder(tiny_model):
    image = picture((40, 56))
    other = image.copy()
    other[0, 0, 0] ^= 1
    key = embedding_key(tiny_model, image)
    assert key != embedding_key(tiny_model, other)
    assert key != embedding_key(tiny_model, image.reshape(56, 40, 3))
    changed = SamModel("tiny", tiny_model.sam)
    changed.encoder_sha = "another"
    assert key != embedding_key(changed, image)


def test_the_cache_gives_the_same_embedding_and_spares_the_encoder(tiny_model, monkeypatch):
    image = picture((40, 56))
    fresh = embed(tiny_model, image)
    monkeypatch.setattr(SamModel, "embed", lambda *_: pytest.fail("the encoder ran again"))
    cached = embed(tiny_model, image)
    assert torch.equal(fresh.features, cached.features)
    assert (fresh.input_hw, fresh.size_hw) == (cached.input_hw, cached.size_hw)


def test_a_damaged_cache_file_is_made_again(tiny_model, own_cache):
    image = picture((40, 56))
    fresh = embed(tiny_model, image)
    (file,) = own_cache.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match="damaged"):
        again = embed(tiny_model, image)
    assert torch.equal(fresh.features, again.features)
    assert torch.equal(fresh.features, embed(tiny_model, image).features)


def test_without_cache_nothing_is_written(tiny_model, own_cache):
    embed(tiny_model, picture((40, 56)), cache=False)
    assert not list(own_cache.rglob("*.safetensors"))


def test_the_key_signs_the_input_size(tiny_model):
    image = picture((40, 56))
    key = embedding_key(tiny_model, image)
    set_image_size(tiny_model.sam, 96)
    assert key != embedding_key(tiny_model, image)
