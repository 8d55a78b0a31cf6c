"""A depth image of a patient on a table, and the CT of the torso: rigid, surface to volume.

The fixed image is what a depth camera 1 to 1.5 m above the table sees: the patient bare, in a gown (``"clothed"``:
cloth 3 to 15 mm off the skin, with folds), or partly under a ``"blanket"`` that bridges what lies below. The moving
image is a CT; its depth at -400 HU is its skin. The setting is that of Ma et al., MICCAI 2017.

The world is the room: isocentre at 0 within the patient, x to the patient's left, y to the floor, z to the head, but
for how the patient lies: up to 60 mm off and up to 20 degrees turned on the table, a few degrees rolled and propped.

The camera's grid is the plane through the isocentre, 128 x 128 pixels of 5 mm, so that a millimetre of a view is about
one on the patient: 96 pixels of 6 mm show the torso. The fixed mask is where the patient is, clothed or covered or
not, and the CT reaches. Its lattice would be no points of the body, so the points of the TRE are given: a lattice of
the CT's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.core.points import lattice_points
from regenv.core.projection import depth_image
from regenv.data.frames import case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.patient import Patient, Retake
from regenv.synthesis.physics.common import AIR_HU, hounsfield
from regenv.synthesis.physics.depth import depth_camera, draw_sensor
from regenv.synthesis.recipe import Recipe

VERSION = 2
SKIN_HU = -400.0
PIXELS, PITCH_MM = 128, 5.0
_ANATOMY_MM = 4.0
_GOES_ON_MM = 280.0  # the patient, above and below what was painted
_SIDE_MM = 120.0  # room for a blanket beside the patient
_CLOSING_MM = 20.0  # hollows that cloth spans
_FLOOR_MM = 750.0  # below the table

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Table:
    """A flat table: a point of its surface, its normal (to the floor) and axes across and along, in the world."""

    point: FloatArray
    axes: FloatArray
    half_width: float

    def distance(self, source: FloatArray, way: FloatArray, below: float = 0.0) -> FloatArray:
        """Along rays ``(H, W, 3)`` to the surface, or to a plane ``below`` it; infinite beside the table's edge."""
        normal = self.axes[:, 1]
        with np.errstate(divide="ignore"):
            t = ((self.point + below * normal - source) @ normal) / (way @ normal)
        across = (source + t[..., None] * way - self.point) @ self.axes[:, 0]
        on = (t > 0) & ((np.abs(across) < self.half_width) | (below > 0))
        return np.where(on, t, np.inf)


def make(seed: int, modalities: tuple[str, str], field_of_view: str) -> ImagePair:
    """Builds an anatomy, scans it, and looks at it from above.

    Args:
        seed: The patient.
        modalities: ``("depth", "ct")``.
        field_of_view: ``"bare"``, ``"clothed"`` or ``"blanket"``.

    Returns:
        The pair: the world is the room, the moving image in the patient's own space, the true transform exact.
    """
    return make_with_patient(seed, modalities, field_of_view)[0]


def make_with_patient(seed: int, modalities: tuple[str, str], field_of_view: str) -> tuple[ImagePair, Patient]:
    """As :func:`make`, with whom the depth image was taken of."""
    from regenv.synthesis.anatomy.torso import torso

    anatomy = torso(seed, _ANATOMY_MM, "torso")
    rng = case_generator("depth_surface", seed, field_of_view)
    hu = hounsfield(anatomy)
    camera = draw_camera(rng)
    world_to_patient = _lie_down(anatomy, rng)
    patient = _draw_table(anatomy, hu, rng)
    fixed, fixed_mask = take(patient, (camera,), world_to_patient, field_of_view, rng)
    moving = _ct(hu, rng)
    truth = _truth(anatomy, moving.grid, world_to_patient)
    pair = ImagePair("", "", fixed, moving, fixed_mask, moving.array > SKIN_HU, truth, cameras=(camera,))
    return pair, patient


