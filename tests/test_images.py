"""Every file type and depth: the pixels that come out, and the sentences that do."""

from __future__ import annotations

import io

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from samstudy.errors import DataError
from samstudy.images import CodeMap, FileError, labels_of, read_codes, read_image, stem_of, upright
from samstudy.images.display import default_bounds, to_rgb
from samstudy.images.volume import volume_shape

RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOUR = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=2)


def write_dicom(path, values, modality="CT", **tags):
    """Write a minimal explicit little-endian DICOM file of int16 or uint16 values."""
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = CTImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = generate_uid()
    header.Modality, header.Rows, header.Columns = modality, *values.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, int(values.dtype.kind == "i")
    header.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(header, name, value)
    header.save_as(path, enforce_file_format=True)
    return path


def write_nifti(path, values, affine=None):
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".TIF", ".bmp", ".gif"])
def test_eight_bit_grey_is_kept(tmp_path, suffix):
    Image.fromarray(RAMP).save(tmp_path / f"a{suffix}")
    picture = read_image(tmp_path / f"a{suffix}")
    assert picture.rgb.dtype == np.uint8
    assert (picture.rgb == RAMP[..., None]).all()
    assert picture.rgb.flags.writeable
    assert picture.spacing_mm is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colour_is_kept(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.fromarray(COLOUR).convert(mode).save(tmp_path / f"a.{suffix}")
    rgb = read_image(tmp_path / f"a.{suffix}").rgb
    tolerance = {"P": 60, "CMYK": 3}.get(mode, 0)
    assert np.abs(rgb.astype(int) - COLOUR).max() <= tolerance


def test_one_bit_is_black_and_white(tmp_path):
    Image.fromarray(RAMP > 100).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png").rgb[..., 0] == (RAMP > 100) * 255).all()


def test_transparency_is_laid_on_black_and_constant_alpha_dropped(tmp_path):
    alpha = np.full_like(RAMP, 255)
    alpha[0] = 0
    Image.fromarray(np.dstack([COLOUR, alpha])).save(tmp_path / "a.png")
    rgb = read_image(tmp_path / "a.png").rgb
    assert (rgb[0] == 0).all()
    assert (rgb[1:] == COLOUR[1:]).all()
    Image.fromarray(np.dstack([RAMP, np.full_like(RAMP, 7)]), mode=None).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "b.png").rgb == RAMP[..., None]).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32])
def test_deep_greys_span_the_display_range(tmp_path, dtype):
    values = np.linspace(100, 4000, 10_000).reshape(100, 100).astype(dtype)
    if dtype == np.int16:
        import tifffile

        tifffile.imwrite(tmp_path / "a.tif", values)
    else:
        Image.fromarray(values).save(tmp_path / "a.tif")
    grey = read_image(tmp_path / "a.tif").rgb[..., 0]
    assert grey.min() == 0
    assert grey.max() == 255
    assert 0 <= (grey == 255).mean() - 0.005 < 0.005


