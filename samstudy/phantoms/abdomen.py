"""A person to be scanned: where each organ lies along the body axis, and what differs from person to person.

Frame, in millimetres: x to the person's left, y backwards, z upwards from the kidneys' hila (first lumbar disc). The
ellipses below are those of a reference adult of 320 x 230 mm girth; they are stretched to the person's own girth. They
were set by hand to the usual order of organs in axial sections and to usual sizes: liver 16 cm high, spleen and kidneys
11 cm, right kidney 1-2 cm lower than the left, adrenal limbs 4-5 mm thick, aorta 20-23 mm, vertebral body 48 x 36 mm.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from samstudy.phantoms.soft_shapes import wavy

REFERENCE_HALF_GIRTH_MM = (160.0, 115.0)

# z, centre x, centre y, radius x, radius y, degrees; top to bottom, from radius 0 to radius 0
_ORGANS: dict[str, tuple[tuple[float, ...], ...]] = {
    "liver_right": (
        (125, -66, -8, 0, 0, 0), (108, -66, -8, 46, 48, 0), (85, -74, -6, 74, 74, 0), (55, -78, -2, 80, 86, 0),
        (25, -84, -2, 72, 82, 0), (0, -98, -2, 52, 66, 0), (-25, -106, 0, 32, 48, 0), (-48, -110, 4, 16, 26, 0),
        (-58, -110, 4, 0, 0, 0),
    ),
    "liver_left": (
        (112, -4, -36, 0, 0, 0), (92, -2, -42, 52, 36, -8), (65, -4, -50, 62, 40, -12), (40, -14, -58, 56, 36, -10),
        (18, -28, -66, 38, 24, 0), (2, -38, -66, 16, 14, 0), (-4, -38, -66, 0, 0, 0),
    ),
    "spleen": (
        (108, 92, 34, 0, 0, 0), (92, 94, 34, 30, 40, 25), (70, 98, 34, 42, 54, 25), (45, 103, 34, 40, 54, 20),
        (20, 108, 34, 30, 44, 12), (0, 112, 32, 17, 26, 5), (-12, 113, 32, 0, 0, 0),
    ),
    "stomach": (
        (112, 54, -6, 0, 0, 0), (94, 58, -10, 38, 40, 0), (68, 62, -20, 48, 50, 10), (42, 58, -40, 48, 38, 20),
        (20, 38, -60, 50, 23, 12), (4, 6, -66, 44, 18, -6), (-10, -4, -66, 26, 12, 0), (-18, -4, -66, 0, 0, 0),
    ),
    "gall_bladder": (
        (24, -48, -48, 0, 0, 0), (14, -50, -52, 12, 15, 20), (-6, -54, -58, 15, 20, 20), (-24, -56, -62, 10, 12, 20),
        (-32, -56, -62, 0, 0, 0),
    ),
    "duodenum": (
        (16, -40, -26, 0, 0, 0), (8, -44, -24, 14, 12, 0), (-10, -50, -10, 14, 14, 0), (-26, -48, -6, 15, 13, 0),
        (-30, -48, -6, 0, 0, 0),
    ),
    "bladder": (
        (-158, 0, -34, 0, 0, 0), (-168, 0, -32, 30, 22, 0), (-190, 0, -28, 43, 33, 0), (-212, 0, -24, 34, 26, 0),
        (-228, 0, -22, 0, 0, 0),
    ),
    "prostate": (
        (-206, 0, 12, 0, 0, 0), (-212, 0, 12, 18, 13, 0), (-228, 0, 8, 25, 20, 0), (-244, 0, 4, 15, 12, 0),
        (-250, 0, 4, 0, 0, 0),
    ),
    "uterus": (
        (-140, 4, -4, 0, 0, 0), (-150, 4, -4, 24, 17, 10), (-172, 3, 14, 34, 21, 8), (-196, 0, 20, 22, 15, 0),
        (-208, 0, 20, 0, 0, 0),
    ),
    # below: y is counted from the middle of the vertebral body
    "left_kidney": (
        (58, 58, -6, 0, 0, 0), (48, 60, -6, 18, 19, -10), (25, 68, -10, 27, 28, -25), (0, 72, -14, 29, 28, -35),
        (-25, 75, -18, 27, 26, -30), (-48, 78, -22, 16, 17, -20), (-58, 78, -22, 0, 0, 0),
    ),
    "right_kidney": (
        (44, -58, -6, 0, 0, 0), (34, -61, -6, 18, 19, 10), (11, -70, -10, 27, 28, 25), (-14, -75, -14, 29, 28, 35),
        (-38, -78, -18, 27, 26, 30), (-62, -80, -22, 16, 17, 20), (-72, -80, -22, 0, 0, 0),
    ),
    "aorta": (
        (125, 17, -24, 13, 13, 0), (60, 11, -30, 11.5, 11.5, 0), (0, 5, -32, 10, 10, 0), (-70, 3, -31, 9, 9, 0),
        (-76, 3, -31, 0, 0, 0),
    ),
    "postcava": (
        (125, -20, -50, 13, 11, 0), (70, -25, -42, 14, 11, 15), (30, -27, -34, 13, 10, 15), (0, -24, -31, 13, 9, 10),
        (-75, -20, -29, 12, 8, 0), (-84, -20, -29, 0, 0, 0),
    ),
    "esophagus": (
        (125, 4, -36, 10, 7, 0), (85, 13, -50, 11, 7, -10), (62, 24, -60, 13, 8, -15), (52, 30, -66, 0, 0, 0),
    ),
}  # fmt: skip
_ON_SPINE = frozenset("left_kidney right_kidney aorta postcava esophagus".split())
_WAVINESS = {
    "stomach": 0.05,
    "duodenum": 0.06,
    "left_kidney": 0.04,
    "right_kidney": 0.04,
    "prostate": 0.04,
    "uterus": 0.04,
    "aorta": 0.01,
    "esophagus": 0.05,
    "bladder": 0.02,
}
_STEADY = frozenset("aorta postcava esophagus".split())


@dataclass(frozen=True)
class Ellipse:
    """Section of an organ: centre, radii in mm and turn in degrees."""

    x: float
    y: float
    rx: float
    ry: float
    degrees: float

    @property
    def centre_xy(self) -> tuple[float, float]:
        """Centre in mm."""
        return self.x, self.y

    @property
    def radii_xy(self) -> tuple[float, float]:
        """Radii in mm."""
        return self.rx, self.ry

    def grown(self, by_mm: float) -> Ellipse:
        """The same with radii larger by so much."""
        return Ellipse(self.x, self.y, self.rx + by_mm, self.ry + by_mm, self.degrees)


@dataclass(frozen=True)
class Loop:
    """A piece of bowel: an ellipsoid with a wall around ``"chyme"`` or ``"faeces"``, gas above."""

    centre_xyz: tuple[float, float, float]
    radius_mm: float
    flatness: float
    degrees: float
    content: str
    gas_share: float


@dataclass(frozen=True)
class Person:
    """What differs from person to person; drawn once, so that all sections belong together.

    Attributes
    ----------
    half_girth_mm : tuple of float
        Half width and half depth of the body at the level of the kidneys.
    fat_mm : float
        Thickness of the subcutaneous fat at the flank.
    female : bool
    shifts, scales, turns : dict
        Displacement (x, y, z) in mm, size factor and turn in degrees of each organ.
    outlines : dict
        Waviness of each organ's contour.
    loops : tuple of Loop
    vessels : numpy.ndarray, float, N x 4
        Vessels seen end on in liver, lung and mesentery: x, y as fractions of radii, radius in mm, and z in mm.
    stomach_gas : float
        Share of the stomach's height that is gas.
    """

    half_girth_mm: tuple[float, float]
    fat_mm: float
    female: bool
    shifts: dict[str, np.ndarray]
    scales: dict[str, float]
    turns: dict[str, float]
    outlines: dict[str, np.ndarray]
    loops: tuple[Loop, ...]
    vessels: np.ndarray
    stomach_gas: float
    _tables: dict[str, np.ndarray] = field(
        default_factory=lambda: {k: np.array(v) for k, v in _ORGANS.items()}
    )

    @property
    def stretch_xy(self) -> tuple[float, float]:
        """Girth as a multiple of the reference adult's."""
        return tuple(own / ref for own, ref in zip(self.half_girth_mm, REFERENCE_HALF_GIRTH_MM, strict=True))

    def spine_y_mm(self, z_mm: float) -> float:
        """Middle of the vertebral bodies: the lumbar lordosis brings them forward."""
        y = np.interp(z_mm, (-210, -150, -100, -50, 0, 60, 110), (70, 62, 40, 30, 34, 46, 50))
        return float(y) * self.stretch_xy[1]

    def section(self, organ: str, z_mm: float) -> Ellipse | None:
        """Ellipse of an organ at a height, None where it is not cut."""
        table = self._tables[organ][::-1]
        shift = self.shifts[organ]
        z = z_mm - shift[2]
        if not table[0, 0] < z < table[-1, 0]:
            return None
        x, y, rx, ry, degrees = (float(np.interp(z, table[:, 0], table[:, i])) for i in range(1, 6))
        # ends of an organ are round, not pointed
        end = min(z - table[0, 0], table[-1, 0] - z)
        size = self.scales[organ] * (1.0 if end > 12 else 0.75 + 0.25 * end / 12)
        sx, sy = self.stretch_xy
        base = self.spine_y_mm(z_mm) if organ in _ON_SPINE else 0.0
        grow = np.sqrt(sx * sy) if organ in _ON_SPINE else 1.0
        rx, ry = (rx * grow, ry * grow) if organ in _ON_SPINE else (rx * sx, ry * sy)
        x, y = x * sx + shift[0], base + y * sy + shift[1]
        section = Ellipse(x, y, rx * size, ry * size, degrees + self.turns[organ])
        return section if min(section.radii_xy) > 1 else None


