"""One task for everybody: resample a volume through a linear transform and a dense deformation, and correlate.

The deformation of regenv is a coarse spline lattice, made for each call from 16 coefficients. Peers are handed the same
displacement as a field sampled on the view beforehand, and the fixed image centred and normed beforehand; they
compute no validity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.peers import Task, _correlator, _index_points, make_task
from benchmarks.speed.timing import Timing, interleaved, ratio_table
from regenv.core.deformation_fit import sample_points
from regenv.core.geometry import transform_points
from regenv.core.resample import array_addresses
from regenv.core.similarity import get_similarity
from regenv.core.warp import direction_matrices, render_warped_with_sums, warped_similarity_sums
from regenv.poses.deformation import StatisticalDeformation


@dataclass(frozen=True)
class DeformedTask:
    """A rigid task of :mod:`benchmarks.speed.peers`, and a deformation before it.

    Attributes:
        task: Images, view and rigid transform.
        model: 16 modes on 9 cells per axis over the view.
        coefficients: ``(1, 16)``.
    """

    task: Task
    model: StatisticalDeformation
    coefficients: NDArray[np.float64]

    def displacement(self) -> NDArray[np.float64]:
        """Local mm at the pixels of the task's planes ``(S, 64, 64, 3)``."""
        points = _index_points(self.task)[..., :3]
        local = transform_points(np.linalg.inv(self.task.view.frame) @ self.task.view.index_to_physical, points)
        return self.model.displacement(self.coefficients[0], local.reshape(-1, 3)).reshape(local.shape)


def make_deformed(kind: str) -> DeformedTask:
    """The task ``"volume"`` (64^3) or ``"slices"`` (three of 64 x 64), deformed by about 5 mm RMS."""
    rng = np.random.default_rng(1)
    task = make_task(kind)
    extent = float(task.view.extent[0])
    points = sample_points(3, extent, 21)
    fields = np.zeros((32, *points.shape))
    for _ in range(24):
        middle = rng.uniform(-extent / 3, extent / 3, 3)
        bump = np.exp(-((points - middle) ** 2).sum(-1) / (2 * 35.0**2))[..., None]
        fields += rng.normal(size=(32, 1, 1, 1, 3)) * 3 * bump
    model = StatisticalDeformation.fit(fields, extent, 9, 16)
    return DeformedTask(task, model, model.sample(rng, 1))


def _arguments(deformed: DeformedTask) -> Callable[[], tuple]:
    """What the kernels want, made anew from the transform and the coefficients."""
    task, model = deformed.task, deformed.model
    addresses, shapes = array_addresses([task.moving.array])
    scale, offset = model.lattice_scale_offset(np.linalg.inv(task.view.frame) @ task.view.index_to_physical)
    directions = direction_matrices(task.moving.grid, task.transform[None], task.view.frame)
    zero = np.zeros(1, np.float32)

    def make() -> tuple:
        lattices = model.lattices(deformed.coefficients)
        return addresses, shapes, task.matrix, directions, task.planes, lattices, scale, offset, zero

    return make


def regenv_sums(deformed: DeformedTask) -> Callable[[], float]:
    """Spline and fused kernel without output: what search and refinement use."""
    fixed, make, ncc = deformed.task.fixed, _arguments(deformed), get_similarity("ncc")
    mask, sums = np.ones(fixed.shape, np.uint8), np.empty((1, 7))

    def call() -> float:
        warped_similarity_sums(*make(), fixed, mask, sums, threads=1)
        return float(ncc.from_sums(sums)[0])

    return call


def regenv_render(deformed: DeformedTask) -> Callable[[], float]:
    """With the moved image, validity and bytes for an observation: what an environment uses."""
    fixed, make, ncc = deformed.task.fixed, _arguments(deformed), get_similarity("ncc")
    mask, sums = np.ones(fixed.shape, np.uint8), np.empty((1, 7))
    out, valid, u8 = np.empty_like(fixed), np.empty_like(mask), np.empty_like(mask)

    def call() -> float:
        render_warped_with_sums(*make(), out, valid, fixed, mask, sums, u8, threads=1)
        return float(ncc.from_sums(sums)[0])

    return call


def simpleitk(deformed: DeformedTask) -> Callable[[], float]:
    """SimpleITK's ``Resample`` through a displacement field transform (linear, one thread), and NumPy's correlation.

    One call a plane for slices, each with a field of its own.
    """
    import SimpleITK as sitk

    from regenv.core.sitk import image_to_sitk, matrix_to_sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    task = deformed.task
    moving, correlate = image_to_sitk(task.moving), _correlator(task.fixed)
    displacement = deformed.displacement() @ task.view.direction.T
    volume = len(task.planes) == 64
    to_physical = task.view.index_to_physical
    jobs = []
    for s, (origin, row, column) in enumerate([task.planes[0]] if volume else task.planes):
        reference = sitk.Image((64, 64, 64 if volume else 1), sitk.sitkFloat32)
        axes = np.stack([column, row, np.cross(column, row)], axis=1)
        reference.SetDirection((task.view.direction @ axes).ravel().tolist())
        reference.SetSpacing(task.view.spacing)
        reference.SetOrigin((to_physical @ [*origin, 1])[:3].tolist())
        field = sitk.GetImageFromArray(displacement if volume else displacement[s : s + 1], isVector=True)
        field.CopyInformation(reference)
        deformation = sitk.DisplacementFieldTransform(field)
        jobs.append((reference, sitk.CompositeTransform([matrix_to_sitk(task.transform), deformation])))

    def call() -> float:
        images = [sitk.Resample(moving, reference, t, sitk.sitkLinear, 0.0) for reference, t in jobs]
        planes = [sitk.GetArrayViewFromImage(image) for image in images]  # views: the images must outlive them
        return correlate(planes[0] if len(planes) == 1 else np.concatenate(planes))

    return call


