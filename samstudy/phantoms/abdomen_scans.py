"""What a CT and an MRI scanner make of a drawn section: values of tissues, blur, noise, and their artefacts.

CT values in Hounsfield units. Unenhanced: liver 58 (mean 58, standard deviation 9, of 64 livers without pathology: Int
J Legal Med 133 (2019) 1861), fluids 0-20, fat -100, muscle 55, lung -830. Contrast raises them by phase as radiology
textbooks have it: arterial, aorta about 300 with bright renal cortex and mottled spleen; portal venous, liver 110-140,
veins 160. Noise is Gaussian and correlated (filtered back-projection takes low frequencies out of it), 9-20 HU, larger
in the middle of the body where rays are weakest.

MRI values follow from relaxation times at 3 T (C. de Bazelaire et al., Radiology 230 (2004) 652: liver T1 809, T2 34
ms, spleen 1328/61, pancreas 725/43, renal cortex 1142/76, medulla 1545/81, muscle 898/29, marrow 586/49, fat 382/68,
prostate 1597/74, myometrium 1514/79; the others are set between them) by the equations of a spoiled gradient echo (T1;
a contrast agent shortens it) and a spin echo (T2); flowing blood is bright in the first, dark in the second. Then a
smooth bias field, a faint ghost along the phase encoding, and Rician noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, shift

from samstudy.phantoms.abdomen import Person
from samstudy.phantoms.abdomen_organs import draw_section
from samstudy.phantoms.soft_shapes import Grid, curve, tube

SLICE_MM = 5.0
_SUB_SLICES_MM = (-0.33 * SLICE_MM, 0.0, 0.33 * SLICE_MM)
_OUTSIDE_HU = -1024

# unenhanced, arterial, portal venous; amplitude of the texture
_HU: dict[str, tuple[float, float, float, float]] = {
    "air": (-1000, -1000, -1000, 0), "skin": (20, 25, 30, 15), "fat": (-104, -104, -102, 8),
    "visceral_fat": (-100, -100, -97, 12), "muscle": (54, 58, 64, 12), "cortical_bone": (560, 560, 570, 120),
    "marrow": (170, 170, 180, 60), "cartilage": (100, 100, 104, 15), "lung": (-840, -840, -835, 30),
    "cord": (30, 32, 34, 4), "liver": (58, 72, 112, 5), "spleen": (48, 135, 120, 9), "pancreas": (42, 108, 94, 14),
    "kidney_cortex": (33, 205, 185, 10), "kidney_medulla": (33, 80, 165, 10), "urine": (4, 4, 8, 2),
    "bile": (9, 9, 11, 2), "gut_wall": (42, 82, 88, 10), "chyme": (22, 24, 26, 16), "faeces": (20, 20, 20, 110),
    "gas": (-950, -950, -950, 10), "artery": (42, 290, 165, 5), "vein": (40, 95, 152, 6), "portal": (40, 125, 172, 5),
    "adrenal": (22, 78, 72, 6), "prostate": (42, 62, 82, 9), "uterus": (45, 80, 105, 12),
}  # fmt: skip
_PHASES = ("unenhanced", "arterial", "portal venous")

# proton density, T1 ms, T2 ms, amplitude of the texture as a fraction
_RELAXATION: dict[str, tuple[float, float, float, float]] = {
    "air": (0.0, 1000, 50, 0), "skin": (0.5, 900, 30, 0.1), "fat": (0.95, 382, 68, 0.05),
    "visceral_fat": (0.9, 382, 68, 0.08), "muscle": (0.8, 898, 29, 0.1), "cortical_bone": (0.12, 500, 8, 0.2),
    "marrow": (0.65, 586, 49, 0.12), "cartilage": (0.6, 1100, 35, 0.1), "lung": (0.1, 1100, 15, 0.3),
    "cord": (0.95, 2600, 350, 0.1), "liver": (0.78, 809, 34, 0.05), "spleen": (0.88, 1328, 61, 0.05),
    "pancreas": (0.82, 725, 43, 0.12), "kidney_cortex": (0.86, 1142, 76, 0.06),
    "kidney_medulla": (0.9, 1545, 81, 0.06), "urine": (1.0, 4000, 1400, 0.02), "bile": (1.0, 2600, 600, 0.04),
    "gut_wall": (0.82, 1000, 50, 0.1), "chyme": (0.85, 1500, 95, 0.25), "faeces": (0.6, 700, 60, 0.5),
    "gas": (0.0, 1000, 50, 0), "artery": (0.9, 1700, 150, 0.05), "vein": (0.9, 1700, 150, 0.05),
    "portal": (0.9, 1700, 150, 0.05), "adrenal": (0.8, 1000, 55, 0.05), "prostate": (0.88, 1597, 74, 0.15),
    "uterus": (0.88, 1514, 79, 0.12),
}  # fmt: skip
# added relaxation rate in the portal venous phase of a contrast agent, 1/s
_UPTAKE = {
    "artery": 3.5, "vein": 3.2, "portal": 3.5, "liver": 1.3, "spleen": 1.9, "kidney_cortex": 3.5, "kidney_medulla": 3.0,
    "pancreas": 1.3, "gut_wall": 1.6, "muscle": 0.4, "adrenal": 1.5, "prostate": 1.0, "uterus": 1.4, "marrow": 0.3,
}  # fmt: skip
_BLOOD = ("artery", "vein", "portal")


@dataclass(frozen=True)
class Scan:
    """A drawn stack: values int16 and codes uint8, both K x H x W, inferior first, as a radiologist sees them."""

    values: np.ndarray
    codes: np.ndarray


def scan_ct(person: Person, heights_mm: np.ndarray, grid: Grid, rng: np.random.Generator) -> Scan:
    """Scan a person by CT, in one of three contrast phases, on a table, within a round field of view.

    Parameters
    ----------
    person : Person
    heights_mm : numpy.ndarray, float, K
        Middles of the slices, ascending; each is 5 mm thick.
    grid : Grid
    rng : numpy.random.Generator

    Returns
    -------
    Scan
        Hounsfield units; -1024 outside the field of view.
    """
    phase = int(rng.choice(3, p=(0.15, 0.3, 0.55)))
    level = rng.normal(0, 6)
    tissues = {
        name: (row[phase] + (level if row[phase] > 60 and "bone" not in name else 0.0), row[3])
        for name, row in _HU.items()
    }
    noise_hu = rng.uniform(9, 20)
    drop_mm = rng.uniform(10, 22)
    field = np.hypot(grid.x_mm, grid.y_mm) <= min(grid.size_hw) * grid.pixel_mm / 2
    slices, codes = [], []
    for z in heights_mm:
        values, labels = _thick_section(person, float(z), grid, tissues, rng)
        values = _with_table(values, grid, person.half_girth_mm[1] + drop_mm)
        values = gaussian_filter(values, 0.55) + _ct_noise(values, noise_hu, rng)
        slices.append(np.where(field, np.clip(values, _OUTSIDE_HU, 3071), _OUTSIDE_HU))
        codes.append(labels)
    return Scan(np.rint(slices).astype(np.int16), np.stack(codes))


def scan_mri(person: Person, heights_mm: np.ndarray, grid: Grid, rng: np.random.Generator) -> Scan:
    """Scan a person by MRI, T1- or T2-weighted.

    Parameters
    ----------
    person : Person
    heights_mm : numpy.ndarray, float, K
        Middles of the slices, ascending; each is 5 mm thick.
    grid : Grid
    rng : numpy.random.Generator

    Returns
    -------
    Scan
        Arbitrary units, 0 to about 1500, larger than 0 in air because of the Rician noise.
    """
    tissues = _weighted(rng)
    bias = _bias_field(grid, rng)
    noise, offset = rng.uniform(14, 30), int(rng.integers(18, 40))
    slices, codes = [], []
    for z in heights_mm:
        values, labels = _thick_section(person, float(z), grid, tissues, rng)
        values = gaussian_filter(np.clip(values, 0, None), 0.7) * bias
        # breathing repeats the bright outline along the phase encoding
        values += 0.035 * sum(shift(values, (step, 0), order=0) for step in (-offset, offset))
        real, imaginary = rng.normal(0, noise, (2, *grid.size_hw))
        slices.append(np.hypot(values + real, imaginary))
        codes.append(labels)
    return Scan(np.rint(slices).astype(np.int16), np.stack(codes))


def _thick_section(
    person: Person,
    z: float,
    grid: Grid,
    tissues: Mapping[str, tuple[float, float]],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Average of three sections through a slice, and the codes of the middle one."""
    fine, coarse = rng.normal(size=(2, *grid.size_hw))
    texture = gaussian_filter(fine, 1.2) * 2.9 + gaussian_filter(coarse, 4.0) * 9.0
    drawn = [draw_section(person, z + dz, grid, tissues, texture.astype(np.float32)) for dz in _SUB_SLICES_MM]
    return sum(canvas.values for canvas in drawn) / len(drawn), drawn[1].codes


