"""A small track of numbers and an honest row on it; no image is needed for either."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.core.points import lattice_points
from regenv.core.scene import Scene, Target
from regenv.evaluation.episodes import Episode
from regenv.evaluation.method import Method
from regenv.evaluation.runner import metrics_of
from regenv.evaluation.submission import Submission
from regenv.evaluation.track import Track, TrackCase, find_track
from regenv.poses import get_model
from regenv.process import Process

NAME = "ctcbct-rigid-real"


def make_track(cases: int = 6) -> Track:
    """The shipped template of real pairs, bound to made-up numbers."""
    model, rng = get_model("rigid", 3), np.random.default_rng(7)
    made = []
    for n in range(cases):
        fixed = Grid.centred((60, 50, 40), (3.0, 3.0, 4.0), centre=rng.normal(size=3) * 30)
        truth = model.exp(np.concatenate([rng.normal(size=3) * 40, rng.uniform(-60, 60, 3)])[None])[0]
        start = model.misaligned(truth, rng.uniform(-1, 1, 6) * [30, 30, 30, 20, 20, 20], fixed.frame)
        moving = Grid.centred((64, 64, 48), (3.0, 3.0, 4.0), centre=transform_points(truth, fixed.centre))
        points = lattice_points(None, fixed)
        case = TrackCase(
            id=f"{n:03d}",
            pair=str(n),
            subject=f"subject {n % 3}",
            start=start,
            scene=Scene(fixed, moving, np.eye(4), 4.0),
            target=Target(truth, points, transform_points(truth, points)),
            poses=model,
        )
        made.append(TrackCase.from_json(case.to_json(), model))
    return replace(find_track(NAME), cases=tuple(made), generator="made up")


def greedy_episode(track: Track, process: Process, case: TrackCase, seed: int = 0) -> Episode:
    """An honest episode: the expert's actions until STOP or the horizon."""
    process.load(0, case.scene, case.target)
    process.begin(0, case.start)
    actions, ended = [], False
    while not ended:
        action = process.expert_action(0)
        terminated, truncated, _ = process.advance(*process.actions.decode(np.asarray(action)[None]))
        actions.append(np.asarray(action).tolist())
        ended = bool(terminated[0] or truncated[0])
    transform = process.pose[0].tolist()
    return Episode(
        case=case.id,
        seed=seed,
        actions=actions,
        transform=transform,
        steps=len(actions),
        evaluations=len(actions),
        seconds=0.1,
        metrics=metrics_of(case, case.answer(transform)),
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
    return track.config().make_process(1)


@pytest.fixture(scope="session")
def honest(track, process) -> list[Episode]:
    return [greedy_episode(track, process, case) for case in track.cases]


@pytest.fixture()
def root(tmp_path, track) -> Path:
    """A folder of submissions with the track's numbers in it."""
    track.save(tmp_path / track.name / f"{track.name}.toml")
    return tmp_path