def draw_person(rng: np.random.Generator) -> Person:
    """Draw a person.

    Parameters
    ----------
    rng : numpy.random.Generator
        The same state gives the same person.

    Returns
    -------
    Person
        Girth 320 +- 22 by 230 +- 18 mm, fat 6-26 mm; organs displaced by some mm and scaled by 7 %.
    """
    half = (float(np.clip(rng.normal(162, 11), 142, 184)), float(np.clip(rng.normal(116, 8), 101, 132)))
    fat = float(np.clip(rng.gamma(4, 3.2), 6, 26))
    female = bool(rng.random() < 0.5)
    shifts, scales, turns, outlines = {}, {}, {}, {}
    for organ in _ORGANS:
        loose = 0.35 if organ in _STEADY else 1.0
        shifts[organ] = rng.normal(0, 1, 3) * np.array([3.5, 3.0, 6.0]) * loose
        scales[organ] = float(np.exp(rng.normal(0, 0.07)))
        turns[organ] = float(rng.normal(0, 6))
        outlines[organ] = wavy(rng, _WAVINESS.get(organ, 0.03))
    outlines["body"] = wavy(rng, 0.008)
    shifts["liver_left"] = shifts["liver_right"] + rng.normal(0, 2, 3)
    vessels = np.column_stack(
        [
            rng.uniform(-0.9, 0.9, (90, 2)),
            rng.gamma(3, 0.6, 90).clip(0.8, 4.5),
            rng.uniform(-110, 100, 90),
        ]
    )
    loops = _bowel(rng, half)
    return Person(
        half, fat, female, shifts, scales, turns, outlines, loops, vessels, float(rng.uniform(0.2, 0.65))
    )


