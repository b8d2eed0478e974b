"""The macula in cross-section: layers, foveal pit, drusen, detachments and cysts, in micrometres.

A section is a stack of bands. Thickness of each band is a smooth function of the distance from the foveola;
the stack stands on Bruch's membrane, so that whatever collects under the pigment epithelium or under the
retina lifts all that lies above it. How it looks in a scanner is the matter of
``samstudy.phantoms.oct_image``.

Sources of the parameters:

* order and names of the bands: G. Staurenghi et al., "Proposed lexicon for anatomic landmarks in normal
  posterior segment spectral-domain OCT: the IN-OCT consensus", Ophthalmology 121 (2014) 1572-1578;
* thickness of retina and layers by eccentricity, rounded: C. A. Curcio et al., "Human chorioretinal layer
  thicknesses measured in macula-wide, high-resolution histologic sections", IOVS 52 (2011) 3943-3954;
* choroid of 287 +- 76 um under the fovea: R. Margolis, R. F. Spaide, American Journal of Ophthalmology 147
  (2009) 811-815;
* sizes of drusen, detachments and cysts: chosen in the range that clinical scans show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from samstudy.phantoms.noise import smooth_line

BANDS = (
    "vitreous", "rnfl", "gcl", "ipl", "inl", "opl", "onl", "elm", "myoid", "ellipsoid", "outer_segments",
    "srf", "rpe", "sub_rpe", "choroid",
)  # fmt: skip
"""From front to back; ``sub_rpe`` is what lies between the pigment epithelium and Bruch's membrane."""
_LEAST_DETACHMENT_UM = 12.0
_STIFF_MM = 0.28
_SEPTUM_UM = 10.0


@dataclass(frozen=True)
class Scanner:
    """A scan pattern: ``size_hw`` in pixels, ``pitch_um`` (row, column), and how noisy it is.

    Attributes
    ----------
    floor : float
        Grey of the noise where nothing scatters.
    speckle : float
        Standard deviation of a homogeneous region over its mean, less where frames are averaged.
    grain_px : tuple of float
        Standard deviation (row, column) of the Gaussian that correlates the speckle.
    """

    size_hw: tuple[int, int]
    pitch_um: tuple[float, float]
    floor: float
    speckle: float
    grain_px: tuple[float, float]

    @property
    def x_mm(self) -> np.ndarray:
        """Position of each column, 0 in the middle."""
        width = self.size_hw[1]
        return (np.arange(width) - (width - 1) / 2) * self.pitch_um[1] / 1000


@dataclass(frozen=True)
class Dome:
    """Something that lifts what is above it: a druse, a detachment, a swelling.

    Attributes
    ----------
    x_mm, y_mm : float
        Where its summit is: along the scan, and across the scans of a volume.
    half_mm : float
        Half of its width.
    height_um : float
    flatness : float
        Exponent of the profile ``(1 - u^2)^flatness``: 0.5 is half an ellipse, 2 a bell.
    """

    x_mm: float
    y_mm: float
    half_mm: float
    height_um: float
    flatness: float = 1.0

    def profile_um(self, x_mm: np.ndarray, y_mm: float) -> np.ndarray:
        """Height over each column of the scan at ``y_mm``."""
        u2 = ((x_mm - self.x_mm) / self.half_mm) ** 2 + ((y_mm - self.y_mm) / self.half_mm) ** 2
        return self.height_um * np.clip(1 - u2, 0, None) ** self.flatness


@dataclass(frozen=True)
class Eye:
    """What all scans of one eye share.

    Attributes
    ----------
    nasal : {-1, 1}
        Side of the optic disc, where the nerve fibre layer is thicker.
    fovea_mm : float
        Column position of the foveola.
    scale, pit_mm, choroid_um, depth_um : float
        Factor on every thickness, radius of the foveal pit, thickness of the choroid, depth of Bruch's
        membrane in the middle of the picture.
    tilt_um_mm, bow_um_mm2 : float
        Slope and curvature of Bruch's membrane in the picture.
    drusen, ped, srf, swelling : tuple of Dome
        Under the pigment epithelium (deposits, detachments), over it, and in the outer nuclear layer.
    serous : bool
        Detachments of the pigment epithelium hold clear fluid rather than tissue.
    """

    nasal: int
    fovea_mm: float
    scale: float
    pit_mm: float
    choroid_um: float
    depth_um: float
    tilt_um_mm: float
    bow_um_mm2: float
    drusen: tuple[Dome, ...] = ()
    ped: tuple[Dome, ...] = ()
    srf: tuple[Dome, ...] = ()
    swelling: tuple[Dome, ...] = ()
    serous: bool = True


