"""A short local refinement: what an agent has caught is made precise.

Gauss-Newton on the six rigid degrees of freedom, for images whose intensities are related by an unknown curve:
``moving(T p) = g(fixed(p))``. The curve is the mean of the moved intensities for each fixed intensity, estimated
again at
every iteration (its explained share of the variance is the correlation ratio of Roche et al., MICCAI 1998); for
images that share a scale (CT and CBCT) it is a straight line, and what is maximised is NCC. The gradient is that of the
fixed image, so that it and the normal matrix are computed once (inverse compositional alignment, Baker and Matthews,
IJCV 2004): an iteration costs one rendering and two passes, 3 ms for 64^3 on one core.

A pose is accepted only where the pair's similarity (NCC or NMI) is higher than at the start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.core.resample import array_addresses, index_matrices, render, volume_planes
from regenv.core.similarity import Similarity, get_similarity
from regenv.errors import check_option
from regenv.modality import get_modality
from regenv.poses import get_model

OUTLIER = 6.0
"""On a shared scale, residuals beyond this many standard deviations lose their say: a table, gas that moved, the edge
of a field of view. Where the scales differ they are needed to find the curve that relates them."""

SIMILARITIES = ("auto", "ncc", "nmi", "mi")
BINS = 32
FARTHEST_MM = 15.0
"""A refinement that moves the body further than this has left what the agent caught, and is dropped."""


@dataclass(frozen=True)
class Resolution:
    """One resolution.

    Attributes:
        size: Voxels along each axis of the view.
        spacing_mm: Of the view.
        iterations: Gauss-Newton steps at most.
    """

    size: int
    spacing_mm: float
    iterations: int


LEVELS = (Resolution(32, 6.0, 14), Resolution(64, 3.0, 8))


def refine(
    fixed: Image,
    moving: Image,
    transform: ArrayLike,
    *,
    similarity: str = "auto",
    levels: tuple[Resolution, ...] = LEVELS,
) -> tuple[FloatArray, float]:
    """Improves a rigid pose that is right to within some millimetres.

    Args:
        fixed: 3-D image.
        moving: 3-D image.
        transform: ``(4, 4)`` from fixed to moving physical points.
        similarity: ``"ncc"``, ``"nmi"`` or ``"mi"``, by which a pose is accepted; ``"auto"`` is NCC for CT and
        CBCT and NMI for
            all else. With NCC the intensities are taken to be linearly related.
        levels: Resolutions, coarse first.

    Returns:
        The pose, ``(4, 4)`` float64, and its similarity (larger is better) on the last level's view. Where nothing
        better is found it is the pose that was given.

    Raises:
        ValueError: If an image is not 3-D, the transform has another shape, or the similarity is unknown.
    """
    check_option("similarity", similarity, SIMILARITIES)
    start = np.asarray(transform, dtype=np.float64)
    if fixed.grid.ndim != 3 or moving.grid.ndim != 3 or start.shape != (4, 4):
        raise ValueError(
            f"refine works on 3-D images and a (4, 4) transform, got {fixed.grid.ndim}-D, {moving.grid.ndim}-D and "
            f"{start.shape}"
        )
    linear = all(get_modality(image.modality).hounsfield for image in (fixed, moving))
    name = ("ncc" if linear else "nmi") if similarity == "auto" else similarity
    metric = get_similarity(name)
    sources = _source(fixed), _source(moving)
    views = [_View(*sources, level, metric, linear=name == "ncc") for level in levels]
    pose = start
    for view in views[:-1]:
        pose, _ = view.descend(pose)
    last = views[-1]
    at_start = last.similarity(start)
    found, value = last.descend(pose)
    if len(views) > 1 and value <= at_start:
        found, value = last.descend(start)
    corners = transform_points(last.grid.frame, _box(last.grid.extent.max() / 4))
    moved = np.linalg.norm(transform_points(found, corners) - transform_points(start, corners), axis=1).mean()
    if value <= at_start or moved > FARTHEST_MM:
        return start, at_start
    return found, value


def _box(half: float) -> FloatArray:
    return np.stack(np.meshgrid(*[(-half, half)] * 3), axis=-1).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class _Source:
    """An image, the scale that brings its window to [0, 1] (value * scale + offset), and its padding (None: none)."""

    image: Image
    scale: np.float32
    offset: np.float32
    padding: np.float32 | None


def _source(image: Image) -> _Source:
    modality = get_modality(image.modality)
    if modality.window is not None:
        low, high = modality.window
    else:
        step = max(1, round((image.array.size / 2e5) ** (1 / 3)))  # percentiles of some voxels are those of all
        low, high = np.percentile(image.array[::step, ::step, ::step], (0.5, 99.5))
    scale = 1.0 / max(high - low, 1e-6)
    # Where an image in Hounsfield units holds exactly its smallest value, it is taken to be padded: what lies outside a
    # scanner's field of view, or air without noise. Its edge is in one image only and would pull.
    padding = np.float32(image.array.min()) if modality.hounsfield else None
    return _Source(image, np.float32(scale), np.float32(-low * scale), padding)


class _View:
    """Fixed image, its gradients and normal matrices on one view, and the search on it."""

    def __init__(self, fixed: _Source, moving: _Source, level: Resolution, metric: Similarity, linear: bool) -> None:
        from regenv.alignment.refine_kernels import gradients, normal_matrices

        self.level, self.metric, self.linear, self.moving = level, metric, linear, moving
        self.model = get_model("rigid", 3)
        grid = fixed.image.grid
        self.grid = Grid.centred((level.size,) * 3, (level.spacing_mm,) * 3, grid.centre, grid.direction)
        self.planes = volume_planes(self.grid.size)
        self.shape = (1, *self.grid.shape)
        self.moved, self.valid = np.empty(self.shape, np.float32), np.empty(self.shape, np.uint8)
        self.fixed, self.mask = np.empty(self.shape, np.float32), np.empty(self.shape, np.uint8)
        self._sample(fixed, np.eye(4), self.fixed, self.mask)
        self.gradient = np.zeros((*self.grid.shape, 3), np.float32)
        gradients(self.fixed[0], level.spacing_mm, self.gradient)
        self.normal = np.zeros((BINS, 6, 6))
        normal_matrices(self.fixed[0], self.gradient, self.mask[0], level.spacing_mm, BINS, self.normal)
        self.state = metric.prepare(self.fixed, self.mask, True)

    def _sample(self, source: _Source, pose: FloatArray, out: NDArray, valid: NDArray) -> None:
        """The image on the view, in [0, 1], and where it is known."""
        from regenv.alignment.refine_kernels import drop_padding

        image = source.image
        addresses, shapes = array_addresses([image.array])
        background = np.array([image.background], np.float32)
        matrices = index_matrices(image.grid, pose[None], self.grid)
        render(addresses, shapes, matrices, self.planes, background, out, valid, threads=1)
        if source.padding is not None:
            drop_padding(out[0], valid[0], source.padding)
        out *= source.scale
        out += source.offset
        np.clip(out, 0.0, 1.0, out=out)

    def similarity(self, pose: FloatArray) -> float:
        """The metric at a pose; leaves the moved image rendered."""
        self._sample(self.moving, pose, self.moved, self.valid)
        return float(
            self.metric.evaluate(self.fixed, self.moved, self.mask, self.valid, True, self.state, threads=1)[0]
        )

    def descend(self, pose: FloatArray) -> tuple[FloatArray, float]:
        """Gauss-Newton from a pose; the most similar pose met and its similarity."""
        best, value = pose, self.similarity(pose)
        worse = 0
        for _ in range(self.level.iterations):
            step = self._step()
            pose = self.model.step(pose[None], step[None], self.grid.frame[None])[0]
            now = self.similarity(pose)
            if now > value:
                gained, best, value, worse = now - value, pose, now, 0
                if gained < 1e-6 or np.abs(step).max() < 0.01:
                    break
            else:
                worse += 1
                if worse == 2 or np.abs(step).max() < 0.01:
                    break
        return best, value

    def _step(self) -> FloatArray:
        """Motion (mm, degrees) that explains the moved image best, at most 3 in each."""
        from regenv.alignment.refine_kernels import conditional_sums, right_side

        counts, sums, squares = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
        conditional_sums(self.fixed, self.moved, self.mask, self.valid, BINS, counts, sums, squares)
        centre = (np.arange(BINS) + 0.5) / BINS
        filled = counts > 0
        if filled.sum() < 2:
            return np.zeros(6)
        value = np.interp(centre, centre[filled], sums[filled] / counts[filled])
        if self.linear:
            slope, offset = np.polyfit(centre, value, 1, w=np.sqrt(counts))
            value = offset + slope * centre
            slopes = np.full(BINS, slope)
        else:
            slopes = np.gradient(value, centre)
        normal = np.einsum("b,bij->ij", slopes**2, self.normal)
        variance = (squares - sums**2 / np.maximum(counts, 1)).sum() / counts.sum()
        scale = OUTLIER * np.sqrt(max(variance, 1e-4)) if self.linear else 100.0
        right = np.zeros(6)
        right_side(
            self.fixed[0], self.gradient, self.moved[0], self.mask[0], self.valid[0], self.level.spacing_mm, BINS,
            value.astype(np.float32), slopes.astype(np.float32), np.float32(scale), right,
        )  # fmt: skip
        damped = normal + np.diag(1e-3 * np.diag(normal) + 1e-9)
        return np.clip(-np.linalg.solve(damped, right), -3.0, 3.0)
