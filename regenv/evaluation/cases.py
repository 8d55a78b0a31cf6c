"""Derives the cases of a track from a data set: the only place where a track's starts are drawn."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from regenv.catalogue import get_task
from regenv.data.cache import progress
from regenv.data.dataset import Dataset, Numbered, count_of
from regenv.data.layouts import is_layout
from regenv.data.pair import ImagePair
from regenv.envs.config import Config
from regenv.errors import DataError
from regenv.evaluation.track import Track, TrackCase, TrackError
from regenv.imaging.case import target_of
from regenv.poses.base import start_widths
from regenv.process import Process

_DRAWS = 1000
_TRIED = 8  # subjects for each case, where there is no end of them


def track_dataset(track: Track) -> Dataset:
    """The data set of a track, with the truth; an agent never gets it."""
    return track.config().make_dataset(prepare=False)


def load_pair(dataset: Dataset, case: TrackCase) -> ImagePair:
    """The pair of a case, with its truth; on the test split a case names it by number."""
    return dataset.load(int(case.pair) if dataset.split == "test" else dataset.ids.index(case.pair))


def generator_of(dataset: Dataset) -> str:
    """Name and versions of what made the pairs, such as ``"phantom 8, cbct 3"``; a folder's pairs were not made."""
    generator = getattr(dataset, "generator", None)
    return dataset.name.partition(":")[0] if generator is None else str(generator)


def new_track(
    env_id: str,
    name: str,
    *,
    cases: int | None = None,
    title: str = "",
    dataset: str = "phantom",
    split: str = "test",
    field_of_view: str | None = None,
    per_pair: int = 1,
    seed: int = 2026,
    min_tre_mm: float | None = None,
    max_steps: int | None = None,
    max_evaluations: int = 20000,
) -> Track:
    """A new track of an environment, with its cases; on ``"folder:"`` a template without.

    Args:
        env_id: Any id.
        name: Of the track: 1 to 40 plain characters.
        cases: At most so many; None for ``per_pair`` of every pair.
        title: One line; default the id's.
        dataset: See :func:`regenv.datasets.make_dataset`.
        split: Of the data set.
        field_of_view: Of the embedded anatomy; default the id's.
        per_pair: Starts of each pair.
        seed: Of the starts.
        min_tre_mm: Smallest error of a start; default the id's ``success_mm``, so that none is already a success.
        max_steps: Most steps of an episode; default three of the id's horizons.
        max_evaluations: Most evaluations of a similarity in one case.

    Raises:
        ValueError: If the id or an option is unknown, or a number is out of range.
        DataError: If no case can be drawn.
    """
    task = get_task(env_id)
    near = task.success_mm if min_tre_mm is None else min_tre_mm
    steps = 3 * task.horizon if max_steps is None else max_steps
    if not near > 0 or steps < task.horizon or per_pair < 1:
        raise TrackError(
            f"a track needs starts over 0 mm from the truth, at least one for each pair and {task.horizon} steps (the "
            f"horizon of {env_id}); got {near:g} mm, {per_pair} and {steps}"
        )
    if per_pair > 1 and not any(task.misalignment.values()):
        raise TrackError(f"pairs of {env_id} have one start each, the given alignment; got {per_pair} for each pair")
    track = Track(
        name=name,
        title=title or task.title,
        env_id=task.id,
        dataset=dataset,
        split=split,
        field_of_view=field_of_view or task.field_of_view,
        success_mm=task.success_mm,
        max_steps=steps,
        max_evaluations=max_evaluations,
        starts={
            "seed": seed,
            "min_tre_mm": float(near),
            "per_pair": per_pair,
            "misalignment": dict(task.misalignment),
        },
    )
    return track if dataset == "folder:" else with_cases(track, cases)


def bind(track: Track, data: str | os.PathLike[str] | None) -> Track:
    """The track ready to run: on the user's own pairs it is bound to their folder, else returned as it is.

    The cases of a template depend on the folder's pairs and on the template alone: the same folder gives the same
    digest, and a track that was frozen on a folder accepts only what gives its own.

    Args:
        track: From :func:`regenv.evaluation.track.find_track`.
        data: Folder of real pairs with its manifest, or ``"LAYOUT:PATH"``.

    Raises:
        TrackError: If a folder is needed and not given, given and not needed, or not the one of the track.
    """
    if track.dataset != "folder:":
        if data is not None:
            raise TrackError(f"track {track.name} brings its own pairs; for the folder {data} use {track.name}-real")
        return track
    if data is None:
        raise TrackError(f"track {track.name} runs on your own pairs: name their folder with --data PATH")
    named = os.fspath(data)
    unbound = replace(track, cases=(), dataset=named if is_layout(named) else f"folder:{named}")
    bound = with_cases(unbound, len(track.cases) or None)
    if track.cases and bound.digest != track.digest:
        raise TrackError(f"{data} is not the folder of track {track.name}: its cases have another digest")
    return bound


