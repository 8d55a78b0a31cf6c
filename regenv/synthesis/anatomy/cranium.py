"""What lies around the brain: scalp, skull, eyes, the air of nose and sinuses, muscles of jaw and neck."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.synthesis.anatomy.cerebrum import Field, Traits, View, interior
from regenv.synthesis.anatomy.shapes import capsule, ellipsoid, smooth_max, smooth_min
from regenv.synthesis.anatomy.tissues import Organ, Tissue
from regenv.synthesis.anatomy.warp import smooth_noise

# faces are measured about the atlas: _FACE there is _CENTRE of the brain's template, whose mm are _SCALE of theirs
_SCALE = 0.95
_CENTRE = np.array([0.0, 17.0, 12.0])
_FACE = np.array([0.0, -14.0, 66.0])


def place(points: ArrayLike) -> NDArray[np.float64]:
    """Template coordinates of points given about the atlas (mm, x left, y back, z up), in which faces are measured."""
    return (np.asarray(points, float) - _FACE) / _SCALE + _CENTRE


class _Face:
    """Coordinates about the atlas on a view."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.u = np.abs(view.x) * np.float32(_SCALE)
        self.v = (view.y - np.float32(_CENTRE[1])) * np.float32(_SCALE) + np.float32(_FACE[1])
        self.w = (view.z - np.float32(_CENTRE[2])) * np.float32(_SCALE) + np.float32(_FACE[2])

    def ellipsoid(self, centre: ArrayLike, radii: ArrayLike) -> Field:
        return ellipsoid(self.u, self.v, self.w, centre, radii)

    def capsule(self, a: ArrayLike, b: ArrayLike, ra: float, rb: float | None = None) -> Field:
        return capsule(self.u, self.v, self.w, a, b, ra, rb)

    def near(self, centre: ArrayLike, radius: float) -> _Face:
        return _Face(self.view.near(place(centre), radius / _SCALE))


def paint_head(view: View, traits: Traits, seed: int) -> NDArray[np.bool_]:
    """Paints everything but the brain, fluid in its place.

    Args:
        view: Of all of the canvas.
        traits: The subject's.
        seed: The subject.

    Returns:
        Mask of the head.
    """
    face = _Face(view)
    inside = interior(view.x, view.y, view.z) - (2.6 + 1.6 * traits.atrophy)
    vault = inside - traits.skull_mm
    skin = _skin(face, vault - 4.0 - traits.scalp_mm, traits)
    view.paint(skin, Tissue.SKIN)
    view.paint(skin + 2.2, Tissue.FAT)
    _paint_muscles(face, skin, vault, seed)
    # under the brain the bone is the skull's base, thicker and full of air and marrow
    view.paint(vault, Tissue.CORTICAL, Organ.SKULL)
    thick = traits.skull_mm
    layer = np.abs(vault + thick / 2) - (thick / 2 - 1.7)
    view.paint(layer, Tissue.DIPLOE, Organ.SKULL, over=(Tissue.CORTICAL,))
    _paint_base(face)
    view.paint(inside, Tissue.CSF, Organ.BRAIN)
    _paint_face(face.near((0, -72, 16), 66.0))
    return skin < 0


def _skin(face: _Face, scalp: Field, traits: Traits) -> Field:
    """Scalp, face, nose, jaw and neck."""
    fat = 0.6 * traits.scalp_mm - 1.0
    d = smooth_min(scalp, face.ellipsoid((0, -52, 2), (64 + fat, 58 + fat, 72)), 20.0)
    d = smooth_min(d, face.ellipsoid((0, -48, -38), (54 + fat, 55 + fat, 33)), 16.0)
    d = smooth_min(d, face.capsule((0, -104, 30), (0, -123, -4), 7.0, 9.0), 6.0)
    ears = smooth_max(face.ellipsoid((0, 12, 16), (92, 9, 24)), 74 - face.u, 3.0)
    d = smooth_min(d, face.capsule((0, -40, -60), (0, -8, -110), 50.0, 52.0), 14.0)
    d = smooth_min(d, face.capsule((16, 34, -14), (18, 40, -125), 38.0, 44.0), 16.0)
    return smooth_min(d, ears, 3.0)


def _paint_muscles(face: _Face, skin: Field, vault: Field, seed: int) -> None:
    """Muscles of chewing, of the neck and under the face, streaked with fat."""
    view = face.view
    streak = 6 * np.abs(smooth_noise(np.random.default_rng([seed, 82]), view.canvas.grid, 14.0)) - 2.0
    deep = smooth_max(skin + 9.0, -1.0 - vault, 2.0)
    deep = smooth_max(deep, face.w - 34, 4.0)
    view.paint(np.maximum(deep, -streak), Tissue.MUSCLE, over=(Tissue.FAT,))
    for a, b, ra, rb in (
        ((60, -24, 62), (59, -26, 20), 4.0, 8.0),
        ((59, -26, 20), (52, -26, -40), 8.0, 8.0),
        ((56, 18, 0), (34, -14, -100), 8.0, 11.0),
        ((22, 50, 0), (24, 50, -110), 13.0, 17.0),
        ((40, 40, 4), (44, 32, -100), 7.0, 11.0),
    ):
        near = face.near((0, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2), 80.0)
        near.view.paint(near.capsule(a, b, ra, rb), Tissue.MUSCLE, over=(Tissue.FAT,))