def _with_table(values: np.ndarray, grid: Grid, y_mm: float) -> np.ndarray:
    """Two thin shells of carbon fibre, bent upwards at the sides, below the back."""
    for drop, hu in ((0.0, 500.0), (26.0, 350.0)):
        points = [(-240, y_mm + drop - 46), (-120, y_mm + drop - 11), (0, y_mm + drop)]
        points += [(120, y_mm + drop - 11), (240, y_mm + drop - 46)]
        shell = tube(grid, curve(points, 20), 1.2)
        shell = np.where(values < -900, shell, 0)
        values = values + shell * (hu - values)
    return values


def _ct_noise(values: np.ndarray, noise_hu: float, rng: np.random.Generator) -> np.ndarray:
    white = rng.normal(size=values.shape)
    grain = gaussian_filter(white, 0.7) - 0.55 * gaussian_filter(white, 2.0)
    body = gaussian_filter((values > -400).astype(float), 22)
    streaks = gaussian_filter1d(gaussian_filter1d(rng.normal(size=values.shape), 9, axis=1), 0.8, axis=0)
    level = 0.55 + 0.7 * body
    return noise_hu * level * (grain / grain.std() + 0.3 * streaks / streaks.std())


def _weighted(rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Signal of each tissue: T1 (with contrast agent and fat suppression in half of the scans), or T2."""
    t1, enhanced = rng.random() < 0.65, rng.random() < 0.5
    signal = {}
    for name, (density, t1_ms, t2_ms, amplitude) in _RELAXATION.items():
        if t1:
            # a contrast agent adds to the relaxation rate
            t1_ms = 1 / (1 / t1_ms + enhanced * _UPTAKE.get(name, 0.0) / 1000)
            angle, relaxed = np.radians(15), np.exp(-5.0 / t1_ms)
            value = density * np.sin(angle) * (1 - relaxed) / (1 - np.cos(angle) * relaxed)
            value *= np.exp(-2.3 / t2_ms) * 9000
            value *= 2.2 if name in _BLOOD and not enhanced else 1.0
        else:
            value = density * (1 - np.exp(-2500.0 / t1_ms)) * np.exp(-65.0 / t2_ms) * 1300
            value *= 0.15 if name in _BLOOD else 1.0
        value *= 0.25 if enhanced and name.endswith("fat") else 1.0
        signal[name] = (float(value), float(value) * amplitude)
    return signal


def _bias_field(grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Smooth factor of about 0.6 to 1.5: surface coils are sensitive nearby."""
    x = grid.x_mm / np.abs(grid.x_mm).max()
    y = grid.y_mm / np.abs(grid.y_mm).max()
    a, b, c, d, e = rng.normal(0, (0.12, 0.12, 0.18, 0.18, 0.1))
    return np.exp(a * x + b * y + (0.15 + abs(c)) * (y**2 - 0.3) + d * (x**2 - 0.3) + e * x * y)
