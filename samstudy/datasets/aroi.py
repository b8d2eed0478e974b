"""AROI: annotated retinal OCT B-scans of neovascular AMD, with layers and fluids.

* Features: B-scans of 24 patients with neovascular age-related macular degeneration; of the 128 scans of
  each, the annotated ones are used, 1136 in all (19 to 103 a patient).
* Format: PNG, 512 wide x 1024 high; the mask is a grey PNG of codes with the name of its image.
* Layout (names in any capitals)::

      AROI - online/24 patient/patient1/raw/labeled/patient1_raw0073.png
                                       /raw/ALL/...                     scans without annotation: not read
                                       /mask/number/patient1_raw0073.png
                                       /mask/colour/...                 the same in colour: not read
      AROI - online/inter_intra/...                                     repeated annotations: not read

* Codes: 0 above the ILM (the background: no target), 1 ``ilm_ipl_inl`` (inner limiting membrane to the
  border of inner plexiform and inner nuclear layer), 2 ``ipl_inl_rpe`` (on to the retinal pigment
  epithelium), 3 ``rpe_bm`` (on to Bruch's membrane: taken for the "RPE" of claim C2), 4 ``under_bm``
  (everything under Bruch's membrane: the other layer of C2), 5 ``ped`` (pigment epithelial detachment), 6
  ``srf`` (subretinal fluid), 7 ``irf`` (intraretinal fluid). Every image has all seven targets; a fluid
  that a scan does not show is an empty mask.
* Size of a pixel: not in the files, so distances are in pixels. Rows and columns differ in pitch.
* Licence: research and education only, by request to the authors,
  <https://ipg.fer.hr/ipg/resources/oct_image_database>.
* Paper: M. Melinščak, M. Radmilović, Z. Vatavuk, S. Lončarić, "Annotated retinal optical coherence
  tomography images (AROI) database for joint retinal layer and fluid segmentation", Automatika 62(3) (2021)
  375-385, doi 10.1080/00051144.2021.1973298.
* Traps handled: a colour mask in place of a code mask, a code above 7, layers out of their order from top
  to bottom (swapped codes, a picture upside down), a file in the folder of another patient.
* Split: none is official; a patient is in one part only, 14 / 4 / 6 patients, ranked by the SHA-256 of
  their names.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from samstudy.datasets import tree
from samstudy.datasets.base import DatasetInfo, Reading, Record
from samstudy.datasets.official import OfficialDataset
from samstudy.datasets.pairing import pair_masks
from samstudy.images import FileError, read_codes, read_image, stem_of
from samstudy.images.masks import distinct

TARGETS = ("ilm_ipl_inl", "ipl_inl_rpe", "rpe_bm", "under_bm", "ped", "srf", "irf")
"""Target of each code, from 1 on."""
_LAYERS = 4
_IMAGES, _MASKS = ("raw", "labeled"), ("mask", "number")
_PATIENT = re.compile(r"patient\s*(\d+)", re.IGNORECASE)


class Aroi(OfficialDataset):
    """Annotated B-scans, ids ``patient1_raw0073``, grouped by patient.

    Parameters
    ----------
    root : pathlib.Path, optional
        Folder with ``AROI - online``, ``24 patient`` or the patients' folders themselves.
    """

    info = DatasetInfo(
        name="aroi",
        title="AROI: annotated retinal OCT images of neovascular AMD",
        modality="retinal OCT",
        targets=TARGETS,
        licence="research and education only, by request",
        citation="Melinščak et al., Automatika 62(3) (2021) 375-385, doi 10.1080/00051144.2021.1973298",
        how_to_get="ask the authors, as their page says, and unpack the archive into data/raw/aroi",
        url="https://ipg.fer.hr/ipg/resources/oct_image_database",
        n_images=1136,
        interval_note="24 patients, each with many B-scans of one volume: intervals are over patients.",
        nsd_tolerance=3.0,
        display_note="whole B-scan of 512 x 1024 pixels as stored, vitreous on top; rows finer than columns",
        split_note="by patient, 14 / 4 / 6, ranked by the SHA-256 of the patient's name; no official split",
        steps=(
            "Open https://ipg.fer.hr/ipg/resources/oct_image_database and ask the authors for access, as "
            "described there (research and education only).",
            "Download the archive AROI.rar from the link they send.",
            "Unpack it so that 'data/raw/aroi/AROI - online/24 patient/patient1' exists.",
            "Run `samstudy check aroi`.",
        ),
    )
    landmarks = ("AROI - online/24 patient*", "24 patient*", "patient*")
    expected: ClassVar = {"all": 1136}
    split_table = "aroi"

    def _list(self) -> list[Record]:
        top = tree.descend(self.root, "AROI - online", "24 patient*") or tree.child(self.root, "24 patient*")
        top = top or self.root
        records = []
        for folder in tree.visible(top):
            if _PATIENT.fullmatch(folder.name) and folder.is_dir():
                records += self._list_patient(folder)
            elif folder.name.casefold() != "inter_intra":
                level = "error" if folder.name.casefold().startswith("patient") else "note"
                self._find(folder, "is not a folder of a patient ('patient1', ...); not read.", level)
        return records

    def _list_patient(self, folder: Path) -> list[Record]:
        patient = _patient_of(folder.name)
        images, masks = self._pngs(folder, _IMAGES), self._pngs(folder, _MASKS)
        records = pair_masks(images, {None: masks}, "", {None: f"in {'/'.join(_MASKS)}"}, "mask")
        return [_placed(record, folder, patient) for record in records]

    def _pngs(self, folder: Path, parts: tuple[str, str]) -> dict[str, Path]:
        """Return a folder's PNG files by lower-case stem; say what else is there, or that it is missing."""
        missing = _missing(folder, parts)
        if missing:
            self._find(folder, f"{missing}.")
            return {}
        pngs: dict[str, Path] = {}
        for path in tree.visible(tree.descend(folder, *parts)):
            key = stem_of(path).casefold()
            if path.suffix.casefold() != ".png":
                self._find(path, "is not a PNG file; not read.", "note")
            elif key in pngs:
                self._find(path, f"has the name of {pngs[key].name} but for its capitals; not read.")
            else:
                pngs[key] = path
        return pngs

    def _read(self, record: Record) -> Reading:
        image, path = read_image(record.image), record.masks[0][1]
        code_map = read_codes(path)
        wrong = [int(code) for code in distinct(code_map.codes) if code > len(TARGETS)]
        if code_map.colour or wrong:
            what = "colours" if code_map.colour else f"the codes {', '.join(map(str, wrong[:8]))}"
            raise FileError(
                path, f"holds {what}; 0 to {len(TARGETS)} are expected, as in the folder mask/number."
            )
        labels = {name: code_map.codes == code for code, name in enumerate(TARGETS, 1)}
        _refuse_disorder(path, [labels[name] for name in TARGETS[:_LAYERS]])
        notes = [(record.image, note) for note in image.notes] + [(path, note) for note in code_map.notes]
        if not code_map.codes.any():
            notes.append((path, "is empty: every target of this scan is empty."))
        return Reading(image.rgb, labels, sources=dict.fromkeys(labels, path), notes=notes)