@dataclass
class Section:
    """One B-scan of an eye, before it is seen.

    Attributes
    ----------
    scanner : Scanner
    tops_um : numpy.ndarray, float, (bands - 1) x W
        Depth at which each band begins, but for the first.
    detached : numpy.ndarray, bool, W
        Columns in which ``sub_rpe`` is a detachment rather than drusen.
    lift_um : numpy.ndarray, float, W
        How far the retina is lifted off Bruch's membrane.
    cysts : numpy.ndarray, bool, H x W
    cyst_grey : numpy.ndarray, float32, H x W
        Scattering of each cyst's fluid, in greys above the noise; clear fluid has next to none.
    choroid_um : float
    serous : bool
    """

    scanner: Scanner
    tops_um: np.ndarray
    detached: np.ndarray
    lift_um: np.ndarray
    cysts: np.ndarray
    cyst_grey: np.ndarray
    choroid_um: float
    serous: bool

    def top(self, band: str) -> np.ndarray:
        """Depth in micrometres at which a band begins, per column."""
        return self.tops_um[BANDS.index(band) - 1]

    def bands(self, shift_um: np.ndarray | float = 0.0) -> np.ndarray:
        """Index into ``BANDS`` of every pixel, uint8, H x W; ``shift_um`` is added to the borders."""
        depth = np.arange(self.scanner.size_hw[0])[:, None] * self.scanner.pitch_um[0]
        index = np.zeros(self.scanner.size_hw, np.uint8)
        for top in np.maximum.accumulate(self.tops_um + shift_um, axis=0):
            index += depth >= top
        return index


def random_eye(rng: np.random.Generator, **lesions: object) -> Eye:
    """Draw an eye; ``lesions`` are the fields ``drusen`` to ``serous`` of :class:`Eye`."""
    return Eye(
        nasal=int(rng.choice([-1, 1])),
        fovea_mm=rng.uniform(-0.4, 0.4),
        scale=rng.uniform(0.92, 1.08),
        pit_mm=rng.uniform(0.34, 0.46),
        choroid_um=float(np.clip(rng.normal(270, 60), 170, 400)),
        depth_um=rng.uniform(1020, 1220),
        tilt_um_mm=rng.normal(0, 22),
        bow_um_mm2=rng.uniform(-8, 6),
        **lesions,
    )


