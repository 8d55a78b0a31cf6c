"""A track of every id, with three starts of a subject where they are drawn: oracle, random actions, rows, the table."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401  (registers the environments)
from regenv.catalogue import TASKS
from regenv.evaluation.cases import new_track
from regenv.evaluation.runner import run
from regenv.evaluation.track import read_track
from regenv.leaderboard.table import details_table, markdown_table, table_row
from regenv.leaderboard.verify import verify


def errors_in_environment(track, row):
    """The environment's own ``tre`` at the transforms of a row."""
    env = gym.make(track.env_id, disable_env_checker=True, split="train", horizon=track.max_steps)
    found = []
    for episode in row.episodes:
        case = track.case(episode.case)
        options = {"pair": case.pair, "start": np.asarray(episode.transform)}
        found.append(env.reset(options=options)[1]["tre"])
    env.close()
    return found


@pytest.mark.parametrize("env_id", TASKS)
def test_a_track_evaluates_verifies_and_builds(env_id, tmp_path):
    starts = 3 if any(TASKS[env_id].misalignment.values()) else 1
    track = new_track(env_id, "three", cases=starts, split="train", per_pair=starts)
    assert len(track.cases) == starts and track.scale.smallest_start_mm >= TASKS[env_id].success_mm
    track = read_track(track.save(tmp_path / "three.toml"))
    oracle, random = (run(track, f"agents.{name}:factory", out=tmp_path) for name in ("oracle", "random"))
    verified = [verify(row.folder) for row in (oracle, random)]
    assert [(found.level, found.failures) for found in verified] == [("replayed", ())] * 2
    rows = [table_row(found, track) for found in verified]
    text = markdown_table(rows) + details_table(rows)
    assert "| oracle | reference |" in text and "| random | reference |" in text
    assert rows[0].score.value > max(0.5, rows[1].score.value)
    for row in (oracle, random):
        measured = [episode.metrics["tre"] for episode in row.episodes]
        assert errors_in_environment(track, row) == pytest.approx(measured, abs=1e-3)
