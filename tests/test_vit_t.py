"""``vit_t``: SAM's interface, the drawn prompt, the weights file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segment_anything import SamPredictor

from samstudy.errors import ModelError
from samstudy.vit_t import (
    WEIGHTS_FILE,
    VitTConfig,
    build_vit_t,
    load_vit_t,
    load_vit_t_state,
    save_vit_t,
    set_image_size,
)

TINY = VitTConfig(
    image_size=64, stem_dims=(8, 8, 16), vit_dim=32, vit_depth=2, vit_heads=2, decoder_dim=32, decoder_heads=2
)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return build_vit_t(TINY)


def drawn(sam, **prompt):
    """Maps of a single prompt."""
    points = prompt.get("points")
    if points is not None:
        points = torch.tensor([points[0]], dtype=torch.float32), torch.tensor([points[1]])
    boxes = torch.tensor([prompt["box"]], dtype=torch.float32) if "box" in prompt else None
    return sam.prompt_encoder.draw(points, boxes, 1)[0]


def test_sam_predictor_runs_unchanged(tiny):
    predictor = SamPredictor(tiny)
    predictor.set_image(np.zeros((48, 90, 3), np.uint8))
    masks, iou_pred, low_res = predictor.predict(np.array([[40, 20]]), np.array([1]), multimask_output=True)
    assert masks.shape == (3, 48, 90)
    assert masks.dtype == bool
    assert low_res.shape == (3, 32, 32)
    refined, _, _ = predictor.predict(
        np.array([[40, 20]]), np.array([1]), mask_input=low_res[:1], multimask_output=False
    )
    boxed, _, _ = predictor.predict(box=np.array([4, 4, 60, 40]), multimask_output=False)
    assert refined.shape == boxed.shape == (1, 48, 90)
    assert np.isfinite(iou_pred).all()


@pytest.mark.parametrize("size", [32, 48, 96])
def test_no_weight_depends_on_the_image_size(tiny, size):
    other = build_vit_t({**TINY.__dict__, "image_size": size})
    other.load_state_dict(tiny.state_dict())
    with torch.no_grad():
        embedding = other.image_encoder(torch.zeros(1, 3, size, size))
    assert embedding.shape == (1, 32, size // 8, size // 8)
    assert other.prompt_encoder.get_dense_pe().shape == (1, 32, size // 8, size // 8)


def test_box_is_drawn_as_coverage_distance_and_ellipse(tiny):
    x0, y0, x1, y1 = 10, 12, 41, 51
    coverage, distance, level, present, _ = drawn(tiny, box=[x0, y0, x1, y1])[:5]
    assert float(coverage.sum()) * 64 == pytest.approx((x1 - x0 + 1) * (y1 - y0 + 1), rel=1e-5)
    assert distance[0, 0] < 0 < distance[4, 3]
    rows, columns = np.mgrid[:8, :8] * 8 + 4.0
    ellipse = ((columns - 26) / 16) ** 2 + ((rows - 32) / 20) ** 2 <= 1
    np.testing.assert_array_equal(level.numpy() >= 0, ellipse)
    assert (present == 1).all()


def test_one_pixel_and_reversed_boxes_are_drawn_finite(tiny):
    assert torch.isfinite(drawn(tiny, box=[5, 5, 5, 5])).all()
    assert torch.isfinite(drawn(tiny, box=[9, 9, 2, 2])).all()


def test_points_are_drawn_by_label_and_padding_is_not(tiny):
    maps = drawn(tiny, points=([[11, 19], [51, 35], [30, 60]], [1, 0, -1]))
    assert (maps[:5] == 0).all()
    assert np.unravel_index(int(maps[5].argmax()), (8, 8)) == (2, 1)
    assert np.unravel_index(int(maps[6].argmax()), (8, 8)) == (4, 6)
    alone = drawn(tiny, points=([[11, 19], [51, 35]], [1, 0]))
    torch.testing.assert_close(maps, alone)


def test_absent_prompts_draw_nothing(tiny):
    assert (tiny.prompt_encoder.draw(None, None, 2) == 0).all()


def test_configuration_errors_are_sentences():
    with pytest.raises(ModelError, match=r"unknown keys \['depth'\].*vit_depth"):
        build_vit_t({"depth": 3})
    with pytest.raises(ModelError, match=r"image size 100 .* multiple of 16"):
        build_vit_t({"image_size": 100})
    with pytest.raises(ModelError, match="image size 0"):
        set_image_size(build_vit_t(TINY), 0)


def test_weights_survive_the_file(tiny, tmp_path):
    path = save_vit_t(tiny.state_dict(), TINY, tmp_path / "w.safetensors", {"steps": 7, "seed": 3})
    config, state, metadata = load_vit_t_state(path)
    assert config == TINY
    assert metadata["steps"] == "7"
    assert all(torch.allclose(state[k], v, atol=1e-3) for k, v in tiny.state_dict().items())
    loaded = load_vit_t(path)
    assert not loaded.training
    assert loaded.image_encoder.img_size == 64


def test_bad_weight_files_are_refused(tiny, tmp_path):
    with pytest.raises(ModelError, match=r"no vit_t weights at .*none\.safetensors"):
        load_vit_t_state(tmp_path / "none.safetensors")
    whole = save_vit_t(tiny.state_dict(), TINY, tmp_path / "w.safetensors", {})
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot read the weights"):
        load_vit_t_state(cut)
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="is not a vit_t file"):
        load_vit_t_state(tmp_path / "other.safetensors")
    state = dict(tiny.state_dict())
    state.popitem()
    short = save_vit_t(state, TINY, tmp_path / "short.safetensors", {})
    with pytest.raises(ModelError, match="do not fit their own configuration"):
        load_vit_t(short)


def test_packaged_weights_segment_a_disc_from_a_box_and_a_point():
    assert WEIGHTS_FILE.stat().st_size <= 24 * 2**20
    predictor = SamPredictor(load_vit_t())
    rows, columns = np.mgrid[:200, :260]
    disc = np.hypot(rows - 90, columns - 140) < 45
    image = np.where(disc, 170, 80)[..., None] + np.random.default_rng(0).normal(0, 8, (200, 260, 3))
    predictor.set_image(image.clip(0, 255).astype(np.uint8))

    def dice(mask):
        return 2 * (mask & disc).sum() / (mask.sum() + disc.sum())

    masks, _, low_res = predictor.predict(box=np.array([95, 45, 185, 135]), multimask_output=False)
    assert dice(masks[0]) > 0.93
    assert low_res.shape[-1] == predictor.model.image_encoder.img_size // 2
    masks, scores, _ = predictor.predict(np.array([[140, 90]]), np.array([1]), multimask_output=True)
    assert dice(masks[scores.argmax()]) > 0.85
