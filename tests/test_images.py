"""Every picture file: the pixels that come out, and the sentences that do."""

from __future__ import annotations

import io

import numpy as np
import pytest
from drawn_files import write_dicom, write_nifti
from PIL import Image

from samstudy.errors import DataError
from samstudy.images import FileError, read_codes, read_image, stem_of, upright
from samstudy.images.display import default_bounds, to_rgb
from samstudy.images.volume import volume_shape

RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOUR = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=2)


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


def test_frames_are_reported_and_stems_keep_their_dots(tmp_path):
    buffer = io.BytesIO()
    frames = [Image.fromarray(RAMP), Image.fromarray(RAMP[::-1].copy())]
    frames[0].save(buffer, format="TIFF", save_all=True, append_images=frames[1:])
    (tmp_path / "a b.1.tif").write_bytes(buffer.getvalue())
    assert read_image(tmp_path / "a b.1.tif").notes == ("has 2 frames; only the first is read",)
    assert stem_of(tmp_path / "a b.1.tif") == "a b.1"
    assert stem_of(tmp_path / "x.y.NII.GZ") == "x.y"


@pytest.mark.parametrize("name", ["empty.nii.gz", "empty.png", "empty.dcm"])
def test_sentences_about_a_file_are_the_same_on_every_machine(tmp_path, name):
    (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    for file in (name, "folder.png"):
        with pytest.raises(FileError) as caught:
            read_image(tmp_path / file)
        assert str(tmp_path) not in str(caught.value)
        assert str(caught.value).startswith(f"{tmp_path.name}/{file} ")
