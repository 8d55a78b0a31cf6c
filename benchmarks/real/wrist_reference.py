"""The reference poses of the wrist: both views of a frame fitted together, from clicks.

    python -m benchmarks.real.wrist_reference DATA

No pose comes with the radiographs, so each frame's is made in three steps:

1. The middle of the radius's joint surface and a point of its shaft were clicked in both views (:data:`CLICKS`); where
   their rays meet gives the bone's position and axis.
2. Turns about that axis are tried in steps of 10 degrees, and three shifts along it.
3. Starts at least 20 degrees apart are refined by the Nelder-Mead method on the gradient correlation of both views
   within the bone's outline, at pixels of 1.2 mm, the best three of them at 0.6 and 0.3 mm.

Printed are the pose, the distance to the nearest pose that another start led to, and how far each view alone, fitted
from the pose found together, moves the corners of the bone's box across its line of sight: the biplane consistency.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from benchmarks.real.wrist import (
    FOLDER,
    FRAMES,
    Calibration,
    View,
    box_corners,
    read_bone,
    read_calibration,
    read_views,
)
from regenv.core.geometry import FloatArray, transform_points
from regenv.core.image import Image
from regenv.core.projection import attenuation, radiograph
from regenv.poses import get_model

CLICKS = {
    "0002": (((880, 1215), (930, 1600)), ((590, 1195), (570, 1600))),
    "0099": (((840, 1195), (888, 1600)), ((705, 1190), (637, 1600))),
    "0158": (((828, 1180), (880, 1600)), ((705, 1180), (637, 1600))),
}
"""For each frame and camera: pixels of the middle of the radius's joint surface, and of the middle of its shaft."""


WIDTH_MM = 100.0
APART_DEG = 20.0


def where_rays_meet(cameras: Sequence[Calibration], pixels: Sequence[Sequence[float]]) -> tuple[FloatArray, float]:
    """The point nearest to all lines of sight, and its RMS distance from them in mm."""
    normal, right = np.zeros((3, 3)), np.zeros(3)
    lines = []
    for camera, pixel in zip(cameras, pixels, strict=True):
        along = camera.ray(pixel) / np.linalg.norm(camera.ray(pixel))
        across = np.eye(3) - np.outer(along, along)
        normal, right = normal + across, right + across @ camera.source
        lines.append((across, camera.source))
    point = np.linalg.solve(normal, right)
    return point, float(np.sqrt(np.mean([((across @ (point - source)) ** 2).sum() for across, source in lines])))


def agreement(view: View, bone: Image, pose: FloatArray) -> float:
    """Gradient correlation of a radiograph and that of the bone, within the bone's outline and two pixels around it."""
    camera, seen_log, seen = view
    made, _ = radiograph(bone, camera, pose)
    if made.max() <= 0:
        return 0.0
    within = ndimage.binary_dilation(made > 0.05 * made.max(), iterations=2) & seen
    if np.count_nonzero(within) < 20:
        return 0.0
    values = []
    for order in ((1, 0), (0, 1)):
        a, b = (ndimage.gaussian_filter(image, 1.0, order=order)[within] for image in (made, seen_log))
        values.append(float(np.corrcoef(a, b)[0, 1]))
    return float(np.mean(values))


def refined(views: Sequence[View], bone: Image, pose: FloatArray, centre: FloatArray, reach: float) -> FloatArray:
    """The pose at the nearest optimum of the mean agreement of the views.

    Args:
        views: Radiographs.
        bone: Attenuation.
        pose: World to volume, where to begin.
        centre: ``(3,)``, about which it is turned.
        reach: Size of the first simplex in mm, and half its size in degrees.
    """
    model, frame = get_model("rigid", 3), np.eye(4)
    frame[:3, 3] = centre

    def moved(by: NDArray[np.float64]) -> FloatArray:
        return np.asarray(pose @ frame @ model.exp(by[None])[0] @ np.linalg.inv(frame))

    for size in (reach, reach / 2, reach / 2):
        found = optimize.minimize(
            lambda by: -np.mean([agreement(view, bone, moved(by)) for view in views]),
            np.zeros(6),
            method="Nelder-Mead",
            options={
                "maxfev": 400,
                "xatol": 0.02,
                "fatol": 1e-5,
                "initial_simplex": np.vstack([np.zeros(6), np.diag([size] * 3 + [2 * size] * 3)]),
            },
        )
        pose = moved(found.x)
    return pose


