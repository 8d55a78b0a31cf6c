"""Overlap and surface distances of a row, on request: these need the label maps, so the pairs have to be at hand.

They are computed from the row's verified transforms and never read from the row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from regenv.core.geometry import transform_points
from regenv.core.labels import LabelMetrics, label_metrics
from regenv.data.cache import progress
from regenv.errors import DataError
from regenv.evaluation.cases import bind, track_dataset
from regenv.evaluation.track import Track
from regenv.leaderboard.verify import Verification


@dataclass(frozen=True)
class LabelSummary:
    """Means over the cases of a row that have a label in both images.

    Attributes:
        cases: How many such cases.
        dice: Mean Dice.
        hd95_mm: Mean HD95.
        assd_mm: Mean ASSD.
        absent: Labels left out, over all cases, because one image lacks them.
    """

    cases: int
    dice: float
    hd95_mm: float
    assd_mm: float
    absent: int


def label_summary(verification: Verification, data: Path | None = None, *, definition: str = "area") -> LabelSummary:
    """Label metrics of a verified row.

    Args:
        verification: Of :func:`regenv.leaderboard.verify.verify`, without failures.
        data: Folder of the real pairs, for a track of one's own pairs.
        definition: Of the surface distances; see :func:`regenv.core.labels.surface_distances`.

    Raises:
        DataError: If a pair has no label maps, or the folder is not the one that the row was run on.
    """
    track = verification.track
    assert track is not None
    track = _with_images(track, data)
    dataset = track_dataset(track)
    found: list[LabelMetrics] = []
    with progress(f"labels of {verification.folder.name}", len(verification.episodes)) as advance:
        for episode in verification.episodes:
            pair = dataset.load(int(track.case(episode.case).pair))
            truth = pair.truth
            if truth is None or truth.labels_fixed is None or truth.labels_moving is None:
                raise DataError(f"pair {pair.id!r} has no label maps: name them in the manifest, or leave out --labels")
            carry = partial(transform_points, np.asarray(episode.transform))
            maps = truth.labels_fixed, truth.labels_moving, pair.fixed.grid, pair.moving.grid
            found.append(label_metrics(*maps, carry, definition=definition))
            advance()
    compared = [metrics for metrics in found if metrics.dice is not None]
    if not compared:
        raise DataError(f"no pair of track {track.name} has a label that both images show")
    return LabelSummary(
        cases=len(compared),
        dice=float(np.mean([metrics.dice for metrics in compared if metrics.dice is not None])),
        hd95_mm=float(np.mean([metrics.hd95_mm for metrics in compared if metrics.hd95_mm is not None])),
        assd_mm=float(np.mean([metrics.assd_mm for metrics in compared if metrics.assd_mm is not None])),
        absent=sum(metrics.absent for metrics in found),
    )


def _with_images(track: Track, data: Path | None) -> Track:
    """The track bound to where its images are."""
    if ":" not in track.dataset:
        return track
    bound = bind(replace(track, cases=()), data)
    if bound.digest != track.digest:
        raise DataError(f"{data} is not the folder that the row was run on: its cases have another digest")
    return bound
