"""Masks on disk, as a folder data set reads them: ``masks/<image>/<object>``, one binary file for each object.

A file for each object keeps what overlaps (a cup within its disc) and needs no table of codes. Pictures get PNG files
of 0 and 255; NIfTI files get NIfTI files of 0 and 1 on the grid of their image, with its voxel-to-world matrix.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from samstudy.images import kind_of, stem_of
from samstudy.paths import written_whole
from samstudy.prediction.pictures import Picture
from samstudy.prediction.prompt_file import file_name

_TO_CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])


def mask_path(picture: Picture, object_id: str) -> str:
    """Path of an object's mask below the output folder; slices of one volume share theirs."""
    suffix = ".nii.gz" if kind_of(picture.file) == "nifti" else ".png"
    return f"masks/{stem_of(picture.file)}/{file_name(object_id)}{suffix}"


class MaskWriter:
    """Writes masks below a folder; those of a volume are gathered until its last slice is done.

    Parameters
    ----------
    output : pathlib.Path
        Folder of the run.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._source: Path | None = None
        self._slices: dict[str, dict[int, np.ndarray]] = {}

    def write(self, picture: Picture, object_id: str, mask: np.ndarray) -> str:
        """Write the mask of one object, or keep it for its volume.

        Parameters
        ----------
        picture : Picture
            All slices of one volume have to come one after the other.
        mask : numpy.ndarray, bool, H x W
            In the orientation in which the picture is shown.

        Returns
        -------
        str
            Path below the output folder.
        """
        path = mask_path(picture, object_id)
        if kind_of(picture.file) != "nifti":
            with written_whole(self._output / path) as temporary:
                Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(temporary)
            return path
        if picture.file != self._source:
            self.finish()
        self._source = picture.file
        self._slices.setdefault(path, {})[picture.index or 0] = mask
        return path

    def finish(self) -> None:
        """Write the masks of the volume that is being gathered, if any."""
        for path, slices in self._slices.items():
            content = gzip.compress(volume_mask(slices, self._source).to_bytes(), mtime=0)
            with written_whole(self._output / path) as temporary:
                temporary.write_bytes(content)
        self._slices = {}


def volume_mask(slices: dict[int, np.ndarray], like: Path) -> nib.Nifti1Image:
    """Put axial masks back on the grid of their volume.

    Parameters
    ----------
    slices : dict of int to numpy.ndarray, bool, H x W
        By the number of the slice; the others are empty.
    like : pathlib.Path
        NIfTI file they were cut from by ``samstudy.images.volume``.

    Returns
    -------
    nibabel.Nifti1Image, uint8
        Of the shape of ``like``, and with its header but for type and scale.
    """
    source = nib.load(like)
    shape = (*source.shape[:3], 1)[:3]
    orientation = nib.io_orientation(source.affine)
    back = nib.orientations.ornt_transform(_TO_CANONICAL, orientation)
    canonical_shape = [shape[int(np.flatnonzero(orientation[:, 0] == axis)[0])] for axis in range(3)]
    canonical = np.zeros(canonical_shape, np.uint8)
    for index, mask in slices.items():
        # the inverse of samstudy.images.volume.axial
        canonical[:, :, index] = mask.swapaxes(0, 1)[::-1, ::-1]
    values = nib.apply_orientation(canonical, back).reshape(source.shape)
    header = source.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    return nib.Nifti1Image(values, source.affine, header)
