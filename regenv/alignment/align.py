"""``regenv.align``: two images in, a transform out, by a trained agent."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regenv.agent import Problem, answer, answers_at_once, play
from regenv.core.image import Image
from regenv.core.points import lattice_points, mean_tre
from regenv.core.similarity import get_similarity
from regenv.data.pair import ImagePair
from regenv.envs.single import RegistrationEnv
from regenv.errors import DataError, check_option
from regenv.evaluation.agents import environment_keywords, load_agent
from regenv.imaging import get_imaging, make_view
from regenv.imaging.case import make_case
from regenv.imaging.renderer import Renderer
from regenv.modality import get_modality
from regenv.poses import get_model
from regenv.poses.base import draw_misalignment, start_widths
from regenv.resources import resource

if TYPE_CHECKING:
    import SimpleITK as sitk

ENVIRONMENTS = {"rigid": "CTCBCT-Rigid-v0", "affine": "CTCBCT-Affine-v0"}
DEFAULT_AGENTS = {"rigid": "greedy_supervised_rigid.onnx"}
AIR_HU = -500.0
NEARBY = {"mm": 12.0, "deg": 8.0}
SAME_ANSWER_MM = 5.0
MEASURE_SIZE = 64
MIN_OVERLAP = 0.25
"""Share of the fixed view that the moved image must cover for the answer to be given without a warning."""
MIN_CONFIDENCE = 0.5
"""Share of the further runs that must agree for the answer to be given without a warning."""


@dataclass(frozen=True)
class Alignment:
    """What :func:`align` found.

    Attributes:
        transform: SimpleITK transform from fixed to moving physical points, the initial one included.
        similarity_start: Similarity under the initial transform, larger is better.
        similarity_end: Similarity under ``transform``.
        similarity: Name of that measure.
        confidence: Share, in [0, 1], of the further runs from nearby starts that end within 5 mm of this answer; 0
            where the agent itself finds too little in common between the images; NaN with ``runs=1``. It says how well
            runs agree; an error that all of them make is not seen.
        warnings: What the caller should know before trusting the transform; empty where nothing is amiss.
        steps: Actions taken, in all runs together.
        seconds: Wall time.
    """

    transform: sitk.Transform
    similarity_start: float
    similarity_end: float
    similarity: str
    confidence: float
    warnings: tuple[str, ...]
    steps: int
    seconds: float


class OnePair:
    """A data set of a single pair whose truth nobody knows."""

    def __init__(self, pair: ImagePair) -> None:
        self.name = "images given to align"
        self.split = "test"
        self.ndim = pair.ndim
        self.ids: tuple[str, ...] = ("0",)
        self.subjects: tuple[str, ...] = ("0",)
        self._pair = pair

    def load(self, index: int) -> ImagePair:
        """The pair."""
        return self._pair


def align(
    fixed: sitk.Image,
    moving: sitk.Image,
    *,
    initial: sitk.Transform | None = None,
    agent: Any = None,
    model: str = "rigid",
    runs: int = 3,
    seed: int = 0,
) -> Alignment:
    """Brings the moving image to the fixed one.

    Args:
        fixed: 3-D SimpleITK image.
        moving: 3-D SimpleITK image.
        initial: Where to start, fixed to moving physical points; default aligns the centres of the grids.
        agent: None for the shipped policy with a short refinement; or a path to a ``policy.onnx``,
            ``"module:factory"``, or an agent object.
        model: ``"rigid"``, or ``"affine"`` with an agent that was made for it.
        runs: The answer is the most similar of this many runs, the first from ``initial`` and the others from starts
            within 8 degrees and 12 mm of it. One is fastest; several tell how far the answer can be trusted.
        seed: Of the further starts, and of agents that draw random numbers.

    Returns:
        The transform and what is known of its quality. A pose that is worse than the start by its own measure is not
        returned: the start is, and ``warnings`` says so.

    Raises:
        DataError: If an image cannot be used (dimension, NaN, a single value).
        ValueError: On an unknown model or a start that does not fit it.
        MissingExtraError: Without onnxruntime: ``pip install 'regenv[align]'``.
    """
    from regenv.core.sitk import matrix_from_sitk, matrix_to_sitk

    began = time.perf_counter()
    check_option("model", model, ENVIRONMENTS)
    if agent is None and model not in DEFAULT_AGENTS:
        raise ValueError(f"the shipped policy is rigid; for model={model!r} pass an agent that was made for it")
    if runs < 1:
        raise ValueError(f"runs must be at least 1, got {runs}")
    pair = make_pair(fixed, moving)
    start = centres_aligned(pair) if initial is None else matrix_from_sitk(initial)
    measure = Measure(pair)
    if measure.overlap(start) == 0:
        raise DataError("the images do not overlap under the initial transform; leave it out to align their centres")
    solver = _Solver(pair, model, agent, seed)
    found = [solver.solve(pose) for pose in nearby_starts(start, pair, runs, seed)]
    values = [measure.similarity(pose) for pose in found]
    best = int(np.argmax(values))
    pose, at_start, at_end = found[best], measure.similarity(start), values[best]
    confidence = _agreement(found, best, pair) if runs > 1 else float("nan")
    warnings = []
    if at_end < at_start:
        warnings.append(
            f"the agent ended at a lower {measure.name} ({at_end:.4f}) than it started from ({at_start:.4f}); "
            "the start is returned: try another initial transform"
        )
        pose, at_end, confidence = start, at_start, 0.0
    elif not solver.recognised[best]:
        warnings.append(
            "the agent finds too little in common between the images to tell how they lie: do not rely on this answer"
        )
        confidence = 0.0
    elif confidence < MIN_CONFIDENCE:
        warnings.append(
            f"only {100 * confidence:.0f} % of the further runs agree with this answer: look at it before you use it"
        )
    if (overlap := measure.overlap(pose)) < MIN_OVERLAP:
        warnings.append(f"only {100 * overlap:.0f} % of the fixed image is covered by the moved one")
    return Alignment(
        transform=matrix_to_sitk(pose),
        similarity_start=at_start,
        similarity_end=at_end,
        similarity=measure.name,
        confidence=confidence,
        warnings=tuple(warnings),
        steps=solver.steps,
        seconds=time.perf_counter() - began,
    )


def make_pair(fixed: sitk.Image, moving: sitk.Image) -> ImagePair:
    """A pair without truth from two SimpleITK images; values as low as air in Hounsfield units make it a CT.

    Raises:
        DataError: If an image cannot be used.
    """
    images = [_as_image(image, name) for image, name in ((fixed, "fixed"), (moving, "moving"))]
    if any(image.grid.ndim != 3 for image in images):
        kinds = " and ".join(f"a {image.grid.ndim}-D" for image in images)
        raise DataError(f"align works on 3-D images, got {kinds} one; register 2-D ones through their own environments")
    return ImagePair(id="0", subject="0", fixed=images[0], moving=images[1])


def centres_aligned(pair: ImagePair) -> NDArray[np.float64]:
    """The translation that carries the centre of the fixed grid to the centre of the moving one, ``(4, 4)``."""
    matrix = np.eye(pair.ndim + 1)
    matrix[:-1, -1] = pair.moving.grid.centre - pair.fixed.grid.centre
    return matrix


def nearby_starts(start: NDArray[np.float64], pair: ImagePair, count: int, seed: int) -> list[NDArray[np.float64]]:
    """The start, and ``count - 1`` random ones within 8 degrees and 12 mm of it."""
    rng = np.random.default_rng(seed)
    rigid = get_model("rigid", pair.ndim)
    widths = start_widths(rigid, NEARBY)
    frame = pair.fixed.grid.frame
    others = [rigid.misaligned(start, draw_misalignment(rng, widths), frame) for _ in range(count - 1)]
    return [start, *others]


class Measure:
    """How alike the images are under a transform, on a coarse volume of the fixed view.

    NCC where both images are in Hounsfield units, normalised mutual information else.
    """

    def __init__(self, pair: ImagePair) -> None:
        both_hu = all(get_modality(image.modality).hounsfield for image in (pair.fixed, pair.moving))
        self.name = "ncc" if both_hu else "nmi"
        self._similarity = get_similarity(self.name)
        spacing = max(float(pair.fixed.grid.extent.max()) / MEASURE_SIZE, 1.0)
        view = make_view("volume", ndim=pair.ndim, size=MEASURE_SIZE, spacing_mm=spacing)
        rigid = get_model("rigid", pair.ndim)
        self._renderer = Renderer(view, 1, rigid, threads=1)
        self._renderer.load(0, make_case(pair, pair.id, get_imaging("volume"), rigid))

    def similarity(self, transform: NDArray[np.float64]) -> float:
        """The similarity under a ``(4, 4)`` transform, larger is better."""
        self._renderer.render(transform[None])
        level = self._renderer.levels[0]
        return float(self._similarity.evaluate(level.fixed, level.moved, level.mask, level.valid, True)[0])

    def overlap(self, transform: NDArray[np.float64]) -> float:
        """Share of the fixed image that the moved one covers."""
        self._renderer.render(transform[None])
        return float(self._renderer.levels[0].sums[0, 1] / max(self._renderer.levels[0].sums[0, 0], 1.0))


class _Solver:
    """Runs one agent on one pair from any start: by its actions in an environment, or by its one answer."""

    def __init__(self, pair: ImagePair, model: str, agent: Any, seed: int) -> None:
        self.pair = pair
        self._model = model
        self.steps = 0
        self.recognised: list[bool] = []  # of each run: whether the agent itself finds enough in common
        self._refine = agent is None
        if agent is None:
            agent = str(resource("policies", DEFAULT_AGENTS[model]))
        self._agent = load_agent(agent, seed) if isinstance(agent, str) else agent
        self._env: RegistrationEnv | None = None
        if not answers_at_once(self._agent):
            keywords = environment_keywords(self._agent)
            self._env = RegistrationEnv(ENVIRONMENTS[model], split="test", dataset=OnePair(pair), **keywords)

    def solve(self, start: NDArray[np.float64]) -> NDArray[np.float64]:
        """The agent's final transform from a start, ``(4, 4)``."""
        pose = self._answer(start) if self._env is None else self._episode(start)
        self.recognised.append(_recognises(self._agent))
        if self._refine:
            from regenv.alignment.refine import refine

            pose, _ = refine(self.pair.fixed, self.pair.moving, pose)
        return pose

    def _answer(self, start: NDArray[np.float64]) -> NDArray[np.float64]:
        from regenv.core.sitk import image_to_sitk, matrix_from_sitk, matrix_to_sitk

        images = image_to_sitk(self.pair.fixed), image_to_sitk(self.pair.moving)
        return matrix_from_sitk(answer(self._agent, Problem(*images, matrix_to_sitk(start), self._model)))

    def _episode(self, start: NDArray[np.float64]) -> NDArray[np.float64]:
        assert self._env is not None
        played = play(self._agent, self._env, options={"pair": "0", "start": start})
        self.steps += len(played.actions)
        return np.asarray(played.last["transform"])


def _recognises(agent: Any) -> bool:
    """Whether a policy's last confidence reaches what it declares that an answer needs; True where it tells neither."""
    confidence, needed = getattr(agent, "confidence", None), getattr(agent, "min_confidence", None)
    return confidence is None or needed is None or float(np.ravel(confidence)[0]) >= float(needed)


def _as_image(image: sitk.Image, name: str) -> Image:
    from regenv.core.sitk import image_from_sitk

    converted = image_from_sitk(image)
    array = converted.array
    if not np.isfinite(array).all():
        raise DataError(f"the {name} image holds NaN or infinite values; replace them, with the background for example")
    low, high = float(array.min()), float(array.max())
    if low == high:
        raise DataError(f"the {name} image holds the single value {low:g}; there is nothing to align")
    if low <= AIR_HU:
        return replace(converted, modality="ct", background=get_modality("ct").background)
    return replace(converted, background=low)


def _agreement(found: list[NDArray[np.float64]], best: int, pair: ImagePair) -> float:
    points = lattice_points(None, pair.fixed.grid)
    others = [mean_tre(found[best], pose, points) <= SAME_ANSWER_MM for i, pose in enumerate(found) if i != best]
    return float(np.mean(others))
