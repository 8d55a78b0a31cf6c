"""The constants of environments: a scale makes a median start worth 10, and what is known of other ids is kept."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from benchmarks.tools import calibrate

ID, DEFORMED = "CTMR-Affine2D-v0", "CardiacMR-SDM2D-v0"
STARTS = 4


def test_a_median_start_is_worth_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "SIMILARITIES", ("nmi",))
    monkeypatch.setattr(calibrate, "PRIVILEGED_REWARDS", ("tre",))
    scales = calibrate.reward_scales(ID, STARTS)
    assert set(scales) == {"nmi", "tre"}
    for reward, scale in scales.items():
        env = gym.make(ID, reward=reward, reward_scale=scale)
        worth = []
        for seed in range(STARTS):
            _, info = env.reset(seed=seed, options=calibrate.subject(ID, seed))
            before = env.unwrapped.potential
            env.reset(options={"pair": info["pair_id"], "start": env.unwrapped.truth()})
            worth.append(scale * (env.unwrapped.potential - before) if reward == "nmi" else scale * info["tre"])
        assert np.median(worth) == pytest.approx(10, rel=0.06), reward  # scales have two digits


def test_a_reward_that_does_not_gain_has_no_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"nmi": np.array([1.0, 2.0, -1.0, -3.0]), "ncc": np.array([1.0, 2.0, 4.0, -3.0])}
    monkeypatch.setattr(calibrate, "SIMILARITIES", tuple(found))
    monkeypatch.setattr(calibrate, "PRIVILEGED_REWARDS", ())
    monkeypatch.setattr(calibrate, "gains", lambda env_id, reward, episodes: found[reward])
    assert calibrate.reward_scales(ID, 4) == {"ncc": 6.7}


def test_the_oracle_is_measured_and_the_rest_of_the_file_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps({"Another-v0": {"steps_per_second": 1.0}, DEFORMED: {"kept": 2}}))
    monkeypatch.setattr(calibrate, "FILE", file)
    monkeypatch.setattr(calibrate, "reward_scales", lambda env_id, episodes: {"ncc": 3.0})
    monkeypatch.setattr(calibrate, "steps_per_second", lambda env_id: 7.0)
    calibrate.main([DEFORMED], episodes=STARTS, write=True)
    known = json.loads(file.read_text())
    assert known["Another-v0"] == {"steps_per_second": 1.0}
    one = known[DEFORMED]
    assert one["kept"] == 2 and one["reward_scales"] == {"ncc": 3.0} and one["steps_per_second"] == 7.0
    assert one["oracle"]["tre_median"] <= one["oracle"]["tre_95"] < one["oracle"]["start_median"]
    assert 0 < one["oracle"]["steps_median"] <= one["oracle"]["steps_95"]
    assert one["model"]["outside_median"] < one["model"]["given_median"]
