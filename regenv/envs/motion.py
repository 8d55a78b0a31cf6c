"""How poses are kept, stepped and compared: the part of the process that knows whether a pose is a matrix.

A *state* is what ``info["transform"]`` holds: a ``(d + 1, d + 1)`` matrix, or the ``(K,)`` coefficients of a
statistical deformation model. A motion works on ``(B, *state_shape)`` arrays and keeps what it needs of each lane's
case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import Grid, transform_points
from regenv.core.models import MatrixModel, TransformModel
from regenv.envs.cases import Case, Privileged
from regenv.envs.dynamics import Dynamics
from regenv.envs.point_errors import PointErrors
from regenv.envs.remaining import MatrixRemaining, Remaining

if TYPE_CHECKING:
    from regenv.core.sitk import SitkTransform

States = NDArray[np.float64]

FIELD_SAMPLES = 8
"""A deformation leaves as a field of at least so many samples a spline cell: thick slices alone would be 0.4 mm off."""


class Motion(Protocol):
    """What the engine needs of a kind of pose.

    Attributes:
        identity: The state of the identity, ``state_shape``.
    """

    identity: States

    def load(self, lane: int, case: Case) -> None:
        """Told when a lane gets a new case."""
        ...

    @property
    def known(self) -> NDArray[np.bool_]:
        """``(B,)`` whether the lane's truth is known and not withheld."""
        ...

    def advance(self, states: States, coefficients: NDArray[np.float64]) -> States:
        """States of all lanes after one step ``(B, K)``; a lane of zeros keeps its state bit for bit."""
        ...

    def tre(self, states: States, lanes: slice) -> NDArray[np.float64]:
        """Mean TRE ``(B,)`` in mm of some lanes, where the truth is known."""
        ...

    def between(self, states: States, others: States, lanes: slice) -> NDArray[np.float64]:
        """Coefficients ``(B, K)`` of the way from one state to another, in the lanes' view frames."""
        ...

    def remaining(self, state: States, privileged: Privileged, lane: int) -> Remaining:
        """What is left to do on a lane."""
        ...

    def checked(self, state: ArrayLike) -> States:
        """The state as a float64 array; ValueError where it is none of this model."""
        ...

    def to_sitk(self, state: States, case: Case) -> SitkTransform:
        """The state as a SimpleITK transform from fixed to moving points."""
        ...


class MatrixMotion:
    """Poses of a matrix group.

    Args:
        model: The group.
        lanes: Number of lanes, B.
        reach_mm: See :class:`regenv.envs.dynamics.Dynamics`.
    """

    def __init__(self, model: MatrixModel, lanes: int, reach_mm: float) -> None:
        self.model: MatrixModel = model
        self.identity = np.eye(model.ndim + 1)
        self._dynamics = Dynamics(model, reach_mm)
        self._frames = np.tile(self.identity, (lanes, 1, 1))
        self._moving_centres = np.zeros((lanes, model.ndim))
        self._errors = PointErrors(lanes, model.ndim)

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Motion`."""
        self._frames[lane] = case.frame
        self._moving_centres[lane] = case.moving_grid.centre
        self._errors.load(lane, case)

    @property
    def known(self) -> NDArray[np.bool_]:
        """See :class:`Motion`."""
        return self._errors.known

    def advance(self, states: States, coefficients: NDArray[np.float64]) -> States:
        """See :class:`Motion`."""
        return self._dynamics.advance(states, coefficients, self._frames, self._moving_centres)

    def tre(self, states: States, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Motion`."""
        return self._errors.mean(states, lanes)

    def between(self, states: States, others: States, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Motion`."""
        return self.model.log(self._way(states, others, self._frames[lanes]), nearest=True)

    def remaining(self, state: States, privileged: Privileged, lane: int) -> Remaining:
        """See :class:`Motion`."""
        frame = self._frames[lane]
        local = (privileged.points - frame[:-1, -1]) @ frame[:-1, :-1]
        way = self._way(state[None], privileged.transform[None], frame[None])[0]
        return MatrixRemaining(self.model, way, local)

    @staticmethod
    def _way(states: States, others: States, frames: States) -> States:
        """From a state to another in the view's frame: ``F^-1 T^-1 T' F``, ``(B, d + 1, d + 1)``."""
        return np.linalg.inv(states @ frames) @ others @ frames

    def checked(self, state: ArrayLike) -> States:
        """See :class:`Motion`."""
        d = self.model.ndim
        matrix = np.asarray(state, dtype=np.float64)
        if matrix.shape != (d + 1, d + 1) or not np.isfinite(matrix).all():
            raise ValueError(f"a start is a finite {(d + 1, d + 1)} matrix from fixed to moving points, got {state!r}")
        linear = matrix[:d, :d]
        if not np.allclose(matrix[d], [0.0] * d + [1.0]) or np.linalg.det(linear) <= 0:
            raise ValueError(f"a start must be an invertible transform that does not mirror, got {matrix.tolist()}")
        scale = 1.0 if self.model.name == "rigid" else np.linalg.det(linear) ** (2 / d)
        if self.model.name != "affine" and not np.allclose(linear @ linear.T / scale, np.eye(d), atol=1e-5):
            raise ValueError(
                f"the start of a {self.model.name} environment must be {self.model.name}, got {matrix.tolist()}"
            )
        return matrix.copy()

    def to_sitk(self, state: States, case: Case) -> SitkTransform:
        """See :class:`Motion`."""
        from regenv.core.sitk import matrix_to_sitk

        return matrix_to_sitk(state)


