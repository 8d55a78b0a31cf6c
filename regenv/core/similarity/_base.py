"""What every similarity is, and the rule for overlap that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.core.lanes import Work, in_turn, run_lanes

FULL_OVERLAP = 0.5
"""Share of the fixed mask that has to be valid for a similarity to count in full."""


class LaneImages(NamedTuple):
    """What kernels compare, each array ``(B, S, H, W)`` and contiguous; see :meth:`Similarity.evaluate`."""

    fixed: NDArray[np.float32]
    moved: NDArray[np.float32]
    mask: NDArray[np.uint8]
    valid: NDArray[np.uint8]


@dataclass(frozen=True)
class Similarity(ABC):
    """A similarity of a fixed and a moved image on a view, lane by lane. Larger is better.

    A metric's value over the pixels both in the mask and valid, S_valid, is not used as it is, since a far pose with
    a sliver of overlap would beat the truth. With o the valid share of the mask and o' = min(1, o / 0.5), the value is
    o' S_valid + (1 - o') S_floor. Where S_valid is undefined (no overlap, a constant image) the value is S_floor;
    never NaN.

    Intensities are expected in [0, 1], windowed once per case. No lane's value depends on another lane.

    Attributes:
        name: The metric's key in the registry.
        range: Smallest and largest value.
        floor: S_floor, the value of unrelated images; None where it is a constant of the fixed image (:meth:`floors`).
        has_sums: Whether :meth:`from_sums` works.
    """

    name: ClassVar[str]
    range: ClassVar[tuple[float, float]]
    floor: ClassVar[float | None] = 0.0
    has_sums: ClassVar[bool] = False

    def prepare(
        self, fixed: NDArray[np.float32], mask: NDArray[np.uint8], volumetric: bool = False
    ) -> NDArray[np.generic]:
        """What can be computed once per case from the fixed image.

        Args:
            fixed: ``(B, S, H, W)`` float32.
            mask: ``(B, S, H, W)`` uint8, not 0 where a pixel counts.
            volumetric: Whether the S planes are the z planes of a volume.

        Returns:
            An array whose first axis is the lane, so that one lane's state can be replaced; ``(B, 0)`` where there
            is none.
        """
        return np.empty((len(fixed), 0))

    def evaluate(
        self,
        fixed: NDArray[np.float32],
        moved: NDArray[np.float32],
        mask: NDArray[np.uint8],
        valid: NDArray[np.uint8],
        volumetric: bool = False,
        state: NDArray[np.generic] | None = None,
        threads: int | None = None,
        counts: FloatArray | None = None,
    ) -> FloatArray:
        """The similarity of every lane, ``(B,)`` float64.

        Args:
            fixed: ``(B, S, H, W)`` float32 in [0, 1].
            moved: ``(B, S, H, W)`` float32, the moving image on the same planes.
            mask: ``(B, S, H, W)`` uint8, not 0 where a pixel counts.
            valid: ``(B, S, H, W)`` uint8, not 0 where moved is inside the moving image.
            volumetric: True where the S planes are a volume and neighbourhoods are 3-D; False where each is an image
                of its own.
            state: Of :meth:`prepare` for the same fixed images; made here where it is not given.
            threads: Threads over lanes, default :func:`regenv.core.lanes.get_num_threads`.
            counts: ``(B, 2 or more)`` pixels in the mask, and in the mask and valid, where they are known.

        Raises:
            ValueError: If the shapes disagree.
        """
        if fixed.ndim != 4 or not fixed.shape == moved.shape == mask.shape == valid.shape:
            raise ValueError(
                "fixed, moved, mask and valid must all be (B, S, H, W), got "
                f"{fixed.shape}, {moved.shape}, {mask.shape}, {valid.shape}"
            )
        if state is None:
            state = self.prepare(fixed, mask, volumetric)
        from regenv.core.similarity._kernels import count_lanes

        lanes = len(fixed)
        images = LaneImages(
            np.ascontiguousarray(fixed, np.float32),
            np.ascontiguousarray(moved, np.float32),
            np.ascontiguousarray(mask, np.uint8),
            np.ascontiguousarray(valid, np.uint8),
        )
        if counts is None:
            counts = np.zeros((lanes, 2))
            run_lanes(count_lanes, lanes, images.mask, images.valid, counts, threads=threads)
        values = np.empty(lanes)
        work = self.work(images, volumetric, state, np.ascontiguousarray(counts), values)
        run_lanes(in_turn, lanes, *work, threads=threads)
        return values

    def work(
        self,
        images: LaneImages,
        volumetric: bool,
        state: NDArray[np.generic],
        counts: FloatArray,
        values: FloatArray,
    ) -> list[Work]:
        """What writes the similarity of lanes to ``values`` ``(B,)``, for :func:`regenv.core.lanes.in_turn`.

        So that what renders a lane goes on with its similarity; see :meth:`evaluate` for the other arguments. They are
        contiguous, and are read when the work is done.
        """
        from regenv.core.similarity._kernels import mix_with_floor

        floors = np.ascontiguousarray(self.floors(state, len(values)))
        return [
            (_undefined, values),
            *self._work(images, volumetric, state, values),
            (mix_with_floor, counts, floors, FULL_OVERLAP, values),
        ]

    def from_sums(self, sums: FloatArray, state: NDArray[np.generic] | None = None) -> FloatArray:
        """The same values from the seven sums of :func:`regenv.core.resample.render_with_sums`, without the images.

        Args:
            sums: ``(B, 7)`` float64.
            state: Of :meth:`prepare`; needed where :attr:`floor` is None.

        Raises:
            TypeError: If the metric is no function of these sums.
        """
        if not self.has_sums:
            raise TypeError(f"similarity {self.name!r} needs the images: use evaluate")
        return with_overlap(self._values_from_sums(sums), sums, self.floors(state, len(sums)))

    def floors(self, state: NDArray[np.generic] | None, lanes: int) -> FloatArray:
        """S_floor of each lane, ``(B,)``."""
        if self.floor is None:
            raise TypeError(f"similarity {self.name!r} declares neither a floor nor floors()")
        return np.full(lanes, self.floor)

    @abstractmethod
    def _work(self, images: LaneImages, volumetric: bool, state: NDArray[np.generic], values: FloatArray) -> list[Work]:
        """What writes S_valid of lanes to ``values``, which come filled with NaN: leave NaN where it is undefined."""

    def _values_from_sums(self, sums: FloatArray) -> FloatArray:
        """S_valid of each lane from its sums, a new array, NaN where it is undefined."""
        raise TypeError(f"similarity {self.name!r} needs the images: use evaluate")


def _undefined(start: int, stop: int, values: FloatArray) -> None:
    values[start:stop] = np.nan


def with_overlap(values: FloatArray, counts: FloatArray, floors: FloatArray) -> FloatArray:
    """Applies the rule for overlap: o' S_valid + (1 - o') S_floor with o' = min(1, o / 0.5).

    Args:
        values: ``(B,)`` S_valid, NaN where undefined; overwritten.
        counts: ``(B, 2 or more)``: pixels in the mask, pixels in the mask and valid.
        floors: ``(B,)`` S_floor.

    Returns:
        ``(B,)`` float64 without NaN; with full overlap S_valid itself, bit for bit.
    """
    from regenv.core.similarity._kernels import mix_with_floor

    mix_with_floor(0, len(values), np.ascontiguousarray(counts), np.ascontiguousarray(floors), FULL_OVERLAP, values)
    return values