def test_float64_tiff_that_pillow_cannot_read(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", RAMP.astype(np.float64))
    assert read_image(tmp_path / "a.tif").rgb.shape == (4, 6, 3)


def test_background_of_zeros_does_not_shift_the_window():
    values = np.zeros((100, 100), np.uint16)
    values[40:60, 40:60] = np.linspace(1000, 2000, 400).reshape(20, 20)
    low, high = default_bounds(values)
    assert low == pytest.approx(1005, abs=1)
    assert high == pytest.approx(1995, abs=1)


def test_hounsfield_values_get_the_soft_tissue_window(tmp_path):
    values = np.full((50, 50), -1000, np.int16)
    values[10:20, 10:20] = 40
    values[30:40, 30:40] = 1000
    rgb, _ = to_rgb(values)
    assert default_bounds(values) == (-160.0, 240.0)
    assert rgb[0, 0, 0] == 0
    assert rgb[15, 15, 0] in (127, 128)
    assert rgb[35, 35, 0] == 255


def test_given_window_wins_for_deep_pictures_only(tmp_path):
    Image.fromarray(RAMP.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "deep.png", window=(50, 100)).rgb.max() == 255
    assert read_image(tmp_path / "grey.png", window=(50, 100)).rgb.max() == RAMP.max()


def test_nan_is_lowest_and_said_and_all_nan_refused(tmp_path):
    values = RAMP.astype(np.float32) + 10
    values[0, 0], values[3, 5] = np.nan, np.inf
    write_nifti(tmp_path / "a.nii", values)
    picture = read_image(tmp_path / "a.nii")
    assert "2 NaN or infinite values" in picture.notes[0]
    assert picture.rgb.min() == 0
    write_nifti(tmp_path / "b.nii", np.full((4, 6), np.nan, np.float32))
    with pytest.raises(DataError, match=r"b\.nii cannot be shown: no value is finite"):
        read_image(tmp_path / "b.nii")


def test_constant_picture_is_said(tmp_path):
    Image.fromarray(np.full((4, 4), 700, np.uint16)).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert picture.rgb.max() == 0
    assert "one single value" in picture.notes[0]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.nii.gz", "a.dcm"])
@pytest.mark.parametrize("content", [b"", b"not an image at all", None])
def test_broken_files_are_named_with_a_reason(tmp_path, name, content):
    path = tmp_path / name
    if content is None:
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        if name.endswith("gz"):
            write_nifti(path, noise[..., None])
        elif name.endswith("dcm"):
            write_dicom(path, noise.astype(np.int16))
        else:
            Image.fromarray(noise).save(path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    for read in (read_image, read_codes):
        with pytest.raises(FileError, match=name) as caught:
            read(path)
        assert caught.value.file == path


def test_missing_file_and_unknown_type(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"gone\.nii cannot be read"):
        read_image(tmp_path / "gone.nii")
    with pytest.raises(DataError, match=r"a\.mp4 is of no known image type"):
        read_image(tmp_path / "a.mp4")


def test_exif_orientation_is_kept_apart(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=exif)
    picture = read_image(tmp_path / "a.png")
    assert (picture.rgb == COLOUR).all()
    assert picture.orientation == 6
    assert (upright(picture) == np.rot90(COLOUR, -1)).all()


@pytest.mark.parametrize("flip", [(1, 1), (-1, 1), (-1, -1)])
def test_nifti_slices_are_anterior_up_patient_right_on_the_left(tmp_path, flip):
    # x to the patient's right is index 1 of the first axis when the affine is positive (R, A, S)
    volume = np.zeros((5, 7, 3), np.int16)
    volume[4, 3, 1] = 100  # right
    volume[2, 6, 1] = 200  # anterior
    affine = np.diag([2.0 * flip[0], 3.0 * flip[1], 4.0, 1.0])
    stored = volume[:: flip[0], :: flip[1]]
    write_nifti(tmp_path / "a.nii.gz", stored, affine)
    picture = read_image(tmp_path / "a.nii.gz", index=1)
    codes = read_codes(tmp_path / "a.nii.gz", index=1).codes
    assert volume_shape(tmp_path / "a.nii.gz") == (7, 5, 3)
    assert picture.spacing_mm == (3.0, 2.0)
    assert codes.shape == (7, 5)
    assert codes[3, 0] == 100
    assert codes[0, 2] == 200


def test_nifti_index_and_dimensions_are_checked(tmp_path):
    write_nifti(tmp_path / "a.nii", np.zeros((4, 4, 3), np.int16))
    with pytest.raises(DataError, match="3 axial slices; there is no slice 3"):
        read_image(tmp_path / "a.nii", index=3)
    with pytest.raises(DataError, match="volume of 3 slices; image and mask must both be volumes"):
        read_codes(tmp_path / "a.nii")
    write_nifti(tmp_path / "b.nii", np.zeros((4, 4, 3, 2), np.int16))
    with pytest.raises(DataError, match=r"has the shape \(4, 4, 3, 2\)"):
        read_image(tmp_path / "b.nii", index=0)


def test_dicom_ct_is_rescaled_and_windowed(tmp_path):
    stored = np.array([[0, 840], [1040, 1240]], np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm", stored, RescaleSlope=1, RescaleIntercept=-1000, PixelSpacing=[0.7, 0.5]
    )
    picture = read_image(path)
    assert picture.rgb[..., 0].tolist() == [[0, 0], [128, 255]]
    assert picture.spacing_mm == (0.7, 0.5)


def test_dicom_header_window_and_monochrome1(tmp_path):
    stored = np.array([[0, 50], [100, 200]], np.uint16)
    tags = {"WindowCenter": 50, "WindowWidth": 100, "ImagerPixelSpacing": [0.2, 0.2]}
    plain = read_image(write_dicom(tmp_path / "a.dcm", stored, modality="CR", **tags))
    inverted = read_image(
        write_dicom(
            tmp_path / "b.dcm", stored, modality="CR", PhotometricInterpretation="MONOCHROME1", **tags
        )
    )
    assert plain.rgb[..., 0].tolist() == [[0, 128], [255, 255]]
    assert (inverted.rgb == 255 - plain.rgb).all()
    assert plain.spacing_mm == (0.2, 0.2)


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
    assert notes == ["holds the codes 3 that labels.json does not name"]


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


def test_frames_are_reported_and_stems_keep_their_dots(tmp_path):
    buffer = io.BytesIO()
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1].copy())]
    frames[0].save(buffer, format="TIFF", save_all=True, append_images=frames[1:])
    (tmp_path / "a b.1.tif").write_bytes(buffer.getvalue())
    assert read_image(tmp_path / "a b.1.tif").notes == ("has 2 frames; only the first is read",)
    assert stem_of(tmp_path / "a b.1.tif") == "a b.1"
    assert stem_of(tmp_path / "x.y.NII.GZ") == "x.y"