def take(
    patient: Patient,
    cameras: tuple[Camera, ...],
    world_to_patient: FloatArray,
    field_of_view: str,
    rng: np.random.Generator,
) -> tuple[Image, NDArray[np.bool_]]:
    """A depth image of a patient on a table, by a sensor that is drawn, and where it shows what the CT shows.

    Args:
        patient: Its point is one of the table's surface, its number half the table's width.
        cameras: The camera.
        world_to_patient: ``(4, 4)``.
        field_of_view: What the patient wears or lies under, which is drawn.
        rng: Draws cover, sensor and noise.
    """
    (camera,), hu = cameras, patient.hu
    table = _table(patient, world_to_patient)
    skin = _patient_goes_on(hu)
    bare, on_skin = depth_image(skin, camera, SKIN_HU, world_to_patient)
    surface, on_surface = bare, on_skin
    if field_of_view != "bare":
        cover = _gown(skin, rng) if field_of_view == "clothed" else _blanket(skin, table, world_to_patient, rng)
        covered, on_cover = depth_image(cover, camera, 0.0, world_to_patient)
        surface = np.where(on_cover, np.where(on_skin, np.minimum(covered, bare), covered), bare)
        on_surface = on_skin | on_cover
    way = camera.grid.points()[0] - camera.source
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    scene = np.where(on_surface, surface, np.inf)
    behind = np.minimum(table.distance(camera.source, way), table.distance(camera.source, way, _FLOOR_MM))
    before = scene < behind
    scene = np.minimum(scene, behind)
    seen = np.isfinite(scene)
    nearest = float(scene[before].min())
    # the working range ends above the floor
    fixed = depth_camera(np.where(seen, scene, 0), seen & (scene < nearest + 600), camera, rng, draw_sensor(rng))
    inside = _in_scan(camera.source + bare[..., None] * way, hu.grid, world_to_patient) & on_skin & before
    return fixed, inside[None] & (fixed.array > 0)


def draw_camera(rng: np.random.Generator) -> Camera:
    """A camera 1 to 1.5 m above the isocentre at 0, tilted by up to 18 degrees."""
    from regenv.synthesis.anatomy.shapes import rotation

    # columns: u to the patient's left, v to the feet, n = u x v to the floor
    upright = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    upright[:, 2] = np.cross(upright[:, 0], upright[:, 1])
    axes = rotation(rx=float(rng.uniform(-18, 18)), rz=float(rng.uniform(-18, 18))) @ upright
    axes = axes @ rotation(rz=float(rng.uniform(-12, 12)))
    grid = Grid.centred((PIXELS, PIXELS, 1), (PITCH_MM, PITCH_MM, PITCH_MM), None, axes)
    return Camera(-float(rng.uniform(1000, 1500)) * axes[:, 2], grid, np.zeros(3))


def _lie_down(anatomy: Anatomy, rng: np.random.Generator) -> FloatArray:
    """World to patient ``(4, 4)``; the middle of the body comes to lie near the isocentre."""
    from regenv.synthesis.anatomy.shapes import rotation

    turn = rotation(rx=float(rng.uniform(-6, 6)), ry=float(rng.uniform(-20, 20)), rz=float(rng.uniform(-7, 7)))
    middle = np.array([anatomy.grid.origin[axis] + 0.5 * anatomy.grid.extent[axis] for axis in range(3)])
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = middle - turn @ (rng.uniform(-1, 1, 3) * [60.0, 40.0, 60.0])
    return matrix


def _draw_table(anatomy: Anatomy, hu: Image, rng: np.random.Generator) -> Patient:
    """The patient, with a table under the back, level with the patient, who presses into its mattress by some mm."""
    back = [int(np.flatnonzero(rows)[-1]) for rows in np.asarray(anatomy.body.any(axis=2)) if rows.any()]
    y = anatomy.grid.origin[1] + anatomy.grid.spacing[1] * float(np.quantile(back, 0.9)) - rng.uniform(0, 12)
    middle = anatomy.grid.centre
    return Patient(hu, np.array([[middle[0], y, middle[2]]]), np.array([rng.uniform(240, 320)]))


def _table(patient: Patient, world_to_patient: FloatArray) -> _Table:
    """The table that a patient lies on, in the world."""
    to_world: FloatArray = np.linalg.inv(world_to_patient).astype(np.float64)
    return _Table(transform_points(to_world, patient.points[0]), to_world[:3, :3], float(patient.numbers[0]))


def _patient_goes_on(hu: Image) -> Image:
    """CT numbers, the end slices held below; shoulders, raised arms and a head above; air around for a cover."""
    layers, side = int(_GOES_ON_MM / hu.grid.spacing[2]), int(_SIDE_MM / hu.grid.spacing[0])
    front = int(60 / hu.grid.spacing[1])
    array = np.pad(hu.array, ((layers, layers), (0, 0), (0, 0)), mode="edge")
    _put_head(array[-layers:], np.asarray(hu.grid.spacing))
    array = np.pad(array, ((0, 0), (front, 0), (side, side)), constant_values=AIR_HU)
    origin = transform_points(hu.grid.index_to_physical, np.array([-side, -front, -layers], dtype=float))
    return Image(array, Grid(array.shape[::-1], hu.grid.spacing, tuple(origin), hu.grid.direction), "ct", AIR_HU)


