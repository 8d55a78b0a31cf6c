"""What a pose model is: the one layer that knows whether a pose is a matrix or something else.

A *pose* is what ``info["transform"]`` holds, such as a ``(d + 1, d + 1)`` matrix or ``(K,)`` coefficients. A pose model
says how poses step, what lies between two of them, where they carry points, which is nearest to known points, where an
episode starts, and how one becomes a SimpleITK transform. Its *lanes* do the same for B cases side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regenv.core.geometry import FloatArray
from regenv.core.lanes import Lanes
from regenv.core.scene import Scene, Target

if TYPE_CHECKING:
    from regenv.core.sitk import SitkTransform

Poses = FloatArray
"""``(B, *shape of a pose)``."""


@dataclass(frozen=True)
class PoseWords:
    """What an environment's page says of its poses.

    Attributes:
        state: What a pose is; a format with ``article`` and ``count``.
        freedoms: What its numbers are called: ``"degrees of freedom"``.
        array: What one pose is in ``info``: ``"matrix"``; ``arrays`` several.
        step: What a step does; a format with ``about``.
        start: Where an episode starts; a format with ``widths`` and ``framing``.
    """

    state: str
    freedoms: str
    array: str
    arrays: str
    step: str
    start: str


class PoseModel(Protocol):
    """One kind of pose.

    Attributes:
        name: The word for it in the table of environments, such as ``"rigid"``.
        sampling: What renderers ask it for: ``"matrix"``, by ``matrices(poses)`` ``(B, d + 1, d + 1)``, or
            ``"lattice"``, by ``lattices(poses)`` ``(B, d, *lattice)``, spline coefficients of a displacement in mm
            along the frame's axes.
        needs_population: Whether it is fitted to a population of deformations.
        takes_alignment: Whether it is given a case's linear alignment; to others that would tell the truth.
        starts_about_truth: Whether :meth:`start` is drawn about the true pose.
        orthonormal: Whether a linear part is a rotation times one scale, which is 1 unless ``scaled``.
        words: What pages say of it.
        nearest: What they add of a true transform that is none of the model.
        about: What they add of this very model; empty for nothing.
        ndim: 2 or 3.
        names: Name of each degree of freedom.
        units: Unit of each: ``"mm"``, ``"deg"``, ``"%"`` or ``"sd"``.
        n_parameters: Number of degrees of freedom, K.
        bound: Largest absolute value of a parameter, or infinity.
        origin: The pose that changes nothing.
    """

    name: str
    sampling: str
    needs_population: bool
    takes_alignment: bool
    starts_about_truth: bool
    orthonormal: bool
    scaled: bool
    words: PoseWords
    nearest: str
    about: str
    ndim: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    n_parameters: int
    bound: float
    origin: FloatArray

    @classmethod
    def of(cls, ndim: int, population: Callable[[], Any] | None) -> PoseModel:
        """The model of a dimension; ``population`` gives the fitted model where one is needed."""

    def checked(self, pose: ArrayLike) -> FloatArray:
        """A copy of a pose as float64; ValueError where it is none of this model."""

    def contains(self, matrix: FloatArray) -> bool:
        """Whether a true ``(d + 1, d + 1)`` transform is itself a pose of the model."""

    def fit_points(self, points: FloatArray, partners: FloatArray, scene: Scene) -> FloatArray:
        """The pose that carries points ``(N, d)`` nearest to their partners; DataError where they do not decide it."""

    def carry(self, pose: FloatArray, points: FloatArray, scene: Scene) -> FloatArray:
        """Where a pose carries fixed physical points ``(N, d)``, in mm."""

    def start(self, rng: np.random.Generator, widths: FloatArray, about: FloatArray | None, scene: Scene) -> FloatArray:
        """A random start within ``widths (K,)``, about the true pose where it depends on that."""

    def to_sitk_transform(self, pose: FloatArray, scene: Scene) -> SitkTransform:
        """A pose as a SimpleITK transform from fixed to moving points."""

    def lanes(self, count: int, reach_mm: float, threads: int | None = None) -> PoseLanes:
        """Room for the poses of ``count`` cases side by side; see :class:`PoseLanes`."""


class Remaining(Protocol):
    """What is left to do from one pose to the truth, as a greedy expert wants to know it."""

    @property
    def coefficients(self) -> FloatArray:
        """``(K,)`` steps that would lead to the truth, or to the best that the model can do."""

    def errors(self, steps: FloatArray) -> FloatArray:
        """Mean distance in mm ``(A,)`` of the points from where they belong, after each of the steps ``(A, K)``."""


class PoseLanes(Protocol):
    """Poses of B cases side by side.

    A matrix may neither carry the view's centre out of reach of the moving image nor stretch without end.

    Attributes:
        known: ``(B,)`` whether the lane's truth is known and not withheld.
        of_case: Arrays over lanes of all that :meth:`load` sets.
    """

    known: NDArray[np.bool_]

    @property
    def of_case(self) -> list[NDArray]:
        """See above."""

    def load(self, lane: int, scene: Scene, target: Target | None) -> None:
        """Told when a lane gets a new case."""

    def advance(self, poses: Poses, steps: FloatArray) -> Poses:
        """Poses of all lanes after one step ``(B, K)``; a lane of zeros keeps its pose bit for bit."""

    def tre(self, poses: Poses, lanes: Lanes) -> FloatArray:
        """Mean TRE ``(B,)`` in mm of some lanes, where the truth is known."""

    def between(self, poses: Poses, others: Poses, lanes: Lanes) -> FloatArray:
        """Steps ``(B, K)`` of the way from some poses to others, in the lanes' frames."""

    def remaining(self, pose: FloatArray, lane: int) -> Remaining:
        """What is left to do on a lane whose truth is known."""


def start_widths(model: PoseModel, misalignment: Mapping[str, float]) -> FloatArray:
    """Largest misalignment ``(K,)`` of a start in each degree of freedom.

    Args:
        model: The pose model.
        misalignment: For each unit (``"mm"``, ``"deg"``, ``"%"``, ``"sd"``), or for the name of a degree of freedom
            (``"tz"``), which counts more.

    Raises:
        ValueError: If a unit is unknown or missing, a width is negative, or parameters could leave the model's bound.
    """
    unknown = set(misalignment) - {"mm", "deg", "%", "sd", *model.names}
    freedoms = list(zip(model.names, model.units, strict=True))
    missing = [name for name, unit in freedoms if name not in misalignment and unit not in misalignment]
    if unknown or missing:
        raise ValueError(
            f"misalignment gives ranges for {sorted(set(model.units))}, or by the names "
            f"{', '.join(model.names)}; got {dict(misalignment)}"
        )
    if not all(np.isfinite(w) and w >= 0 for w in misalignment.values()):
        raise ValueError(f"misalignment must be finite and not negative, got {dict(misalignment)}")
    widths = np.array([misalignment.get(name, misalignment.get(unit)) for name, unit in freedoms], dtype=np.float64)
    if widths.max() > model.bound:
        raise ValueError(f"misalignment must stay within {model.bound:g} standard deviations, got {dict(misalignment)}")
    return widths


def draw_misalignment(rng: np.random.Generator, widths: FloatArray) -> FloatArray:
    """Steps ``(K,)`` in the units of the degrees of freedom, uniform within the widths."""
    return rng.uniform(-1.0, 1.0, len(widths)) * widths + 0.0  # a width of 0 gives 0, never -0
