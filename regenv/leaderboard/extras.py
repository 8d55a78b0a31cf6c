"""Metrics of a row on request: of labels, of images and of regularity, as published tables report them.

They are computed from the row's verified transforms and never read from the row. Labels and images need the pairs
themselves. None is part of the score: high similarity and overlap do not show that a registration is right (Rohlfing,
IEEE TMI 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from regenv.core.image_metrics import image_metrics
from regenv.core.jacobian import folding, sdlogj
from regenv.core.labels import label_metrics
from regenv.data.cache import progress
from regenv.data.pair import ImagePair
from regenv.errors import DataError, check_option
from regenv.evaluation.answers import Answer
from regenv.evaluation.cases import bind, load_pair, track_dataset
from regenv.evaluation.track import Track, TrackCase
from regenv.imaging import make_renderer
from regenv.imaging.case import make_case
from regenv.leaderboard.verify import Verification

_STEP_MM = 0.5  # of the differences that a Jacobian is taken by

Measure = Callable[[TrackCase, ImagePair | None, Answer], Mapping[str, float] | None]
"""The metrics of one case, or None where there is nothing to compare."""


@dataclass(frozen=True)
class Extra:
    """Metrics of one kind, means over the cases of a row.

    Attributes:
        means: By name, with the unit in the name.
        cases: Over how many cases.
        left_out: How many were left out: no label that both images show, or nothing of the moving image in the mask.
        note: What a reader has to know.
    """

    means: Mapping[str, float]
    cases: int
    left_out: int
    note: str

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in self.means.items())
        missing = f", {self.left_out} left out" if self.left_out else ""
        return f"{numbers} ({self.cases} cases{missing}; {self.note})"


def extra_metrics(
    verification: Verification, kinds: Sequence[str], data: Path | None = None, *, definition: str = "area"
) -> dict[str, Extra]:
    """Metrics of a verified row.

    Args:
        verification: Of :func:`regenv.leaderboard.verify.verify`, without failures.
        kinds: Of :data:`KINDS`.
        data: Folder of the real pairs, for a track of one's own pairs.
        definition: Of the labels' surface distances; see :func:`regenv.core.labels.surface_distances`.

    Returns:
        What was found of each kind.

    Raises:
        ValueError: If a kind or definition is unknown, or the folder is not the one that the row was run on.
        DataError: If a kind cannot be had of the track; the message says why.
    """
    track = verification.track
    assert track is not None
    for kind in kinds:
        check_option("metrics", kind, tuple(KINDS))
    seen = [kind for kind in kinds if kind != "jacobians"]
    if seen and ":" in track.dataset and (data is not None or track.dataset == "folder:"):
        track = bind(replace(track, dataset="folder:"), data)
    made = {kind: KINDS[kind](track, definition) for kind in kinds}
    dataset = track_dataset(track) if seen else None
    found: dict[str, list[Mapping[str, float] | None]] = {kind: [] for kind in kinds}
    with progress(f"{', '.join(kinds)} of {verification.folder.name}", len(verification.episodes)) as advance:
        for episode in verification.episodes:
            case = track.case(episode.case)
            pair = None if dataset is None else load_pair(dataset, case)
            for kind, (measure, _) in made.items():
                found[kind].append(measure(case, pair, case.answer(episode.transform)))
            advance()
    return {kind: _summary(kind, track, found[kind], note) for kind, (_, note) in made.items()}


def _summary(kind: str, track: Track, found: Sequence[Mapping[str, float] | None], note: str) -> Extra:
    kept = [metrics for metrics in found if metrics is not None]
    if not kept:
        raise DataError(f"{kind}: no case of track {track.name} has anything to compare")
    means = {name: float(np.mean([metrics[name] for metrics in kept])) for name in kept[0]}
    return Extra(means, len(kept), len(found) - len(kept), note)


def _labels(track: Track, definition: str) -> tuple[Measure, str]:
    """Dice, HD95 and ASSD on the fixed image's grid; the moving labels are warped by nearest neighbour."""
    imaging = track.config().imaging
    if not imaging.has_labels:
        raise DataError(f"labels: {track.env_id} shows a {imaging.noun}, on which no label maps are compared")

    def measure(case: TrackCase, pair: ImagePair | None, final: Answer) -> Mapping[str, float] | None:
        assert pair is not None
        truth = pair.truth
        if truth is None or truth.labels_fixed is None or truth.labels_moving is None:
            raise DataError(f"labels: pair {pair.id!r} of {track.dataset} has no label maps; name them in the manifest")
        maps = truth.labels_fixed, truth.labels_moving, pair.fixed.grid, pair.moving.grid
        found = label_metrics(*maps, final.carry, definition=definition)
        if found.dice is None or found.hd95_mm is None or found.assd_mm is None:
            return None
        return {"dice": found.dice, "hd95_mm": found.hd95_mm, "assd_mm": found.assd_mm, "labels": found.labels}

    return measure, f"surface distances by the definition {definition!r}"


def _images(track: Track, definition: str) -> tuple[Measure, str]:
    """CC, MSE and SSIM in the fixed mask, on the id's view: the whole volume in 3-D, else the images that it shows."""
    config = track.config()
    imaging, model = config.imaging, config.make_poses()
    view = config.make_view("volume" if "volume" in imaging.observations(config.task.ndim) else "slices")

    def measure(case: TrackCase, pair: ImagePair | None, final: Answer) -> Mapping[str, float] | None:
        assert pair is not None
        posed = final.posed()
        if (posed.poses.sampling, "cpu") not in imaging.renderers:
            raise DataError(
                f"images: case {case.id} was answered with a deformation, through which no {imaging.noun} is rendered"
            )
        renderer = make_renderer(imaging, posed.poses, view, 1, 1)
        renderer.load(0, replace(make_case(pair, case.id, imaging, model), scene=posed.scene))
        renderer.render(posed.pose[None])
        level = renderer.levels[0]
        images = (level.fixed[0].clip(0, 1), level.moved[0].clip(0, 1), level.mask[0] & level.valid[0])
        planes = [images] if view.volumetric else list(zip(*images, strict=True))
        found = [image_metrics(*plane) for plane in planes if plane[2].any()]
        return {name: float(np.mean([m[name] for m in found])) for name in found[0]} if found else None

    first, second = config.task.modalities
    alike = first == second or imaging.view_ndim(config.task.ndim) < config.task.ndim
    note = "" if alike else f", of which mse and ssim say little between {first} and {second}"
    return measure, f"windowed to [0, 1], in the fixed mask at {view.spacing_mm:g} mm{note}"


def _jacobians(track: Track, definition: str) -> tuple[Measure, str]:
    """SDlogJ and the share of folded points, at the points that the error is measured on."""

    def measure(case: TrackCase, pair: ImagePair | None, final: Answer) -> Mapping[str, float]:
        points = case.target.points
        steps = _STEP_MM * np.eye(points.shape[1])
        slopes = [(final.carry(points + step) - final.carry(points - step)) / (2 * _STEP_MM) for step in steps]
        determinants = np.linalg.det(np.stack(slopes, axis=-1))
        return {"sdlogj": sdlogj(determinants), "folding": folding(determinants)}

    return measure, "at the points of the TRE; folding is a share"


KINDS: Mapping[str, Callable[[Track, str], tuple[Measure, str]]] = {
    "labels": _labels,
    "images": _images,
    "jacobians": _jacobians,
}
"""Makes what measures a track's cases, and a note for readers, by kind."""
