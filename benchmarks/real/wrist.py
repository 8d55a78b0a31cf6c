"""Biplane radiographs of a wrist and the CT of its radius, with calibrated cameras: the Autoscoper sample.

Cameras are those of OpenCV, x = K (R X + t) with v downwards: so read, most of the beads on the skin lie within a pixel
(0.15 mm) of another's epipolar line, and with v upwards they do not. No pose comes with the sample; :data:`REFERENCES`
holds what :mod:`benchmarks.real.wrist_reference` found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.frames import case_generator, move_subject, random_rigid
from regenv.data.pair import ImagePair, Truth
from regenv.errors import DataError

FOLDER = "autoscoper_wrist"
FRAMES = ("0002", "0099", "0158")
SPACING_MM = (0.39625, 0.39625, 0.625)
"""Of the bone volumes, by the sample's viewer; the files' own headers hold print resolutions."""

REFERENCES: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "0002": (
        (-0.956010, -0.013429, 0.293025, 83.031754),
        (0.290762, -0.175365, 0.940588, -74.335838),
        (0.038755, 0.984412, 0.171555, -173.357006),
    ),
    "0099": (
        (-0.995222, 0.016946, 0.096161, 97.060497),
        (0.095089, -0.055517, 0.993919, -91.078770),
        (0.022182, 0.998314, 0.053641, -164.404439),
    ),
    "0158": (
        (-0.995079, 0.019778, 0.097093, 95.401196),
        (0.096113, -0.045599, 0.994325, -93.815063),
        (0.024093, 0.998764, 0.043474, -163.087140),
    ),
}
"""For each frame the first three rows of the matrix from world points to points of the radius's CT, mm.

Fitted by :mod:`benchmarks.real.wrist_reference`: other starts lead to within 0.15, 0.09 and 0.07 mm of them, and each
view alone, across its line of sight, to within 0.16 and 0.37, 0.28 and 0.25, 0.16 and 0.35 mm."""

View = tuple[Camera, NDArray[np.float32], NDArray[np.bool_]]
"""A camera, what it saw (log attenuation) and which of its pixels were exposed."""

MAGNIFICATION = 1.5
"""Detectors are put this many times as far from the source as the bone. The calibration says nothing of where they
stood, and it changes nothing but what a millimetre on the detector is."""


@dataclass(frozen=True)
class Calibration:
    """A pinhole: pixel = K (R X + t)."""

    matrix: FloatArray
    rotation: FloatArray
    shift: FloatArray

    @property
    def source(self) -> FloatArray:
        """Where the X-ray source stands."""
        return np.asarray(-self.rotation.T @ self.shift)

    def ray(self, pixel: Sequence[float]) -> FloatArray:
        """Direction of the line of sight, of length 1 along the camera's axis."""
        return np.asarray(self.rotation.T @ np.linalg.inv(self.matrix) @ np.array([*pixel, 1.0]))

    def pixel(self, point: FloatArray) -> FloatArray:
        """Where a world point is seen."""
        seen = self.matrix @ (self.rotation @ point + self.shift)
        return np.asarray(seen[:2] / seen[2])

    def depth(self, point: FloatArray) -> float:
        """Distance of a point from the source along the camera's axis."""
        return float((self.rotation @ point + self.shift)[2])


def read_calibration(path: Path) -> Calibration:
    """Reads a MayaCam 2.0 file."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        rows = [[float(x) for x in line.split(",")] for line in lines[4:7] + lines[9:12] + lines[14:17]]
        return Calibration(np.array(rows[:3]), np.array(rows[3:6]), np.array(rows[6:9])[:, 0])
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path} is no MayaCam 2.0 calibration ({error})") from error


def view_of(
    calibration: Calibration, picture: NDArray[np.float32], centre: FloatArray, width_mm: float, binning: int
) -> View:
    """A square part of a radiograph about a world point, as a camera sees it.

    Args:
        calibration: Of its camera.
        picture: ``(H, W)`` grey values, 0..255.
        centre: ``(3,)``, in the middle of the part, and the camera's isocentre.
        width_mm: Of the part, in the plane of the centre.
        binning: Pixels that are averaged along each axis.

    Returns:
        Camera, log attenuation, and whether a pixel was exposed.
    """
    depth = calibration.depth(centre)
    focal = np.diag(calibration.matrix)[:2]
    middle = calibration.pixel(centre)
    n = int(np.ceil(width_mm / depth * focal[0] / binning))
    first = np.floor(middle - n * binning / 2).astype(int)
    pad = max(0, *(-first), *(first + n * binning - np.array(picture.shape[::-1])))
    field = ndimage.binary_erosion(ndimage.binary_fill_holes(picture > 8), iterations=12)
    log = -np.log((picture.astype(np.float32) + 1) / 256)
    x, y = first + pad
    part = (slice(y, y + n * binning), slice(x, x + n * binning))

    def binned(array: NDArray[np.float32]) -> NDArray[np.float32]:
        cut = np.pad(array, pad)[part].reshape(n, binning, n, binning)
        return np.asarray(cut.mean((1, 3)), dtype=np.float32)

    distance = MAGNIFICATION * depth
    corner = first + (binning - 1) / 2
    origin = calibration.source + distance * calibration.ray(corner)
    grid = Grid((n, n, 1), (*(distance / focal * binning), 1.0), tuple(origin), calibration.rotation.T)
    seen = binned(field.astype(np.float32)) > 0.99
    return Camera(calibration.source, grid, centre), np.where(seen, binned(log), 0).astype(np.float32), seen


def read_picture(path: Path) -> NDArray[np.float32]:
    """A radiograph's grey values, or the slices of a volume."""
    import SimpleITK as sitk

    try:
        return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), dtype=np.float32)
    except RuntimeError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def read_bone(data: Path, name: str = "rad", mirrored: bool = False) -> Image:
    """The CT of one bone, everything else cut away, in Hounsfield units; about the middle of its box.

    Its grey values begin at 0 for air, so that 1000 is taken off.
    """
    array = read_picture(data / FOLDER / "ct" / f"{name}_dcm_cropped.tif") - 1000
    grid = Grid.centred(array.shape[::-1], SPACING_MM)
    return Image(array[:, :, ::-1] if mirrored else array, grid, "ct", -1000.0)


