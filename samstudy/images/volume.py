"""NIfTI volumes as axial slices, and DICOM slices.

Axial slices are cut after turning the volume to its closest canonical orientation and are shown as a
radiologist sees them: anterior up, the patient's right on the left of the picture. Slice ``k`` counts from
inferior.
"""

from __future__ import annotations

import hashlib
import warnings
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_color_lut, apply_modality_lut

from samstudy.images.display import CT_WINDOW, bounds_of, default_bounds
from samstudy.images.files import FileError, shown

_NIFTI_ERRORS = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)
_DICOM_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    InvalidDicomError,
)
_PLACEHOLDER_PATIENTS = ("", "0", "anon", "anonymous", "anonymized", "anonymised", "unknown", "none")


@dataclass(frozen=True)
class Volume:
    """A volume as a stack of axial pictures.

    Attributes
    ----------
    slices : numpy.ndarray, H x W x K
        Slice ``k`` is ``slices[..., k]``, in display orientation.
    spacing_mm : tuple of float
        (row, column) pitch within a slice.
    affine : numpy.ndarray, float64, 4 x 4
        Canonical voxel-to-world matrix, to compare a mask with its image.
    """

    slices: np.ndarray
    spacing_mm: tuple[float, float]
    affine: np.ndarray

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """(lowest, highest) shown value, the same for every slice of the volume."""
        return default_bounds(self.slices)


def axial(volume: np.ndarray) -> np.ndarray:
    """Turn an R x A x S array into H x W x K axial pictures, anterior up and patient's right on the left."""
    return volume[::-1, ::-1].swapaxes(0, 1)


def _header(path: Path) -> nib.spatialimages.SpatialImage:
    try:
        image = nib.load(path)
    except _NIFTI_ERRORS as error:
        raise FileError(
            path, f"cannot be read as NIfTI: {error}; copy it again if it was cut short."
        ) from error
    extra = [n for n in image.shape[3:] if n != 1]
    if len(image.shape) < 2 or extra:
        raise FileError(path, f"has the shape {image.shape}; a 2-D image or a 3-D volume is expected.")
    return image


def volume_shape(path: Path) -> tuple[int, int, int]:
    """Height, width and number of axial slices by the header alone.

    Raises
    ------
    FileError
        If the header cannot be read or has a fourth dimension.
    """
    image = _header(path)
    shape = (*image.shape[:3], 1)[:3]
    order = nib.io_orientation(image.affine)[:, 0].astype(int)
    right, front, up = (shape[int(np.flatnonzero(order == axis)[0])] for axis in range(3))
    return front, right, up


def read_nifti(path: Path) -> Volume:
    """Read a NIfTI file; the last four are kept, as slices of one volume are asked for one by one.

    Returns
    -------
    Volume
        Values with the header's scale applied, dtype as stored (float64 is narrowed to float32). A 2-D file
        has one slice.

    Raises
    ------
    FileError
        If the file is truncated, not NIfTI, or has a fourth dimension.
    """
    try:
        stamp = Path(path).stat().st_mtime_ns
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror}.") from error
    return _read_nifti(Path(path), stamp)


@lru_cache(maxsize=4)
def _read_nifti(path: Path, stamp: int) -> Volume:
    image = _header(path)
    try:
        values = np.asanyarray(image.dataobj)
    except _NIFTI_ERRORS as error:
        raise FileError(path, f"cannot be read: {error}; copy it again if it was cut short.") from error
    values = values.reshape((*values.shape, 1)[:3])
    if values.dtype.kind not in "buif":
        raise FileError(path, f"holds values of type {values.dtype}; one real number per voxel is expected.")
    if values.dtype.itemsize > 4 and values.dtype.kind == "f":
        values = values.astype(np.float32)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(values, image.affine, dtype=values.dtype))
    zooms = canonical.header.get_zooms()
    return Volume(
        slices=axial(np.asanyarray(canonical.dataobj)),
        spacing_mm=(float(zooms[1]), float(zooms[0])),
        affine=canonical.affine,
    )