class DeformationMotion:
    """Coefficients of a statistical deformation model.

    The displacement at the points of the TRE is linear in the coefficients, so that the error of a state is a product
    with a matrix that is made once for each case.

    Args:
        model: The deformation model.
        lanes: Number of lanes, B.
        threads: Threads for more than one lane; None for the default.
    """

    def __init__(self, model: Any, lanes: int, threads: int | None = None) -> None:
        self.model = model
        self._threads = threads
        self.identity = np.zeros(model.n_parameters)
        self._known = np.zeros(lanes, dtype=bool)
        self._points: list[LinearPoints | None] = [None] * lanes

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Motion`."""
        self._known[lane] = case.privileged is not None
        self._points[lane] = None if case.privileged is None else LinearPoints(self.model, case, case.privileged)

    @property
    def known(self) -> NDArray[np.bool_]:
        """See :class:`Motion`."""
        return self._known

    def advance(self, states: States, coefficients: NDArray[np.float64]) -> States:
        """See :class:`Motion`."""
        return self.model.step(states, coefficients, threads=self._threads)

    def tre(self, states: States, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Motion`."""
        points = self._points[lanes]
        return np.array([np.nan if p is None else p.errors(s[None])[0] for p, s in zip(points, states, strict=True)])

    def between(self, states: States, others: States, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Motion`."""
        return others - states

    def remaining(self, state: States, privileged: Privileged, lane: int) -> Remaining:
        """See :class:`Motion`."""
        points = self._points[lane]
        assert points is not None
        return DeformationRemaining(self.model, state, privileged.transform, points)

    def checked(self, state: ArrayLike) -> States:
        """See :class:`Motion`."""
        coefficients = np.asarray(state, dtype=np.float64)
        bound = self.model.bound
        if coefficients.shape != self.identity.shape or not np.isfinite(coefficients).all():
            raise ValueError(f"a start is {self.identity.shape} finite coefficients, got {state!r}")
        if np.abs(coefficients).max() > bound + 1e-9:
            raise ValueError(f"coefficients lie within {bound:g} standard deviations, got {coefficients.tolist()}")
        return coefficients.copy()

    def to_sitk(self, state: States, case: Case) -> SitkTransform:
        """See :class:`Motion`."""
        finest = self.model.extent_mm / self.model.cells / FIELD_SAMPLES
        return self.model.to_sitk(state, case.frame, case.alignment, _refined(case.fixed_grid, finest))


def _refined(grid: Grid, spacing_mm: float) -> Grid:
    """A grid between the same outermost points whose spacing is at most ``spacing_mm``."""
    cells = np.asarray(grid.size) - 1
    finer = np.where(cells > 0, cells * np.ceil(np.asarray(grid.spacing) / spacing_mm), 0)
    spacing = np.where(finer > 0, cells * np.asarray(grid.spacing) / np.maximum(finer, 1), grid.spacing)
    return Grid(tuple(int(n) + 1 for n in finer), tuple(spacing.tolist()), grid.origin, grid.direction)


class LinearPoints:
    """The points of one case, whose errors are a linear map of the coefficients.

    Args:
        model: The deformation model.
        case: The case.
        privileged: Its truth.
    """

    def __init__(self, model: Any, case: Case, privileged: Privileged) -> None:
        local = transform_points(np.linalg.inv(case.frame), privileged.points)
        modes = np.ascontiguousarray(np.moveaxis(model.basis(local), -1, 0))  # (K, N, d)
        linear = (case.alignment @ case.frame)[:-1, :-1]
        self._modes = (modes @ linear.T).reshape(len(modes), -1)
        self._rest = transform_points(case.alignment, privileged.points) - privileged.true_points

    def errors(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean distance in mm ``(A,)`` of the points from where they belong, for coefficients ``(A, K)``."""
        # a row at a time: a product of many rows may round otherwise than that of one
        moved = np.stack([row @ self._modes for row in coefficients]).reshape(-1, *self._rest.shape)
        return np.sqrt(((moved + self._rest) ** 2).sum(-1)).mean(-1)


class DeformationRemaining:
    """What is left to do in a deformation; steps that the model refuses change nothing."""

    def __init__(self, model: Any, state: States, best: States, points: LinearPoints) -> None:
        self._model = model
        self._state = state
        self._points = points
        self.coefficients = best - state

    def errors(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`regenv.envs.remaining.Remaining`."""
        return self._points.errors(self._model.step(np.tile(self._state, (len(steps), 1)), steps))


def make_motion(model: TransformModel, lanes: int, reach_mm: float, threads: int | None = None) -> Motion:
    """The motion of a model."""
    if isinstance(model, MatrixModel):
        return MatrixMotion(model, lanes, reach_mm)
    return DeformationMotion(model, lanes, threads)
