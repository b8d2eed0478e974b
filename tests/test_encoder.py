"""The fast encoder is the official one: same outputs, gradients, names, and less memory traffic that nobody sees."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor, modeling, sam_model_registry
from segment_anything.modeling.image_encoder import Attention, Block, ImageEncoderViT
from torch import nn

from samstudy import checkpoints, encoder, packed
from samstudy.encoder import FastAttention, FastBlock, use_fast_attention, use_official_attention
from samstudy.models import load_model
from samstudy.prompts import make_prompt
from samstudy.seeds import rng_for
from samstudy.tuning import lora

SIDE, WIDTH = 80, 48


def official(seed=0, **changes):
    """A ViT of two windowed blocks, whose windows do not fill the grid of 5 x 5, around a global one."""
    settings = {"img_size": SIDE, "embed_dim": WIDTH, "depth": 3, "num_heads": 3, "out_chans": 16}
    settings |= {"use_rel_pos": True, "window_size": 3, "global_attn_indexes": (1,)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ImageEncoderViT(**(settings | changes)).eval()
        for parameter in model.parameters():
            # large enough that a wrong position or padding shows
            nn.init.normal_(parameter, std=0.3)
    return model.requires_grad_(False)


def fast(model):
    return use_fast_attention(copy.deepcopy(model))


def pixels(batch=1, side=SIDE):
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(1))


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"window_size": 5},
        {"window_size": 7},
        {"window_size": 0},
        {"global_attn_indexes": (0, 1, 2)},
        {"use_rel_pos": False},
        {"qkv_bias": False},
        {"num_heads": 4, "mlp_ratio": 2.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [1, 2])
def test_outputs_are_the_official_ones(changes, batch):
    model = official(**changes)
    with torch.no_grad():
        close(fast(model)(pixels(batch)), model(pixels(batch)))


@pytest.mark.parametrize("logits", [1, 30, 130, 2000])
@pytest.mark.parametrize("tokens", [1, 7, 10_000])
def test_however_few_logits_and_tokens_at_once(monkeypatch, logits, tokens):
    monkeypatch.setattr(encoder, "LOGITS_AT_ONCE", logits)
    monkeypatch.setattr(encoder, "TOKENS_AT_ONCE", tokens)
    model = official()
    with torch.inference_mode():
        close(fast(model)(pixels()), model(pixels()))


def test_portions_cover_every_query_once(monkeypatch):
    monkeypatch.setattr(encoder, "LOGITS_AT_ONCE", 500)
    for grid_hw in ((4, 5), (7, 3), (1, 9), (12, 12)):
        seen = np.zeros((2, 3, grid_hw[0]), int)
        for portion in encoder._portions(2, 3, grid_hw):
            seen[portion] += 1
        assert (seen == 1).all()


def test_positions_of_another_grid_are_stretched_as_officially():
    model = official()
    model.pos_embed = None
    with torch.no_grad():
        close(fast(model)(pixels(side=112)), model(pixels(side=112)))


@pytest.mark.parametrize("attend", [encoder._masked, encoder._folded])
def test_both_ways_of_the_relative_positions_agree_with_the_whole_matrix(attend):
    generator = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(2, 3, 20, 8, generator=generator) for _ in range(3))
    by_row, by_column = (torch.randn(n, n, 8, generator=generator) for n in (4, 5))
    logits = (q * 0.4) @ k.transpose(-2, -1)
    spatial = q.unflatten(2, (4, 5))
    logits = logits.view(2, 3, 4, 5, 4, 5)
    logits = logits + torch.einsum("bnhwc,hkc->bnhwk", spatial, by_row)[..., None]
    logits = logits + torch.einsum("bnhwc,wkc->bnhwk", spatial, by_column)[..., None, :]
    expected = logits.reshape(2, 3, 20, 20).softmax(-1) @ v
    close(attend(q, k, v, 0.4, (4, 5), [by_row, by_column]), expected)


def test_gradients_of_every_parameter_and_of_the_image_are_the_official_ones():
    model = official().requires_grad_(True)
    quick = fast(model)
    gradients = []
    for each in (model, quick):
        x = pixels().requires_grad_()
        out = each(x)
        (out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
        gradients.append({"image": x.grad} | {name: p.grad for name, p in each.named_parameters()})
    assert all(value.abs().max() > 0 for value in gradients[0].values())
    for name, expected in gradients[0].items():
        torch.testing.assert_close(
            gradients[1][name], expected, atol=2e-5 * float(expected.abs().max()), rtol=0, msg=name
        )


def test_a_frozen_encoder_keeps_no_graph_and_may_be_followed_by_a_trained_part():
    quick = fast(official())
    head = nn.Conv2d(16, 1, 1)
    out = quick(pixels())
    assert not out.requires_grad
    head(out).sum().backward()
    assert head.weight.grad.abs().max() > 0


def test_lora_is_injected_trained_and_merged():
    model = official()
    quick = fast(model)
    for each in (model, quick):
        lora.inject(each, 2, 4.0, ("q", "v", "proj"))
        for _, _, change in lora._changes(each):
            change.up.data.fill_(0.05)
    for each in (model, quick):
        each(pixels()).square().mean().backward()
    for (name, _, theirs), (_, _, ours) in zip(lora._changes(model), lora._changes(quick), strict=True):
        torch.testing.assert_close(ours.down.grad, theirs.down.grad, atol=1e-6, rtol=1e-4, msg=name)
    with torch.no_grad():
        close(quick(pixels()), model(pixels()))
        lora.merge(quick)
        lora.merge(model)
        close(quick(pixels()), model(pixels()))
    assert quick.state_dict().keys() == official().state_dict().keys()


def test_copies_pickles_and_state_dicts_are_whole():
    model = official()
    quick = fast(model)
    state = quick.state_dict()
    assert list(state) == list(model.state_dict())
    other = official(seed=3)
    other.load_state_dict(state, strict=True)
    with torch.no_grad():
        expected = quick(pixels())
        close(other(pixels()), expected)
        for copied in (copy.deepcopy(quick), pickle.loads(pickle.dumps(quick))):
            assert type(copied.blocks[0]) is FastBlock
            assert torch.equal(copied(pixels()), expected)
            # a copy has weights of its own
            copied.blocks[0].attn.proj.weight.zero_()
            assert not torch.equal(copied(pixels()), expected)
        assert torch.equal(quick(pixels()), expected)


def test_new_weights_are_seen_at_once():
    quick = fast(official())
    with torch.no_grad():
        quick(pixels())
        quick.load_state_dict(official(seed=5).state_dict())
        close(quick(pixels()), official(seed=5)(pixels()))


def test_hooks_of_linear_layers_and_of_attention_run():
    quick = fast(official())
    seen = []
    block = quick.blocks[0]
    for module in (block.attn, block.attn.qkv, block.attn.proj, block.mlp.lin1, block.norm2):
        module.register_forward_hook(lambda module, *_: seen.append(module))
    with torch.no_grad():
        quick(pixels())
    assert {id(module) for module in seen} == {
        id(m) for m in (block.attn, block.attn.qkv, block.attn.proj, block.mlp.lin1, block.norm2)
    }


def test_own_kinds_of_blocks_are_left_alone_and_all_can_be_undone():
    class Mine(Attention):
        pass

    model = official()
    model.blocks[1].attn.__class__ = Mine
    use_fast_attention(model)
    assert [type(block) for block in model.blocks] == [FastBlock, Block, FastBlock]
    assert [type(block.attn) for block in model.blocks] == [FastAttention, Mine, FastAttention]
    with torch.no_grad():
        close(model(pixels()), official()(pixels()))
    use_official_attention(use_fast_attention(model))
    assert [type(block) for block in model.blocks] == [Block] * 3
    assert [type(block.attn) for block in model.blocks] == [Attention, Mine, Attention]


def test_without_onednn_the_layers_run_themselves(monkeypatch):
    monkeypatch.setattr(packed, "has_operators", lambda: False)
    model = official()
    layer = model.blocks[0].attn.qkv
    assert packed.packed(layer) is layer
    with torch.no_grad():
        close(fast(model)(pixels()), model(pixels()))


def test_bfloat16_autocast_runs_and_is_near():
    model = official()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        ours, theirs = fast(model)(pixels()).float(), model(pixels()).float()
    with torch.no_grad():
        exact = model(pixels())
    assert (ours - exact).abs().mean() < 1.5 * (theirs - exact).abs().mean()


def test_a_loaded_checkpoint_is_fast_and_gives_the_masks_of_sam_predictor(monkeypatch, tmp_path):
    def small(checkpoint=None):
        grid = (SIDE // 16, SIDE // 16)
        transformer = modeling.TwoWayTransformer(2, 32, 2, 64)
        sam = modeling.Sam(
            official(out_chans=32),
            modeling.PromptEncoder(32, grid, (SIDE, SIDE), mask_in_chans=16),
            modeling.MaskDecoder(transformer_dim=32, transformer=transformer, iou_head_hidden_dim=32),
        ).eval()
        if checkpoint is not None:
            sam.load_state_dict(torch.load(checkpoint, weights_only=True))
        return sam

    monkeypatch.setitem(sam_model_registry, "vit_b", small)
    monkeypatch.setitem(checkpoints._WIDTH_TO_VARIANT, WIDTH, "vit_b")
    torch.save(small().state_dict(), tmp_path / "sam.pth")
    model = load_model(tmp_path / "sam.pth", "cpu")
    assert all(type(block) is FastBlock for block in model.sam.image_encoder.blocks)
    assert isinstance(model.sam.image_encoder, ImageEncoderViT)

    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    mask = np.zeros((50, 70), bool)
    mask[10:30, 20:50] = True
    predictor = SamPredictor(small(tmp_path / "sam.pth"))
    assert not any(isinstance(module, FastBlock) for module in predictor.model.modules())
    predictor.set_image(image)
    prompt = make_prompt("box", mask, rng_for(0))
    ours = model.predict(model.embed(image), [prompt])[0]
    masks, iou_pred, low_res = predictor.predict(box=prompt.box_xyxy, multimask_output=True)
    np.testing.assert_allclose(ours.iou_pred[1:], iou_pred, atol=1e-4)
    np.testing.assert_allclose(ours.low_res_logits[1:], low_res, atol=1e-4 * np.abs(low_res).max())
    assert (ours.masks[1:] != masks).mean() < 1e-3
