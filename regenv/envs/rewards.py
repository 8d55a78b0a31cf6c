"""Rewards: the gain of a potential, less a small cost for every step.

A potential is a number of the current pose, larger is better. The gain part of a reward is its increase, so it
telescopes: its sum over an episode is the last value less the first.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from regenv.core.similarity import SIMILARITIES, Similarity, get_similarity
from regenv.envs.cases import require_privileged
from regenv.envs.label_overlap import LabelOverlap
from regenv.errors import WithheldError, near_miss

if TYPE_CHECKING:
    from regenv.envs.canvas import Canvas
    from regenv.envs.engine import Engine

PRIVILEGED_REWARDS = ("tre", "parameter_distance", "dice")


class Potential(Protocol):
    """What a reward is the gain of.

    Attributes:
        name: The ``reward`` keyword's value.
        telescopes: Whether the sum of gains is the last value less the first.
        uses_truth: Whether it needs what an agent would not have in a clinic.
    """

    name: str
    telescopes: bool
    uses_truth: bool

    def load(self, engine: Engine, lane: int) -> None:
        """Told when a lane gets a new case, after the fixed image is rendered."""
        ...

    def values(self, engine: Engine, lanes: slice) -> NDArray[np.float64]:
        """Values ``(B,)`` of some lanes, after their moved images are rendered."""
        ...


class _ImagePotential:
    """What is computed from images: the observed pixels, or the whole view volume.

    Args:
        canvas: Renders the volume; None for the observed pixels.
    """

    def __init__(self, canvas: Canvas | None) -> None:
        self._canvas = canvas

    def load(self, engine: Engine, lane: int) -> None:
        """See :class:`Potential`."""
        if self._canvas is not None:
            self._canvas.load(lane, engine.case(lane))

    def _rendered(self, engine: Engine, lanes: slice) -> Canvas:
        """Where the moved images of some lanes now are."""
        if self._canvas is None:
            return engine.canvas
        self._canvas.render(engine.transforms, lanes)
        return self._canvas


class SimilarityPotential(_ImagePotential):
    """An image similarity on the observed pixels, or on the whole view volume.

    Args:
        similarity: The metric.
        lanes: Number of lanes.
        canvas: Renders the volume that it is computed on; None for the observed pixels.
    """

    telescopes = True
    uses_truth = False

    def __init__(self, similarity: Similarity, lanes: int, canvas: Canvas | None = None) -> None:
        super().__init__(canvas)
        self.name = similarity.name
        self.similarity = similarity
        self._lanes = lanes
        self._states: NDArray[Any] | None = None

    def load(self, engine: Engine, lane: int) -> None:
        """See :class:`Potential`."""
        super().load(engine, lane)
        canvas = self._canvas or engine.canvas
        level, one = canvas.levels[0], slice(lane, lane + 1)
        state = self.similarity.prepare(level.fixed[one], level.mask[one], canvas.view.volumetric)
        if self._states is None:
            self._states = np.zeros((self._lanes, *state.shape[1:]), state.dtype)
        self._states[lane] = state[0]

    def values(self, engine: Engine, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        canvas = self._rendered(engine, lanes)
        level = canvas.levels[0]
        assert self._states is not None
        if self.similarity.has_sums:
            return self.similarity.from_sums(level.sums[lanes], self._states[lanes])
        return self.similarity.evaluate(
            level.fixed[lanes],
            level.moved[lanes],
            level.mask[lanes],
            level.valid[lanes],
            canvas.view.volumetric,
            self._states[lanes],
            threads=canvas.threads,
        )


class TruthPotential:
    """Something that only the truth can tell, negated so that larger is better.

    Args:
        name: ``"tre"`` (mm), or ``"parameter_distance"``: the L2 norm of what is left, mm and degrees alike (Liao et
            al. 2017).
    """

    telescopes = True
    uses_truth = True

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self, engine: Engine, lane: int) -> None:
        """See :class:`Potential`."""
        require_privileged(engine.case(lane), f"reward={self.name!r}", engine.withheld)

    def values(self, engine: Engine, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        if self.name == "tre":
            return -engine.tre(lanes)
        return -np.linalg.norm(engine.left(lanes), axis=1)


class NoPotential:
    """Pays nothing: a preset whose reward needs the truth, on the test split."""

    name = "none"
    telescopes = True
    uses_truth = False

    def load(self, engine: Engine, lane: int) -> None:
        """See :class:`Potential`."""

    def values(self, engine: Engine, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        return np.zeros(len(range(engine.lanes)[lanes]))


class DicePotential:
    """Mean Dice coefficient of the labels present in both images, on the view grid, nearest neighbour."""

    name = "dice"
    telescopes = True
    uses_truth = True

    def __init__(self, lanes: int) -> None:
        self._scores: list[LabelOverlap | None] = [None] * lanes

    def load(self, engine: Engine, lane: int) -> None:
        """See :class:`Potential`."""
        case = engine.case(lane)
        self._scores[lane] = LabelOverlap(case, engine.view, engine.model)

    def values(self, engine: Engine, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        scores = zip(self._scores[lanes], engine.transforms[lanes], strict=True)
        return np.array([0.0 if score is None else score.mean_dice(state) for score, state in scores])


class LearnedPotential(_ImagePotential):
    """Any callable ``f(fixed, moved, valid) -> (B,)`` on float32 ``(B, S, H, W)`` images, larger is better.

    Args:
        function: The callable.
        name: The ``reward`` keyword's value.
        canvas: Renders the volume, whose slices are then the images; None for the observed pixels.
    """

    telescopes = True
    uses_truth = False

    def __init__(self, function: Callable[..., Any], name: str, canvas: Canvas | None = None) -> None:
        super().__init__(canvas)
        self.name = name
        self._function = function

    def values(self, engine: Engine, lanes: slice) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        level = self._rendered(engine, lanes).levels[0]
        values = np.asarray(
            self._function(level.fixed[lanes], level.moved[lanes], level.valid[lanes]), dtype=np.float64
        )
        if values.shape != level.fixed[lanes].shape[:1] or not np.isfinite(values).all():
            raise ValueError(f"reward {self.name!r} must return one finite number for each lane, got {values!r}")
        return values


def make_potential(
    reward: str | Callable[..., Any],
    *,
    lanes: int,
    withheld: bool,
    canvas: Canvas | None = None,
) -> Potential:
    """The potential of a ``reward`` keyword.

    Args:
        reward: A similarity (``"ncc"``, ``"mi"``, ...), ``"tre"``, ``"parameter_distance"``, ``"dice"``, a callable, or
            ``"package.module:function"`` for a learned metric.
        lanes: Number of lanes.
        withheld: Whether the truth is withheld (the test split).
        canvas: Renders the volume where a similarity or a callable is to see that instead of the observed pixels.

    Raises:
        WithheldError: If it needs the truth on the test split.
        ValueError: On an unknown name.
    """
    if callable(reward):
        return LearnedPotential(reward, getattr(reward, "__name__", type(reward).__name__), canvas)
    if reward == "none":
        return NoPotential()
    if reward in PRIVILEGED_REWARDS:
        if withheld:
            raise WithheldError(
                f"reward={reward!r} needs the truth, which the test split withholds; use an image similarity"
            )
        return DicePotential(lanes) if reward == "dice" else TruthPotential(reward)
    if ":" in reward:
        module, _, name = reward.partition(":")
        return LearnedPotential(getattr(import_module(module), name), reward, canvas)
    if reward not in SIMILARITIES:
        raise ValueError(f"unknown reward {reward!r}; {near_miss(reward, [*SIMILARITIES, *PRIVILEGED_REWARDS])}")
    return SimilarityPotential(get_similarity(reward), lanes, canvas)
