"""Phantom of the intraretinal cystoid fluid set: B-scans of diabetic macular edema with the cysts outlined.

The scan pattern is that of averaged scans of 512 x 496 pixels over about 6 mm x 1.9 mm. The retina swells
around the fovea; cysts lie in the inner and outer nuclear layers between septa of tissue, of clear to
cloudy fluid; exudates and vessels throw shadows, and some eyes have fluid under the retina, which is no
target. The masks are a hand's: outlines are smoothed and the least cysts left out. Traps of the official
files are kept: samples named in four ways, a stray second mask in ``815DME_F``, masks with holes. See
``samstudy.phantoms.oct`` for the sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, label

from samstudy.paths import written_whole
from samstudy.phantoms.base import Phantom
from samstudy.phantoms.oct import Dome, Scanner, Section, add_cysts, random_eye, section
from samstudy.phantoms.oct_image import render
from samstudy.seeds import rng_for

SCANNER = Scanner(size_hw=(496, 512), pitch_um=(3.87, 11.6), floor=21, speckle=0.16, grain_px=(0.7, 0.5))
_STRAY = 815
_LEAST_CYST_PX = 30
_JPEG_QUALITY = 92
_HOLED_SHARE = 0.2


def write(root: Path, counts: Mapping[str, int], seed: int) -> Iterator[str]:
    """Write samples; yields ``815DME_F`` first, with its stray mask, then ``6DME_as_F``, ..."""
    top = root / "2021-training-data-ZA" / "2021-training-data-ZA"
    for i in range(counts.get("all", 0)):
        sample, mask_name = _names(i)
        rng = rng_for(seed, "phantom", "cystoid_fluid", "all", i)
        picture, fluid = _draw(rng)
        mask = np.repeat(fluid[..., None] * np.uint8(255), 3, axis=2)
        with written_whole(top / sample / "images" / f"{sample}.jpeg") as temporary:
            Image.fromarray(picture).save(temporary, quality=_JPEG_QUALITY)
        masks = {mask_name: mask}
        if sample.startswith(str(_STRAY)):
            masks["MASK-DME511.png"] = mask[:, ::-1]
        for name, content in masks.items():
            with written_whole(top / sample / "masks" / name) as temporary:
                Image.fromarray(content).save(temporary)
        yield sample


def _names(i: int) -> tuple[str, str]:
    """Return the names of the i-th sample and of its mask, in one of the ways of the official files."""
    number = _STRAY if i == 0 else 23 * i - 17
    return (
        (f"{number}DME_F", f"{number}MASK_DME_F.png"),
        (f"{number}DME_as_F", f"{number}MASK_DME_as_F.png"),
        (f"DME{number}", f"MASK-DME{number}.png"),
        (f"dme_a{number}", f"dme_a{number}mask.png"),
    )[i % 4]


def _draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a B-scan, uint8, and the mask of its cystoid fluid, bool."""
    x, half = rng.uniform(-0.7, 0.7), rng.uniform(1.1, 2.3)
    swelling = Dome(x, 0.0, half, rng.uniform(110, 340), rng.uniform(1.6, 2.4))
    srf = Dome(x + rng.normal(0, 0.3), 0.0, rng.uniform(0.5, 1.1), rng.uniform(50, 140), 1.4)
    eye = random_eye(rng, swelling=(swelling,), srf=(srf,) if rng.random() < 0.3 else ())
    cut = section(eye, SCANNER, rng.uniform(-0.3, 0.3), rng)
    reach = half * rng.uniform(0.25, 0.55)
    # the largest first: the others find what room they leave
    if rng.random() < 0.4:
        add_cysts(cut, rng, 3, (x - 0.4 * reach, x + 0.4 * reach), ("ipl", "elm"), (0.3, 0.48))
    add_cysts(cut, rng, int(rng.integers(4, 40)), (x - reach, x + reach), ("onl", "elm"), (0.15, 0.5))
    add_cysts(
        cut, rng, int(rng.integers(2, 24)), (x - 1.5 * reach, x + 1.5 * reach), ("inl", "onl"), (0.15, 0.5)
    )
    picture = render(cut, rng, int(rng.integers(2, 7)), (x - half, x + half))
    return picture, _by_hand(cut, rng)


def _by_hand(cut: Section, rng: np.random.Generator) -> np.ndarray:
    """Return the cysts as a person outlines them: smoothed, the least left out, now and then with holes."""
    wobble = gaussian_filter(rng.standard_normal(cut.cysts.shape), 5)
    smooth = gaussian_filter(cut.cysts.astype(np.float64), 1.0)
    outlined = smooth > 0.46 + 0.08 * wobble / wobble.std()
    parts, n = label(outlined)
    sizes = np.bincount(parts.ravel(), minlength=n + 1)
    keep = sizes >= _LEAST_CYST_PX
    keep[0] = False
    fluid = keep[parts]
    if rng.random() < _HOLED_SHARE:
        inner = gaussian_filter(fluid.astype(np.float64), 2.5) > 0.97
        specks = rng.random(fluid.shape) < 0.02
        fluid &= ~(inner & specks)
    return fluid


PHANTOM = Phantom(
    name="cystoid_fluid",
    counts={"all": 27},
    n_images=27,
    write=write,
    difficulty="cysts between septa, as dark as vitreous and shadows, some cloudy; fluid under the retina "
    "is no target",
)
