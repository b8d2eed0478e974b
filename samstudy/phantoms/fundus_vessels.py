"""Retinal vessel trees, grown branch by branch on the retina in millimetres.

The frame is that of the eye: origin at the centre of the optic disc, x towards the temporal side (the fovea lies near
``(4.5, 0.5)``), y downwards as in a picture.

What the trees are made from (laws as commonly stated; the papers were not re-read)
-----------------------------------------------------------------------------------
* Arcades: trunks follow ``dy/dx = y / 2x``, whose solutions are the parabolas ``x = c y**2`` fitted to the main vessels
  by Foracchia, Grisan & Ruggeri (IEEE TMI 2004); beyond the fovea they bow to the horizontal raphe.
* Radii: at every fork ``r0**3 = r1**3 + r2**3`` (Murray, PNAS 1926). Venous trunks are 140-170 um wide at the disc,
  arteries 0.7 of that, the usual arteriolar-venular ratio.
* Angles: the thinner the daughter, the more it turns (Zamir, J Theor Biol 1976).
* Vessels of one kind do not cross each other; arteries and veins do.
* No vessel reaches the foveal avascular zone, 0.25-0.35 mm in radius.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

STEP_MM = 0.06
CELL_MM = 0.07
ARTERY_TO_VEIN = 0.72
THINNEST_MM = 0.011
"""Radius below which a branch ends: half a pixel of a 45 degree photograph."""
AVASCULAR_MM = 0.32
_REACH_OF_FOVEA_MM = 5.2
_CROWD_CELLS = 6
_CROWD_SHARE = 0.15

# angle from temporal (degrees, clockwise in the picture of a left eye) and venous radius (mm) of each trunk
_TRUNKS = (
    (-78, 0.079), (79, 0.082), (-126, 0.052), (124, 0.052), (-100, 0.032), (103, 0.032), (176, 0.026),
    (-38, 0.024), (33, 0.024), (4, 0.016),
)  # fmt: skip


@dataclass(frozen=True)
class Vessel:
    """One branch, from its fork to its end.

    Attributes
    ----------
    points_mm : numpy.ndarray, float64, N x 2
        Centre line, (x, y) in the frame of the eye, ``STEP_MM`` apart.
    radii_mm : numpy.ndarray, float64, N
        Never growing along the branch.
    kind : {"artery", "vein"}
    """

    points_mm: np.ndarray
    radii_mm: np.ndarray
    kind: str


@dataclass(frozen=True)
class Territory:
    """Where the vessels grow, and how.

    Attributes
    ----------
    disc_mm : float
        Radius of the optic disc.
    root_mm : tuple of float
        (x, y) where the central vessels enter, in the nasal part of the cup.
    cup_share : float
        Radius of the cup in parts of the disc's: the vessels bend where they climb out of it.
    fovea_mm : tuple of float
        (x, y) of the fovea.
    centre_mm, radius_mm : tuple of float, float
        Circle outside which nothing is grown.
    tortuosity : float
        1 for an ordinary eye.
    """

    disc_mm: float
    root_mm: tuple[float, float]
    cup_share: float
    fovea_mm: tuple[float, float]
    centre_mm: tuple[float, float]
    radius_mm: float
    tortuosity: float = 1.0


@dataclass
class _Bud:
    """A branch about to grow; ``lean`` is how far (rad) it keeps from the flow, ``parent`` a vessel's number."""

    kind: str
    points: list[tuple[float, float]]
    heading: float
    radius: float
    lean: float
    length_mm: float
    parent: int
    generation: int


def grow_vessels(rng: np.random.Generator, territory: Territory) -> list[Vessel]:
    """Grow the arterial and the venous tree.

    Parameters
    ----------
    rng : numpy.random.Generator
    territory : Territory

    Returns
    -------
    list of Vessel
        Thick ones first.
    """
    shift = rng.normal(0, 3.5, len(_TRUNKS))
    beside = rng.choice((-1.0, 1.0), len(_TRUNKS)) * rng.uniform(5, 13, len(_TRUNKS))
    buds = []
    for kind in ("vein", "artery"):
        for index, (angle, radius) in enumerate(_TRUNKS):
            if radius < 0.03 and rng.random() < 0.35:
                continue
            turn = shift[index] + (beside[index] if kind == "artery" else 0.0)
            degrees = (
                math.copysign(min(abs(angle + turn), 83), angle) if 60 < abs(angle) < 90 else angle + turn
            )
            calibre = radius * (ARTERY_TO_VEIN if kind == "artery" else 1.0) * rng.uniform(0.88, 1.1)
            buds.append(_trunk(rng, territory, math.radians(degrees), calibre, kind))
    return _Trees(rng, territory).grow(buds)


