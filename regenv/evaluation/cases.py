"""Derives the cases of a track from a data set: the only place where a track's starts are drawn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from regenv.core.geometry import FloatArray
from regenv.data.cache import progress
from regenv.data.dataset import Dataset
from regenv.data.layouts import is_layout
from regenv.data.pair import ImagePair
from regenv.envs.config import Config
from regenv.errors import DataError
from regenv.evaluation.track import Track, TrackCase, TrackError
from regenv.imaging.case import target_of
from regenv.poses.base import start_widths
from regenv.process import Process

_DRAWS = 1000


def track_dataset(track: Track) -> Dataset:
    """The data set of a track, with the truth; an agent never gets it."""
    return track.config().make_dataset(prepare=False)


def generator_of(dataset: Dataset) -> str:
    """Name and versions of what made the pairs, such as ``"phantom 8, cbct 3"``; a folder's pairs were not made."""
    generator = getattr(dataset, "generator", None)
    return dataset.name.partition(":")[0] if generator is None else str(generator)


def bind(track: Track, data: str | os.PathLike[str] | None) -> Track:
    """The track ready to run: a template gets its cases from the user's folder, a frozen track is returned as it is.

    The cases depend on the folder's pairs and on the template alone: the same folder gives the same digest.

    Args:
        track: From :func:`regenv.evaluation.track.find_track`.
        data: Folder of real pairs with its manifest, for a template.

    Raises:
        TrackError: If a template gets no folder, or a frozen track gets one.
    """
    if not track.is_template:
        if data is not None:
            raise TrackError(f"track {track.name} brings its own pairs; for the folder {data} use {track.name}-real")
        return track
    if data is None:
        raise TrackError(f"track {track.name} runs on your own pairs: name their folder with --data PATH")
    named = os.fspath(data)
    return with_cases(replace(track, dataset=named if is_layout(named) else f"folder:{named}"))


def with_cases(track: Track, limit: int | None = None) -> Track:
    """The track with its cases, drawn as its ``starts`` say.

    Start ``j`` of pair ``i`` comes from a generator of its own, seeded by ``(seed, i, j)``, so that more pairs or more
    starts leave the others as they are. Cases run through all pairs before a pair comes again, so that the first few
    are of as many subjects as there are.

    Args:
        track: With ``starts``: ``misalignment`` (largest, for each unit), ``per_pair``, ``min_tre_mm`` (a start nearer
            to the truth is drawn again) and ``seed``.
        limit: At most so many pairs, from the first.

    Raises:
        DataError: If a pair has no truth, or no start of its range is far enough away.
    """
    dataset, config = track_dataset(track), track.config(misalignment=track.starts["misalignment"])
    count = len(dataset.ids) if limit is None else min(limit, len(dataset.ids))
    if count == 0:
        raise DataError(f"{dataset.name} has no pair in its {dataset.split!r} split, so track {track.name} has no case")
    process = config.make_process(1)
    drawn: list[tuple[int, int, TrackCase]] = []
    with progress(f"cases of {track.name}", count) as advance:
        for i in range(count):
            pair = dataset.load(i)
            opened = _opened(track, config, process, pair, str(i) if track.split == "test" else dataset.ids[i])
            for j in range(int(track.starts["per_pair"])):
                rng = np.random.default_rng([int(track.starts["seed"]), i, j])
                drawn.append((j, i, _started(opened, config, process, rng, track.starts)))
            advance()
    ordered = [case for _, _, case in sorted(drawn, key=lambda one: one[:2])]
    digits = max(3, len(str(len(ordered) - 1)))
    cases = tuple(replace(case, id=f"{n:0{digits}d}") for n, case in enumerate(ordered))
    return replace(track, cases=cases, generator=generator_of(dataset))


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
) -> TrackCase:
    """The case with a start that is far enough from the truth and seen, its numbers as they will be stored."""
    widths = start_widths(case.poses, config.misalignment)
    for _ in range(_DRAWS):
        start: FloatArray = case.poses.start(rng, widths, case.target.pose, case.scene)
        if process.sees(start[None])[0]:
            started = TrackCase.from_json(replace(case, start=start).to_json(), case.poses)
            if started.tre_start >= starts["min_tre_mm"]:
                return started
    raise DataError(
        f"no start within {dict(starts['misalignment'])} is {starts['min_tre_mm']:g} mm from the truth of pair "
        f"{case.pair!r} and seen: ask for less (min_tre_mm), or leave the pair out"
    )
