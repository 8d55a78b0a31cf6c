"""What fixed and moved images are rendered into: buffers of many lanes on a view, and the sums that come with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from regenv.core.lanes import ALL, Lanes, Work, lane_numbers, worth_threads
from regenv.core.projection import windowed_sums
from regenv.core.resample import array_addresses, render, render_with_sums
from regenv.imaging.case import Case
from regenv.imaging.view import Level, View
from regenv.poses.base import PoseModel

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


class LevelBuffers:
    """What one level of a view holds for every lane.

    Attributes:
        fixed: ``(B, S, H, W)`` float32 in [0, 1]; ``fixed_u8`` the same as bytes.
        mask: ``(B, S, H, W)`` uint8, 1 where the fixed mask is.
        moved: ``(B, S, H, W)`` float32; ``moved_u8`` the same as bytes.
        valid: ``(B, S, H, W)`` uint8, 1 where the sample lies inside the moving image.
        sums: ``(B, 7)`` float64 over mask and valid: n_mask, n_valid, and sums of f, m, ff, mm, fm.
    """

    def __init__(self, view: View, level: Level, lanes: int) -> None:
        self.level = level
        self.local = view.local(level)
        shape = (lanes, len(level.planes), level.size, level.size)
        self.fixed = np.zeros(shape, np.float32)
        self.fixed_u8 = np.zeros(shape, np.uint8)
        self.mask = np.zeros(shape, np.uint8)
        self.moved = np.zeros(shape, np.float32)
        self.moved_u8 = np.zeros(shape, np.uint8)
        self.valid = np.zeros(shape, np.uint8)
        self.sums = np.zeros((lanes, 7))
        self.to_physical = np.tile(np.eye(view.ndim + 1), (lanes, 1, 1))

    @property
    def of_case(self) -> list[NDArray]:
        """Arrays over lanes of all that only a case decides."""
        return [self.fixed, self.fixed_u8, self.mask, self.to_physical]

    @property
    def outputs(self) -> tuple[Floats, Bytes, Floats, Bytes, NDArray[np.float64], Bytes]:
        """Moved, valid, fixed, mask, sums and moved bytes, as kernels that fill in sums take them."""
        return self.moved, self.valid, self.fixed, self.mask, self.sums, self.moved_u8

    def window(
        self,
        raw: Floats,
        low: Floats,
        high: Floats,
        outer: Floats,
        lanes: int | NDArray[np.intp],
        threads: int | None,
        then: Sequence[Work],
    ) -> None:
        """Takes what was rendered on some lanes: windowed by ``low`` and ``high`` ``(B,)``, and the sums."""
        moved, valid, fixed, mask, sums, moved_u8 = self.outputs
        windowed_sums(
            raw, valid, low, high, outer, fixed, mask, moved, moved_u8, sums, threads=threads, lanes=lanes, then=then
        )  # fmt: skip


class Renderer:
    """Renders lanes of cases onto a view; this one resamples the moving image through matrices.

    Args:
        view: What is seen.
        lanes: Number of lanes, B.
        poses: The pose model.
        threads: Threads for more than one lane; None for the default.
        device: A torch device, where the renderer needs one.

    Raises:
        OptionError: If there is no such device on this machine.

    Attributes:
        then: Each gives work on the first level of what is rendered, done by the thread that has rendered it.
    """

    nanoseconds: ClassVar[float] = 15.0
    """What a pixel takes, with what is done with it, about."""

    def __init__(
        self, view: View, lanes: int, poses: PoseModel, threads: int | None = None, device: str = "cpu"
    ) -> None:
        d = view.ndim
        self._poses: Any = poses
        self.view = view
        self.lanes = lanes
        self.threads = threads
        self.then: list[Callable[[], Sequence[Work]]] = []
        self.cases = np.full(lanes, None, dtype=object)
        self.levels = [LevelBuffers(view, level, lanes) for level in view.levels]
        self._to_index = np.tile(np.eye(d + 1), (lanes, 1, 1))
        self._addresses = np.zeros(lanes, np.int64)
        self._shapes = np.zeros((lanes, d), np.int64)
        self._backgrounds = np.zeros(lanes, np.float32)
        self._matrices = [np.zeros((lanes, d, d + 1)) for _ in self.levels]
        self._prepare(device)

    def _prepare(self, device: str) -> None:
        """Makes room for what a subclass needs besides."""

    @property
    def of_case(self) -> list[NDArray]:
        """Arrays over lanes of all that :meth:`load` sets but :attr:`cases`, which :meth:`recalled` is given."""
        lanes: list[NDArray] = [self._to_index, self._addresses, self._shapes, self._backgrounds]
        return [*lanes, *(array for buffers in self.levels for array in buffers.of_case)]

    def recalled(self, lane: int, case: Case) -> None:
        """Told when a lane's rows of :attr:`of_case` are those of an earlier :meth:`load` of a case."""
        self.cases[lane] = case  # holds the arrays that the addresses point into

    def load(self, lane: int, case: Case) -> None:
        """Puts a case on a lane and renders its fixed image and mask."""
        self.cases[lane] = case
        scene = case.scene
        self._to_index[lane] = scene.moving_grid.physical_to_index
        self._addresses[lane] = case.moving.ctypes.data
        self._shapes[lane] = case.moving.shape
        self._backgrounds[lane] = case.moving_background
        for buffers in self.levels:
            if scene.frame.shape == buffers.local.shape:  # the view of a projection lies on a detector, not in space
                buffers.to_physical[lane] = scene.frame @ buffers.local
            self._render_fixed(buffers, lane, case)

    def planes_of(self, buffers: LevelBuffers, lane: int) -> NDArray[np.float64]:
        """The planes ``(S, 3, d)`` of a level on a lane."""
        return buffers.level.planes

    def render(self, poses: NDArray[np.float64], lanes: Lanes = ALL) -> None:
        """Renders the moved images of some lanes, and the sums, at the poses of all lanes ``(B, ...)``."""
        images, shapes, outside = self._addresses, self._shapes, self._backgrounds
        some = lane_numbers(lanes, self.lanes)
        threads = self._threads(some)
        self._place(poses, lanes)
        for matrices, buffers in zip(self._matrices, self.levels, strict=True):
            given = (images, shapes, matrices, buffers.level.planes, outside, *buffers.outputs)
            render_with_sums(*given, threads=threads, lanes=some, then=self._then(buffers))

    def _threads(self, lanes: int | NDArray[np.intp]) -> int | None:
        """Threads for some lanes: one where there is little to render."""
        count = lanes if isinstance(lanes, int) else len(lanes)
        return worth_threads(self.threads, self.nanoseconds * count * self.levels[0].moved[0].size)

    def _then(self, buffers: LevelBuffers) -> Sequence[Work]:
        """What is done with a level when it is rendered."""
        return [work for give in self.then for work in give()] if buffers is self.levels[0] else []

    def _place(self, poses: NDArray[np.float64], lanes: Lanes) -> None:
        """Writes the matrices of some lanes from view index to moving index, of every level."""
        base = self._to_index[lanes] @ self._poses.matrices(poses[lanes])
        for matrices, buffers in zip(self._matrices, self.levels, strict=True):
            matrices[lanes] = (base @ buffers.to_physical[lanes])[:, :-1]

    def observation(self, dtype: np.dtype, lanes: Lanes = ALL) -> NDArray:
        """Observations ``(B, *view.shape)`` of some lanes; fresh memory each time."""
        fixed, moved = ("fixed_u8", "moved_u8") if dtype == np.uint8 else ("fixed", "moved")
        there, here = ([getattr(level, name) for level in self.levels] for name in (fixed, moved))
        return self.view.stack(there, here, np.arange(self.lanes)[lanes], self.threads)

    def _render_fixed(self, buffers: LevelBuffers, lane: int, case: Case) -> None:
        one = slice(lane, lane + 1)
        inside = buffers.mask[one]
        matrix = case.scene.fixed_grid.physical_to_index @ buffers.to_physical[lane]
        planes = self.planes_of(buffers, lane)
        render_one(case.fixed, matrix, planes, case.fixed_background, buffers.fixed[one], inside)
        np.rint(buffers.fixed[one] * np.float32(255), out=buffers.fixed_u8[one], casting="unsafe")
        if case.mask is not None:
            values, within = np.empty_like(buffers.fixed[one]), np.empty_like(inside)
            render_one(case.mask, matrix, planes, 0.0, values, within)
            inside &= values >= 0.5


def render_one(
    volume: NDArray[np.float32],
    matrix: NDArray[np.float64],
    planes: NDArray[np.float64],
    background: float,
    out: NDArray[np.float32],
    valid: NDArray[np.uint8],
) -> None:
    """Renders one image on planes ``(S, 3, d)`` into ``(1, S, H, W)`` buffers; ``matrix`` maps view to image index."""
    matrices, backgrounds = np.ascontiguousarray(matrix[None, : volume.ndim]), np.array([background], np.float32)
    render(*array_addresses([volume]), matrices, planes, backgrounds, out, valid, threads=1)
