"""What kind of file a path is, what its stem is, and the error that names it."""

from __future__ import annotations

from pathlib import Path

from samstudy.errors import DataError

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif")
NIFTI_SUFFIXES = (".nii.gz", ".nii")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
LOSSY_SUFFIXES = (".jpg", ".jpeg")
IMAGE_SUFFIXES = (*RASTER_SUFFIXES, *NIFTI_SUFFIXES, *DICOM_SUFFIXES)


class FileError(DataError):
    """One file cannot be used.

    Parameters
    ----------
    path : pathlib.Path
        The file; the sentence names it by its last two parts, so that it is the same on every machine.
    reason : str
        What is wrong with it, and what to do, as the rest of a sentence that starts with the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        # what a library says may hold the whole path, which is another on every machine
        self.reason = reason.replace(str(path), shown(path))
        super().__init__(f"{shown(path)} {self.reason}")
        self.file = Path(path)


def shown(path: Path) -> str:
    """Return folder and name of a file, ``masks/a.png``: what a person needs to find it in a data set."""
    return "/".join(Path(path).parts[-2:])


def suffix_of(path: Path) -> str:
    """Return the lower-case suffix, ``.nii.gz`` being one; ``""`` where it is not a known image suffix."""
    name = Path(path).name.lower()
    return next((suffix for suffix in IMAGE_SUFFIXES if name.endswith(suffix)), "")


def stem_of(path: Path) -> str:
    """Return the file name without its image suffix: ``a.b.nii.gz`` -> ``a.b``, ``x 1.PNG`` -> ``x 1``."""
    name = Path(path).name
    suffix = suffix_of(path)
    return name[: -len(suffix)] if suffix else Path(path).stem


def kind_of(path: Path) -> str:
    """Return ``"raster"``, ``"nifti"``, ``"dicom"`` or ``""`` by the file's suffix."""
    suffix = suffix_of(path)
    if suffix in NIFTI_SUFFIXES:
        return "nifti"
    if suffix in DICOM_SUFFIXES:
        return "dicom"
    return "raster" if suffix else ""
