"""ISIC challenge, lesion segmentation (2016, 2017, 2018): dermoscopic images with the outline of one lesion.

Features
    JPEG images ``ISIC_0000000.jpg`` of many sizes (several hundred to several thousand pixels wide), one lesion each;
    reference masks are single-channel PNG of the same size, drawn by hand or accepted from an algorithm by an expert.
Target
    ``lesion``: white (255) in the mask. It may fill nearly the whole frame or about one per cent of it.
Releases (``release``; the newest one found by default)
    ``2016``: ``ISBI2016_ISIC_Part1_{Training,Test}_Data`` and ``..._GroundTruth``; 900 / - / 379 images::

        ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg
        ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000000_Segmentation.png

    ``2017``: ``ISIC-2017_{Training,Validation,Test_v2}_Data`` and ``..._Part1_GroundTruth``; 2000 / 150 / 600::

        ISIC-2017_Training_Data/ISIC_0000000.jpg, ISIC_0000000_superpixels.png
        ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png

    ``2018``: ``ISIC2018_Task1-2_{Training,Validation,Test}_Input``, ``ISIC2018_Task1_..._GroundTruth``;
    2594 / 100 / 1000::

        ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg
        ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png

    Folders in any capitals; an archive may have unpacked into a folder of its own name.
Traps
    * Later releases reuse images of earlier ones, in other parts and partly with other masks: one release is read at
      a time, and it is a column of the results. Other releases that are there are named by ``check``, not mixed in.
    * ``*_superpixels.png`` lie among the images of 2017: only ``*.jpg`` are images.
    * ``_Segmentation.png`` in 2016, ``_segmentation.png`` later: capitals do not matter.
    * Several images may show one patient or lesion; the releases do not say which. A group is an image.
Split
    Official parts; 2016 has no validation part, so one image in five of its training part is taken
    (``data/splits/isic.csv``, ``isic_2016.csv``).
Papers
    D. Gutman et al., arXiv 1605.01397 (2016); N. Codella et al., arXiv 1710.05006 (2017) and arXiv 1902.03368 (2018);
    P. Tschandl et al., "The HAM10000 dataset", Sci. Data 5 (2018) 180161.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from samstudy.datasets.base import DatasetInfo, Download, Reading, Record
from samstudy.datasets.binary import read_binary
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.pairing import pair_masks, unread_folders
from samstudy.datasets.tree import child, files, nearest, seek, visible
from samstudy.errors import StudyError
from samstudy.images import read_image, stem_of

_BUCKET = "https://isic-archive.s3.amazonaws.com/challenges/2018"
_SUFFIX = "_segmentation"
_PICTURES = ("*.jpg", "*.jpeg")
_ASIDE = ("*_superpixels.png", "*.csv", "*.txt", "*.md", "*.pdf")
_OTHER_TASKS = ("*_Task2_*", "*_Task3_*", "*_Part2_*", "*_Part3_*", "*_Part1B_*", "*_Part2B_*", "*_Part3B_*")


@dataclass(frozen=True)
class Release:
    """Folders of the images and of the masks of each part (patterns), and its official counts."""

    folders: Mapping[str, tuple[str, str]]
    counts: Mapping[str, int]
    split_table: str = "isic"

    @property
    def landmarks(self) -> tuple[str, ...]:
        """Any of these marks a folder that holds the release."""
        return tuple(name for pair in self.folders.values() for name in pair)


RELEASES = {
    2018: Release(
        {
            part: (f"ISIC2018_Task1-2_{word}_Input", f"ISIC2018_Task1_{word}_GroundTruth")
            for part, word in (("train", "Training"), ("val", "Validation"), ("test", "Test"))
        },
        {"train": 2594, "val": 100, "test": 1000},
    ),
    2017: Release(
        {
            part: (f"ISIC-2017_{word}_Data", f"ISIC-2017_{word}_Part1_GroundTruth")
            for part, word in (("train", "Training"), ("val", "Validation"), ("test", "Test*"))
        },
        {"train": 2000, "val": 150, "test": 600},
    ),
    2016: Release(
        {
            part: (f"ISBI2016_ISIC_Part1_{word}_Data", f"ISBI2016_ISIC_Part1_{word}_GroundTruth")
            for part, word in (("train", "Training"), ("test", "Test"))
        },
        {"train": 900, "test": 379},
        "isic_2016",
    ),
}
"""Newest first."""


def _download(name: str, size_bytes: int, sha256: str) -> Download:
    return Download(f"{_BUCKET}/{name}", name, f"sha256:{sha256}", size_bytes)


class ISIC(OfficialDataset):
    """Lesion segmentation of one release of the ISIC challenge; ids are the file stems, ``ISIC_0000000``.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder that holds the folders of a release.
    release : {2016, 2017, 2018}, optional
        The newest that is there when not given.

    Raises
    ------
    StudyError
        If the release is unknown or not there.
    """

    info = DatasetInfo(
        name="isic",
        title="ISIC challenge: skin lesion analysis toward melanoma detection, segmentation task",
        modality="dermoscopy",
        targets=("lesion",),
        licence="2016 and 2017: CC0; 2018: CC BY-NC, attribution to HAM10000 and ISIC",
        citation="Codella et al., arXiv 1902.03368 (2018 release); Codella et al., arXiv 1710.05006 (2017); Gutman et "
        "al., arXiv 1605.01397 (2016); Tschandl et al., Sci. Data 5 (2018) 180161, doi 10.1038/sdata.2018.161",
        how_to_get="direct download, no registration; the 2018 release is 13 GiB",
        url="https://challenge.isic-archive.com/data/",
        n_images=3694,
        group_noun="image",
        interval_note="Which images show the same patient is not published: intervals over images may be too narrow.",
        nsd_tolerance=5.0,
        display_note="the JPEG as stored",
        split_note="official parts; for 2016, which has no validation part, one training image in five",
        downloads=(
            _download(
                "ISIC2018_Task1-2_Training_Input.zip",
                11_165_358_566,
                "80f98572347a2d7a376227fa9eb2e4f7459d317cb619865b8b9910c81446675f",
            ),
            _download(
                "ISIC2018_Task1_Training_GroundTruth.zip",
                27_402_895,
                "99f8b2bb3c4d6af483362010715f7e7d5d122d9f6c02cac0e0d15bef77c7604c",
            ),
            _download(
                "ISIC2018_Task1-2_Validation_Input.zip",
                239_231_159,
                "0ea920fcfe512d12a6e620b50b50233c059f67b10146e1479c82be58ff15a797",
            ),
            _download(
                "ISIC2018_Task1_Validation_GroundTruth.zip",
                759_706,
                "f6911e9c0a64e6d687dd3ca466ca927dd5e82145cb2163b7a1e5b37d7a716285",
            ),
            _download(
                "ISIC2018_Task1-2_Test_Input.zip",
                2_370_457_338,
                "e59ae1f69f4ed16f09db2cb1d76c2a828487b63d28f6ab85997f5616869b127d",
            ),
            _download(
                "ISIC2018_Task1_Test_GroundTruth.zip",
                9_680_101,
                "2e8f6edce454a5bdee52485e39f92bd6eddf357e81f39018d05512175238ef82",
            ),
        ),
        steps=(
            "For another release, open https://challenge.isic-archive.com/data/ and choose its year.",
            "Download the images and the segmentation masks (Part 1 or Task 1) of every part it has: training, "
            "validation, test.",
            "Unpack every archive into data/raw/isic, each into the folder of its own name.",
        ),
    )
    landmarks = tuple(name for release in RELEASES.values() for name in release.landmarks)
    expected = RELEASES[2018].counts
    split_table = "isic"

    def __init__(self, root: Path | None = None, release: int | str | None = None) -> None:
        known = [str(year) for year in RELEASES]
        self.release = None if release is None else int(self._chosen("release", release, known))
        super().__init__(root)

    def _locate(self, start: Path) -> Path:
        """Choose the release, the newest that is there unless one was asked for, and return its folder."""
        found = {year: self._home(start, release.landmarks) for year, release in RELEASES.items()}
        there = [year for year, folder in found.items() if folder is not None]
        if self.release is not None and there and self.release not in there:
            raise StudyError(
                f"{start} holds the release {', '.join(map(str, there))} of isic, not {self.release}. {self._help()}"
            )
        if not there:
            return super()._locate(start)
        self.release = self.release or there[0]
        self.options = {"release": self.release}
        for year in there:
            if year != self.release:
                text = f"holds the release {year} too; not read, since releases share images (release={year} reads it)."
                self._find(found[year], text, "note")
        release = RELEASES[self.release]
        self.split_table = release.split_table
        # a phantom expects no number
        self.expected = release.counts if self.expected else {}
        return found[self.release]

    def _list(self) -> list[Record]:
        read = [folder for name in self.landmarks if (folder := seek(self.root, name)) is not None]
        self._findings += unread_folders(self.root, (*RELEASES[self.release].landmarks, *_OTHER_TASKS), read)
        records = []
        for part, (image_name, mask_name) in RELEASES[self.release].folders.items():
            records += self._list_part(part, image_name, mask_name)
        return records

    def _list_part(self, part: str, image_name: str, mask_name: str) -> list[Record]:
        image_folder, mask_folder = (_innermost(self.root, name) for name in (image_name, mask_name))
        if image_folder is None and mask_folder is None:
            return []
        images = self._by_stem(image_folder, image_name, *_PICTURES)
        masks = self._by_stem(mask_folder, mask_name, f"*{_SUFFIX}.png")
        masks = {key[: -len(_SUFFIX)]: path for key, path in masks.items()}
        records = pair_masks(images, {None: masks}, part, {None: f"in {_readable(mask_name)}"}, "lesion mask")
        if images and masks:
            return records
        name, what = (
            (mask_name, "has no lesion mask")
            if images
            else (image_name, "is a lesion mask without its image")
        )
        hint = nearest(self.root, name)
        problem = f"{what}: the folder {_readable(name)} is missing or empty{hint}."
        return [replace(record, problem=problem) for record in records]

    def _by_stem(self, folder: Path | None, name: str, *patterns: str) -> dict[str, Path]:
        if folder is None:
            self._find(self.root / _readable(name), f"is missing{nearest(self.root, name)}.")
            return {}
        found = {_id_of(path): path for path in files(folder, *patterns)}
        known = {*found.values(), *files(folder, *_ASIDE)}
        for path in visible(folder):
            if path.is_file() and path not in known:
                self._find(path, f"is not understood, {patterns[0]} is expected here: not read.", "note")
        return found

    def _read(self, record: Record) -> Reading:
        picture = read_image(record.image)
        ((_, path),) = record.masks
        lesion, notes = read_binary(path, "lesion")
        notes = [(record.image, f"{note}.") for note in picture.notes] + notes
        return Reading(picture.rgb, {"lesion": lesion}, sources={"lesion": path}, notes=notes)


def _id_of(path: Path) -> str:
    """Return the stem in the capitals of the official files, so that a copy's capitals change no split."""
    stem = stem_of(path)
    prefix, _, rest = stem.partition("_")
    return f"{prefix.upper()}_{rest.casefold()}" if prefix.casefold() == "isic" else stem


def _readable(pattern: str) -> str:
    return pattern.replace("Test*", "Test_v2")


def _innermost(root: Path, name: str) -> Path | None:
    """Return a folder below the root, or the one of the same name inside it, as some unpackers make it."""
    folder = seek(root, name)
    return folder and (child(folder, name) or folder)
