"""Derives the cases of a track from a data set: the only place where a track's starts are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from regenv.catalogue import get_task
from regenv.core.geometry import FloatArray
from regenv.core.models import MatrixModel, get_model
from regenv.core.tre import lattice_indices, point_errors
from regenv.data.cache import progress
from regenv.data.dataset import Dataset
from regenv.data.pair import ImagePair
from regenv.envs.cases import privileged_of
from regenv.envs.starts import draw_misalignment, half_widths, misaligned
from regenv.errors import DataError

if TYPE_CHECKING:
    from regenv.evaluation.track import Track, TrackCase

_DRAWS = 1000


def track_dataset(track: Track) -> Dataset:
    """The data set of a track, with the truth; an agent never gets it."""
    return get_task(track.env_id).dataset(track.dataset, track.split, field_of_view=track.field_of_view)


def generator_of(dataset: Dataset) -> str:
    """Name and versions of what made the pairs, such as ``"phantom 8, cbct 3"``; a folder's pairs were not made."""
    generator = getattr(dataset, "generator", None)
    return dataset.name.partition(":")[0] if generator is None else str(generator)


def derive_cases(
    track: Track,
    *,
    misalignment: Mapping[str, float],
    per_pair: int,
    min_tre_mm: float,
    seed: int,
    limit: int | None = None,
) -> tuple[tuple[TrackCase, ...], str]:
    """Draws the starts of a track.

    Start ``j`` of pair ``i`` comes from a generator of its own, seeded by ``(seed, i, j)``, so that more pairs or more
    starts leave the others as they are. Cases run through all pairs before a pair comes again, so that the first few
    are of as many subjects as there are.

    Args:
        track: Header of the track, bound to its data.
        misalignment: Half width of the uniform starts, for each unit.
        per_pair: Starts of each pair.
        min_tre_mm: A start nearer to the truth is drawn again.
        seed: Of the starts.
        limit: At most so many pairs, from the first.

    Returns:
        The cases, and name and version of the generator.

    Raises:
        DataError: If a pair has no truth, or no start of its range is far enough away.
    """
    dataset = track_dataset(track)
    task = get_task(track.env_id)
    widths = half_widths(get_model(task.model, task.ndim), misalignment)
    count = len(dataset.ids) if limit is None else min(limit, len(dataset.ids))
    if count == 0:
        raise DataError(f"{dataset.name} has no pair in its {dataset.split!r} split, so track {track.name} has no case")
    problems = []
    with progress(f"cases of {track.name}", count) as advance:
        for i in range(count):
            pair = dataset.load(i)
            for j in range(per_pair):
                rng = np.random.default_rng([seed, i, j])
                problems.append((j, i, _case(track, pair, i, rng, widths, min_tre_mm)))
            advance()
    ordered = [case for _, _, case in sorted(problems, key=lambda problem: problem[:2])]
    digits = max(3, len(str(len(ordered) - 1)))
    return tuple(replace(c, id=f"{n:0{digits}d}") for n, c in enumerate(ordered)), generator_of(dataset)


def _case(
    track: Track, pair: ImagePair, index: int, rng: np.random.Generator, widths: np.ndarray, min_tre_mm: float
) -> TrackCase:
    """One case of one pair, its numbers rounded as they will be stored."""
    from regenv.evaluation.track import TrackCase

    privileged = privileged_of(pair, get_model(get_task(track.env_id).model, get_task(track.env_id).ndim))
    if privileged is None:
        raise DataError(
            f"pair {pair.id!r} of {track.dataset} has no true transform and fewer than 3 landmarks, so its error "
            "cannot be measured: add landmarks or a transform to the manifest, or leave the pair out"
        )
    task, truth = get_task(track.env_id), privileged.truth
    model = get_model(task.model, task.ndim)
    frame = pair.fixed.grid.frame
    lattice, lattice_mm = (
        lattice_indices(pair.fixed_mask, pair.fixed.grid) if truth.transform is not None else (None, 20.0)
    )
    for _ in range(_DRAWS):
        start = _polished(misaligned(privileged.transform, frame, draw_misalignment(rng, widths), model), model)
        if point_errors(start, privileged.points, privileged.true_points).mean() >= min_tre_mm:
            break
    else:
        raise DataError(f"no start within {track.starts} is {min_tre_mm} mm from the truth of pair {pair.id!r}")
    case = TrackCase(
        id="",
        pair=str(index),
        subject=pair.subject,
        start=start,
        truth=privileged.transform,
        frame=frame,
        moving_centre=pair.moving.grid.centre,
        lattice=lattice,
        lattice_mm=lattice_mm,
        landmarks_fixed=truth.landmarks_fixed,
        landmarks_moving=truth.landmarks_moving,
        landmark_names=truth.landmark_names,
    )
    return TrackCase.from_json(case.to_json())


def _polished(transform: FloatArray, model: MatrixModel) -> FloatArray:
    """The nearest rigid transform for a rigid model: a user's transform file may be rigid to three digits only."""
    if model.name != "rigid":
        return transform
    u, _, vt = np.linalg.svd(transform[:-1, :-1])
    polished = transform.copy()
    polished[:-1, :-1] = u @ vt
    return polished
