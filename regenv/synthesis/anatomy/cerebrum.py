"""The brain of MR images: one template brain of folded cortex, deep nuclei and ventricles, painted on a canvas.

Template coordinates are about those of the MNI 152 atlas (Fonov et al., NeuroImage 54 (2011) 313-327) in LPS: x to the
left, y to the back, z up, in mm, the origin at the anterior commissure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.synthesis.anatomy import shapes
from regenv.synthesis.anatomy.canvas import Box, Canvas
from regenv.synthesis.anatomy.folds import furrows
from regenv.synthesis.anatomy.shapes import path, smooth_max, smooth_min
from regenv.synthesis.anatomy.tissues import Organ, Tissue

Field = NDArray[np.floating]
_BRAIN = (Tissue.GREY_MATTER, Tissue.WHITE_MATTER)


@dataclass(frozen=True)
class Traits:
    """What of a brain is not in the warp: the residual between subjects.

    Attributes:
        atrophy: 0 (young, tight furrows, narrow ventricles) to 1.
        ventricles: Factor on the ventricles' width.
        cortex_mm: Thickness of the cortex.
        shift: Of the subject's own share of the folding, in knots.
        own_folds: Amplitude of that share.
        lesions: Lesions of the white matter, ``(N, 4)`` template x, y, z, radius.
        skull_mm: Thickness of the skull.
        scalp_mm: Thickness of the fat under the scalp.
    """

    atrophy: float
    ventricles: float
    cortex_mm: float
    shift: tuple[int, int, int]
    own_folds: float
    lesions: NDArray[np.float64]
    skull_mm: float
    scalp_mm: float

    @staticmethod
    def draw(rng: np.random.Generator) -> Traits:
        """The traits of a random adult."""
        atrophy = float(rng.beta(1.3, 1.8))
        count = int(rng.poisson(9.0 * atrophy**2))
        lesions = np.column_stack(
            [
                rng.choice([-1.0, 1.0], count) * rng.uniform(16, 32, count),
                rng.uniform(-30, 60, count),
                rng.uniform(16, 34, count),
                rng.uniform(1.5, 3.8, count),
            ]
        )
        return Traits(
            atrophy,
            float((0.95 + 0.75 * atrophy) * np.exp(rng.normal(0, 0.12))),
            float(rng.uniform(2.2, 2.7)),
            tuple(int(n) for n in rng.integers(0, 64, 3)),  # type: ignore[arg-type]
            0.22,
            lesions,
            float(rng.uniform(5.0, 7.5)),
            float(rng.uniform(2.0, 6.0)),
        )


class View:
    """A box of a canvas with its template coordinates.

    Args:
        canvas: What is painted on.
        box: Where.
    """

    def __init__(self, canvas: Canvas, box: Box) -> None:
        self.canvas, self.box = canvas, box
        self.x, self.y, self.z = canvas.coordinates(box)

    def near(self, centre: ArrayLike, radius: ArrayLike) -> View:
        """The part around a template point."""
        return View(self.canvas, self.canvas.around(centre, radius))

    def ellipsoid(self, centre: ArrayLike, radii: ArrayLike, axes: NDArray[np.float64] | None = None) -> Field:
        """Signed distance to an ellipsoid."""
        return shapes.ellipsoid(self.x, self.y, self.z, centre, radii, axes)

    def capsule(self, a: ArrayLike, b: ArrayLike, ra: float, rb: float | None = None, mirrored: bool = False) -> Field:
        """Signed distance to a round cone; ``mirrored`` makes one on either side."""
        return shapes.capsule(np.abs(self.x) if mirrored else self.x, self.y, self.z, a, b, ra, rb)

    def paint(
        self, distance: Field, tissue: Tissue, organ: Organ | None = None, over: Sequence[Tissue] | None = None
    ) -> None:
        """Paints where the distance is negative."""
        self.canvas.paint(self.box, np.asarray(distance, np.float32), tissue, organ, over)

    def tube(
        self,
        points: ArrayLike,
        radii: ArrayLike,
        tissue: Tissue,
        organ: Organ | None = None,
        over: Sequence[Tissue] | None = None,
    ) -> None:
        """Paints a tube through template points."""
        self.canvas.tubes(path(np.asarray(points, float), np.asarray(radii, float)), tissue, organ, over)


def interior(x: Field, y: Field, z: Field) -> Field:
    """Signed distance to the smooth surface that the brain fills, without the fluid around it."""
    cerebrum = shapes.ellipsoid(x, y, z, (0, 17, 11), (68, 89, 67))
    temporal = shapes.capsule(np.abs(x), y, z, (42, -12, -27), (47, 36, -12), 15.0, 20.0)
    below = shapes.ellipsoid(x, y, z, (0, 62, -34), (50, 34, 27))
    below = smooth_min(below, shapes.capsule(x, y, z, (0, 26, -20), (0, 38, -62), 17, 12), 8.0)
    base = np.interp(y, [-70, -20, 0, 30], [-26, -24, -16, -16]).astype(np.float32) - z
    return smooth_min(smooth_min(smooth_max(cerebrum, base, 6.0), temporal, 8.0), below, 10.0)


def paint_brain(canvas: Canvas, traits: Traits) -> None:
    """Paints the brain into fluid that is there already."""
    view = View(canvas, canvas.box((-76, -80, -52), (76, 112, 86)))
    if view.x.size:
        _paint_hemispheres(view, traits)
    _paint_callosum(view.near((0, 2, 8), (16, 48, 30)))
    _paint_nuclei(view)
    _paint_ventricles(view, traits)
    _paint_cerebellum(view.near((0, 62, -36), (60, 42, 34)), traits)
    _paint_stem(view)
    falx = view.near((0, 15, 40), (6, 100, 60))
    sheet = np.maximum(np.abs(falx.x) - 0.5, _core(falx) * -1 + 12)
    falx.paint(sheet, Tissue.LIGAMENT, over=(Tissue.CSF,))


def _core(view: View) -> Field:
    """Distance in the sagittal plane to what joins the hemispheres; no fissure enters it."""
    u, v = (view.y - 3) / 39, (view.z - 6) / 25
    rho = np.sqrt(u * u + v * v) + np.float32(1e-3)
    return (1 - 1 / rho) * np.sqrt((view.y - 3) ** 2 + (view.z - 6) ** 2)


def _paint_hemispheres(view: View, traits: Traits) -> None:
    """Cortex and white matter."""
    x, y, z = view.x, view.y, view.z
    ax = np.abs(x)
    main = view.ellipsoid((0, 17, 11), (68, 89, 67))
    # the orbits in front, the tentorium behind: higher toward the middle
    level = np.interp(y, [-75, -22, -8, 22, 34, 48, 80], [-27, -25, -17, -17, -15, -14, -16]).astype(np.float32)
    level = level + 13 * np.exp(-((x / 22) ** 2) - ((y - 48) / 18) ** 2)
    main = smooth_max(main, 0.95 * (level - z), 7.0)
    temporal = view.capsule((42, -11, -28), (47, 36, -12), 14.5, 19.0, mirrored=True)
    temporal = smooth_min(temporal, view.capsule((27, 0, -25), (29, 44, -12), 9.0, 11.0, mirrored=True), 8.0)
    depth = -smooth_min(main, temporal, 6.0)
    slack = 0.6 + 1.0 * traits.atrophy
    # between the hemispheres
    core = _core(view)
    middle = np.sqrt(np.maximum(ax - slack, 0) ** 2 + np.maximum(-core, 0) ** 2)
    depth = np.minimum(depth, np.where((ax < slack) & (core > 0), ax - slack, middle))
    # Sylvian fissure down to the insula
    lid = np.abs(z + 2 - 0.4 * (y + 8) - 0.03 * (ax - 40)) * 0.93
    ends = np.maximum(np.abs(y - 7) - 36, 0)
    gap = 0.9 + 1.5 * traits.atrophy
    wall = np.sqrt(np.maximum(lid - gap, 0) ** 2 + np.maximum(38 - ax, 0) ** 2 + ends**2)
    depth = np.minimum(depth, np.where((lid < gap) & (ax > 38) & (ends == 0), lid - gap, wall))
    surface, layer = furrows(
        x,
        y,
        z,
        np.ascontiguousarray(depth, dtype=np.float32),
        traits.shift,
        traits.own_folds,
        0.15 + 0.5 * traits.atrophy,
        view.canvas.spacing,
    )
    view.paint(-surface, Tissue.GREY_MATTER, Organ.CORTEX)
    view.paint(traits.cortex_mm - layer, Tissue.WHITE_MATTER, Organ.WHITE_MATTER, over=(Tissue.GREY_MATTER,))


def _paint_callosum(view: View) -> None:
    """Corpus callosum: the curve from rostrum to splenium, as wide as the space between the ventricles."""
    curve = np.array([(-24, -4), (-31, 4), (-30, 14), (-22, 21), (-4, 26), (16, 27), (32, 21), (39, 12), (36, 7)])
    distance = np.full(view.x.shape, 99.0, np.float32)
    thick = [2.5, 3.6, 4.2, 3.4, 2.9, 2.7, 3.2, 5.0, 4.6]
    zero = np.zeros_like(view.x)
    for (a, b), ra, rb in zip(zip(curve[:-1], curve[1:], strict=True), thick[:-1], thick[1:], strict=True):
        distance = np.minimum(distance, shapes.capsule(zero, view.y, view.z, (0, *a), (0, *b), ra, rb))
    view.paint(np.maximum(distance, np.abs(view.x) - 14), Tissue.WHITE_MATTER, Organ.WHITE_MATTER)


def _paint_nuclei(view: View) -> None:
    """Thalamus, caudate, lentiform nucleus, claustrum left out, hippocampus and amygdala."""
    only, grey, deep = (Tissue.WHITE_MATTER, Tissue.GREY_MATTER, Tissue.CSF), Tissue.GREY_MATTER, Organ.DEEP_GREY
    for side in (-1, 1):
        part = view.near((side * 12, 18, 6), 20.0)
        turn = shapes.rotation(rz=-side * 28.0)
        part.paint(part.ellipsoid((side * 12, 18, 7), (8.5, 15, 9), turn), grey, deep, only)
        part = view.near((side * 25, -2, 1), 24.0)
        turn = shapes.rotation(rz=-side * 12.0)
        part.paint(part.ellipsoid((side * 26, -4, 2), (5.2, 17, 10.5), turn), grey, deep, only)
        # the pallidum has less water than the putamen and is nearly as bright in T1 as white matter
        part.paint(part.ellipsoid((side * 19.5, 0, 0), (4.5, 9.5, 6.5), turn), grey, deep, only)
        lamina = np.abs(part.ellipsoid((side * 20, 0, 0), (5.6, 11, 7.5), turn)) - 0.4
        part.paint(lamina, Tissue.WHITE_MATTER, None, (grey,))
        head = [(side * 12, -20, 2), (side * 13, -12, 12), (side * 16, 2, 21), (side * 20, 20, 22), (side * 26, 36, 12)]
        view.tube(head, [6.5, 6.0, 4.0, 2.6, 1.6], grey, deep, (Tissue.WHITE_MATTER,))
        hippocampus = [(side * 23, 8, -21), (side * 28, 20, -16), (side * 27, 34, -5)]
        view.tube(hippocampus, [5.0, 4.6, 3.0], grey, deep, only)
        view.tube([(side * 22, 3, -20), (side * 24, -1, -19)], [6.5, 5.5], grey, deep, only)


def _paint_ventricles(view: View, traits: Traits) -> None:
    """Lateral ventricles with their horns, the third, the septum between; lesions beside them."""
    size = traits.ventricles
    fluid, organ = Tissue.CSF, Organ.VENTRICLES
    for side in (-1, 1):
        body = [(9, -30, 4), (9, -24, 11), (9, -8, 18), (12, 10, 22), (18, 28, 20), (24, 38, 12)]
        view.tube(_mirror(body, side), np.array([2.6, 4.6, 4.4, 4.2, 4.6, 6.0]) * size, fluid, organ)
        back = [(24, 38, 12), (27, 52, 7), (25, 68, 6)]
        view.tube(_mirror(back, side), np.array([5.8, 4.2, 1.6]) * size, fluid, organ)
        horn = [(24, 38, 12), (31, 36, -2), (33, 24, -13), (31, 10, -18)]
        view.tube(_mirror(horn, side), np.array([5.2, 3.2, 2.2, 1.8]) * size, fluid, organ)
        # the pancreas stands in for the choroid plexus, which has no tissue of its own
        plexus = [(19, 29, 18), (23, 36, 10), (27, 36, 2)]
        view.tube(_mirror(plexus, side), [1.4, 2.4, 1.2], Tissue.PANCREAS, organ, (Tissue.CSF,))
    part = view.near((0, 12, 2), 24.0)
    slit = np.maximum(np.abs(part.x) - (0.9 + 1.4 * traits.atrophy) * size, part.ellipsoid((0, 12, 0), (9, 15, 11)))
    part.paint(slit, fluid, organ)
    septum = np.maximum(np.abs(part.x) - 0.7, part.ellipsoid((0, -8, 14), (9, 26, 10)))
    part.paint(septum, Tissue.WHITE_MATTER, None, (Tissue.CSF,))
    for x, y, z, radius in traits.lesions:
        spot = view.near((x, y, z), 2 * radius + 2)
        shape = spot.ellipsoid((x, y, z), (radius, 1.4 * radius, radius))
        spot.paint(shape, Tissue.TUMOUR, None, (Tissue.WHITE_MATTER,))


def _mirror(points: Sequence[tuple[float, float, float]], side: int) -> NDArray[np.float64]:
    return np.asarray(points, float) * np.array([side, 1.0, 1.0])


def _paint_cerebellum(view: View, traits: Traits) -> None:
    """Two hemispheres and the vermis, in leaves around the white tree."""
    tent = 0.9 * (view.z + 17 - 13 * np.exp(-((view.x / 22) ** 2) - ((view.y - 48) / 18) ** 2))
    lobes = shapes.ellipsoid(np.abs(view.x), view.y, view.z, (24, 62, -34), (28, 28, 24))
    vermis = view.ellipsoid((0, 58, -26), (13, 25, 26))
    room = smooth_max(smooth_min(lobes, vermis, 6.0), tent, 5.0)
    view.paint(room - 1.6, Tissue.CSF, Organ.BRAIN, over=_BRAIN)
    # fissures: shells about the peduncles
    radius = np.sqrt((np.abs(view.x) * 0.55) ** 2 + (view.y - 40) ** 2 + (view.z + 33) ** 2)
    angle = np.arctan2(view.z + 36, view.y - 36)
    wave = np.abs(np.sin(7.5 * angle + 0.03 * radius + 0.02 * np.abs(view.x)))
    cleft = np.where(radius > 14, wave * radius / 7.5, 9.0).astype(np.float32)
    leaf = np.maximum(room, (0.2 + 0.5 * traits.atrophy) - 0.9 * cleft)
    view.paint(leaf, Tissue.GREY_MATTER, Organ.CEREBELLUM)
    tree = np.maximum(room + 5.0, 2.6 - cleft)
    view.paint(tree, Tissue.WHITE_MATTER, Organ.CEREBELLUM, over=(Tissue.GREY_MATTER,))
    core = shapes.ellipsoid(np.abs(view.x), view.y, view.z, (17, 54, -36), (15, 11, 8))
    view.paint(core, Tissue.WHITE_MATTER, Organ.CEREBELLUM, over=(Tissue.GREY_MATTER, Tissue.CSF))


def _paint_stem(view: View) -> None:
    """Midbrain, pons, medulla; the fourth ventricle and the aqueduct behind them."""
    stem, organ = Tissue.WHITE_MATTER, Organ.BRAINSTEM
    view.tube([(0, 20, -4), (0, 24, -12)], [9.5, 10.5], stem, organ)
    for side in (-1, 1):
        view.tube([(side * 16, 8, -6), (side * 9, 16, -14)], [5, 5.5], stem, organ)
    part = view.near((0, 26, -32), 20.0)
    part.paint(part.ellipsoid((0, 25, -31), (16, 13, 13)), stem, organ)
    part.paint(shapes.ellipsoid(np.abs(part.x), part.y, part.z, (17, 36, -33), (8, 10, 6)), stem, organ)
    view.tube([(0, 31, -40), (0, 37, -52), (0, 42, -64), (0, 46, -110)], [10, 8.5, 6.5, 5.5], stem, organ)
    view.tube([(0, 31, -6), (0, 32, -18)], [1.0, 1.4], Tissue.CSF, Organ.VENTRICLES)
    part = view.near((0, 43, -32), 16.0)
    part.paint(part.ellipsoid((0, 42, -32), (7.5, 4.5, 11)), Tissue.CSF, Organ.VENTRICLES)
