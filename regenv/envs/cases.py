"""Cases: pairs made ready for rendering, with what is privileged kept apart and, on the test split, never kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.core.models import MatrixModel
from regenv.core.tre import lattice_points
from regenv.data.cache import MemoryCache
from regenv.data.dataset import Dataset
from regenv.data.pair import ImagePair, Truth
from regenv.envs.starts import draw_misalignment, misaligned
from regenv.envs.windows import apply_window
from regenv.errors import DataError, WithheldError, near_miss

PREPARED_BYTES = 2**30
"""Memory that one environment keeps its prepared cases in, so that a later reset need not window them again."""


@dataclass(frozen=True, eq=False)
class Privileged:
    """What the truth says of one case; train and validation only.

    Attributes:
        transform: ``(d + 1, d + 1)`` true transform, or the least-squares fit to the landmarks.
        points: ``(N, d)`` fixed points on which the TRE is measured.
        true_points: ``(N, d)`` where they belong in the moving image.
        truth: All that is known.
    """

    transform: NDArray[np.float64]
    points: NDArray[np.float64]
    true_points: NDArray[np.float64]
    truth: Truth


@dataclass(frozen=True, eq=False)
class Case:
    """One pair, windowed to [0, 1] and ready to render.

    Attributes:
        id: The pair's id.
        fixed: ``[z, y, x]`` float32 in [0, 1].
        fixed_background: Windowed value outside the fixed image.
        moving: ``[z, y, x]`` float32 in [0, 1].
        moving_background: Windowed value outside the moving image.
        mask: float32 body mask on the fixed grid, or None for the whole image.
        fixed_grid: Where the fixed voxels lie.
        moving_grid: Where the moving voxels lie.
        privileged: What the truth says; None where it is withheld or unknown.
    """

    id: str
    fixed: NDArray[np.float32]
    fixed_background: float
    moving: NDArray[np.float32]
    moving_background: float
    mask: NDArray[np.float32] | None
    fixed_grid: Grid
    moving_grid: Grid
    privileged: Privileged | None

    @property
    def frame(self) -> NDArray[np.float64]:
        """The view's frame: mm along the fixed grid's axes about its centre, to physical ``(d + 1, d + 1)``."""
        return self.fixed_grid.frame

    def bytes_held(self) -> int:
        """Memory of its images."""
        return self.fixed.nbytes + self.moving.nbytes + (0 if self.mask is None else self.mask.nbytes)


def fit_landmarks(fixed: NDArray[np.float64], moving: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rigid transform that carries landmarks ``(N, d)`` nearest to their partners (Kabsch 1976)."""
    d = fixed.shape[1]
    centre_fixed, centre_moving = fixed.mean(0), moving.mean(0)
    u, _, vt = np.linalg.svd((moving - centre_moving).T @ (fixed - centre_fixed))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    matrix = np.eye(d + 1)
    matrix[:d, :d] = u @ vt
    matrix[:d, d] = centre_moving - matrix[:d, :d] @ centre_fixed
    return matrix


def privileged_of(pair: ImagePair) -> Privileged | None:
    """What the pair's truth says of a pose, or None where neither a transform nor three landmarks are known."""
    truth = pair.truth
    if truth is None:
        return None
    if truth.transform is not None:
        points = lattice_points(pair.fixed_mask, pair.fixed.grid)
        return Privileged(truth.transform, points, transform_points(truth.transform, points), truth)
    if truth.landmarks_fixed is None or truth.landmarks_moving is None or len(truth.landmarks_fixed) < pair.ndim:
        return None
    transform = fit_landmarks(truth.landmarks_fixed, truth.landmarks_moving)
    return Privileged(transform, truth.landmarks_fixed, truth.landmarks_moving, truth)


class PointErrors:
    """Mean TRE of many lanes at once; each lane has its own points, padded to the longest.

    Args:
        lanes: Number of lanes, B.
        ndim: 2 or 3.

    Attributes:
        known: ``(B,)`` whether the lane's truth is known and not withheld.
    """

    def __init__(self, lanes: int, ndim: int) -> None:
        self.known = np.zeros(lanes, dtype=bool)
        self._points = np.zeros((lanes, 0, ndim + 1))
        self._targets = np.zeros((lanes, 0, ndim))
        self._weights = np.zeros((lanes, 0))

    def load(self, lane: int, privileged: Privileged | None) -> None:
        """Gives a lane the points of its new case."""
        self.known[lane] = privileged is not None
        if privileged is None:
            return
        count = len(privileged.points)
        if count > self._weights.shape[1]:
            more = ((0, 0), (0, count - self._weights.shape[1]))
            self._points = np.pad(self._points, (*more, (0, 0)))
            self._targets = np.pad(self._targets, (*more, (0, 0)))
            self._weights = np.pad(self._weights, more)
        self._points[lane, :count] = np.pad(privileged.points, ((0, 0), (0, 1)), constant_values=1.0)
        self._targets[lane, :count] = privileged.true_points
        self._weights[lane] = 0.0
        self._weights[lane, :count] = 1.0 / count

    def mean(self, transforms: NDArray[np.float64], lanes: slice) -> NDArray[np.float64]:
        """Mean distance in mm ``(B,)`` of the points, carried by ``(B, d + 1, d + 1)``, from where they belong."""
        error = self._points[lanes] @ np.swapaxes(transforms[:, :-1], 1, 2)
        error -= self._targets[lanes]
        return np.einsum("bn,bn->b", np.sqrt(np.einsum("bni,bni->bn", error, error)), self._weights[lanes])