@dataclass(frozen=True)
class DicomSlice:
    """One DICOM image: stored values after the modality rescale, and how to show them.

    Attributes
    ----------
    values : numpy.ndarray, H x W (real) or H x W x 3 (uint8)
        Hounsfield units for CT.
    bounds : tuple of float or None
        CT: level 40, width 400. Others: the header's window, else None.
    inverted : bool
        MONOCHROME1: low values are shown bright.
    spacing_mm : tuple of float or None
        (row, column), PixelSpacing or else ImagerPixelSpacing.
    """

    values: np.ndarray
    bounds: tuple[float, float] | None
    inverted: bool
    spacing_mm: tuple[float, float] | None


def read_dicom(path: Path) -> DicomSlice:
    """Read a single-frame DICOM file.

    Raises
    ------
    FileError
        If it is not DICOM, truncated, multi-frame, or compressed in a way that cannot be decoded here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            header = pydicom.dcmread(path)
            stored = header.pixel_array
    except _DICOM_ERRORS as error:
        raise FileError(
            path, f"cannot be read as DICOM: {error}; copy it again if it was cut short."
        ) from error
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise FileError(path, f"has {header.NumberOfFrames} frames; export one file per slice, or NIfTI.")
    photometric = str(header.get("PhotometricInterpretation", ""))
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
        stored = (stored >> 8).astype(np.uint8) if stored.dtype.itemsize > 1 else stored
    elif stored.ndim == 2:
        stored = apply_modality_lut(stored, header)
    return DicomSlice(
        values=stored,
        bounds=_dicom_bounds(header) if stored.ndim == 2 else None,
        inverted=photometric == "MONOCHROME1",
        spacing_mm=_dicom_spacing(header, path),
    )


def _dicom_bounds(header: pydicom.Dataset) -> tuple[float, float] | None:
    if header.get("Modality") == "CT":
        return bounds_of(CT_WINDOW)
    level, width = header.get("WindowCenter"), header.get("WindowWidth")
    if level is None or width is None:
        return None
    first = [float(np.ravel(value)[0]) for value in (level, width)]
    return bounds_of((first[0], first[1])) if first[1] > 0 else None


def _dicom_spacing(header: pydicom.Dataset, path: Path) -> tuple[float, float] | None:
    pitch = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    if not pitch:
        return None
    if len(pitch) != 2:
        raise FileError(path, f"states a pixel spacing of {len(pitch)} numbers; two are expected.")
    return float(pitch[0]), float(pitch[1])


def dicom_group(path: Path) -> str | None:
    """Return the patient (else the study) a DICOM slice belongs to, by its header, else None.

    A placeholder such as ``ANONYMOUS`` is no patient. The id is hashed, ``patient_3f2a...``: no result table
    carries it. An unreadable file gives None: loading it tells why.
    """
    try:
        header = pydicom.dcmread(
            path, stop_before_pixels=True, specific_tags=["PatientID", "StudyInstanceUID"]
        )
    except _DICOM_ERRORS:
        return None
    patient = str(header.get("PatientID") or "").strip()
    if patient.lower() not in _PLACEHOLDER_PATIENTS:
        return f"patient_{_digest(patient)}"
    study = str(header.get("StudyInstanceUID") or "")
    return f"study_{_digest(study)}" if study else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def same_grid(image: Path, mask: Path) -> str:
    """Return a remark where a mask volume lies elsewhere in the world than its image, else ``""``."""
    offset = float(np.abs(read_nifti(image).affine - read_nifti(mask).affine).max())
    if offset <= 0.01:
        return ""
    return (
        f"has a voxel-to-world matrix that differs from that of {shown(image)} by up to {offset:.3g}; "
        "the voxels are taken to correspond one to one"
    )