def _patient_of(name: str) -> str:
    """Return ``patient7`` for ``Patient 07``, ``""`` for what names no patient."""
    match = _PATIENT.fullmatch(name)
    return f"patient{int(match[1])}" if match else ""


def _missing(folder: Path, parts: tuple[str, str]) -> str:
    """Return ``"has no folder 'mask/number'; there is 'numbers'"``, ``""`` where the folder is there."""
    if tree.descend(folder, *parts) is not None:
        return ""
    outer = tree.child(folder, parts[0])
    near = tree.nearest(folder, parts[0]) if outer is None else tree.nearest(outer, parts[1])
    return f"has no folder '{'/'.join(parts)}'{near}"


def _placed(record: Record, folder: Path, patient: str) -> Record:
    """Put a record in its patient's group; say what is wrong with its place."""
    named, _, scan = record.image_id.partition("_")
    if _patient_of(named) != patient:
        return replace(
            record,
            image_id=f"{patient}_{record.image_id}",
            group_id=patient,
            problem=f"lies in the folder {folder.name}, but its name does not begin with '{patient}_'.",
        )
    missing = record.problem and (_missing(folder, _MASKS) or _missing(folder, _IMAGES))
    problem = f"stands alone: {folder.name} {missing}." if missing else record.problem
    return replace(record, image_id=f"{patient}_{scan}", group_id=patient, problem=problem)


def _refuse_disorder(path: Path, layers: list[np.ndarray]) -> None:
    """Raise where a layer lies, in most of the columns they share, under one that belongs under it."""
    rows = np.arange(layers[0].shape[0])[:, None]
    with np.errstate(invalid="ignore"):
        depth = [(layer * rows).sum(axis=0) / layer.sum(axis=0) for layer in layers]
    for code, upper in enumerate(depth[:-1], 1):
        for below, lower in enumerate(depth[code:], code + 1):
            shared = np.isfinite(upper) & np.isfinite(lower)
            if shared.sum() > shared.size // 20 and (upper > lower)[shared].mean() > 0.5:
                raise FileError(
                    path,
                    f"has layer {code} ({TARGETS[code - 1]}) under layer {below} ({TARGETS[below - 1]}) in "
                    "most columns; 1, 2, 3, 4 are expected from top to bottom: codes swapped or upside down.",
                )