def _trunk(rng: np.random.Generator, territory: Territory, angle: float, radius: float, kind: str) -> _Bud:
    """Lead a trunk from the central vessels over the wall of the cup, where it bends, to the edge of the disc."""
    disc, root = territory.disc_mm, territory.root_mm
    cup = disc * min(0.85, max(0.3, territory.cup_share))
    kink = rng.choice((-1.0, 1.0)) * rng.uniform(0.08, 0.30) * territory.cup_share
    start = angle + rng.normal(0, 0.22)
    # the arcades leave the central trunk itself, the smaller vessels leave the arcades on the disc
    up = rng.uniform(-0.08, 0.02) if radius > 0.05 else rng.uniform(0.1, 0.5)
    stations = [
        (root[0] + rng.normal(0, 0.05), root[1] + up * disc * math.sin(angle)),
        (0.72 * cup * math.cos(start) + 0.2 * root[0], 0.90 * cup * math.sin(start)),
        (1.12 * cup * math.cos(angle + kink), 1.12 * cup * math.sin(angle + kink)),
        (1.08 * disc * math.cos(angle), 1.08 * disc * math.sin(angle)),
    ]
    if radius < 0.025:
        # cilioretinal vessels come out at the margin of the cup
        stations = stations[2:]
    points: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in itertools.pairwise(stations):
        n = max(1, round(math.hypot(x1 - x0, y1 - y0) / STEP_MM))
        points += [(x0 + (x1 - x0) * i / n, y0 + (y1 - y0) * i / n) for i in range(n)]
    points.append(stations[-1])
    smooth = ndimage.gaussian_filter1d(np.asarray(points), 1.6, axis=0, mode="nearest")
    length_mm = 14.0 if radius > 0.03 else rng.uniform(2.0, 4.5)
    return _Bud(kind, [tuple(point) for point in smooth.tolist()], angle, radius, 0.0, length_mm, -1, 0)


