"""Replays the actions of a row through the transform model. Needs no image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.actions import ActionScheme, make_actions
from regenv.catalogue import get_task
from regenv.core.models import MatrixModel, get_model
from regenv.envs.config import Config, make_config
from regenv.envs.dynamics import Dynamics
from regenv.envs.views import make_view
from regenv.evaluation.episodes import Episode
from regenv.evaluation.track import Track, TrackCase


class ReplayError(ValueError):
    """Actions that no episode can have had.

    Attributes:
        kind: ``"action"``, ``"after-stop"``, ``"unfinished"`` or ``"too-many-steps"``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Process:
    """The part of an environment that a replay needs.

    Attributes:
        config: The checked keywords.
        model: The transform model.
        actions: The action scheme.
        dynamics: How a step moves the pose.
    """

    config: Config
    model: MatrixModel
    actions: ActionScheme
    dynamics: Dynamics

    @classmethod
    def of(cls, track: Track, env_kwargs: Mapping[str, Any]) -> Process:
        """The process of a track's environment with the keywords of a row.

        Raises:
            ValueError: If a keyword is unknown or has a bad value.
        """
        task = get_task(track.env_id)
        keywords: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in env_kwargs.items()}
        config = make_config(track.env_id, **keywords)
        model = get_model(task.model, task.ndim)
        actions = make_actions(config.actions, model, steps=config.steps, default_steps=task.steps, stop=config.stop)
        assert config.view_size is not None and config.view_spacing_mm is not None
        view = make_view(config.observation, ndim=task.ndim, size=config.view_size, spacing_mm=config.view_spacing_mm)
        return cls(config, model, actions, Dynamics(model, view.extent_mm))

    def decode(self, actions: Sequence[Any]) -> NDArray[np.float64]:
        """Coefficients ``(steps, K)`` of one whole episode.

        Raises:
            ReplayError: If an action is not of the space, follows a STOP, or the episode has not ended after the last.
        """
        horizon = self.config.horizon
        assert horizon is not None
        if len(actions) > horizon:
            raise ReplayError("too-many-steps", f"{len(actions)} actions, the horizon is {horizon}")
        if not actions:
            raise ReplayError("unfinished", "no action; an episode has at least one")
        try:
            coefficients, stops = self.actions.decode(np.asarray(actions))
        except (ValueError, IndexError, TypeError) as error:
            raise ReplayError("action", f"an action is not in the action space: {error}") from error
        if stops[:-1].any():
            at = int(np.flatnonzero(stops)[0])
            raise ReplayError("after-stop", f"STOP at step {at + 1} is followed by {len(actions) - at - 1} actions")
        if not stops[-1] and len(actions) < horizon:
            raise ReplayError("unfinished", f"{len(actions)} actions without STOP, the horizon is {horizon}")
        return coefficients

    def replay(self, cases: Sequence[TrackCase], coefficients: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Final transforms ``(B, d + 1, d + 1)`` of B episodes, all lanes side by side.

        Args:
            cases: Case of each episode.
            coefficients: ``(steps, K)`` of each, from :meth:`decode`.
        """
        transforms = np.stack([case.start for case in cases])
        frames = np.stack([case.frame for case in cases])
        centres = np.stack([case.moving_centre for case in cases])
        lengths = np.array([len(c) for c in coefficients])
        table = np.zeros((int(lengths.max()), len(cases), len(self.model.names)))
        for lane, rows in enumerate(coefficients):
            table[: len(rows), lane] = rows
        for step in table:  # a lane that has ended makes steps of zero, which keep its transform bit for bit
            transforms = self.dynamics.advance(transforms, step, frames, centres)
        return transforms


def replay_episodes(
    process: Process, track: Track, episodes: Sequence[Episode]
) -> tuple[dict[tuple[str, int], NDArray[np.float64]], dict[tuple[str, int], ReplayError]]:
    """Replays episodes that have actions.

    Returns:
        Final transform by episode key, and what was wrong with those that cannot be replayed.
    """
    by_id = {case.id: case for case in track.cases}
    decoded: dict[tuple[str, int], NDArray[np.float64]] = {}
    refused: dict[tuple[str, int], ReplayError] = {}
    for episode in episodes:
        try:
            decoded[episode.key] = process.decode(episode.actions or [])
        except ReplayError as error:
            refused[episode.key] = error
    if not decoded:
        return {}, refused
    finals = process.replay([by_id[case] for case, _ in decoded], list(decoded.values()))
    return dict(zip(decoded, finals, strict=True)), refused
