"""How a scanner shows a section of the macula: scattering by layer, shadows, attenuation and speckle.

Greys above the noise floor are those of normal spectral-domain scans, by layer: nerve fibres and pigment
epithelium bright, nuclear layers dark, plexiform layers between, fluid black. Light is lost on the way
down, so that retinal vessels and exudates throw shadows and the choroid fades into the sclera. Speckle is
multiplicative (J. M. Schmitt, S. H. Xiang, K. M. Yung, "Speckle in optical coherence tomography", Journal
of Biomedical Optics 4 (1999) 95-105): a gamma variable by the cube of a Gaussian field (E. B. Wilson, M. M.
Hilferty, PNAS 17 (1931) 684-688), as wide as the scanner's resolution.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, zoom

from samstudy.phantoms.noise import smooth_line
from samstudy.phantoms.oct import BANDS, Scanner, Section

_GREY = {
    "vitreous": 0, "rnfl": 150, "gcl": 98, "ipl": 106, "inl": 72, "opl": 100, "onl": 52, "elm": 82,
    "myoid": 50, "ellipsoid": 178, "outer_segments": 108, "srf": 3, "rpe": 185, "sub_rpe": 66, "choroid": 86,
}  # fmt: skip
_PHOTORECEPTORS = ("elm", "myoid", "ellipsoid", "outer_segments")
_WALL_UM = 7.0
_RESOLUTION_UM = (2.6, 6.5)


def render(
    cut: Section, rng: np.random.Generator, n_vessels: int, exudates_mm: tuple[float, float] | None = None
) -> np.ndarray:
    """Return the picture of a section.

    Parameters
    ----------
    cut : Section
    rng : numpy.random.Generator
    n_vessels : int
        Retinal vessels that the scan crosses.
    exudates_mm : tuple of float, optional
        Span of columns in which hard exudates lie; none when not given.

    Returns
    -------
    numpy.ndarray, uint8, H x W
    """
    scanner = cut.scanner
    bands = cut.bands()
    light = _scattering(cut, bands, rng)
    edge = gaussian_filter(cut.cysts.astype(np.float32), [_WALL_UM / pitch for pitch in scanner.pitch_um])
    light += np.clip(edge, 0, 1) * (cut.cyst_grey - light) * cut.cysts
    light = _with_vessels(cut, light, bands, rng, n_vessels)
    if exudates_mm is not None:
        light = _with_exudates(cut, light, rng, exudates_mm)
    light *= _beam(rng, scanner.size_hw[1])
    blur = [step / pitch for step, pitch in zip(_RESOLUTION_UM, scanner.pitch_um, strict=True)]
    light = gaussian_filter(light, blur)
    light += _hyaloid(cut, rng)
    grey = (scanner.floor + light) * _speckle(rng, scanner)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _scattering(cut: Section, bands: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey above the floor of every pixel, by its band; float32, H x W."""
    width = bands.shape[1]
    per_column = np.repeat(np.array([_GREY[name] for name in BANDS], np.float32)[:, None], width, axis=1)
    per_column *= 1 + 0.07 * np.stack([smooth_line(rng, width, width / 25) for _ in BANDS])
    # photoreceptors and pigment epithelium suffer over what lifts them
    harm = np.clip(gaussian_filter1d(cut.lift_um, width / 100) / 140, 0, 0.75)
    for name in _PHOTORECEPTORS:
        i = BANDS.index(name)
        per_column[i] += harm * (_GREY["onl"] + 8 - per_column[i])
    per_column[BANDS.index("rpe")] *= 1 - 0.3 * harm
    detached = cut.detached
    per_column[BANDS.index("sub_rpe"), detached] = 12 if cut.serous else 58
    light = np.take_along_axis(per_column, bands.astype(np.intp), axis=0)
    light *= 1 + 0.10 * _texture(rng, cut, (6.0, 90.0))
    membranes = (bands == BANDS.index("sub_rpe")) & detached
    light[membranes] *= np.clip(1 + 0.42 * _texture(rng, cut, (13.0, 110.0)), 0.1, None)[membranes]
    below = bands == len(BANDS) - 1
    light[below] = _choroid(cut, rng)[below]
    return light


def _choroid(cut: Section, rng: np.random.Generator) -> np.ndarray:
    """Choriocapillaris, then vessels that grow with depth, then the sclera, fading; float32, H x W."""
    scanner = cut.scanner
    rows_um = np.arange(scanner.size_hw[0], dtype=np.float32)[:, None] * scanner.pitch_um[0]
    depth = np.clip(rows_um - cut.top("choroid").astype(np.float32), 0, None)
    inner = np.clip(depth / cut.choroid_um, 0, 1)
    small, large = _texture(rng, cut, (13.0, 42.0)), _texture(rng, cut, (32.0, 95.0))
    lumens = 0.34 * (1 - inner) * small + 0.5 * np.tanh(1.6 * large) * inner
    lumens *= np.clip(depth / 25, 0, 1)
    thickness = cut.choroid_um * (1 + 0.1 * smooth_line(rng, scanner.size_hw[1], scanner.size_hw[1] / 8))
    behind = 1 / (1 + np.exp(-(depth - thickness.astype(np.float32)) / 16))
    fading = np.exp(-depth / 210)
    choroid = _GREY["choroid"] * (1 + lumens) * fading * (1 - behind)
    pool = 1 + 0.5 * np.exp(-depth / 14)
    return (choroid * pool + behind * 26 * np.exp(-depth / 420)).astype(np.float32)