def _bowel(rng: np.random.Generator, half_girth_mm: tuple[float, float]) -> tuple[Loop, ...]:
    """Small bowel packed into the front of the abdomen, and colon along its sides and front."""
    loops: list[Loop] = []
    sx, sy = (own / ref for own, ref in zip(half_girth_mm, REFERENCE_HALF_GIRTH_MM, strict=True))
    for x, top in ((-104, -38), (112, 12)):
        for z in range(top, -150, -26):
            centre = (x * sx + rng.normal(0, 4), 12 * sy + rng.normal(0, 5), float(z))
            loops.append(Loop(centre, rng.uniform(15, 22), 1.1, 0.0, "faeces", rng.uniform(0, 0.7)))
    for x, y, z in ((100, -26, 22), (104, -14, 40), (96, -34, 52)):
        centre = (x * sx, y * sy, z + rng.normal(0, 4))
        loops.append(Loop(centre, rng.uniform(15, 20), 0.9, 0.0, "faeces", rng.uniform(0, 0.8)))
    for x in range(-88, 96, 30):
        centre = (x * sx, (-62 - 14 * np.cos(x / 60)) * sy + rng.normal(0, 4), -30 + 0.004 * x * x)
        loops.append(
            Loop(centre, rng.uniform(15, 20), 0.85, rng.normal(0, 15), "faeces", rng.uniform(0.1, 0.8))
        )
    places = np.array([[*loop.centre_xyz, loop.radius_mm] for loop in loops])
    for _ in range(900):
        place = rng.uniform((-88 * sx, -76 * sy, -165, 11), (88 * sx, 4 * sy, 16, 20))
        away = np.sqrt(((places[:, :3] - place[:3]) ** 2).sum(axis=1))
        if (away < 0.66 * (places[:, 3] + place[3])).any():
            continue
        places = np.vstack([places, place])
        gas = rng.uniform(0.2, 0.8) if rng.random() < 0.2 else 0.0
        flat, turn = rng.uniform(0.5, 0.95), rng.uniform(0, 180)
        loops.append(Loop(tuple(place[:3]), place[3], flat, turn, "chyme", gas))
    return tuple(loops)