def read_views(data: Path, frame: str, centre: FloatArray, width_mm: float, binning: int) -> list[View]:
    """Both radiographs of a frame, see :func:`view_of`."""
    folder = data / FOLDER
    return [
        view_of(
            read_calibration(folder / f"xr_calib_wrist_cam0{c}.txt"),
            read_picture(folder / "xray" / f"xr_rad_uln_cam0{c}_UND.{frame}.tif"),
            *(centre, width_mm, binning),
        )
        for c in (1, 2)
    ]


def box_corners(grid: Grid) -> FloatArray:
    """The eight corners of a volume's box, outermost voxel centres, ``(8, 3)`` mm."""
    last = np.asarray(grid.size) - 1
    corners = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3) * last
    return transform_points(grid.index_to_physical, corners)


class WristDataset:
    """Pairs of both radiographs of a frame and the CT of the radius, each case with a random frame of the CT.

    Args:
        data: Holds ``autoscoper_wrist/``.
        cases: Cases of each frame.
        width_mm: Of the radiographs that are shown, about the wrist.
        binning: Pixels of the radiographs that are averaged along each axis.

    Attributes:
        name: ``"wrist"``.
        split: ``"validation"``.
        ndim: 3.
        ids: ``"0002#0"``, ...
        subjects: All the same.
    """

    name, split, ndim = "wrist", "validation", 3

    def __init__(self, data: Path, cases: int = 1, width_mm: float = 192.0, binning: int = 6) -> None:
        self._data, self._width_mm, self._binning = data, width_mm, binning
        self._keys = [(frame, k) for frame in FRAMES for k in range(cases)]
        self.ids = tuple(f"{frame}#{k}" for frame, k in self._keys)
        self.subjects = ("wrist",) * len(self.ids)
        self._memory: dict[str, ImagePair] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int) -> ImagePair:
        """Pair ``index``."""
        frame, k = self._keys[index]
        if frame not in self._memory:
            self._memory[frame] = wrist_pair(self._data, frame, self._width_mm, self._binning)
        pair = self._memory[frame]
        motion = random_rigid(pair.moving.grid.centre, case_generator("wrist", frame, k))
        return replace(move_subject(pair, motion), id=self.ids[index])


def wrist_pair(data: Path, frame: str, width_mm: float, binning: int) -> ImagePair:
    """Both radiographs of a frame and the CT of the radius, which the reference poses.

    The radiographs are cut out about, and poses turn about, the middle of the posed bone to the nearest centimetre.
    """
    bone = read_bone(data)
    pose = np.vstack([REFERENCES[frame], [0.0, 0.0, 0.0, 1.0]])
    middle = np.round(transform_points(np.linalg.inv(pose), bone.grid.centre), -1)
    views = read_views(data, frame, middle, width_mm, binning)
    n = min(log.shape[0] for _, log, _ in views)  # the two scales differ by a pixel or two
    cameras = tuple(replace(camera, grid=camera.grid.crop((0, 0, 0), (n, n, 1))) for camera, _, _ in views)
    first = cameras[0].grid
    corners = box_corners(bone.grid)
    return ImagePair(
        frame,
        "wrist",
        Image(
            np.stack([log[:n, :n] for _, log, _ in views]),
            Grid((n, n, 2), first.spacing, first.origin, first.direction),
            "xray",
        ),
        bone,
        np.stack([seen[:n, :n] for _, _, seen in views]),
        None,
        Truth(pose, points_fixed=transform_points(np.linalg.inv(pose), corners), points_moving=corners),
        cameras=cameras,
    )
