"""One task for everybody: resample a volume rigidly onto a view and correlate it with the fixed image.

Each contender is a function that makes a call without arguments; the call returns the correlation, and the callers
check that all agree. Peers are given what helps them: the fixed image is centred and normed beforehand, no validity is
computed (the view lies inside the moving image), and coordinates that do not depend on the transform are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.resample import (
    array_addresses,
    index_matrices,
    orthogonal_planes,
    render_with_sums,
    similarity_sums,
    volume_planes,
)
from regenv.core.similarity import get_similarity
from regenv.poses import get_model


@dataclass(frozen=True)
class Task:
    """A view of ``(S, 64, 64)`` pixels of 3 mm and a moving image of 100 x 96 x 92 voxels of 3 mm that covers it.

    Attributes:
        fixed: ``(1, S, 64, 64)`` float32.
        moving: The moving image.
        view: The view grid, 64^3.
        planes: ``(S, 3, 3)``, see :mod:`regenv.core.resample`.
        transform: ``(4, 4)``, 7 to 11 degrees and a few mm.
    """

    fixed: NDArray[np.float32]
    moving: Image
    view: Grid
    planes: NDArray[np.float64]
    transform: NDArray[np.float64]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """``(1, 3, 4)``, view index to moving index."""
        return index_matrices(self.moving.grid, self.transform[None], self.view)


def make_task(kind: str) -> Task:
    """The task ``"volume"`` (64^3) or ``"slices"`` (three of 64 x 64)."""
    rng = np.random.default_rng(0)
    grid = Grid.centred((100, 96, 92), (3.0, 3.0, 3.0))
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in grid.shape)
    smooth = 0.5 + 0.2 * np.sin(7 * x) * np.cos(5 * y)[:, None] * np.sin(6 * z)[:, None, None]
    moving = Image((smooth + 0.1 * rng.random(grid.shape, dtype=np.float32)).astype(np.float32), grid)
    view = Grid.centred((64, 64, 64), (3.0, 3.0, 3.0))
    planes = volume_planes(view.size) if kind == "volume" else orthogonal_planes(view.size)
    transform = get_model("rigid", 3).exp(np.array([[5.0, -4.0, 3.0, 7.0, -9.0, 11.0]]))[0]
    fixed = np.empty((1, len(planes), 64, 64), np.float32)
    task = Task(fixed, moving, view, planes, transform)
    _render(task, np.eye(4), fixed)
    return task


def _render(task: Task, transform: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    addresses, shapes = array_addresses([task.moving.array])
    matrices = index_matrices(task.moving.grid, transform[None], task.view)
    valid, mask, sums = np.empty(out.shape, np.uint8), np.ones(out.shape, np.uint8), np.empty((1, 7))
    zero = np.zeros(1, np.float32)
    render_with_sums(addresses, shapes, matrices, task.planes, zero, out, valid, np.zeros_like(out), mask, sums)


def regenv_sums(task: Task) -> Callable[[], float]:
    """The fused kernel without output: what search and refinement use."""
    addresses, shapes = array_addresses([task.moving.array])
    mask, sums, zero = np.ones(task.fixed.shape, np.uint8), np.empty((1, 7)), np.zeros(1, np.float32)
    ncc = get_similarity("ncc")

    def call() -> float:
        similarity_sums(addresses, shapes, task.matrix, task.planes, zero, task.fixed, mask, sums, threads=1)
        return float(ncc.from_sums(sums)[0])

    return call


def regenv_render(task: Task) -> Callable[[], float]:
    """The fused kernel with the moved image, validity and bytes for an observation: what an environment uses."""
    addresses, shapes = array_addresses([task.moving.array])
    mask, sums, zero = np.ones(task.fixed.shape, np.uint8), np.empty((1, 7)), np.zeros(1, np.float32)
    out, valid, u8 = np.empty_like(task.fixed), np.empty_like(mask), np.empty_like(mask)
    ncc = get_similarity("ncc")

    def call() -> float:
        render_with_sums(
            addresses, shapes, task.matrix, task.planes, zero, out, valid, task.fixed, mask, sums, u8, threads=1
        )
        return float(ncc.from_sums(sums)[0])

    return call


def _correlator(fixed: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], float]:
    """Correlation by NumPy with the fixed image's half done beforehand."""
    flat = fixed.ravel() - fixed.mean()
    flat /= np.sqrt(flat @ flat)

    def correlate(moved: NDArray[np.float32]) -> float:
        m = moved.ravel() - moved.mean()
        return float(flat @ m / np.sqrt(m @ m))

    return correlate


