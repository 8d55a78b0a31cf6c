"""Whether a reward means registration: the measures themselves, and what a few ids show on a few pairs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from benchmarks.tools import reward_meaning
from benchmarks.tools.blind import checkpoints, oracle_returns, plans, returns, to_zero
from benchmarks.tools.landscape import Landscape
from benchmarks.tools.reward_meaning import Measured, look, play_blind, summary
from regenv.catalogue import TASKS
from regenv.pages import meaning_bounds, rewards_table
from regenv.poses.base import start_widths

MATRIX, FITTED, DEFORMED = "CTMR-Similarity2D-v0", "ChestXRay-Affine2D-v0", "CardiacMR-SDM2D-v0"


def shown(env_id: str, pair: int = 0, **keywords: Any) -> Landscape:
    landscape = Landscape(env_id, **keywords)
    landscape.show(pair)
    return landscape


def seen_of(landscape: Landscape, pairs: int = 2) -> Measured:
    seen = Measured()
    for pair in range(pairs):
        look(landscape, pair, seen, far=200)
        play_blind(landscape, pair, seen, starts=2)
    return seen


@pytest.mark.parametrize("env_id", [MATRIX, "CTMR-Affine2D-v0"])
def test_the_reward_means_registration(env_id: str) -> None:
    found = summary(seen_of(Landscape(env_id)), TASKS[env_id])
    assert all(meaning_bounds(found).values()), found
    assert found["oracle_return"] > 4


def test_a_reward_that_means_something_else_is_found_out() -> None:
    def bright(fixed, moved, valid):  # type: ignore[no-untyped-def]
        return moved.mean((1, 2, 3))

    found = summary(seen_of(Landscape(MATRIX, reward=bright, reward_scale=100.0)), TASKS[MATRIX])
    assert found["far"] > 0.05
    assert found["within_half"] < 0.9
    assert found["rank"] < 0.4
    assert max(entry["return"] for entry in found["blind"].values()) > 1


@pytest.mark.parametrize(("env_id", "drawn"), [(MATRIX, {}), (DEFORMED, {"misalignment": {"sd": 0.8}})])
def test_far_poses_lie_one_to_three_widths_off(env_id: str, drawn: dict[str, Any]) -> None:
    landscape = shown(env_id, **drawn)
    process = landscape.engine.process
    poses = landscape.far(landscape.lanes, np.random.default_rng(0))
    process.pose[:] = poses
    left = np.abs(process.left()) / start_widths(landscape.engine.poses, landscape.config.misalignment)
    assert left.max(1).min() >= 0.95 and left.max(1).max() <= 3.05  # steps of a matrix do not add up exactly
    assert np.ptp(left.max(1)) > 1


def test_starts_that_are_given_are_spread_for_the_rank() -> None:
    landscape, rng = shown(DEFORMED), np.random.default_rng(0)
    assert not landscape.starts(2, rng).any()
    spread = landscape.spread(200, rng)
    assert 0.95 < np.abs(spread).max() <= 1 and abs(spread.mean()) < 0.1
    assert landscape.far(8, rng).any()


def test_the_optimum_of_the_true_error_is_the_truth() -> None:
    landscape = shown(FITTED, reward="parameter_distance")
    assert landscape.from_truth(landscape.optimum()) == pytest.approx(0, abs=1e-9)
    assert landscape.at(landscape.truth[None])[1][0] > 1  # though no affine pose carries all points where they belong


@pytest.mark.parametrize("env_id", [FITTED, DEFORMED])
def test_the_optimum_is_better_than_the_truth_and_its_neighbours(env_id: str) -> None:
    landscape = shown(env_id)
    best = landscape.optimum()
    (value, at_truth), _ = landscape.at(np.stack([best, landscape.truth]))
    assert value > at_truth
    count = landscape.engine.poses.n_parameters
    steps = min(landscape.config.steps) / 4 * np.concatenate([np.eye(count), -np.eye(count)])
    around = landscape.moved(np.repeat(best[None], 2 * count, axis=0), steps)
    assert (landscape.at(around)[0] <= value).all()


@pytest.mark.parametrize("env_id", [MATRIX, DEFORMED])
def test_returns_are_the_sums_of_rewards(env_id: str) -> None:
    landscape = shown(env_id)
    starts = landscape.starts(2, np.random.default_rng(0))
    scheme, horizon = landscape.engine.actions, landscape.config.horizon
    made = plans(scheme, horizon, np.random.default_rng(0))
    chosen = [next(plan for plan in made if plan.policy == policy) for policy in ("random", "cycle")]
    earned, expert = returns(landscape, starts, chosen), oracle_returns(landscape, starts)
    env = gym.make(env_id, split="validation", disable_env_checker=True)
    options = {"pair": landscape.engine.case(0).id}
    for start, plan, values, whole in zip(starts, chosen, earned, expert, strict=True):
        env.reset(options={**options, "start": start})
        rewards = np.cumsum([env.step(action)[1] for action in plan.actions])
        assert values == pytest.approx(rewards[np.array(checkpoints(horizon)) - 1], abs=1e-6)
        env.reset(options={**options, "start": start})
        total, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.unwrapped.expert_action())
            total, over = total + reward, terminated or truncated
        assert whole == pytest.approx(total, abs=1e-6)


def test_zero_is_reached() -> None:
    landscape = shown(DEFORMED, misalignment={"sd": 1.0})
    (start,) = landscape.starts(1, np.random.default_rng(0))
    scheme = landscape.engine.actions
    plan = to_zero(scheme, start, landscape.config.horizon)
    end = start + scheme.decode(plan.actions)[0].sum(0)
    assert np.abs(start).max() > 0.2 and np.abs(end).max() <= min(landscape.config.steps) / 2 + 1e-9


def test_a_plan_repeats_the_action_that_it_names() -> None:
    scheme = shown(MATRIX).engine.actions
    made = [plan for plan in plans(scheme, 4, np.random.default_rng(0)) if plan.policy == "repeat"]
    assert [plan.name for plan in made[:4]] == ["tx +4", "tx -4", "tx +0.5", "tx -0.5"]
    assert len(made) == len(scheme.table) - 1
    for plan in made:
        name, size = plan.name.split()
        expected = float(size) * (np.array(scheme.model.names) == name)
        assert (scheme.decode(plan.actions)[0] == expected).all()


def test_what_was_measured_is_kept_and_not_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps({MATRIX: {"kept": 1}}))
    monkeypatch.setattr(reward_meaning, "FILE", file)
    asked = []

    def measure(env_id: str, pairs: int) -> dict[str, Any]:
        asked.append(env_id)
        return {"row": reward_meaning.digest(TASKS[env_id]), "pairs": pairs}

    monkeypatch.setattr(reward_meaning, "measure", measure)
    reward_meaning.main([MATRIX, FITTED], pairs=2, reward=None, write=True)
    reward_meaning.main([MATRIX, FITTED], pairs=2, reward=None, write=True)
    assert asked == [MATRIX, FITTED]
    reward_meaning.main([MATRIX], pairs=3, reward=None, write=True)
    assert asked == [MATRIX, FITTED, MATRIX]
    assert json.loads(file.read_text())[MATRIX]["kept"] == 1


def test_every_id_has_the_numbers_that_the_table_shows() -> None:
    fields = ("far", "floor_mm", "optimum_mm", "within_half", "rank", "rank_way", "oracle_return", "blind_share")
    for env_id, task in TASKS.items():
        seen = task.calibration.get("meaning")
        assert seen is not None, f"python -m benchmarks.tools.reward_meaning {env_id} --write"
        assert seen["row"] == reward_meaning.digest(task), f"{env_id} was measured with another reward or other starts"
        assert seen["pairs"] == 12
        assert all(np.isfinite(seen[name]).all() for name in fields)
        assert len(seen["optimum_mm"]) == len(seen["floor_mm"]) == 3
        assert {"repeat", "back and forth", "cycle", "random"} <= set(seen["blind"])
        assert all({"return", "steps", "at_horizon"} <= set(entry) for entry in seen["blind"].values())


def test_what_misses_a_bound_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs/design/rewards.md").read_text(encoding="utf-8")
    reasons = re.findall(r"`([A-Za-z0-9]+-[A-Za-z0-9]+-v\d)`", text.split("What misses a bound")[1])
    missed = {
        env_id
        for env_id, task in TASKS.items()
        if "meaning" in task.calibration and not all(meaning_bounds(task.calibration["meaning"]).values())
    }
    assert missed <= set(reasons), f"docs/design/rewards.md gives no reason for {sorted(missed - set(reasons))}"


def test_the_table_has_a_row_for_each_id_that_was_measured() -> None:
    rows = rewards_table().splitlines()[2:]
    measured = [env_id for env_id, task in TASKS.items() if "meaning" in task.calibration]
    assert [row.split("`")[1] for row in rows] == measured
    for env_id, row in zip(measured, rows, strict=True):
        missed = [bound for bound, kept in meaning_bounds(TASKS[env_id].calibration["meaning"]).items() if not kept]
        assert row.count("**") == 2 * len(missed)