def with_cases(track: Track, cases: int | None = None) -> Track:
    """The track with its cases, drawn as its ``starts`` say.

    Start ``j`` of pair ``i`` comes from a generator of its own, seeded by ``(seed, i, j)``, so that more pairs or more
    starts leave the others as they are. Cases run through all pairs before a pair comes again, so that the first few
    are of as many subjects as there are. A pair without a start that is far enough from the truth is left out, which
    is said on stderr.

    Args:
        track: With ``starts``: ``misalignment`` (largest, for each unit), ``per_pair``, ``min_tre_mm`` (a start nearer
            to the truth is drawn again) and ``seed``.
        cases: At most so many, of as few pairs as give them; None for all pairs.

    Raises:
        DataError: If a pair has no truth, or fewer cases than asked for can be drawn.
    """
    dataset, config = track_dataset(track), track.config(misalignment=track.starts["misalignment"])
    per_pair = int(track.starts["per_pair"])
    count = count_of(dataset, _TRIED * cases if cases and isinstance(dataset.ids, Numbered) else None)
    if cases is not None and cases > count * per_pair:
        raise DataError(
            f"track {track.name}: {per_pair} starts of each of {count} pairs in {dataset.name!r} ({dataset.split}) are "
            f"fewer than {cases} cases: ask for less, or for more starts of each pair"
        )
    wanted = count if cases is None else -(-cases // per_pair)
    process = config.make_process(1)
    kept: dict[int, list[TrackCase]] = {}
    left_out: list[str] = []
    with progress(f"cases of {track.name}", wanted) as advance:
        for i in range(count):
            if len(kept) == wanted:
                break
            pair = dataset.load(i)
            opened = _opened(track, config, process, pair, str(i) if track.split == "test" else dataset.ids[i])
            seeds = ([int(track.starts["seed"]), i, j] for j in range(per_pair))
            drawn = [_started(opened, config, process, np.random.default_rng(s), track.starts) for s in seeds]
            if None in drawn:
                left_out.append(pair.id)
                continue
            kept[i] = [case for case in drawn if case is not None]
            advance()
    if left_out:
        print(
            f"regenv: {track.name}: left out {len(left_out)} pairs, in which no start within "
            f"{dict(track.starts['misalignment'])} is {track.starts['min_tre_mm']:g} mm from the truth and seen "
            f"(min_tre_mm): {', '.join(left_out[:5])}{' ...' if len(left_out) > 5 else ''}",
            file=sys.stderr,
        )
    if not kept:
        raise DataError(f"track {track.name} has no case in the {count} pairs of {dataset.name!r} ({dataset.split})")
    ordered = [starts[j] for j in range(per_pair) for starts in kept.values()][:cases]
    digits = max(3, len(str(len(ordered) - 1)))
    numbered = tuple(replace(case, id=f"{n:0{digits}d}") for n, case in enumerate(ordered))
    return replace(track, cases=numbered, generator=generator_of(dataset))


def _opened(track: Track, config: Config, process: Process, pair: ImagePair, pair_id: str) -> TrackCase:
    """The case of a pair, without a start yet, as the environment has it."""
    poses = process.poses
    if not poses.takes_alignment:
        pair = replace(pair, alignment=None)
    config.imaging.check(pair, pair_id)
    scene = config.imaging.scene(pair)
    target = target_of(pair, poses, scene)
    if target is None:
        raise DataError(
            f"pair {pair.id!r} of {track.dataset} has no true transform and fewer than 3 landmarks, so its error "
            "cannot be measured: add landmarks or a transform to the manifest, or leave the pair out"
        )
    process.load(0, scene, target)
    return TrackCase("", pair_id, pair.subject, poses.origin, scene, target, poses)


def _started(
    case: TrackCase, config: Config, process: Process, rng: np.random.Generator, starts: Mapping[str, Any]
) -> TrackCase | None:
    """The case with a start that is far enough from the truth and seen, its numbers as they will be stored."""
    widths = start_widths(case.poses, config.misalignment)
    for _ in range(_DRAWS if widths.any() else 1):
        start = case.poses.start(rng, widths, case.target.pose, case.scene)
        if process.sees(start[None])[0] and case.tre(case.answer(start.tolist())) >= starts["min_tre_mm"]:
            return TrackCase.from_json(replace(case, start=start).to_json(), case.poses)
    return None