def _texture(rng: np.random.Generator, cut: Section, sigma_um: tuple[float, float]) -> np.ndarray:
    """Gaussian texture of unit variance, float32, H x W; coarse ones are drawn coarse and enlarged."""
    sigma = [s / pitch for s, pitch in zip(sigma_um, cut.scanner.pitch_um, strict=True)]
    step = [max(1, int(s // 2)) for s in sigma]
    shape = [size // k + 3 for size, k in zip(cut.scanner.size_hw, step, strict=True)]
    field = gaussian_filter(
        rng.standard_normal(shape, dtype=np.float32), [s / k for s, k in zip(sigma, step, strict=True)]
    )
    field = zoom(field, step, order=1)[: cut.scanner.size_hw[0], : cut.scanner.size_hw[1]]
    return field / field.std()


def _with_vessels(
    cut: Section, light: np.ndarray, bands: np.ndarray, rng: np.random.Generator, n: int
) -> np.ndarray:
    """Draw retinal vessels in the ganglion cell layer, and the shadows under them."""
    scanner = cut.scanner
    inside = (bands >= BANDS.index("rnfl")) & (bands <= BANDS.index("outer_segments"))
    for _ in range(n):
        x = int(rng.integers(scanner.size_hw[1]))
        half_um = rng.uniform(22, 75)
        depth = (np.arange(scanner.size_hw[0]) * scanner.pitch_um[0] - cut.top("gcl")[x] - half_um)[:, None]
        across = (np.arange(scanner.size_hw[1]) - x)[None] * scanner.pitch_um[1]
        wall = np.exp(-(((np.hypot(depth, across) / half_um) - 0.6) ** 2) / 0.12)
        light = light + 55 * wall * inside
        loss = rng.uniform(0.15, 0.55) * np.exp(-((across / half_um) ** 2)) / (1 + np.exp(-depth / 14))
        light = light * (1 - loss)
    return light


def _with_exudates(
    cut: Section, light: np.ndarray, rng: np.random.Generator, span_mm: tuple[float, float]
) -> np.ndarray:
    """Draw bright specks in the outer plexiform layer, and the shadows under them."""
    scanner = cut.scanner
    for _ in range(int(rng.integers(2, 9))):
        x = int(np.argmin(np.abs(scanner.x_mm - rng.uniform(*span_mm))))
        half_um = rng.uniform(7, 24)
        centre_um = rng.uniform(cut.top("inl")[x], cut.top("onl")[x] + 30)
        if cut.cysts[int(centre_um / scanner.pitch_um[0]), x]:
            continue
        depth = (np.arange(scanner.size_hw[0]) * scanner.pitch_um[0] - centre_um)[:, None]
        across = (np.arange(scanner.size_hw[1]) - x)[None] * scanner.pitch_um[1]
        speck = np.exp(-((np.hypot(depth, across / 1.4) / half_um) ** 4))
        loss = min(0.4, half_um / 50) * np.exp(-((across / (1.8 * half_um)) ** 2)) / (1 + np.exp(-depth / 8))
        light = light * (1 - loss) + 150 * speck
    return light


def _beam(rng: np.random.Generator, width: int) -> np.ndarray:
    """Brightness along the scan, float32, W: the pupil cuts the beam towards the edges."""
    edge = np.linspace(-1, 1, width) - rng.uniform(-0.3, 0.3)
    return (1.03 - 0.2 * np.abs(edge) ** 3 + 0.05 * smooth_line(rng, width, width / 20)).astype(np.float32)


def _hyaloid(cut: Section, rng: np.random.Generator) -> np.ndarray | float:
    """A faint posterior vitreous face over the retina in about half of the eyes; nothing in the others."""
    height_um, fade = rng.uniform(60, 320), rng.uniform(0.3, 1.0)
    if rng.random() < 0.5:
        return 0.0
    x_mm, (rows, width) = cut.scanner.x_mm, cut.scanner.size_hw
    face = cut.top("rnfl").min() - height_um + rng.normal(0, 25) * x_mm + rng.uniform(2, 14) * x_mm**2
    face = np.minimum(face, cut.top("rnfl"))
    depth = np.arange(rows)[:, None] * cut.scanner.pitch_um[0] - face
    seen = np.clip(smooth_line(rng, width, width / 12) + 0.4, 0, 1)
    return (24 * fade * seen * np.exp(-((depth / 7) ** 2))).astype(np.float32)


def _speckle(rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """Gamma speckle of mean 1, float32, H x W."""
    field = gaussian_filter(rng.standard_normal(scanner.size_hw, dtype=np.float32), scanner.grain_px)
    field /= field.std()
    shape = 1 / scanner.speckle**2
    return np.clip(1 - 1 / (9 * shape) + field / (3 * np.sqrt(shape)), 0.05, None) ** 3
