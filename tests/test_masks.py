"""From a mask file to named masks: binary, label map, colours, instances, and what blurs them."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_files import write_nifti
from PIL import Image

from samstudy.errors import DataError
from samstudy.images import CodeMap, labels_of, read_codes, read_image


def names_of(tmp_path, image, file="m.png", **options):
    """Write a mask, read it back, and return {label: pixels} with the remarks."""
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    image.save(tmp_path / file)
    labels, notes = labels_of(read_codes(tmp_path / file), **options)
    assert all(mask.dtype == bool for mask in labels.values())
    return {name: int(mask.sum()) for name, mask in labels.items()}, notes


@pytest.mark.parametrize("value", [1, 255, 128, 2])
def test_one_code_is_a_binary_mask(tmp_path, disc, value):
    assert names_of(tmp_path, (disc > 0).astype(np.uint8) * value) == ({"mask": 317}, [])


def test_bool_rgb_rgba_and_sixteen_bit_binary_masks(tmp_path, disc):
    opaque = np.full_like(disc, 255)
    forms = [
        disc > 0,
        np.dstack([disc] * 3),
        np.dstack([disc] * 3 + [opaque]),
        (disc > 0).astype(np.uint16) * 65535,
    ]
    for form in forms:
        assert names_of(tmp_path, form) == ({"mask": 317}, [])


def test_mask_in_the_alpha_channel_and_transparent_background(tmp_path, disc):
    white = np.full_like(disc, 255)
    assert names_of(tmp_path, np.dstack([white] * 3 + [disc]))[0] == {"mask": 317}
    noise = np.where(disc > 0, 255, 90).astype(np.uint8)
    assert names_of(tmp_path, np.dstack([noise] * 3 + [disc]))[0] == {"mask": 317}


def test_label_maps_give_one_label_for_each_code(tmp_path):
    codes = np.repeat(np.array([0, 1, 2, 3], np.uint8), 10).reshape(4, 10)
    assert names_of(tmp_path, codes)[0] == {"label_1": 10, "label_2": 10, "label_3": 10}
    spread = np.kron(np.array([[0, 64], [128, 255]], np.uint8), np.ones((6, 6), np.uint8))
    assert names_of(tmp_path, spread)[0] == {"label_64": 36, "label_128": 36, "label_255": 36}
    assert names_of(tmp_path, (codes == 2) * np.uint8(2), map_codes={1, 2})[0] == {"label_2": 10}


def test_names_rename_drop_and_report_codes(tmp_path):
    codes = np.repeat(np.array([0, 1, 2, 3, 255], np.uint8), 10).reshape(5, 10)
    sizes, notes = names_of(tmp_path, codes, names={"1": "liver", "2": "liver", "255": None})
    assert sizes == {"liver": 20, "label_3": 10}
    assert notes == ["holds the codes 3 that the labels do not name"]


def test_empty_mask_is_a_fact_not_an_error(tmp_path):
    empty = np.zeros((4, 4), np.uint8)
    assert names_of(tmp_path, empty)[0] == {"mask": 0}
    assert names_of(tmp_path, empty, names={"1": "liver", "2": None})[0] == {"liver": 0}


def test_palette_is_indices_for_masks_and_colours_for_images(tmp_path):
    codes = np.repeat(np.array([0, 1, 2], np.uint8), 4).reshape(3, 4)
    image = Image.fromarray(codes, mode=None).convert("L")
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 100, 50])
    assert names_of(tmp_path, image)[0] == {"label_1": 4, "label_2": 4}
    assert read_image(tmp_path / "m.png").rgb[1:, 0].tolist() == [[200, 0, 0], [0, 100, 50]]


def test_gif_whose_palette_starts_with_white(tmp_path, disc):
    image = Image.fromarray((disc == 0).astype(np.uint8))
    image.putpalette([255, 255, 255, 0, 0, 0])
    assert names_of(tmp_path, image, "m.gif")[0] == {"mask": 317}


def test_colour_codes(tmp_path, disc):
    colours = np.zeros((*disc.shape, 3), np.uint8)
    colours[disc > 0] = (255, 0, 0)
    colours[:2] = (0, 0, 128)
    assert names_of(tmp_path, colours)[0] == {"color_000080": 120, "color_ff0000": 317}
    assert names_of(tmp_path, colours, names={"#ff0000": "cup", "#000080": None})[0] == {"cup": 317}
    many = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8)
    with pytest.raises(ValueError, match="colours; save the mask as a palette"):
        names_of(tmp_path, many)


def test_blended_edges_of_colours_are_cleaned_and_said(tmp_path, disc):
    red = np.zeros((160, 240, 3), np.uint8)
    red[..., 0] = np.kron(disc, np.ones((4, 4), np.uint8))
    red[-20:] = (0, 0, 255)
    smooth = Image.fromarray(red).resize((61, 41), Image.Resampling.BICUBIC)
    sizes, notes = names_of(tmp_path, smooth)
    assert list(sizes) == ["color_0000ff", "color_ff0000"]
    assert sizes["color_ff0000"] == pytest.approx(330, abs=15)
    assert "blended edge colours" in notes[0]


def test_colours_without_black_are_said(tmp_path, disc):
    colours = np.full((*disc.shape, 3), (255, 255, 0), np.uint8)
    colours[disc > 0] = (255, 0, 0)
    sizes, notes = names_of(tmp_path, colours)
    assert len(sizes) == 2
    assert "no black background" in notes[0]


def test_jpeg_mask_in_one_pure_colour(tmp_path, disc):
    red = np.zeros((*disc.shape, 3), np.uint8)
    red[..., 0] = disc
    assert names_of(tmp_path, red, "m.jpg")[0]["mask"] == pytest.approx(317, abs=15)


def test_jpeg_mask_is_cut_at_half(tmp_path, disc):
    sizes, notes = names_of(tmp_path, disc, "m.jpg")
    assert sizes["mask"] == pytest.approx(317, abs=12)
    assert list(sizes) == ["mask"]
    assert "cut above 127" in notes[0]


def test_anti_aliased_masks_are_cut_and_said(tmp_path, disc):
    large = Image.fromarray(disc).resize((240, 160), Image.Resampling.NEAREST)
    smooth = large.resize((61, 41), Image.Resampling.BICUBIC)
    sizes, notes = names_of(tmp_path, smooth)
    assert sizes["mask"] == pytest.approx(330, abs=12)
    assert "different greys" in notes[0]
    halved = Image.fromarray(disc).resize((30, 20), Image.Resampling.BOX)
    assert len(np.unique(np.asarray(halved))) <= 6
    assert list(names_of(tmp_path, halved)[0]) == ["mask"]


def test_many_counting_codes_are_instances(tmp_path):
    codes = np.kron(np.arange(0, 41).reshape(1, 41), np.ones((3, 3), int))
    for dtype in (np.uint8, np.uint16):
        sizes, notes = names_of(tmp_path, codes.astype(dtype))
        assert list(sizes) == [f"object#{k}" for k in range(1, 41)]
        assert notes == []


def test_float_codes_probabilities_and_bad_codes(tmp_path):
    whole = read_codes(write_nifti(tmp_path / "a.nii", np.array([[0.0, 2.0], [1.0, np.nan]])))
    assert sorted(labels_of(whole)[0]) == ["label_1", "label_2"]
    assert "taken as background" in whole.notes[0]
    soft = read_codes(write_nifti(tmp_path / "b.nii", np.array([[0.0, 0.4], [0.6, 0.9]])))
    assert int(labels_of(soft)[0]["mask"].sum()) == 2
    with pytest.raises(DataError, match=r"c\.nii holds fractions between 0 and 3.5"):
        read_codes(write_nifti(tmp_path / "c.nii", np.array([[0.0, 3.5]])))
    with pytest.raises(DataError, match="negative code -1"):
        read_codes(write_nifti(tmp_path / "d.nii", np.array([[0, -1]], np.int16)))


def test_label_of_a_bare_code_map():
    labels, _ = labels_of(CodeMap(np.array([[0, 70000]])))
    assert labels["mask"].tolist() == [[False, True]]