def coarse_poses(
    views: Sequence[View], bone: Image, joint: FloatArray, along: FloatArray
) -> list[tuple[float, float, FloatArray]]:
    """Agreement, angle and pose for turns about the bone's axis, best first.

    Args:
        views: Radiographs.
        bone: Attenuation; its first slices hold the joint surface.
        joint: ``(3,)`` world position of the joint surface.
        along: ``(3,)`` from there down the shaft, of length 1.
    """

    def middle(slices: slice) -> FloatArray:
        z, y, x = np.nonzero(bone.array[slices] > 0)
        index = np.array([x.mean(), y.mean(), z.mean() + slices.start])
        return transform_points(bone.grid.index_to_physical, index)

    top, bottom = middle(slice(2, 20)), middle(slice(100, 112))
    axis = (bottom - top) / np.linalg.norm(bottom - top)
    upright, _ = Rotation.align_vectors([axis], [along])
    poses = []
    for angle in range(0, 360, 10):
        for shift in (0.0, 6.0, 12.0):
            pose = np.eye(4)
            pose[:3, :3] = (Rotation.from_rotvec(np.deg2rad(angle) * axis) * upright).as_matrix()
            pose[:3, 3] = top - pose[:3, :3] @ (joint + along * shift)
            poses.append((float(np.mean([agreement(view, bone, pose) for view in views])), float(angle), pose))
    return sorted(poses, key=lambda found: -found[0])


def distance(pose: FloatArray, other: FloatArray, bone: Image, line: FloatArray | None = None) -> float:
    """Mean distance in mm of the corners of the bone's box in the world, across a line of sight where one is given."""
    corners = box_corners(bone.grid)
    apart = transform_points(np.linalg.inv(pose), corners) - transform_points(np.linalg.inv(other), corners)
    if line is not None:
        apart = apart - (apart @ line)[:, None] * line
    return float(np.linalg.norm(apart, axis=1).mean())


def fit(data: Path, frame: str) -> dict[str, object]:
    """Fits one frame.

    Returns:
        ``pose``, ``agreement``, ``repeat_mm`` to the nearest pose that another start led to, ``clicks_mm`` between the
        clicked rays, and ``single_mm`` of each view alone.
    """
    ct = read_bone(data)
    bone = Image(attenuation(ct.array), ct.grid)
    cameras = [read_calibration(data / FOLDER / f"xr_calib_wrist_cam0{c}.txt") for c in (1, 2)]
    met = [where_rays_meet(cameras, [CLICKS[frame][c][k] for c in (0, 1)]) for k in (0, 1)]
    (joint, _), (shaft, _) = met
    along = (shaft - joint) / np.linalg.norm(shaft - joint)
    centre = joint + 35 * along
    coarse, middling, fine = (read_views(data, frame, centre, WIDTH_MM, binning) for binning in (8, 4, 2))
    chosen: list[tuple[float, FloatArray]] = []
    angles: list[float] = []
    for _, angle, pose in coarse_poses(coarse, bone, joint, along):
        if len(angles) < 4 and all(abs((angle - a + 180) % 360 - 180) >= APART_DEG for a in angles):
            angles.append(angle)
            pose = refined(coarse, bone, pose, centre, 3.0)
            chosen.append((float(np.mean([agreement(view, bone, pose) for view in coarse])), pose))
    poses = []
    for _, pose in sorted(chosen, key=lambda found: -found[0])[:3]:
        poses.append(refined(fine, bone, refined(middling, bone, pose, centre, 1.5), centre, 0.75))
    values = [float(np.mean([agreement(view, bone, pose) for view in fine])) for pose in poses]
    best = poses.pop(int(np.argmax(values)))
    alone = [refined([view], bone, best, centre, 0.75) for view in fine]
    lines = [(centre - camera.source) / np.linalg.norm(centre - camera.source) for camera in cameras]
    return {
        "pose": best,
        "agreement": max(values),
        "repeat_mm": min(distance(best, other, bone) for other in poses),
        "clicks_mm": max(miss for _, miss in met),
        "single_mm": [distance(best, pose, bone, line) for pose, line in zip(alone, lines, strict=True)],
    }


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds autoscoper_wrist/")
    given = parser.parse_args(argv)
    for frame in FRAMES:
        found = fit(given.data, frame)
        rows = np.asarray(found.pop("pose"))[:3]
        print(f'"{frame}": (\n' + "".join(f"    ({', '.join(f'{x:.6f}' for x in row)}),\n" for row in rows) + "),")
        print("#", {name: np.round(value, 3).tolist() for name, value in found.items()}, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
