"""The prompts of a file, put to the pictures they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from samstudy.errors import DataError, StudyError, unknown_name
from samstudy.images import stem_of
from samstudy.prediction.pictures import Picture
from samstudy.prediction.prompt_lines import Drawn, read_lines
from samstudy.types import Prompt


@dataclass(frozen=True)
class Asked:
    """One object to segment in one image.

    Attributes
    ----------
    object_id : str
        ``"nodule"``, or ``"nodule#2"`` for one of several.
    prompt : Prompt
        In pixels of the original image.
    where : str
        ``"prompts.csv, line 3"``, for sentences.
    """

    object_id: str
    prompt: Prompt
    where: str

    def check_inside(self, size_hw: tuple[int, int], name: str) -> None:
        """Refuse what lies outside its image.

        Parameters
        ----------
        size_hw : tuple of int
            Height and width of the image.
        name : str
            Of its file.

        Raises
        ------
        DataError
            With the line, the coordinates and the size of the image.
        """
        most = np.array(size_hw[::-1], float)
        corners = [] if self.prompt.box_xyxy is None else [("box", self.prompt.box_xyxy.reshape(2, 2))]
        for what, xy in [*corners, *(("point", point[None]) for point in self.prompt.points_xy)]:
            if (xy < -0.5).any() or (xy > most).any():
                numbers = ", ".join(f"{value:g}" for value in xy.ravel())
                raise DataError(
                    f"{self.where}: the {what} ({numbers}) reaches outside {name}, which is {size_hw[1]}x{size_hw[0]} "
                    "pixels (width x height): give pixels of the original image."
                )


def read_prompt_file(path: str | Path, pictures: Sequence[Picture]) -> dict[str, list[Asked]]:
    """Read the prompts of a file.

    Parameters
    ----------
    path : str or pathlib.Path
        ``.csv`` or ``.json``, see ``samstudy.prediction.prompt_lines``.
    pictures : sequence of Picture
        What there is to segment; ``image`` names one of them, with or without suffix and folder, whatever its
        capitals.

    Returns
    -------
    dict of str to list of Asked
        By ``image_id``; images that the file does not name are not in it. Objects without a name are
        ``object#1``, ``object#2``, ... of their image.

    Raises
    ------
    StudyError
        As :func:`~samstudy.prediction.prompt_lines.read_lines`; if an image is unknown, an object has two boxes or
        background points only, two would have one file, or the file names no object.
    """
    by_name = _by_name(pictures)
    asked: dict[str, list[Asked]] = {}
    for drawn in _united(read_lines(path)):
        image_id = _image_of(drawn, by_name, pictures)
        objects = asked.setdefault(image_id, [])
        objects.append(_asked(drawn, len(objects) + 1))
    if not asked:
        raise StudyError(
            f"the prompts file {Path(path).name} names no object: it needs a line for each box or point."
        )
    for objects in asked.values():
        _refuse_one_file(objects)
    return asked


def _united(lines: Iterable[Drawn]) -> list[Drawn]:
    """Put lines of the same image and object together; those without an object's name stay alone."""
    objects: list[Drawn] = []
    named: dict[tuple[str, str], Drawn] = {}
    for line in lines:
        first = named.setdefault((_key(line.image), line.name), line) if line.name else line
        if first is line:
            objects.append(line)
            continue
        if first.box is not None and line.box is not None:
            raise StudyError(
                f"{line.where}: is a second box of {line.name!r} in {line.image} (the first: {first.where}); name "
                f"several of one kind {line.name}#1, {line.name}#2, ..."
            )
        first.box = first.box or line.box
        first.points += line.points
    return objects


def _key(image: str) -> str:
    return Path(image.replace("\\", "/")).name.casefold()


def _by_name(pictures: Sequence[Picture]) -> dict[str, list[str]]:
    """Map what a picture may be called to the pictures of that name: many for a volume."""
    names: dict[str, list[str]] = {}
    for picture in pictures:
        called = (picture.image_id, picture.file.name, stem_of(picture.file))
        for name in {name.casefold() for name in called}:
            names.setdefault(name, []).append(picture.image_id)
    return names


def _image_of(drawn: Drawn, by_name: Mapping[str, list[str]], pictures: Sequence[Picture]) -> str:
    found = by_name.get(_key(drawn.image), [])
    if len(found) > 1:
        raise StudyError(
            f"{drawn.where}: {drawn.image} is a volume of {len(found)} slices; name one, such as "
            f"{found[len(found) // 2]}."
        )
    if not found:
        names = {name for picture in pictures for name in (picture.image_id, picture.file.name)}
        error = str(unknown_name("image", drawn.image, names))
        raise StudyError(f"{drawn.where}: {error.split(' Known: ')[0]} It is not among --images.")
    return found[0]


def _asked(drawn: Drawn, number: int) -> Asked:
    if drawn.box is None and not any(label for _, _, label in drawn.points):
        raise StudyError(
            f"{drawn.where}: has points of the background only; add one of the object, or a box."
        )
    points = np.array(drawn.points, np.float32).reshape(-1, 3)
    prompt = Prompt(
        points_xy=points[:, :2],
        point_labels=points[:, 2].astype(np.int64),
        box_xyxy=None if drawn.box is None else np.array(drawn.box, np.float32),
    )
    return Asked(drawn.name or f"object#{number}", prompt, drawn.where)


def _refuse_one_file(objects: Sequence[Asked]) -> None:
    first: dict[str, Asked] = {}
    for asked in objects:
        other = first.setdefault(file_name(asked.object_id).casefold(), asked)
        if other is not asked:
            raise StudyError(
                f"{asked.where}: the object {asked.object_id!r} and {other.object_id!r} ({other.where}) would have "
                "one mask file: name them differently."
            )


def file_name(object_id: str) -> str:
    """Name of an object's mask file without suffix, which a folder data set reads back: ``"nodule_2"``."""
    return object_id.replace("#", "_")
