"""What makes one subject: a few dozen numbers drawn from a seed, and the spine and trunk that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.synthesis.anatomy.shapes import Loft, rotation

# name, height of the body, height of the disc below it, width and depth of the body, tangent angle in degrees
# (positive: the spine runs backward on the way up). Heights and widths after Panjabi et al., Spine 16 (1991) 861-869
# and 17 (1992) 299-306.
_LEVELS: tuple[tuple[str, float, float, float, float, float], ...] = (
    ("C1", 12, 3, 22, 15, -2),
    ("C2", 17, 4, 22, 15, -4),
    ("C3", 13.5, 5, 23, 15, -8),
    ("C4", 13.5, 5, 24, 15, -12),
    ("C5", 13.5, 5, 25, 16, -17),
    ("C6", 13.5, 5, 26, 16, -22),
    ("C7", 15, 5, 28, 16, -26),
    ("T1", 16.5, 4, 30, 18, -25),
    ("T2", 17.5, 4, 29, 19, -20),
    ("T3", 18, 4, 28, 20, -15),
    ("T4", 18.5, 4, 28, 22, -11),
    ("T5", 19, 4, 28, 24, -7),
    ("T6", 20, 4, 29, 25, -3),
    ("T7", 20.5, 4.5, 30, 27, 0),
    ("T8", 21, 4.5, 31, 28, 4),
    ("T9", 21.5, 5, 32, 29, 8),
    ("T10", 22.5, 5.5, 34, 30, 12),
    ("T11", 23.5, 6, 37, 31, 14),
    ("T12", 25, 7, 41, 32, 15),
    ("L1", 26, 8, 44, 33, 13),
    ("L2", 27, 9, 46, 34, 9),
    ("L3", 27, 10, 48, 35, 3),
    ("L4", 27, 11, 50, 36, -6),
    ("L5", 27, 10, 52, 36, -17),
)


# z, half-width, front (y), depth of the gutters behind the spine's line, squareness of the cavity; template mm
_CAVITY = np.array(
    [
        [-420, 125, -112, 30, 0.05],
        [-330, 122, -112, 28, 0.06],
        [-260, 122, -122, 26, 0.04],
        [-200, 124, -134, 30, 0.04],
        [-150, 127, -140, 36, 0.05],
        [-100, 130, -140, 42, 0.06],
        [-50, 131, -134, 45, 0.07],
        [0, 127, -124, 45, 0.07],
        [40, 120, -113, 44, 0.06],
        [75, 110, -101, 42, 0.05],
        [100, 99, -90, 39, 0.04],
        [120, 86, -80, 36, 0.04],
        [138, 70, -70, 32, 0.05],
        [152, 54, -60, 27, 0.04],
        [164, 38, -52, 20, 0.03],
        [174, 14, -44, 8, 0.02],
        *[[height, 5, 0, 5, 0.0] for height in (188, 205, 225, 245, 265, 285, 305, 330, 430)],
    ]
)


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One vertebra in template mm: body centre, axes (columns: left, back, up), body height, width, depth."""

    name: str
    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    height: float
    width: float
    depth: float
    disc: float

    @property
    def lumbar(self) -> bool:
        """Whether it carries no rib and a tall spinous process."""
        return self.name[0] == "L"

    @property
    def cervical(self) -> bool:
        """Whether it is one of the neck."""
        return self.name[0] == "C"


