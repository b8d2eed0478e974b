"""Phantom of AROI: B-scans of neovascular macular degeneration, with the layers and fluids that were drawn.

The scan pattern is that of a macular cube of 512 x 128 scans over 6 mm x 6 mm x 2 mm, 1024 pixels deep; of
each patient's 128 scans one near the fovea is written, of every fourth patient two, numbered by their place in the
cube: many patients and few scans, since every interval and test of the study stands on patients. Every eye has
drusen and at least one fluid; a detachment of the pigment epithelium is serous (black) or fibrovascular
(grey). The masks follow the drawn borders with the error of a hand, a few micrometres. See
``samstudy.phantoms.oct`` for the sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from samstudy.errors import StudyError
from samstudy.paths import written_whole
from samstudy.phantoms.base import Phantom
from samstudy.phantoms.noise import smooth_line
from samstudy.phantoms.oct import (
    BANDS,
    Dome,
    Eye,
    Scanner,
    Section,
    add_cysts,
    random_eye,
    section,
)
from samstudy.phantoms.oct_image import render
from samstudy.seeds import rng_for

SCANNER = Scanner(size_hw=(1024, 512), pitch_um=(1.95, 11.7), floor=38, speckle=0.26, grain_px=(1.3, 0.5))
_PATIENTS = (2, 1, 10, 3, 4, 8, 5, 9, 6, 12, 15, 7, 11, 13, 14, 21, 16, 17, 22, 18, 19, 20, 23, 24)
"""In the order in which they are drawn: the first few fill all three parts of the split, 14 hold 5 of its test part."""
_HAND_UM = 3.0
_CODE = {
    "vitreous": 0, "rnfl": 1, "gcl": 1, "ipl": 1, "inl": 2, "opl": 2, "onl": 2, "elm": 2, "myoid": 2,
    "ellipsoid": 2, "outer_segments": 2, "srf": 6, "rpe": 3, "sub_rpe": 3, "choroid": 4,
}  # fmt: skip
_PED, _IRF = 5, 7
_COLOURS = np.array(
    [
        [0, 0, 0],
        [192, 64, 64],
        [208, 192, 64],
        [64, 176, 192],
        [64, 128, 64],
        [64, 80, 192],
        [176, 64, 176],
        [240] * 3,
    ],
    np.uint8,
)
_FLUIDS = ("ped", "srf", "irf")


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write one annotated scan of each patient, two of every fourth; yields ``patient1``, ...

    Raises
    ------
    StudyError
        If more than the 24 patients of the archive are asked for.
    """
    n = counts.get("all", 0)
    if n > len(_PATIENTS):
        raise StudyError(f"the phantom of aroi has at most {len(_PATIENTS)} patients; {n} were asked for.")
    for i, patient in enumerate(_PATIENTS[:n]):
        name = f"patient{patient}"
        folder = root / "AROI - online" / "24 patient" / name
        rng = rng_for(seed, "phantom", "aroi", "all", patient)
        eye = _draw_eye(rng, _FLUIDS[i % len(_FLUIDS)])
        first = int(rng.integers(54, 63))
        numbers = (first, first + int(rng.integers(4, 11)))
        for number in numbers if i % 4 == 0 else numbers[:1]:
            cut = section(eye, SCANNER, (number - 64.5) * 6 / 128, rng)
            if eye.swelling:
                _fill_with_cysts(cut, eye.swelling[0], rng)
            picture, codes = render(cut, rng, int(rng.integers(2, 6))), _codes(cut, rng)
            file = f"{name}_raw{number:04d}.png"
            coloured = Image.fromarray(_COLOURS[codes])
            _save(Image.fromarray(picture), folder / "raw" / "labeled" / file)
            _save(Image.fromarray(codes), folder / "mask" / "number" / file)
            _save(coloured, folder / "mask" / "colour" / file)
        yield name


def _draw_eye(rng: np.random.Generator, fluid: str) -> Eye:
    """Draw an eye with drusen, ``fluid``, and by chance other fluids around the same place of the macula."""
    x, y = rng.uniform(-0.7, 0.7), rng.uniform(-0.2, 0.2)
    kinds = {fluid} | {other for other in _FLUIDS if rng.random() < 0.5}
    drusen = [
        Dome(rng.uniform(-2.6, 2.6), rng.normal(0, 0.08), rng.uniform(0.14, 0.4), rng.uniform(18, 60), 1.4)
        for _ in range(int(rng.integers(3, 9)))
    ]
    ped = Dome(x, y, rng.uniform(0.7, 1.4), rng.uniform(70, 230), rng.uniform(0.7, 1.3))
    beside = x + rng.choice([-1, 1]) * rng.uniform(0.3, 0.9)
    srf = Dome(beside, y, rng.uniform(0.6, 1.3), rng.uniform(45, 150), rng.uniform(0.9, 1.5))
    swelling = Dome(x + rng.normal(0, 0.2), y, rng.uniform(1.0, 1.7), rng.uniform(90, 210), 1.8)
    return random_eye(
        rng,
        drusen=tuple(drusen),
        ped=(ped,) if "ped" in kinds else (),
        srf=(srf,) if "srf" in kinds else (),
        swelling=(swelling,) if "irf" in kinds else (),
        serous=bool(rng.random() < 0.35),
    )


def _fill_with_cysts(cut: Section, swelling: Dome, rng: np.random.Generator) -> None:
    for layers, most, reach in ((("onl", "elm"), 12, 0.5), (("inl", "opl"), 10, 0.75)):
        span = (swelling.x_mm - reach * swelling.half_mm, swelling.x_mm + reach * swelling.half_mm)
        add_cysts(cut, rng, int(rng.integers(3, most)), span, layers)


def _codes(cut: Section, rng: np.random.Generator) -> np.ndarray:
    """Return AROI's codes as drawn by hand, uint8, H x W."""
    width = cut.scanner.size_hw[1]
    inner, middle, outer, membrane = (_HAND_UM * smooth_line(rng, width, width / 60) for _ in range(4))
    # what is between two borders of one hand keeps its thickness: no sliver of fluid where there is none
    hands = dict.fromkeys(BANDS[1:], middle) | dict.fromkeys(("rnfl", "gcl", "ipl"), inner)
    hands |= dict.fromkeys(("srf", "rpe", "sub_rpe"), outer) | {"choroid": membrane}
    bands = cut.bands(np.stack([hands[name] for name in BANDS[1:]]))
    codes = np.array([_CODE[name] for name in BANDS], np.uint8)[bands]
    codes[(bands == BANDS.index("sub_rpe")) & cut.detached] = _PED
    codes[cut.cysts & ((codes == 1) | (codes == 2))] = _IRF
    return codes


def _save(picture: Image.Image, path: Path) -> None:
    with written_whole(path) as temporary:
        picture.save(temporary)


PHANTOM = Phantom(
    name="aroi",
    counts={"all": 14},
    n_images=18,
    write=write,
    difficulty="thin layers of like brightness under speckle, shadows of vessels, fluids as dark as the "
    "vitreous and detachments as grey as the retina",
)