def torch_grid_sample(deformed: DeformedTask) -> Callable[[], float]:
    """Torch's ``grid_sample`` (float32, one thread) at the rigid grid plus the field, and torch's correlation."""
    import torch

    torch.set_num_threads(1)
    task = deformed.task
    moving = torch.from_numpy(task.moving.array)[None, None]
    points = torch.from_numpy(_index_points(task).astype(np.float32))
    per_index = 2 / (np.asarray(task.moving.grid.size, dtype=np.float64) - 1)
    normalise = np.concatenate([np.diag(per_index), np.full((3, 1), -1.0)], axis=1)
    directions = direction_matrices(task.moving.grid, task.transform[None], task.view.frame)[0]
    field = torch.from_numpy((deformed.displacement() @ directions.T * per_index).astype(np.float32))
    fixed = torch.from_numpy(task.fixed).ravel()
    fixed = fixed - fixed.mean()
    fixed = fixed / fixed.norm()

    def call() -> float:
        homogeneous = np.concatenate([task.matrix[0], [[0.0, 0.0, 0.0, 1.0]]])
        matrix = torch.from_numpy((normalise @ homogeneous).astype(np.float32))
        with torch.no_grad():
            grid = (points @ matrix.T + field)[None]
            moved = torch.nn.functional.grid_sample(moving, grid, mode="bilinear", align_corners=True).ravel()
            moved = moved - moved.mean()
            return float(fixed @ moved / moved.norm())

    return call


def scipy_map_coordinates(deformed: DeformedTask) -> Callable[[], float]:
    """SciPy's ``map_coordinates`` (order 1) at the rigid points plus the field, and NumPy's correlation."""
    from scipy.ndimage import map_coordinates

    task = deformed.task
    points = np.ascontiguousarray(_index_points(task).reshape(-1, 4).T)
    directions = direction_matrices(task.moving.grid, task.transform[None], task.view.frame)[0]
    field = np.ascontiguousarray((deformed.displacement() @ directions.T).reshape(-1, 3).T)
    correlate = _correlator(task.fixed)

    def call() -> float:
        index = (task.matrix[0] @ points + field)[::-1]
        return correlate(map_coordinates(task.moving.array, index, order=1, prefilter=False, output=np.float32))

    return call


KINDS = {"volume": "64 x 64 x 64 voxels", "slices": "three slices of 64 x 64"}
CONTENDERS = {
    "regenv, sums only": regenv_sums,
    "regenv, with image and bytes": regenv_render,
    "SimpleITK Resample + NumPy": simpleitk,
    "torch grid_sample + torch": torch_grid_sample,
    "SciPy map_coordinates + NumPy": scipy_map_coordinates,
}


def compare(kind: str, seconds: float) -> tuple[dict[str, Timing], list[str]]:
    """Times ours and the peers that are installed, after checking that they agree.

    Returns:
        Timings by name, and the names of peers that could not be imported.
    """
    deformed = make_deformed(kind)
    calls: dict[str, Callable[[], object]] = {}
    missing = []
    want = regenv_sums(deformed)()
    for name, make in CONTENDERS.items():
        try:
            call = make(deformed)
        except ImportError:
            missing.append(name)
            continue
        if abs(call() - want) > 1e-4:
            raise RuntimeError(f"{name} gives a correlation of {call():.6f} and not {want:.6f}: not the same work")
        calls[name] = call
    return interleaved(calls, seconds), missing


def table(kind: str, timings: dict[str, Timing], missing: list[str]) -> str:
    """Markdown rows: fastest and median, and the peers' time over ours."""
    title = f"Resample through a deformation and correlate {KINDS[kind]}, one core"
    return ratio_table(title, timings, missing)


def main(seconds: float = 8.0) -> None:
    """Prints both tables and the time of a step of the coefficients."""
    for kind in KINDS:
        print(table(kind, *compare(kind, seconds)))
    deformed = make_deformed("slices")
    model = deformed.model
    steep = type(model)(model.modes * 3, model.extent_mm, model.sigmas, model.explained)
    step = model.identity(1) + 0.5
    calls = {"gentle": lambda: model.step(step * 0, step), "steep": lambda: steep.step(step * 0, step)}
    for name, timing in interleaved(calls, 2.0).items():
        print(f"a step of 16 {name} modes: {timing.fastest * 1e6:.0f} us, median {timing.median * 1e6:.0f} us")


if __name__ == "__main__":
    main()