class Subject:
    """Shape parameters of one subject.

    Args:
        seed: The subject. Equal seeds give equal subjects.
        arms_up: Whether the arms are raised over the head, as for a scan of the trunk, or lie beside the body.

    Attributes:
        rng: Generator for the painters, in a fixed order of use.
        scale: Size relative to the template along (x, y, z).
        fat: Thickness of the fat under the skin, mm.
        muscle: Factor on the thickness of muscles.
        female: Whether the chest carries breasts.
        inflation: Lowering of the diaphragm by breathing in, mm.
        bone: Factor on the thickness of cortical bone.
        vertebrae: From C1 down to L5.
        cavity: Inner surface of rib cage and abdominal wall.
        wall: Outer surface of the muscles of the trunk.
        skin: Outer surface of the trunk.
    """

    def __init__(self, seed: int, arms_up: bool = True) -> None:
        self.arms_up = arms_up
        self.seed = int(seed)
        self.rng = np.random.default_rng([int(seed), 71])
        rng = self.rng
        self.female = bool(rng.random() < 0.45)
        size = rng.normal(0.96 if self.female else 1.01, 0.035)
        sx, sy, sz = size * np.exp(rng.normal(0, (0.035, 0.045, 0.03)))
        self.scale = (float(sx), float(sy), float(sz))
        self.fat = float(np.clip(rng.gamma(4.0, 3.0) + (3 if self.female else 0), 4, 30))
        self.muscle = float(np.clip(rng.normal(0.9 if self.female else 1.05, 0.15), 0.6, 1.4))
        self.inflation = float(rng.uniform(-9, 11))
        self.bone = float(np.clip(rng.normal(1.0, 0.18), 0.6, 1.5))
        self.kyphosis = float(np.clip(rng.normal(1.0, 0.25), 0.4, 1.6))
        self.lordosis = float(np.clip(rng.normal(0.9, 0.25), 0.3, 1.4))
        self.vertebrae = self._spine()
        self._make_trunk()

    def _spine(self) -> tuple[Vertebra, ...]:
        """Stacks bodies and discs from T8 upward and downward along the spine's curve."""
        rng = self.rng
        names = [row[0] for row in _LEVELS]
        anchor = names.index("T8")
        bend = rng.normal(0, 2.2, 2)
        pitch = np.array([row[5] for row in _LEVELS]) + rng.normal(0, 0.7, len(_LEVELS))
        pitch *= np.where(np.arange(len(_LEVELS)) < names.index("L1"), self.kyphosis, self.lordosis)
        along = np.linspace(-1, 1, len(_LEVELS))
        roll = bend[0] * np.sin(np.pi * along) + bend[1] * np.sin(2 * np.pi * along + 0.7)
        sizes = np.exp(rng.normal(0, 0.02, (len(_LEVELS), 3)))
        centres = np.zeros((len(_LEVELS), 3))
        axes = [rotation(rx=-p, ry=r) for p, r in zip(pitch, roll, strict=True)]
        for step in (-1, 1):
            i = anchor
            while 0 <= i + step < len(_LEVELS):
                upper, lower = (i + step, i) if step < 0 else (i, i + step)
                gap = _LEVELS[upper][1] / 2 + _LEVELS[upper][2] + _LEVELS[lower][1] / 2
                up = axes[i][:, 2] + axes[i + step][:, 2]
                centres[i + step] = centres[i] - step * gap * up / np.linalg.norm(up)
                i += step
        return tuple(
            Vertebra(
                row[0], centres[n], axes[n], row[1] * sizes[n, 0], row[3] * sizes[n, 1], row[4] * sizes[n, 2], row[2]
            )
            for n, row in enumerate(_LEVELS)
        )

    def vertebra(self, name: str) -> Vertebra:
        """The vertebra of that name."""
        return next(v for v in self.vertebrae if v.name == name)

    def spine_at(self, z: NDArray[np.floating] | float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """X and y of the line through the vertebral bodies at height z (template mm)."""
        centres = np.array([v.centre for v in self.vertebrae])[::-1]
        return np.interp(z, centres[:, 2], centres[:, 0]), np.interp(z, centres[:, 2], centres[:, 1])

    def _make_trunk(self) -> None:
        """Lofts of the cavity, of the muscles around it and of the skin."""
        rng = self.rng
        z = _CAVITY[:, 0]
        x, y = self.spine_at(z)
        x = x * 0.5
        # the front follows the spine's curve only in part, as the sternum does
        front = _CAVITY[:, 2] + 0.35 * y + np.interp(z, [-330, -150, 0, 150], [1.0, 0.5, 0, 0]) * rng.normal(0, 10)
        back = np.minimum(y, 40) + _CAVITY[:, 3]
        # above the lungs nothing is left of the cavity but a thread along the spine
        neck = z > 180
        front[neck], x[neck] = y[neck] - 5, x[neck] * 2
        middle = 0.45 * front + 0.55 * back
        half = _CAVITY[:, 1] * np.interp(z, [-330, -50, 100], np.exp(rng.normal(0, 0.025, 3)))
        before, behind = middle - front, back - middle
        self.cavity = Loft(z, np.stack([x, middle, half, before, behind, _CAVITY[:, 4]], axis=1))
        thick = self._muscle_thickness(z)
        half, before, behind = half + thick[0], before + thick[1], behind + thick[2]
        self.wall = self._around(z, x, middle, half, before, behind, 0.04)
        thick = self._fat_thickness(z)
        half, before, behind = half + thick[0] + 2, before + thick[1] + 2, behind + thick[2] + 2
        self.skin = self._around(z, x, middle, half, before, behind, 0.03)

    def _muscle_thickness(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Muscle and bone around the cavity at heights z, mm: beside, before and behind it."""
        m = self.muscle
        side = np.interp(
            z,
            [-420, -260, -100, 0, 60, 100, 140, 160, 172, 190, 430],
            [30, 24 * m, 16 * m, 24 * m, 42 * m, 68, 98, 110, 74, 53, 49],
        )
        before = np.interp(
            z,
            [-420, -100, -20, 60, 110, 150, 165, 185, 205, 430],
            [14, 11, 14, 24 * m, 26, 26, 26, 36, 47, 47],
        )
        behind = np.interp(z, [-420, -260, -100, 0, 100, 150, 170, 430], [46, 46, 34, 27, 32, 40, 48, 54])
        return side, before, behind

    def _fat_thickness(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Fat under the skin at heights z, mm: beside, before and behind."""
        f = self.fat
        side = f * np.interp(z, [-420, -200, -60, 60, 140, 430], [1.5, 1.25, 0.8, 0.75, 0.7, 0.5])
        before = f * np.interp(z, [-420, -200, -60, 20, 140, 430], [1.5, 1.35, 0.75, 0.6, 0.5, 0.4])
        behind = f * np.interp(z, [-420, -200, -60, 60, 140, 430], [1.5, 1.1, 0.65, 0.6, 0.8, 0.6])
        return side, before, behind

    @staticmethod
    def _around(z, x, y, half, before, behind, squareness) -> Loft:  # type: ignore[no-untyped-def]
        return Loft(z, np.stack([x, y, half, before, behind, np.full(len(z), squareness)], axis=1))