def _put_head(above: Floats, spacing: FloatArray) -> None:
    """Changes what was held above the shoulders: the arms go on, between them a head."""
    rows, columns = np.nonzero(above[0] > SKIN_HU)
    z, y, x = (np.arange(n) * s for n, s in zip(above.shape, spacing[::-1], strict=True))
    x, y = x - columns.mean() * spacing[0], y - np.quantile(rows, 0.6) * spacing[1]
    between = (z[:, None, None] > 50) & (np.abs(x) < 95)[None, None]
    above[np.broadcast_to(between, above.shape)] = AIR_HU
    radius = np.sqrt((x / 78) ** 2 + (y[:, None] / 98) ** 2 + ((z[:, None, None] - 120) / 122) ** 2)
    above[:] = np.maximum(above, np.clip(40 - 1040 * (radius - 1) / 0.06, AIR_HU, 40))


def _gown(skin: Image, rng: np.random.Generator) -> Image:
    """Millimetres inside a gown: it spans hollows and lies 3 to 15 mm off the skin, with folds."""
    from scipy.ndimage import distance_transform_edt

    voxel = skin.grid.spacing[0]
    side = int(_CLOSING_MM / voxel) + 2
    body = skin.array > SKIN_HU
    first = int(np.flatnonzero(body.any(axis=(0, 1)))[0]) - side
    last = int(np.flatnonzero(body.any(axis=(0, 1)))[-1]) + side + 1
    layers = int(_GOES_ON_MM / voxel) - side
    part = body[layers:-layers, :, first:last]  # held slices are alike: one margin of them is enough
    around = distance_transform_edt(~part) * voxel <= _CLOSING_MM
    inside = distance_transform_edt(around) * voxel - _CLOSING_MM - voxel / 2
    gap = _cloth(skin.grid, rng)[layers:-layers, None, first:last]
    cover = np.full(body.shape, -100.0, np.float32)
    cover[layers:-layers, :, first:last] = inside + gap
    cover[:layers] = cover[layers]
    # the neckline: deepest in the middle
    top = body.shape[0] - _GOES_ON_MM / voxel - rng.uniform(5, 60) / voxel
    x = np.abs(np.arange(body.shape[2]) - (body.shape[2] - 1) / 2) * voxel
    neckline = top + np.minimum(x, 110.0) * rng.uniform(0.1, 0.6) / voxel
    cover[np.broadcast_to((np.arange(body.shape[0])[:, None] > neckline)[:, None], body.shape)] = -100.0
    return Image(cover, skin.grid, "unknown", -100.0)


def _cloth(grid: Grid, rng: np.random.Generator) -> Floats:
    """How far cloth lies off, seen from above, ``(z, x)`` mm: smooth, 3 to 15 mm, and some folds on top."""
    from scipy.ndimage import gaussian_filter

    nz, nx = grid.shape[0], grid.shape[2]
    smooth = gaussian_filter(rng.standard_normal((nz, nx)), rng.uniform(45, 90) / grid.spacing[0])
    low, high = smooth.min(), smooth.max()
    top = float(rng.uniform(9, 15))
    gap = 3 + (top - 3) * ((smooth - low) / (high - low)) ** 2
    z, x = np.meshgrid(*(np.arange(n) * s for n, s in ((nz, grid.spacing[2]), (nx, grid.spacing[0]))), indexing="ij")
    for _ in range(int(rng.integers(4, 11))):
        start = np.array([rng.uniform(0.2, 0.8) * z.max(), rng.uniform(0.25, 0.75) * x.max()])
        angle, length = rng.uniform(0, np.pi), rng.uniform(60, 220)
        along = (z - start[0]) * np.cos(angle) + (x - start[1]) * np.sin(angle)
        across = (x - start[1]) * np.cos(angle) - (z - start[0]) * np.sin(angle)
        across += rng.uniform(4, 15) * np.sin(along / rng.uniform(30, 60) + rng.uniform(0, 6))
        ridge = np.exp(-0.5 * (across / rng.uniform(6, 11)) ** 2 - 0.5 * (along / (length / 2)) ** 2)
        gap += rng.uniform(3, 9) * ridge
    return gap.astype(np.float32)


