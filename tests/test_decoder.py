"""The mask decoder is the official one: its transformer multiplied out, with the same values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.modeling import TwoWayTransformer

from samstudy.automatic import give_prompt
from samstudy.inference import decode_low_res
from samstudy.prompts import make_prompt
from samstudy.seeds import rng_for
from samstudy.two_way import two_way

SIDE, WIDTH = 6, 32


@pytest.fixture
def transformer():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TwoWayTransformer(depth=2, embedding_dim=WIDTH, num_heads=2, mlp_dim=64)


def drawn(*shape):
    return torch.from_numpy(np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32))


def rows(grid):
    return grid.flatten(2).transpose(1, 2)


# with 2 heads of 8 channels each, more than 8 tokens are cheaper to meet projected cells
@pytest.mark.parametrize("n_tokens", [7, 20])
@pytest.mark.parametrize(("n_cells_sets", "batch"), [(1, 1), (1, 3), (3, 3)])
def test_two_way_equals_the_official_transformer(transformer, n_tokens, n_cells_sets, batch):
    image, positions = drawn(n_cells_sets, WIDTH, SIDE, SIDE), drawn(1, WIDTH, SIDE, SIDE)
    tokens = drawn(batch, n_tokens, WIDTH)
    ours = two_way(transformer, rows(image), rows(positions), tokens)
    everywhere = [grid.expand(batch, -1, -1, -1) for grid in (image, positions)]
    for found, expected in zip(ours, transformer(*everywhere, tokens), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "modes", [["box", "box_jitter10"], ["point_center"], ["points_p5n5"], ["box_point"], ["automatic"]]
)
def test_gradients_are_those_of_the_official_decoder(tiny_model, modes):
    sam = tiny_model.sam
    give_prompt(sam)
    torch.nn.init.constant_(sam.automatic.dense, 0.3)
    sam.requires_grad_(True)
    mask = np.zeros((40, 56), bool)
    mask[10:30, 20:40] = True
    prompts = [make_prompt(mode, mask, rng_for(0, mode)) for mode in modes]
    features = drawn(1, sam.prompt_encoder.embed_dim, *sam.prompt_encoder.image_embedding_size)
    answers, gradients = [], []
    for decode in (decode_low_res, by_the_official_decoder):
        sam.zero_grad(set_to_none=True)
        logits, iou_pred = decode(sam, features, prompts, mask.shape)
        (logits.square().mean() + iou_pred.sum()).backward()
        answers.append((logits.detach(), iou_pred.detach()))
        parameters = [*sam.mask_decoder.named_parameters(), *sam.automatic.named_parameters()]
        gradients.append({name: value.grad.clone() for name, value in parameters if value.grad is not None})
    torch.testing.assert_close(*answers, rtol=1e-5, atol=1e-5)
    # where tokens are projected, the bias of their keys has no part in the answer: its gradient is zero
    assert gradients[0].keys() >= {name for name in gradients[1] if "k_proj.bias" not in name}
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-5)


def by_the_official_decoder(sam, features, prompts, size_hw):
    """``decode_low_res`` with the official ``predict_masks``."""
    official = {}

    def keep(_sam, features, sparse, dense):
        official["found"] = sam.mask_decoder.predict_masks(
            features, sam.prompt_encoder.get_dense_pe(), sparse, dense
        )
        return None, None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("samstudy.inference.attend", keep)
        patch.setattr("samstudy.inference.draw_masks", lambda *_: official["found"][0])
        patch.setattr("samstudy.inference.predict_iou", lambda *_: official["found"][1])
        return decode_low_res(sam, features, prompts, size_hw)