class CaseSource:
    """Draws and prepares the cases of a data set.

    On the test split a prepared case carries no truth, ids are opaque indices, and neither the data set nor a true
    transform is an attribute of anything: a start is drawn where the truth is read, and only the start comes back. The
    draw is salted with the truth, so that who knows the generator's state cannot take the misalignment off the start.

    Args:
        dataset: Where pairs come from.
        model: Transform model of the environment.
        widths: ``(K,)`` half widths of the misalignment.

    Attributes:
        name: Of the data set.
        split: Of the data set.
        withheld: Whether the truth is withheld.
        ids: Ids of the pairs.
    """

    def __init__(self, dataset: Dataset, model: MatrixModel, widths: NDArray[np.float64]) -> None:
        if len(dataset.ids) == 0:
            raise DataError(f"data set {dataset.name!r} has no pair in its {dataset.split!r} split; try another split")
        if dataset.ndim != model.ndim:
            raise DataError(f"data set {dataset.name!r} is {dataset.ndim}-D, the environment is {model.ndim}-D")
        self.name, self.split = dataset.name, dataset.split
        self.withheld = dataset.split == "test"
        self.ids = tuple(str(i) for i in range(len(dataset.ids))) if self.withheld else tuple(dataset.ids)
        self._index = {pair_id: i for i, pair_id in enumerate(self.ids)}
        self._prepared: MemoryCache[Case] = MemoryCache(PREPARED_BYTES)
        self._prepare, self._start = _readers(dataset, self.ids, self.withheld, model, widths)

    def __len__(self) -> int:
        return len(self.ids)

    def index(self, pair_id: object) -> int:
        """Number of a pair.

        Raises:
            ValueError: If there is none of that id; the message names the nearest.
        """
        if str(pair_id) not in self._index:
            raise ValueError(
                f"no pair {pair_id!r} in the {self.split} split of {self.name!r} ({len(self.ids)} pairs); "
                f"{near_miss(pair_id, self.ids[:10])}"
            )
        return self._index[str(pair_id)]

    def case(self, index: int) -> Case:
        """The prepared case; those used last are kept in memory."""
        return self._prepared.get(index, lambda: self._prepare(index), Case.bytes_held)

    def draw_start(self, index: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """A start for a pair: its true transform composed with a misalignment drawn from ``rng``.

        Raises:
            DataError: If the pair comes with neither a transform nor landmarks.
        """
        return self._start(self.case(index), index, rng)


def _readers(
    dataset: Dataset, ids: tuple[str, ...], withheld: bool, model: MatrixModel, widths: NDArray[np.float64]
) -> tuple[Callable[[int], Case], Callable[[Case, int, np.random.Generator], NDArray[np.float64]]]:
    """The two functions that read pairs: one prepares a case, one draws a start. Only they know the data set."""

    def prepare(index: int) -> Case:
        pair = dataset.load(index)
        fixed, fixed_background = apply_window(pair.fixed)
        moving, moving_background = apply_window(pair.moving)
        return Case(
            id=ids[index],
            fixed=fixed,
            fixed_background=fixed_background,
            moving=moving,
            moving_background=moving_background,
            mask=None if pair.fixed_mask is None else np.ascontiguousarray(pair.fixed_mask, dtype=np.float32),
            fixed_grid=pair.fixed.grid,
            moving_grid=pair.moving.grid,
            privileged=None if withheld else privileged_of(pair),
        )

    def start(case: Case, index: int, rng: np.random.Generator) -> NDArray[np.float64]:
        privileged = case.privileged or privileged_of(dataset.load(index))
        if privileged is None:
            raise DataError(
                f"pair {ids[index]!r} of {dataset.name!r} has no true transform and no landmarks to draw a start "
                'from; pass one: reset(options={"pair": ..., "start": matrix})'
            )
        if withheld:
            salt = np.frombuffer(hashlib.sha256(privileged.transform.tobytes()).digest(), dtype="<u4")
            rng = np.random.default_rng([int(rng.integers(2**32)), *salt.tolist()])
        return misaligned(privileged.transform, case.frame, draw_misalignment(rng, widths), model)

    return prepare, start


def require_privileged(case: Case, what: str, withheld: bool) -> Privileged:
    """The case's privileged part.

    Raises:
        WithheldError: On the test split.
        DataError: If the data set does not know the truth of this pair.
    """
    if withheld:
        raise WithheldError(
            f"{what} needs the truth, which the test split withholds; use split='train' or 'validation'"
        )
    if case.privileged is None:
        raise DataError(f"{what} needs the truth, and pair {case.id!r} comes with neither a transform nor landmarks")
    return case.privileged
