"""Keeps prompts and masks as a folder data set, so that clicking makes a labelled set.

``<folder>/images`` has the images, ``masks/<image>/<object>`` the masks (see ``samstudy.prediction.mask_files``),
``prompts.json`` the prompts as ``samstudy predict --prompts`` reads them, and ``saved.json`` what made each mask.
``samstudy run --dataset folder:<folder>`` and ``finetune`` read the images and masks.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from samstudy.errors import StudyError
from samstudy.explore.session import Session
from samstudy.explore.sources import Shown
from samstudy.images import kind_of, read_image, stem_of
from samstudy.images.volume import read_nifti
from samstudy.paths import written_whole
from samstudy.prediction.mask_files import mask_path, volume_mask
from samstudy.prediction.pictures import Picture
from samstudy.prediction.prompt_file import file_name
from samstudy.prediction.prompt_lines import is_object_name

PROMPTS, RECORD = "prompts.json", "saved.json"


def save(session: Session, folder: str | Path, object_id: str, place: int = 0) -> str:
    """Save the shown mask, its image and its prompt; an object of the same name in the same image is written over.

    An image file that reads as it is shown is copied as it is, so a volume stays one. Anything else (an array, an image
    of a data set, a window of one's own) is written as the 8-bit PNG that the model was shown.

    Parameters
    ----------
    session : Session
        With an answer.
    folder : str or pathlib.Path
        Of the set; made when it is not there.
    object_id : str
        ``"nodule"``, or ``"nodule#2"`` for one of several.
    place : int
        Which model's mask.

    Returns
    -------
    str
        What was written, in a sentence.

    Raises
    ------
    StudyError
        If there is no mask or it is empty, the object cannot be a file's name, another object would have its file,
        another image of that name is in the folder, or a file cannot be read or written.
    """
    folder, object_id = Path(folder).expanduser(), object_id.strip()
    mask = session.mask(place)
    if mask is None or not mask.any():
        raise StudyError("there is no mask to save: add a point or a box first.")
    if not is_object_name(object_id):
        raise StudyError(
            f"the object {object_id!r} cannot be a file's name; begin it with a letter or digit and use these, spaces "
            "and _-. only; #1, #2, ... at its end for several of one kind."
        )
    shown = session.shown
    prompts, records = _read(folder / PROMPTS), _read(folder / RECORD)
    _refuse_one_file(prompts, shown.image_id, object_id)
    picture = _keep_image(shown, folder)
    path = folder / mask_path(picture, object_id)
    _write_mask(picture, path, mask)
    key = {"image": shown.image_id, "object": object_id}
    drawn = {} if session.marks.box_xyxy is None else {"box": list(session.marks.box_xyxy)}
    if session.marks.points:
        drawn["points"] = [list(point) for point in session.marks.points]
    replaced = _write(folder / PROMPTS, prompts, key, drawn)
    _write(folder / RECORD, records, key, _facts(session, place, path.relative_to(folder)))
    return f"{'Replaced' if replaced else 'Saved'} {object_id} of {shown.image_id}: {path}"


def saved_objects(folder: str | Path) -> list[tuple[str, str]]:
    """(image, object) of what a folder holds, in the order in which it was saved."""
    return [(entry["image"], entry["object"]) for entry in _read(Path(folder).expanduser() / PROMPTS)]


def _facts(session: Session, place: int, path: Path) -> dict[str, Any]:
    model, shown, index = session.models[place], session.shown, session.chosen(place)
    iou, dice = session.scores(place)[index]
    return {
        "mask": path.as_posix(),
        "model": model.name,
        "weights_sha": model.weights_sha,
        "tuning": model.tuning,
        "shots": model.shots,
        "candidate": index,
        "iou_pred": round(iou, 4),
        "compared_with": session.target,
        "dice": None if dice is None else round(dice, 4),
        "spacing_mm": shown.spacing_mm,
        "origin": shown.origin,
    }


def _keep_image(shown: Shown, folder: Path) -> Picture:
    """Copy the image, unless it is there already."""
    is_volume = shown.file is not None and kind_of(shown.file) == "nifti"
    name = shown.file.name if shown.file is not None else f"{shown.image_id}.png"
    target = folder / "images" / name
    present = target.parent.iterdir() if target.parent.is_dir() else ()
    same_stem = [file for file in present if stem_of(file).casefold() == stem_of(target).casefold()]
    if same_stem and (same_stem != [target] or not _is_same(shown, target)):
        raise StudyError(
            f"{same_stem[0]} is another image of that name; rename one, or save into another folder."
        )
    if not same_stem:
        with written_whole(target) as temporary:
            if shown.file is not None:
                shutil.copyfile(shown.file, temporary)
            else:
                Image.fromarray(shown.rgb).save(temporary)
    return Picture(shown.image_id, target, shown.index if is_volume else None)


def _is_same(shown: Shown, target: Path) -> bool:
    if shown.file is not None:
        return _sha(shown.file) == _sha(target)
    return np.array_equal(read_image(target).rgb, shown.rgb)


def _sha(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _write_mask(picture: Picture, path: Path, mask: np.ndarray) -> None:
    if kind_of(picture.file) != "nifti":
        with written_whole(path) as temporary:
            Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(temporary)
        return
    slices = {picture.index or 0: mask}
    if path.is_file():
        earlier = read_nifti(path).slices > 0
        kept = {int(k): earlier[..., k] for k in np.flatnonzero(earlier.any(axis=(0, 1)))}
        slices = kept | slices
    content = gzip.compress(volume_mask(slices, picture.file).to_bytes(), mtime=0)
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def _refuse_one_file(entries: list[dict], image_id: str, object_id: str) -> None:
    for entry in entries:
        other = entry["object"]
        is_clash = file_name(other).casefold() == file_name(object_id).casefold()
        if entry["image"] == image_id and other != object_id and is_clash:
            raise StudyError(f"{object_id!r} and {other!r} would have one mask file: name it differently.")


def _read(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not all({"image", "object"} <= set(entry) for entry in entries):
            raise ValueError("an entry names no image or no object")
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"{path} cannot be read ({error}): mend it, or save into another folder.") from error
    return entries


def _write(path: Path, entries: list[dict], key: dict[str, str], facts: dict[str, Any]) -> bool:
    """Put an entry in place of the one with its key, or behind the others; say whether there was one."""
    places = [
        i for i, entry in enumerate(entries) if all(entry[name] == value for name, value in key.items())
    ]
    if places:
        entries[places[0]] = key | facts
    else:
        entries.append(key | facts)
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    with written_whole(path) as temporary:
        temporary.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return bool(places)
