"""What is known of a data set without opening it: its facts, and what can be downloaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """One file that is openly downloadable.

    Attributes
    ----------
    url, file_name : str
        Address, and name to keep it under.
    checksum : str or None
        ``"sha256:<hex>"`` or ``"md5:<hex>"`` where one is published, else None.
    size_bytes : int or None
        Size as published, for the estimate before a download and the limit of what it may unpack to.
    folder : str
        Where it is unpacked, below ``data/raw/<name>``; ``""`` for that folder itself.
    """

    url: str
    file_name: str
    checksum: str | None = None
    size_bytes: int | None = None
    folder: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """What is to be known of a data set without opening it.

    Attributes
    ----------
    name, title, modality : str
        Name used on the command line and in file names; full title; kind of image.
    targets : tuple of str
        Names of what is segmented; empty where only the files tell.
    licence, citation, how_to_get, url : str
        Terms, reference, and how a reader comes by the data.
    n_images : int or None
        Number of 2-D images used here; None where only the files tell.
    synthetic : bool
        Drawn by this package rather than acquired.
    group_noun : str
        What a group is: ``"patient"``, ``"slab of adjacent slices"``, ``"image"``.
    interval_note : str
        Sentence that is said beside every interval over these groups.
    spacing_known : bool
        Whether distances are in millimetres.
    nsd_tolerance : float
        Tolerance of the normalised surface distance, in ``distance_unit``.
    display_note : str
        Which axis, slices, orientation and grey-value window are shown.
    split_note : str
        Where the split comes from.
    trained_on : str
        In whose training set the images are known to be; ``""`` where nothing is known.
    downloads : tuple of Download
        What can be downloaded without registration, as ``samstudy fetch`` does.
    steps : tuple of str
        What a person has to do otherwise, in order: where to register, what to download, where to unpack.
    """

    name: str
    title: str
    modality: str
    targets: tuple[str, ...]
    licence: str
    citation: str
    how_to_get: str
    url: str = ""
    n_images: int | None = None
    synthetic: bool = False
    group_noun: str = "patient"
    interval_note: str = ""
    spacing_known: bool = False
    nsd_tolerance: float = 2.0
    display_note: str = ""
    split_note: str = ""
    trained_on: str = ""
    downloads: tuple[Download, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def distance_unit(self) -> str:
        """``"mm"`` where the pixel spacing is known, else ``"px"``."""
        return "mm" if self.spacing_known else "px"