def _paint_base(face: _Face) -> None:
    """Petrous bones, mastoid air cells, clivus, upper vertebrae around the canal."""
    near = face.near((0, 0, 0), 85.0)
    view = near.view
    petrous = smooth_min(
        near.capsule((56, 12, 12), (16, -10, 18), 8.0, 5.0), near.capsule((54, 14, 8), (53, 13, -4), 10.0, 7.0), 5.0
    )
    view.paint(petrous, Tissue.CORTICAL, Organ.SKULL)
    cells = near.capsule((53, 14, 10), (53, 13, -2), 6.0, 4.0)
    view.paint(cells, Tissue.GAS, over=(Tissue.CORTICAL,))
    clivus = smooth_min(
        near.capsule((0, -6, 2), (0, -30, 26), 7.0, 8.0), near.capsule((18, -2, 0), (17, 8, 0), 6.5, 6.0), 4.0
    )
    view.paint(clivus, Tissue.CORTICAL, Organ.SKULL)
    view.paint(clivus + 2.0, Tissue.DIPLOE, Organ.SKULL)
    bodies = smooth_min(
        near.capsule((0, -8, -16), (0, -4, -110), 10.0, 10.0), near.ellipsoid((0, 8, -8), (36, 12, 8)), 4.0
    )
    view.paint(bodies, Tissue.CORTICAL, Organ.SPINE)
    view.paint(bodies + 1.8, Tissue.CANCELLOUS, Organ.SPINE)
    canal = near.capsule((0, 12, 12), (0, 16, -110), 11.0, 9.0)
    view.paint(canal, Tissue.CSF, Organ.NONE)


def _paint_face(face: _Face) -> None:
    """Orbits with eyes, sinuses and nose, mouth, throat."""
    view = face.view
    cells = np.minimum(face.ellipsoid((27, -70, 2), (12.5, 16, 14.5)), face.ellipsoid((0, -36, 19), (12, 11, 9)))
    cells = np.minimum(cells, face.ellipsoid((11, -95, 49), (10, 5, 9)))
    view.paint(cells - 2.0, Tissue.CORTICAL, Organ.SKULL)
    view.paint(cells, Tissue.GAS)
    labyrinth = smooth_max(smooth_max(face.u - 12, np.abs(face.v + 68) - 20, 4.0), np.abs(face.w - 26) - 11, 4.0)
    view.paint(labyrinth, Tissue.WALL)
    view.paint(np.maximum(labyrinth + 1.5, 2.6 - 6 * np.abs(np.sin(face.v / 6.5 + 0.09 * face.w))), Tissue.GAS)
    cavity = smooth_max(smooth_max(face.u - 12, np.abs(face.v + 72) - 31, 6.0), np.abs(face.w - 5) - 13, 6.0)
    view.paint(cavity - 1.0, Tissue.CORTICAL, Organ.SKULL)
    view.paint(cavity, Tissue.GAS)
    shelves = np.minimum(
        face.capsule((8.5, -96, -2), (8.5, -50, 0), 3.0, 4.4), face.capsule((8, -90, 9), (8, -50, 9), 3.4)
    )
    view.paint(np.minimum(shelves, np.maximum(face.u - 1.2, cavity)), Tissue.WALL)
    view.paint(face.ellipsoid((0, -62, -32), (23, 32, 19)), Tissue.MUSCLE)
    view.paint(face.capsule((0, -30, 4), (0, -26, -60), 9.0, 8.0), Tissue.GAS)
    cone = face.capsule((33, -78, 30), (14, -42, 27), 19.0, 5.0)
    view.paint(smooth_max(cone - 2.2, -92 - face.v, 3.0), Tissue.CORTICAL, Organ.SKULL)
    view.paint(cone, Tissue.FAT, Organ.NONE)
    straight = np.minimum(
        face.capsule((43, -80, 31), (15, -44, 27), 2.0), face.capsule((21, -80, 31), (12, -44, 27), 2.0)
    )
    straight = np.minimum(straight, face.capsule((32, -80, 42), (14, -44, 29), 2.0))
    straight = np.minimum(straight, face.capsule((32, -80, 20), (14, -44, 25), 2.0))
    view.paint(straight, Tissue.MUSCLE, over=(Tissue.FAT,))
    view.paint(face.capsule((31, -76, 31), (13, -42, 27), 2.2), Tissue.NERVE)
    globe = face.ellipsoid((32, -86, 31), (12.4, 12.4, 12.4))
    view.paint(globe, Tissue.WALL)
    view.paint(globe + 1.3, Tissue.FLUID)
    view.paint(face.ellipsoid((32, -94, 31), (4.4, 2.2, 4.4)), Tissue.CARTILAGE)
