"""Rewards: the gain of a potential, less a small cost for every step.

A potential is a number of the current pose, larger is better. The gain part of a reward is its increase, so it
telescopes: its sum over an episode is the last value less the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from regenv.core.lanes import Lanes, Work
from regenv.core.similarity import SIMILARITIES, LaneImages, Similarity, get_similarity
from regenv.envs.label_overlap import LabelOverlap
from regenv.errors import WithheldError, near_miss
from regenv.imaging.case import Case, require_target
from regenv.imaging.renderer import LevelBuffers, Renderer
from regenv.imaging.view import View
from regenv.process import Process

Poses = NDArray[np.float64]
PRIVILEGED_REWARDS = ("tre", "parameter_distance", "dice")


class Potential(Protocol):
    """What a reward is the gain of.

    Attributes:
        name: The ``reward`` keyword's value.
        telescopes: Whether the sum of gains is the last value less the first.
        uses_truth: Whether it needs what an agent would not have in a clinic.
        of_case: Arrays over lanes of all that :meth:`load` sets.
    """

    name: str
    telescopes: bool
    uses_truth: bool

    @property
    def of_case(self) -> list[NDArray]:
        """See above."""
        ...

    def load(self, lane: int, case: Case) -> None:
        """Told when a lane gets a new case, after its fixed image is rendered."""
        ...

    def values(self, poses: Poses, lanes: Lanes) -> NDArray[np.float64]:
        """Values ``(B,)`` of some lanes at the poses of all, after their moved images are rendered."""
        ...


class Images:
    """What a reward that is computed from images sees: fixed and moved images of every lane, with their sums.

    Args:
        renderer: Renders them.
        observed: Whether they are those of the observation, which the engine renders, or the reward's own.
    """

    def __init__(self, renderer: Renderer, observed: bool) -> None:
        self.renderer = renderer
        self._observed = observed

    @property
    def of_case(self) -> list[NDArray]:
        """Arrays over lanes of all that :meth:`load` sets."""
        return [] if self._observed else self.renderer.of_case

    def load(self, lane: int, case: Case) -> None:
        """Shows a lane's new case."""
        if not self._observed:
            self.renderer.load(lane, case)

    def at(self, poses: Poses, lanes: Lanes) -> LevelBuffers:
        """The images of some lanes at the poses of all."""
        if not self._observed:
            self.renderer.render(poses, lanes)
        return self.renderer.levels[0]


class SimilarityPotential:
    """An image similarity on the observed pixels, or on the whole view volume; or a weighted sum of several.

    One may lead from afar and another tell the last millimetre, as mutual information and gradient information do
    (Pluim et al., IEEE TMI 2000).

    Args:
        similarities: Each metric with its weight.
        images: What they are computed on.
    """

    telescopes = True
    uses_truth = False

    def __init__(self, similarities: Sequence[tuple[Similarity, float]], images: Images) -> None:
        self.name = "+".join(similarity.name for similarity, _ in similarities)
        self._images = images
        self._terms = [(_OnImages(similarity, images.renderer), weight) for similarity, weight in similarities]

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`Potential`."""
        return [*self._images.of_case, *(term.states for term, _ in self._terms)]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Potential`."""
        self._images.load(lane, case)
        for term, _ in self._terms:
            term.load(lane)

    def values(self, poses: Poses, lanes: Lanes) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        sums = self._images.at(poses, lanes).sums[lanes]
        return reduce(np.add, [weight * term.values(sums, lanes) for term, weight in self._terms])


class _OnImages:
    """One similarity of the images of every lane.

    Attributes:
        states: ``(B, ...)`` what the similarity has computed of the fixed images; empty before the first is loaded.
    """

    def __init__(self, similarity: Similarity, renderer: Renderer) -> None:
        self._similarity, self._renderer = similarity, renderer
        self.states: NDArray[Any] = np.zeros(0)
        self._values = np.zeros(renderer.lanes)
        if not similarity.has_sums:
            renderer.then.append(self._work)

    def load(self, lane: int) -> None:
        """Told when a lane's fixed image is rendered."""
        level, one = self._renderer.levels[0], slice(lane, lane + 1)
        state = self._similarity.prepare(level.fixed[one], level.mask[one], self._renderer.view.volumetric)
        if not len(self.states):
            self.states = np.zeros((len(level.fixed), *state.shape[1:]), state.dtype)
        self.states[lane] = state[0]

    def values(self, sums: NDArray[np.float64], lanes: Lanes) -> NDArray[np.float64]:
        """Values ``(B,)`` of some lanes that are rendered, with their sums ``(B, 7)``."""
        if self._similarity.has_sums:
            return self._similarity.from_sums(sums, self.states[lanes])
        return self._values[lanes]

    def _work(self) -> list[Work]:
        """What writes the similarity of lanes when they are rendered."""
        level = self._renderer.levels[0]
        images = LaneImages(level.fixed, level.moved, level.mask, level.valid)
        return self._similarity.work(images, self._renderer.view.volumetric, self.states, level.sums, self._values)


