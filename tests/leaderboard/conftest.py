"""A small track of numbers and an honest row on it; no image is needed for either."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regenv.core.geometry import Grid
from regenv.core.points import lattice_indices
from regenv.envs.remaining import MatrixRemaining
from regenv.envs.starts import misaligned
from regenv.evaluation.episodes import Episode
from regenv.evaluation.method import Method
from regenv.evaluation.runner import metrics_of
from regenv.evaluation.submission import Submission
from regenv.evaluation.track import Track, TrackCase, find_track
from regenv.leaderboard.replay import Process
from regenv.poses import get_model

NAME = "ctcbct-rigid-real"


def make_track(cases: int = 6) -> Track:
    """The shipped template of real pairs, bound to made-up numbers."""
    model, rng = get_model("rigid", 3), np.random.default_rng(7)
    made = []
    for n in range(cases):
        fixed = Grid.centred((60, 50, 40), (3.0, 3.0, 4.0), centre=rng.normal(size=3) * 30)
        truth = model.exp(np.concatenate([rng.normal(size=3) * 40, rng.uniform(-60, 60, 3)])[None])[0]
        start = misaligned(truth, fixed.frame, rng.uniform(-1, 1, 6) * [30, 30, 30, 20, 20, 20], model)
        lattice, spacing = lattice_indices(None, fixed)
        case = TrackCase(
            id=f"{n:03d}",
            pair=str(n),
            subject=f"subject {n % 3}",
            start=start,
            truth=truth,
            frame=fixed.frame,
            moving_centre=truth[:3, :3] @ fixed.centre + truth[:3, 3],
            lattice=lattice,
            lattice_mm=spacing,
        )
        made.append(TrackCase.from_json(case.to_json()))
    return replace(find_track(NAME), cases=tuple(made), generator="made up")


def greedy_episode(track: Track, process: Process, case: TrackCase, seed: int = 0) -> Episode:
    """An honest episode: the expert's actions until STOP or the horizon."""
    transform, actions = case.start, []
    local = (case.points[0] - case.frame[:3, 3]) @ case.frame[:3, :3]
    while len(actions) < process.config.horizon:
        residual = np.linalg.inv(transform @ case.frame) @ case.truth @ case.frame
        action = process.actions.expert(MatrixRemaining(process.model, residual, local))
        coefficients, stops = process.actions.decode(np.asarray(action)[None])
        transform = process.dynamics.advance(transform[None], coefficients, case.frame[None], case.moving_centre[None])[
            0
        ]
        actions.append(np.asarray(action).tolist())
        if stops[0]:
            break
    return Episode(
        case=case.id,
        seed=seed,
        actions=actions,
        transform=transform.tolist(),
        steps=len(actions),
        evaluations=len(actions),
        seconds=0.1,
        metrics=metrics_of(case, transform),
    )


def write_row(
    root: Path, track: Track, name: str, episodes: list[Episode], *, env_kwargs=None, family="reference", **changes
) -> Path:
    """Writes a row as the runner does."""
    seeds = tuple(sorted({episode.seed for episode in episodes}))
    submission = Submission(
        row=name,
        track=track.name,
        track_digest=track.digest,
        score_version=track.score_version,
        cases=len({episode.case for episode in episodes}),
        agent="tests.somewhere:make",
        agent_digest="0123456789abcdef",
        method=Method(name=name, family=family, description="made for a test", uses_truth=family == "reference"),
        seeds=seeds,
        env_kwargs=env_kwargs or {},
        versions={"regenv": "0"},
    )
    folder = root / track.name / name
    replace(submission, **changes).write(folder, episodes)
    return folder


@pytest.fixture(scope="session")
def track() -> Track:
    return make_track()


@pytest.fixture(scope="session")
def process(track) -> Process:
    return Process.of(track, {})


@pytest.fixture(scope="session")
def honest(track, process) -> list[Episode]:
    return [greedy_episode(track, process, case) for case in track.cases]


@pytest.fixture()
def root(tmp_path, track) -> Path:
    """A folder of submissions with the track's numbers in it."""
    track.save(tmp_path / track.name)
    return tmp_path
