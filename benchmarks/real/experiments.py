"""The rows of the table: which pairs serve which environment, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from agents.greedy_search import GreedySearch
from agents.oracle import Oracle
from benchmarks.real import classical, methods
from benchmarks.real.folders import write_folders
from benchmarks.real.wrist import WristDataset
from regenv.agent import play
from regenv.core.sitk import image_to_sitk, matrix_to_sitk, to_sitk
from regenv.data.pair import ImagePair

STARTS = 10


@dataclass(frozen=True)
class Experiment:
    """Pairs of one kind in one environment.

    Attributes:
        title: What is registered.
        env_id: Environment.
        folder: Of :mod:`benchmarks.real.folders`, or ``"wrist"``.
        measures: What is reported, of ``"tre"``, ``"dice"`` and ``"ncc"``.
        classical: ``"mi"`` or ``"ncc"`` (linear), ``"spline"`` or ``"simplex"``.
        only: Id of the pair in the folder; None for all.
        oracle: ``"truth"``, ``"labels"`` or None where nothing is known.
        keywords: Further keywords of the environment.
    """

    title: str
    env_id: str
    folder: str
    measures: tuple[str, ...]
    classical: str
    only: str | None = None
    oracle: str | None = "truth"
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """A name for files."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


EXPERIMENTS = (
    Experiment("Right lung, follow-up to baseline", "LungCT-Affine-v0", "lung", ("tre",), "ncc", "own_frames"),
    Experiment("Right lung, given: the files' frames", "LungCT-SDM-v0", "lung", ("tre",), "spline", "own_frames"),
    Experiment("Right lung, given: SimpleITK's affine", "LungCT-SDM-v0", "lung", ("tre",), "spline", "sitk_affine"),
    Experiment(
        "Hearts, end-diastole to end-systole", "CardiacMR-SDM2D-v0", "heart", ("dice", "ncc"), "spline", None, "labels"
    ),
    Experiment("Brain, contrasts of one session", "T1T2-Rigid-v0", "brain", ("tre",), "mi"),
    Experiment("MNI tissue maps to T1 template", "T1T2-Affine-v0", "mni", ("tre",), "mi"),
    Experiment(
        "Wrist, CT of the radius to two radiographs", "XRayCT-Rigid-v0", "wrist", ("tre",), "simplex",
        keywords={"field_of_view": "biplane"},
    ),
    Experiment(
        "The same, pixels of 1 mm on the detector", "XRayCT-Rigid-v0", "wrist", ("tre",), "simplex",
        keywords={"field_of_view": "biplane", "view_spacing_mm": 1.0},
    ),
    Experiment(
        "The same, starts as between frames of a film", "XRayCT-Rigid-v0", "wrist", ("tre",), "simplex",
        keywords={"field_of_view": "biplane", "view_spacing_mm": 1.0, "misalignment": {"mm": 4.0, "deg": 4.0}},
    ),
    Experiment("Knee, bent to straight", "KneeMR-Affine-v0", "knee", ("tre", "ncc"), "ncc", "to_sitk_affine"),
    Experiment("Knee, given: SimpleITK's affine", "KneeMR-SDM-v0", "knee", ("ncc",), "spline", "rest", None),
    Experiment("Rat's chest, breathing", "CardiacMR-SDM2D-v0", "rat", ("ncc",), "spline", None, None),
)  # fmt: skip

Row = dict[str, Any]
"""``pair``, ``start`` number, ``method`` and the measures."""


def run_experiment(
    experiment: Experiment, data: Path, work: Path, starts: int = STARTS, say: Callable[[str], None] = print
) -> Iterator[Row]:
    """Runs all methods from all starts.

    Args:
        experiment: Which.
        data: Holds the public images.
        work: Folders of pairs are written there.
        starts: Starts of each pair: cases with a frame of their own where the pair has several, else seeds.
        say: Told of each start.

    Yields:
        A row for each pair, start and method.
    """
    keywords = dict(experiment.keywords)
    if experiment.folder == "wrist":
        fine = keywords.get("view_spacing_mm", 3.0) < 2
        dataset: Any = WristDataset(data, starts, *((96.0, 4) if fine else (192.0, 6)))
    else:
        folder = work / experiment.folder
        if not (folder / "pairs.csv").is_file():
            write_folders(data, work, [experiment.folder])
        dataset = f"folder:{folder}"
        if experiment.folder == "rat":
            keywords["deformation"] = str(folder / "smooth.npz")
    env = gym.make(experiment.env_id, split="validation", dataset=dataset, **keywords)
    source = dataset if experiment.folder == "wrist" else _loaded(env, dataset)
    for name, seed, index in _episodes(source.ids, experiment.only, starts):
        pair = source.load(index)
        shown = f"{experiment.env_id} {pair.id} {seed}"
        for method, transform in _transforms(experiment, env, pair, seed):
            found = methods.measured(pair, transform)
            say(f"{shown} {method} " + " ".join(f"{k} {v:.3f}" for k, v in found.items()))
            yield {"pair": name, "start": seed, "method": method} | found


def _episodes(ids: tuple[str, ...], only: str | None, starts: int) -> Iterator[tuple[str, int, int]]:
    """Name of the pair, seed and index of each episode: cases of a pair (``name#k``) serve for its starts."""
    for index, full in enumerate(ids):
        name, _, case = full.partition("#")
        if only not in (None, name):
            continue
        if case:
            if int(case) < starts:
                yield name, int(case), index
        else:
            for seed in range(starts):
                yield name, seed, index


def _loaded(env: Any, name: str) -> Any:
    """The data set again, with its truth, as the environment reads it."""
    return env.unwrapped.config.task.dataset(name, "validation")


def _transforms(experiment: Experiment, env: Any, pair: ImagePair, seed: int) -> Iterator[tuple[str, Any]]:
    """Method and transform, fixed to moving points, of one start."""
    deformable = env.unwrapped.model.takes_alignment
    # SimpleITK and the linear alignment know nothing of coefficients: once a pair
    if deformable and seed == 0:
        given = to_sitk(np.eye(pair.ndim + 1) if pair.alignment is None else pair.alignment)
        yield "given", given
        fixed, moving = image_to_sitk(pair.fixed), image_to_sitk(pair.moving)
        yield "classical", classical.spline_registration(fixed, moving, given, methods.mask_of(pair))
    options = {"pair": pair.id}
    env.reset(seed=seed, options=options)
    yield "start", env.unwrapped.to_sitk()
    play(GreedySearch(), env, seed=seed, options=options)
    yield "greedy", env.unwrapped.to_sitk()
    if experiment.oracle is not None:
        if experiment.oracle == "labels":
            env.reset(seed=seed, options=options)
            methods.run_label_oracle(env, pair)
        else:
            play(Oracle(), env, seed=seed, options=options)
        yield "oracle", env.unwrapped.to_sitk()
    if not deformable:
        _, info = env.reset(seed=seed, options=options)
        if experiment.classical == "simplex":
            yield "classical", matrix_to_sitk(classical.simplex(env, info["transform"]))
        else:
            fixed, moving = image_to_sitk(pair.fixed), image_to_sitk(pair.moving)
            start = matrix_to_sitk(info["transform"])
            yield (
                "classical",
                classical.linear_registration(
                    fixed, moving, start, "mattes" if experiment.classical == "mi" else "ncc"
                ),
            )
