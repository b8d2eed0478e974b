"""Writers of small volumes and slices, for the tests."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


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


def write_volumes(root, stem, values, labels, affine=None):
    """Write an image and a label volume, R x A x S."""
    affine = np.diag([2.0, 3.0, 5.0, 1.0]) if affine is None else affine
    for folder, array in (("images", values), ("masks", labels)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, affine), root / folder / f"{stem}.nii.gz")


def pixels(sample):
    """Return {label: foreground pixels} of a sample."""
    return {name: int(mask.sum()) for name, mask in sample.labels.items()}


def problems(table, level="error"):
    """Return {file: problem} of a check."""
    rows = table[table["level"] == level]
    return dict(zip(rows["file"], rows["problem"], strict=True))
