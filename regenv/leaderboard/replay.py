"""Replays the actions of a row through the environment's own process. Needs no image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.envs.config import Config
from regenv.evaluation.episodes import Episode
from regenv.evaluation.track import Track, TrackCase
from regenv.process import Process

LANES = 64
"""Episodes that are replayed side by side."""


class ReplayError(ValueError):
    """Actions that no episode can have had.

    Attributes:
        kind: ``"action"``, ``"after-stop"``, ``"unfinished"`` or ``"too-many-steps"``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


Steps = tuple[NDArray[np.float64], NDArray[np.bool_]]


def decode(process: Process, actions: Sequence[Any]) -> Steps:
    """Steps ``(n, K)`` and STOP flags ``(n,)`` of one whole episode.

    Raises:
        ReplayError: If an action is not of the space, follows a STOP, or the episode has not ended after the last.
    """
    if len(actions) > process.horizon:
        raise ReplayError("too-many-steps", f"{len(actions)} actions, the horizon is {process.horizon}")
    if not actions:
        raise ReplayError("unfinished", "no action; an episode has at least one")
    try:
        steps, stops = process.actions.decode(np.asarray(actions))
    except (ValueError, IndexError, TypeError) as error:
        raise ReplayError("action", f"an action is not in the action space: {error}") from error
    if stops[:-1].any():
        at = int(np.flatnonzero(stops)[0])
        raise ReplayError("after-stop", f"STOP at step {at + 1} is followed by {len(actions) - at - 1} actions")
    if not stops[-1] and len(actions) < process.horizon:
        raise ReplayError("unfinished", f"{len(actions)} actions without STOP, the horizon is {process.horizon}")
    return steps, stops


def replay(config: Config, cases: Sequence[TrackCase], steps: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Final poses ``(B, ...)`` of B episodes side by side; ``steps`` are those of each, from :func:`decode`."""
    process = config.make_process(len(cases))
    for lane, case in enumerate(cases):
        process.load(lane, case.scene, None)
        process.begin(lane, case.start)
    table = np.zeros((max(len(rows) for rows in steps), len(cases), process.poses.n_parameters))
    for lane, rows in enumerate(steps):
        table[: len(rows), lane] = rows
    still = np.zeros(len(cases), dtype=bool)
    for row in table:  # a lane that has ended makes steps of zero, which keep its pose bit for bit
        process.advance(row, still)
    return process.pose


def replay_episodes(
    config: Config, track: Track, episodes: Sequence[Episode]
) -> tuple[dict[tuple[str, int], NDArray[np.float64]], dict[tuple[str, int], ReplayError]]:
    """Replays episodes that have actions.

    Returns:
        Final pose by episode key, and what was wrong with those that cannot be replayed.
    """
    by_id = {case.id: case for case in track.cases}
    process = config.make_process(1)
    decoded: dict[tuple[str, int], NDArray[np.float64]] = {}
    refused: dict[tuple[str, int], ReplayError] = {}
    for episode in episodes:
        try:
            decoded[episode.key], _ = decode(process, episode.actions or [])
        except ReplayError as error:
            refused[episode.key] = error
    finals: dict[tuple[str, int], NDArray[np.float64]] = {}
    keys = list(decoded)
    for first in range(0, len(keys), LANES):
        some = keys[first : first + LANES]
        poses = replay(config, [by_id[case] for case, _ in some], [decoded[key] for key in some])
        finals.update(zip(some, poses, strict=True))
    return finals, refused