class TruthPotential:
    """Something that only the truth can tell, negated so that larger is better.

    Args:
        name: ``"tre"`` (mm), or ``"parameter_distance"``: the L2 norm of what is left, mm and degrees alike (Liao et
            al. 2017).
        process: Whose poses are judged.
    """

    telescopes = True
    uses_truth = True

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self._process = process
        self.of_case: list[NDArray] = []

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Potential`."""
        require_target(case, f"reward={self.name!r}", withheld=False)

    def values(self, poses: Poses, lanes: Lanes) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        if self.name == "tre":
            return -self._process.tre(lanes)
        return -np.linalg.norm(self._process.left(lanes), axis=1)


class NoPotential:
    """Pays nothing: a preset whose reward needs the truth, on the test split."""

    name = "none"
    telescopes = True
    uses_truth = False
    of_case: list[NDArray] = []

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Potential`."""

    def values(self, poses: Poses, lanes: Lanes) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        return np.zeros(len(poses[lanes]))


class DicePotential:
    """Mean Dice coefficient of the labels present in both images, on the view grid, nearest neighbour.

    Args:
        view: Whose grid the labels are compared on.
        process: Whose poses carry points.
        lanes: Number of lanes.
    """

    name = "dice"
    telescopes = True
    uses_truth = True

    def __init__(self, view: View, process: Process, lanes: int) -> None:
        self._view, self._process = view, process
        self._scores = np.full(lanes, None, dtype=object)

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`Potential`."""
        return [self._scores]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Potential`."""
        self._scores[lane] = LabelOverlap(case, self._view, self._process.poses)

    def values(self, poses: Poses, lanes: Lanes) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        scores = zip(self._scores[lanes], poses[lanes], strict=True)
        return np.array([0.0 if score is None else score.mean_dice(pose) for score, pose in scores])


class LearnedPotential:
    """Any callable ``f(fixed, moved, valid) -> (B,)`` on float32 ``(B, S, H, W)`` images, larger is better.

    Args:
        function: The callable.
        name: The ``reward`` keyword's value.
        images: What it is computed on; of a volume its slices.
    """

    telescopes = True
    uses_truth = False

    def __init__(self, function: Callable[..., Any], name: str, images: Images) -> None:
        self.name = name
        self._images = images
        self._function = function

    @property
    def of_case(self) -> list[NDArray]:
        """See :class:`Potential`."""
        return self._images.of_case

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Potential`."""
        self._images.load(lane, case)

    def values(self, poses: Poses, lanes: Lanes) -> NDArray[np.float64]:
        """See :class:`Potential`."""
        level = self._images.at(poses, lanes)
        values = np.asarray(
            self._function(level.fixed[lanes], level.moved[lanes], level.valid[lanes]), dtype=np.float64
        )
        if values.shape != level.fixed[lanes].shape[:1] or not np.isfinite(values).all():
            raise ValueError(f"reward {self.name!r} must return one finite number for each lane, got {values!r}")
        return values


def make_potential(
    reward: str | Callable[..., Any],
    *,
    images: Images,
    process: Process,
    view: View,
    withheld: bool,
    scales: Mapping[str, float],
) -> Potential:
    """The potential of a ``reward`` keyword.

    Args:
        reward: A similarity (``"ncc"``, ``"mi"``, ...), the mean of several (``"ncc+ngf"``), ``"tre"``,
            ``"parameter_distance"``, ``"dice"``, a callable, or ``"package.module:function"`` for a learned metric.
        images: What a similarity or a callable is computed on.
        process: Whose poses are judged.
        view: What is observed.
        withheld: Whether the truth is withheld (the test split).
        scales: The environment's calibrated scale of each similarity; a mean takes them.

    Raises:
        WithheldError: If it needs the truth on the test split.
        ValueError: On an unknown name, or in a mean on one without a scale.
    """
    if callable(reward):
        return LearnedPotential(reward, getattr(reward, "__name__", type(reward).__name__), images)
    if reward == "none":
        return NoPotential()
    if reward in PRIVILEGED_REWARDS:
        if withheld:
            raise WithheldError(
                f"reward={reward!r} needs the truth, which the test split withholds; use an image similarity"
            )
        if reward == "dice":
            return DicePotential(view, process, len(process.elapsed))
        return TruthPotential(reward, process)
    if ":" in reward:
        module, _, name = reward.partition(":")
        return LearnedPotential(getattr(import_module(module), name), reward, images)
    names = reward.split("+")
    known = [*SIMILARITIES, *(PRIVILEGED_REWARDS if len(names) == 1 else ())]
    for name in names:
        if name not in SIMILARITIES:
            what = f"unknown reward {name!r}" if len(names) == 1 else f"reward={reward!r}: {name!r} is no similarity"
            raise ValueError(f"{what}; {near_miss(name, known)}")
    if unscaled := [name for name in names if name not in scales and len(names) > 1]:
        raise ValueError(f"reward={reward!r}: {unscaled[0]!r} has no calibrated scale here; known: {', '.join(scales)}")
    weights = [1.0] if len(names) == 1 else [float(scales[name]) / len(names) for name in names]
    return SimilarityPotential([(get_similarity(n), w) for n, w in zip(names, weights, strict=True)], images)