class _Trees:
    """Both trees while they grow: a queue of buds, thickest first, and the cells that each tree has taken."""

    def __init__(self, rng: np.random.Generator, territory: Territory) -> None:
        self.rng, self.territory = rng, territory
        self.side = math.ceil(2 * territory.radius_mm / CELL_MM) + 2
        self.owner = {kind: np.full((self.side, self.side), -1, np.int32) for kind in ("vein", "artery")}
        self.taken = np.zeros((self.side, self.side), bool)
        self.queue: list[tuple[float, int, _Bud]] = []
        self.tickets = itertools.count()

    def grow(self, buds: list[_Bud]) -> list[Vessel]:
        for bud in buds:
            self._push(bud)
        vessels = []
        while self.queue:
            bud = heapq.heappop(self.queue)[2]
            vessel = self._branch(bud, len(vessels))
            if vessel is not None:
                vessels.append(vessel)
        return vessels

    def _push(self, bud: _Bud) -> None:
        heapq.heappush(self.queue, (-bud.radius, next(self.tickets), bud))

    def _branch(self, bud: _Bud, number: int) -> Vessel | None:
        rng, points = self.rng, list(bud.points)
        x, y = points[-1]
        heading, radius, curl = bud.heading, bud.radius, 0.0
        radii = [radius] * len(points)
        wobble = 0.32 * self.territory.tortuosity * (0.05 / radius) ** 0.4
        n_steps = int(bud.length_mm / STEP_MM)
        until_fork = self._interval(radius)
        for step in range(n_steps):
            curl = 0.86 * curl + rng.normal(0, 0.51 * wobble)
            wanted = self._flow(x, y) + bud.lean * math.exp(-step * STEP_MM / 3.5) + curl
            heading += 0.20 * math.sin(wanted - heading) + self._evade(x, y, heading, number, bud)
            x, y = x + STEP_MM * math.cos(heading), y + STEP_MM * math.sin(heading)
            if self._blocked(x, y, number, bud, step):
                break
            left = 1 - step / n_steps
            taper = 1.0 if radius > 0.03 else min(1.0, 0.55 + 1.2 * left)
            points.append((x, y))
            radii.append(max(0.8 * THINNEST_MM, radius * taper))
            until_fork -= STEP_MM
            if until_fork <= 0 and left > 0.1 and math.hypot(x, y) > 1.25 * self.territory.disc_mm:
                radius, heading = self._fork(x, y, heading, radius, number, bud)
                until_fork = self._interval(radius)
        if len(points) - len(bud.points) < 5:
            return None
        self._occupy(points, number, bud.kind)
        line = np.asarray(points)
        return Vessel(line, self._tapered(line, np.minimum.accumulate(radii)), bud.kind)

    def _tapered(self, line: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Let a branch that ends within the territory thin out before it does."""
        gone = np.hypot(*(line[-1] - self.territory.centre_mm)) > self.territory.radius_mm - 2 * STEP_MM
        if gone:
            return radii
        left = np.arange(len(line))[::-1] * STEP_MM
        reach = min(45 * radii[0], 0.6 * left[0]) + 1e-6
        thin = 0.9 * THINNEST_MM
        return np.minimum(radii, thin + np.maximum(radii - thin, 0) * np.minimum(1, left / reach) ** 0.7)

    def _interval(self, radius: float) -> float:
        """Length to the next fork, mm."""
        return float(self.rng.gamma(3.0, 0.30 if radius > 0.03 else 0.26))

    def _fork(
        self, x: float, y: float, heading: float, radius: float, number: int, bud: _Bud
    ) -> tuple[float, float]:
        """Send off the thinner daughter; return radius and heading of the thicker one."""
        rng = self.rng
        ratio = rng.uniform(0.75, 1.0) if rng.random() < 0.16 else rng.uniform(0.26, 0.60)
        main = radius / (1 + ratio**3) ** (1 / 3)
        thin = main * ratio
        if thin < THINNEST_MM:
            thin = THINNEST_MM * rng.uniform(0.9, 1.1)
            if radius < 1.25 * THINNEST_MM and rng.random() < 0.5:
                return radius, heading
        side = self._side(x, y, heading)
        away = math.radians(rng.uniform(62, 92) - 38 * ratio)
        if self._crowd(x, y, heading + side * away):
            return radius, heading
        reach = float(np.clip(130 * thin, 1.4, 8.0)) * rng.uniform(0.6, 1.3)
        lean = side * rng.uniform(0.5, 1.1) * away
        self._push(
            _Bud(bud.kind, [(x, y)], heading + side * away, thin, lean, reach, number, bud.generation + 1)
        )
        return main, heading - side * 0.30 * away * ratio**2

    def _side(self, x: float, y: float, heading: float) -> float:
        """Side of a daughter: two in three towards the macula where the parent passes it."""
        to_x, to_y = self.territory.fovea_mm[0] - x, self.territory.fovea_mm[1] - y
        inner = math.copysign(1.0, math.cos(heading) * to_y - math.sin(heading) * to_x)
        share = 0.62 if math.hypot(to_x, to_y) < _REACH_OF_FOVEA_MM else 0.5
        return inner if self.rng.random() < share else -inner

    def _flow(self, x: float, y: float) -> float:
        """Heading that an arcade, or a nasal vessel, has at a place."""
        fovea_x, fovea_y = self.territory.fovea_mm
        if x <= 0:
            return math.atan2(y, x)
        across = y - fovea_y * min(1.0, x / fovea_x)
        bow = max(-0.8, 1 - (x / (1.25 * fovea_x)) ** 2)
        return math.atan2(across * bow, 2 * x + 0.2)

    def _cell(self, x: float, y: float) -> tuple[int, int]:
        left = self.territory.centre_mm[0] - self.territory.radius_mm
        top = self.territory.centre_mm[1] - self.territory.radius_mm
        return int((y - top) / CELL_MM) + 1, int((x - left) / CELL_MM) + 1

    def _taken(self, x: float, y: float, number: int, bud: _Bud) -> bool:
        row, column = self._cell(x, y)
        if not (0 <= row < self.side and 0 <= column < self.side):
            return False
        owner = self.owner[bud.kind][row, column]
        return owner >= 0 and owner not in (number, bud.parent)

    def _evade(self, x: float, y: float, heading: float, number: int, bud: _Bud) -> float:
        """Turn (rad) away from vessels of the same kind, and from the fovea."""
        turn = 0.0
        for side in (-1.0, 1.0):
            angle = heading + side * 0.7
            for ahead in (0.14, 0.26):
                if self._taken(x + ahead * math.cos(angle), y + ahead * math.sin(angle), number, bud):
                    turn -= side * 0.10
        to_x, to_y = self.territory.fovea_mm[0] - x, self.territory.fovea_mm[1] - y
        if math.hypot(to_x, to_y) < 3 * AVASCULAR_MM:
            turn -= 0.08 * math.copysign(1.0, math.cos(heading) * to_y - math.sin(heading) * to_x)
        return turn

    def _blocked(self, x: float, y: float, number: int, bud: _Bud, step: int) -> bool:
        territory = self.territory
        if math.hypot(x - territory.centre_mm[0], y - territory.centre_mm[1]) > territory.radius_mm:
            return True
        if math.hypot(x - territory.fovea_mm[0], y - territory.fovea_mm[1]) < AVASCULAR_MM:
            return True
        row, column = self._cell(x, y)
        back_at_parent = step > 12 and self.owner[bud.kind][row, column] == bud.parent >= 0
        on_disc = math.hypot(x, y) < 1.3 * territory.disc_mm
        return not on_disc and (back_at_parent or self._taken(x, y, number, bud))

    def _crowd(self, x: float, y: float, angle: float) -> bool:
        """Whether the place that a daughter would grow into has vessels enough."""
        row, column = self._cell(x + 0.45 * math.cos(angle), y + 0.45 * math.sin(angle))
        top, left = max(0, row - _CROWD_CELLS), max(0, column - _CROWD_CELLS)
        around = self.taken[top : row + _CROWD_CELLS + 1, left : column + _CROWD_CELLS + 1]
        return around.size > 0 and around.mean() > self.rng.uniform(0.5, 1.0) * _CROWD_SHARE

    def _occupy(self, points: list[tuple[float, float]], number: int, kind: str) -> None:
        for x, y in points:
            row, column = self._cell(x, y)
            if 0 <= row < self.side and 0 <= column < self.side:
                self.owner[kind][row, column] = number
                self.taken[row, column] = True
