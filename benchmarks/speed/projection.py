"""A digitally reconstructed radiograph: ours against DiffDRR 0.6.1, one thread each.

The volume is 128 x 128 x 128 voxels of 2 mm, the detector 128 x 128 pixels of 3 mm, 1,100 mm from the source. DiffDRR
is given what helps it: gradients are off, and its lengths, rays and renderer are called as ``diffdrr.drr.DRR`` calls
them, without the module around them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.timing import Timing, interleaved, ratio_table
from regenv.core.camera import Camera, detector_planes, index_rays
from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.projection import project
from regenv.core.resample import array_addresses
from regenv.poses import get_model

SIZE, PITCH, DISTANCE = 128, 3.0, 1100.0
INSTALL = "not installed (`pip install --no-deps diffdrr==0.6.1 fastcore einops`)"

Radiograph = Callable[[], NDArray[np.floating]]


@dataclass(frozen=True)
class Task:
    """A volume, and the pose of a C-arm whose source at the origin looks along z, ``(4, 4)`` to the world."""

    volume: Image
    pose: NDArray[np.float64]


def make_task() -> Task:
    """A body of smooth attenuation with texture, seen obliquely."""
    grid = Grid.centred((SIZE,) * 3, (2.0, 2.0, 2.0))
    z, y, x = (np.linspace(-1, 1, SIZE, dtype=np.float32) for _ in range(3))
    body = np.exp(-(((x / 0.8) ** 2 + (y[:, None] / 0.6) ** 2 + (z[:, None, None] / 0.9) ** 2) ** 2))
    texture = 1 + 0.2 * np.sin(9 * x) * np.cos(8 * y)[:, None] * np.sin(7 * z)[:, None, None]
    pose = get_model("rigid", 3).exp(np.array([[5.0, -4.0, 3.0, 80.0, 12.0, -9.0]]))[0]
    pose[:3, 3] -= 700 * pose[:3, 2]
    return Task(Image((0.02 * body * texture).astype(np.float32), grid), pose)


def regenv_project(task: Task) -> Radiograph:
    """Joseph's method, one thread."""
    pose = task.pose
    axes = np.stack([pose[:3, 0], -pose[:3, 1], -pose[:3, 2]], axis=1)
    grid = Grid.centred((SIZE, SIZE, 1), (PITCH, PITCH, 1.0), pose[:3, 3] + DISTANCE * pose[:3, 2], axes)
    camera = Camera(pose[:3, 3], grid, pose[:3, 3] + 700 * pose[:3, 2])
    addresses, shapes = array_addresses([task.volume.array])
    spacings = np.array([task.volume.grid.spacing])
    out, valid = np.empty((1, 1, SIZE, SIZE), np.float32), np.empty((1, 1, SIZE, SIZE), np.uint8)

    def call() -> NDArray[np.floating]:
        sources, planes = index_rays(camera, detector_planes(camera), task.volume.grid.physical_to_index[None])
        project(addresses, shapes, spacings, sources[:, None], planes, out, valid, threads=1)
        return out[0, 0]

    return call


def diffdrr(task: Task, renderer: str, **keywords: int) -> Radiograph:
    """DiffDRR's detector and one of its renderers, float32, one thread.

    Raises:
        ImportError: If torch or DiffDRR is missing.
    """
    import torch
    from diffdrr.detector import Detector
    from diffdrr.pose import RigidTransform
    from diffdrr.renderers import Siddon, Trilinear

    torch.set_num_threads(1)
    render = {"siddon": Siddon, "trilinear": Trilinear}[renderer]()
    detector = Detector(DISTANCE, SIZE, SIZE, PITCH, PITCH, 0.0, 0.0, torch.eye(4), reverse_x_axis=False)
    density = torch.from_numpy(task.volume.array).permute(2, 1, 0).contiguous()
    to_index = RigidTransform(torch.tensor(task.volume.grid.physical_to_index, dtype=torch.float32)[None])
    pose = RigidTransform(torch.tensor(task.pose, dtype=torch.float32)[None])

    def call() -> NDArray[np.floating]:
        with torch.no_grad():
            source, target = detector(pose, None)
            lengths = (target - source).norm(dim=-1).unsqueeze(1)
            image = render(density, to_index(source), to_index(target), lengths, **keywords)
        return np.asarray(image.reshape(SIZE, SIZE).numpy())

    return call


CONTENDERS: dict[str, Callable[[Task], Radiograph]] = {
    "regenv, Joseph": regenv_project,
    "DiffDRR, Siddon (its default)": lambda task: diffdrr(task, "siddon"),
    "DiffDRR, trilinear, 500 samples (its default)": lambda task: diffdrr(task, "trilinear"),
    "DiffDRR, trilinear, 128 samples": lambda task: diffdrr(task, "trilinear", n_points=SIZE),
}


def compare(seconds: float) -> tuple[dict[str, Timing], list[str]]:
    """Times the contenders that are installed, after checking that all give the same radiograph to 2 % of its range.

    Returns:
        Timings by name, and the names of those that could not be imported.

    Raises:
        RuntimeError: If a contender gives another image.
    """
    task = make_task()
    calls: dict[str, Callable[[], object]] = {}
    missing = []
    want = regenv_project(task)().copy()
    for name, make in CONTENDERS.items():
        try:
            call = make(task)
        except ImportError:
            missing.append(name)
            continue
        error = float(np.abs(call() - want).max() / np.ptp(want))
        if error > 0.02:
            raise RuntimeError(f"{name} differs by {error:.1%} of the range: not the same work")
        calls[name] = call
    return interleaved(calls, seconds), missing


def table(timings: dict[str, Timing], missing: list[str]) -> str:
    """Markdown rows: fastest and median, and the peers' time over ours."""
    title = f"A radiograph of {SIZE} x {SIZE} pixels of {SIZE}^3 voxels, one thread each"
    return ratio_table(title, timings, missing, digits=2, absent=INSTALL)


if __name__ == "__main__":
    print(table(*compare(8.0)))