def simpleitk(task: Task) -> Callable[[], float]:
    """SimpleITK's ``Resample`` (linear, one thread), one call a plane for slices, and NumPy's correlation."""
    import SimpleITK as sitk

    from regenv.core.sitk import image_to_sitk, matrix_to_sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    moving = image_to_sitk(task.moving)
    transform = matrix_to_sitk(task.transform)
    correlate = _correlator(task.fixed)
    references = []
    for origin, row, column in [task.planes[0]] if len(task.planes) == 64 else task.planes:
        depth = 64 if len(task.planes) == 64 else 1
        reference = sitk.Image((64, 64, depth), sitk.sitkFloat32)
        axes = np.stack([column, row, np.cross(column, row)], axis=1)
        to_physical = task.view.index_to_physical
        reference.SetDirection((task.view.direction @ axes).ravel().tolist())
        reference.SetSpacing(task.view.spacing)
        reference.SetOrigin((to_physical @ [*origin, 1])[:3].tolist())
        references.append(reference)

    def call() -> float:
        images = [sitk.Resample(moving, reference, transform, sitk.sitkLinear, 0.0) for reference in references]
        planes = [sitk.GetArrayViewFromImage(image) for image in images]  # views: the images must outlive them
        return correlate(planes[0] if len(planes) == 1 else np.concatenate(planes))

    return call


def _index_points(task: Task) -> NDArray[np.float64]:
    """View indices ``(S, 64, 64, 4)`` of all pixels, homogeneous."""
    i, j = np.meshgrid(np.arange(64.0), np.arange(64.0), indexing="ij")
    planes = task.planes[:, :, None, None]
    points = planes[:, 0] + i[..., None] * planes[:, 1] + j[..., None] * planes[:, 2]
    return np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)


def torch_grid_sample(task: Task) -> Callable[[], float]:
    """Torch's ``grid_sample`` (float32, one thread) on a grid made from the transform, and torch's correlation."""
    import torch

    torch.set_num_threads(1)
    moving = torch.from_numpy(task.moving.array)[None, None]
    points = torch.from_numpy(_index_points(task).astype(np.float32))
    size = np.asarray(task.moving.grid.size, dtype=np.float64)
    normalise = np.zeros((3, 4))
    normalise[:, :3] = np.diag(2 / (size - 1))
    normalise[:, 3] = -1
    fixed = torch.from_numpy(task.fixed).ravel()
    fixed = fixed - fixed.mean()
    fixed = fixed / fixed.norm()

    def call() -> float:
        homogeneous = np.concatenate([task.matrix[0], [[0.0, 0.0, 0.0, 1.0]]])
        matrix = torch.from_numpy((normalise @ homogeneous).astype(np.float32))
        with torch.no_grad():
            grid = (points @ matrix.T)[None]
            moved = torch.nn.functional.grid_sample(moving, grid, mode="bilinear", align_corners=True).ravel()
            moved = moved - moved.mean()
            return float(fixed @ moved / moved.norm())

    return call


def scipy_map_coordinates(task: Task) -> Callable[[], float]:
    """SciPy's ``map_coordinates`` (order 1) at points made from the transform, and NumPy's correlation."""
    from scipy.ndimage import map_coordinates

    points = np.ascontiguousarray(_index_points(task).reshape(-1, 4).T)
    correlate = _correlator(task.fixed)

    def call() -> float:
        index = (task.matrix[0] @ points)[::-1]
        return correlate(map_coordinates(task.moving.array, index, order=1, prefilter=False, output=np.float32))

    return call


def scipy_affine_transform(task: Task) -> Callable[[], float]:
    """SciPy's ``affine_transform`` (order 1), which makes no list of points, one call a plane for slices."""
    from scipy.ndimage import affine_transform

    correlate = _correlator(task.fixed)
    whole = len(task.planes) == 64

    def call() -> float:
        m = task.matrix[0]
        moved = []
        for origin, row, column in [task.planes[0]] if whole else task.planes:
            normal = np.cross(column, row)
            linear = m[:, :3] @ np.stack([normal, row, column], axis=1)
            offset = m[:, :3] @ origin + m[:, 3]
            shape = (64 if whole else 1, 64, 64)
            moved.append(
                affine_transform(
                    task.moving.array, linear[::-1], offset[::-1], shape, order=1, prefilter=False, output=np.float32
                )
            )
        return correlate(moved[0] if whole else np.concatenate(moved))

    return call


OURS = {"regenv, sums only": regenv_sums, "regenv, with image and bytes": regenv_render}
PEERS = {
    "SimpleITK Resample + NumPy": simpleitk,
    "torch grid_sample + torch": torch_grid_sample,
    "SciPy affine_transform + NumPy": scipy_affine_transform,
    "SciPy map_coordinates + NumPy": scipy_map_coordinates,
}
