"""The decoder of a tuning step gives the official decoder's masks, predicted IoU and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn import tiny_sam
from segment_anything.modeling import MaskDecoder, TwoWayTransformer

from samstudy.automatic import give_prompt
from samstudy.inference import decode_low_res, encode_prompts
from samstudy.prompts import make_prompt
from samstudy.tuning.two_way import predict_masks


def wide_decoder():
    """The official SAM's decoder shape, 256 channels and 8 heads, of random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MaskDecoder(
            transformer_dim=256,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048),
        ).eval()


def answers(function, decoder, inputs):
    """Logits, predicted IoU, and the gradients of the weights and of the embedding."""
    decoder.requires_grad_(True).zero_grad(set_to_none=True)
    features = inputs[0].clone().requires_grad_(True)
    logits, iou_pred = function(decoder, features, *inputs[1:])
    goal = torch.linspace(-1, 1, logits.shape[-1])
    ((logits - goal).square().mean() + iou_pred.square().mean()).backward()
    grads = {name: parameter.grad for name, parameter in decoder.named_parameters()}
    return logits.detach(), iou_pred.detach(), grads | {"features": features.grad}


def official(decoder, features, image_pe, sparse, dense):
    return decoder.predict_masks(
        image_embeddings=features,
        image_pe=image_pe,
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )


@pytest.mark.parametrize("n_tokens", [2, 9])
@pytest.mark.parametrize("shared", [True, False])
def test_masks_and_gradients_are_the_official_ones(shared, n_tokens):
    decoder, draw = wide_decoder(), torch.Generator().manual_seed(1)
    features, image_pe = (torch.randn(1, 256, 6, 9, generator=draw) for _ in range(2))
    sparse = torch.randn(3, n_tokens, 256, generator=draw)
    dense = torch.randn(1 if shared else 3, 256, 6, 9, generator=draw).expand(3, -1, -1, -1)
    inputs = (features, image_pe, sparse, dense)
    expected, found = answers(official, decoder, inputs), answers(predict_masks, decoder, inputs)
    assert found[0].shape == (3, 4, 24, 36)
    for one, other in zip(expected[:2], found[:2], strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert expected[2].keys() == found[2].keys()
    largest = max(float(value.abs().max()) for value in expected[2].values())
    for name, value in expected[2].items():
        assert float((found[2][name] - value).abs().max()) < 1e-5 * largest, name


@pytest.mark.parametrize("mode", ["box", "point_center", "points_p5n5", "box_point", "automatic"])
def test_it_answers_prompts_as_scoring_does(mode):
    sam = tiny_sam()
    give_prompt(sam)
    torch.nn.init.constant_(sam.automatic.dense, 0.3)
    mask = np.zeros((40, 56), bool)
    mask[8:30, 12:40] = True
    prompts = [make_prompt(mode, mask, np.random.default_rng(seed)) for seed in range(3)]
    side = sam.prompt_encoder.image_embedding_size
    features = torch.randn(1, sam.prompt_encoder.embed_dim, *side, generator=torch.Generator().manual_seed(0))
    expected = decode_low_res(sam, features, prompts, (40, 56))
    sparse, dense = encode_prompts(sam, prompts, (40, 56))
    found = predict_masks(sam.mask_decoder, features, sam.prompt_encoder.get_dense_pe(), sparse, dense)
    for one, other in zip(expected, found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