def _thicknesses_um(
    eye: Eye, x_mm: np.ndarray, y_mm: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Thickness of each band of the retina and of the pigment epithelium, per column."""
    across = x_mm - eye.fovea_mm
    r = np.hypot(across, y_mm)
    outside = 1 - np.exp(-((r / eye.pit_mm) ** 2))
    centre = np.exp(-((r / 0.5) ** 2))
    nasal = np.clip(eye.nasal * across / 3, -0.5, 1)
    ganglion = 92 * (1 - np.exp(-((r / (1.15 * eye.pit_mm)) ** 2)))
    ganglion *= 0.55 + 0.45 * np.exp(-((np.clip(r - 1, 0, None) / 1.4) ** 2))
    thickness = {
        "rnfl": 4 + (15 + 22 * nasal) * (1 - np.exp(-((r / 1.1) ** 2))),
        "gcl": 0.48 * ganglion,
        "ipl": 0.52 * ganglion,
        "inl": 3 + 34 * outside,
        "opl": 6 + 21 * outside,
        "onl": 60 + 45 * centre,
        "elm": np.full_like(r, 5.0),
        "myoid": np.full_like(r, 21.0),
        "ellipsoid": np.full_like(r, 13.0),
        "outer_segments": 17 + 18 * centre,
        "rpe": np.full_like(r, 30.0),
    }
    per_mm = 1 / (x_mm[1] - x_mm[0])
    return {
        name: eye.scale * value * np.clip(1 + 0.05 * smooth_line(rng, len(x_mm), 0.3 * per_mm), 0.7, 1.3)
        for name, value in thickness.items()
    }


def _heights_um(domes: tuple[Dome, ...], x_mm: np.ndarray, y_mm: float) -> np.ndarray:
    return np.max([np.zeros(len(x_mm)), *(dome.profile_um(x_mm, y_mm) for dome in domes)], axis=0)


def section(eye: Eye, scanner: Scanner, y_mm: float, rng: np.random.Generator) -> Section:
    """Cut an eye.

    Parameters
    ----------
    eye : Eye
    scanner : Scanner
    y_mm : float
        Distance of the scan from the foveola, across the scans.
    rng : numpy.random.Generator
        For the irregularities.

    Returns
    -------
    Section
        Without cysts, see :func:`add_cysts`.
    """
    x_mm = scanner.x_mm
    per_mm = 1000 / scanner.pitch_um[1]
    bulk = _thicknesses_um(eye, x_mm, y_mm, rng)
    rough = 1 + 0.12 * smooth_line(rng, len(x_mm), 0.12 * per_mm)
    ped = _heights_um(eye.ped, x_mm, y_mm) * rough
    drusen = _heights_um(eye.drusen, x_mm, y_mm) * rough
    srf = _heights_um(eye.srf, x_mm, y_mm) * (1 + 0.06 * smooth_line(rng, len(x_mm), 0.15 * per_mm))
    swelling = _heights_um(eye.swelling, x_mm, y_mm)
    # the inner retina is stiff: it follows the lift smoothly, and the outer nuclear layer gives way
    lift = np.clip(srf, 0, None) + np.maximum(ped, drusen)
    gives = lift - gaussian_filter1d(lift, _STIFF_MM * per_mm, mode="nearest")
    bulk["onl"] = np.clip(bulk["onl"] - gives, 0.35 * bulk["onl"], None) + 0.72 * swelling
    bulk["inl"] = bulk["inl"] + 0.28 * swelling
    bulk["srf"] = np.clip(srf, 0, None)
    bulk["sub_rpe"] = np.clip(np.maximum(ped, drusen), 0, None)
    membrane = eye.depth_um + eye.tilt_um_mm * x_mm + eye.bow_um_mm2 * (x_mm**2 - 3)
    membrane = membrane + 6 * smooth_line(rng, len(x_mm), 0.7 * per_mm)
    stack = np.stack([bulk[name] for name in BANDS[1:-1]])
    tops = membrane - np.cumsum(stack[::-1], axis=0)[::-1]
    return Section(
        scanner=scanner,
        tops_um=np.vstack([tops, membrane]),
        detached=(ped > drusen) & (ped > _LEAST_DETACHMENT_UM),
        lift_um=bulk["srf"] + bulk["sub_rpe"],
        cysts=np.zeros(scanner.size_hw, bool),
        cyst_grey=np.zeros(scanner.size_hw, np.float32),
        choroid_um=eye.choroid_um,
        serous=eye.serous,
    )


def add_cysts(
    cut: Section,
    rng: np.random.Generator,
    n: int,
    span_mm: tuple[float, float],
    layers: tuple[str, str],
    fill: tuple[float, float] = (0.25, 0.46),
) -> None:
    """Draw cysts between two borders; none overlaps another, so that septa of tissue stay between them.

    Parameters
    ----------
    cut : Section
        Changed in place.
    rng : numpy.random.Generator
    n : int
        How many are tried; those without room are left out.
    span_mm : tuple of float
        First and last column position of their centres.
    layers : tuple of str
        Bands at whose beginnings they are held: ``("inl", "opl")`` is the inner nuclear layer, where cysts
        are small and round, ``("onl", "elm")`` the outer one, where they stand upright between the fibres.
    fill : tuple of float
        Least and greatest half height, as a fraction of the room there.
    """
    scanner, x_mm = cut.scanner, cut.scanner.x_mm
    top, bottom = (cut.top(band) for band in layers)
    for _ in range(n):
        column = int(np.argmin(np.abs(x_mm - rng.uniform(*span_mm))))
        room = bottom[column] - top[column]
        half_z = room * rng.uniform(*fill)
        half_x = np.clip(half_z * rng.uniform(0.8, 2.2), 30, 280)
        if half_z < 9:
            continue
        centre_z = top[column] + rng.uniform(half_z, max(half_z, room - half_z))
        _stamp(cut, rng, (centre_z / scanner.pitch_um[0], column), (half_z, half_x))


def _stamp(
    cut: Section, rng: np.random.Generator, centre_yx: tuple[float, int], half_um: tuple[float, float]
) -> None:
    """Draw one cyst with an irregular outline, unless it would touch another."""
    pitch = cut.scanner.pitch_um
    reach = [int(1.5 * half / step) + 3 for half, step in zip(half_um, pitch, strict=True)]
    y0, x0 = (max(0, int(c) - r) for c, r in zip(centre_yx, reach, strict=True))
    window = (slice(y0, int(centre_yx[0]) + reach[0]), slice(x0, int(centre_yx[1]) + reach[1]))
    there = cut.cysts[window]
    y, x = np.ogrid[y0 : y0 + there.shape[0], x0 : x0 + there.shape[1]]
    dz = (y - centre_yx[0]) * pitch[0] / half_um[0]
    dx = (x - centre_yx[1]) * pitch[1] / half_um[1]
    angle = np.arctan2(dz, dx)
    outline = 1 + sum(
        rng.normal(0, 0.16 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5)
    )
    distance = np.hypot(dz, dx) / np.clip(outline, 0.5, 1.4)
    septum = 1 + _SEPTUM_UM / min(half_um)
    if not (there & (distance < septum)).any():
        there |= distance < 1
        cut.cyst_grey[window][distance < 1] = 2 + 26 * rng.random() ** 2