def _blanket(skin: Image, table: _Table, world_to_patient: FloatArray, rng: np.random.Generator) -> Image:
    """Millimetres under a blanket that is spread over the legs and up to somewhere on the chest."""
    from scipy.ndimage import gaussian_filter, grey_dilation

    grid = skin.grid
    voxel = grid.spacing[0]
    body = skin.array > SKIN_HU
    y = grid.origin[1] + grid.spacing[1] * np.arange(grid.size[1])
    table_y = transform_points(world_to_patient, table.point)[1]
    # the front of what lies below, as height over the table
    height = np.where(body.any(axis=1), table_y - y[body.argmax(axis=1)], 0.0).clip(0)
    coarse = height[::2, ::2]
    reach = int(90 / (2 * voxel))
    i, j = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    fall = -float(rng.uniform(0.8, 1.6)) * 2 * voxel * np.hypot(i, j)
    sheet = grey_dilation(coarse, structure=fall, mode="nearest")
    sheet = np.maximum(gaussian_filter(sheet, 14 / (2 * voxel)), coarse)
    sheet = sheet.repeat(2, axis=0).repeat(2, axis=1)[: height.shape[0], : height.shape[1]]
    sheet = gaussian_filter(sheet, 1.5) + _cloth(grid, rng)
    z, x = np.meshgrid(*(np.arange(n) * s for n, s in ((grid.size[2], voxel), (grid.size[0], voxel))), indexing="ij")
    middle = grid.extent[2] / 2 + float(rng.uniform(-110, 60))
    edge = middle + float(rng.uniform(-0.35, 0.35)) * (x - x.max() / 2)
    edge += 12 * np.sin(x / float(rng.uniform(35, 60)) + float(rng.uniform(0, 6)))
    sheet = np.where(z < edge, sheet, -60.0)
    cover = (sheet[:, None, :] - (table_y - y)[None, :, None]).astype(np.float32)
    return Image(np.maximum(cover, -100), grid, "unknown", -100.0)


def _in_scan(points: FloatArray, grid: Grid, world_to_patient: FloatArray) -> NDArray[np.bool_]:
    """Which world points lie between the ends of what was scanned."""
    z = transform_points(grid.physical_to_index @ world_to_patient, points)[..., 2]
    return np.asarray((z > 3) & (z < grid.size[2] - 4))


def _ct(hu: Image, rng: np.random.Generator) -> Image:
    """A planning CT of the whole torso, its table taken out as is usual before surfaces are used."""
    from regenv.synthesis.physics.common import resample_blurred
    from regenv.synthesis.physics.ct import with_noise

    inplane, thickness = float(rng.uniform(3.0, 4.0)), float(rng.uniform(3.0, 5.0))
    # air around the body at the sides, the body cut above and below
    extent = hu.grid.extent + np.array([30.0, 40.0, -2 * thickness])
    size = [int(n) for n in extent / np.array([inplane, inplane, thickness])]
    grid = Grid.centred(size, (inplane, inplane, thickness), hu.grid.centre)
    seen = resample_blurred(hu, grid, fwhm_mm=float(rng.uniform(0.8, 1.8)), slice_mm=thickness)
    return with_noise(seen, rng, (5.0, 14.0))


def _truth(anatomy: Anatomy, moving: Grid, world_to_patient: FloatArray) -> Truth:
    from regenv.core.labels import label_resample
    from regenv.synthesis.anatomy.tissues import ORGAN_NAMES

    back = np.linalg.inv(world_to_patient)
    points = lattice_points(anatomy.body, anatomy.grid)
    landmarks = np.array(list(anatomy.landmarks.values()))
    return Truth(
        transform=world_to_patient,
        landmarks_fixed=transform_points(back, landmarks),
        landmarks_moving=landmarks,
        landmark_names=tuple(anatomy.landmarks),
        labels_moving=label_resample(anatomy.organ, anatomy.grid, moving),
        label_names=ORGAN_NAMES,
        points_fixed=transform_points(back, points),
        points_moving=points,
    )


RECIPE = Recipe(
    name="depth_surface",
    version=VERSION,
    modalities=("depth", "ct"),
    fields_of_view=("bare", "clothed", "blanket"),
    make=make,
    crop_fixed=0.0,
    crop_moving=0.05,
    retake=Retake(make_with_patient, take),
)
