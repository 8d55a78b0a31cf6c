from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from benchmarks.tools import way
from benchmarks.tools.landscape import Landscape


@pytest.mark.parametrize("env_id", ["CTMR-Similarity2D-v0", "CardiacMR-SDM2D-v0"])
def test_the_way_ends_at_the_truth(env_id: str) -> None:
    landscape = Landscape(env_id, lanes=4)
    landscape.show(1)
    starts = landscape.spread(4, np.random.default_rng(0))
    np.testing.assert_array_equal(landscape.along(starts, 0.0), starts)
    np.testing.assert_allclose(landscape.along(starts, 1.0), np.stack([landscape.truth] * 4), atol=1e-6)
    errors = [landscape.at(landscape.along(starts, share))[1].mean() for share in (0.0, 0.3, 0.6, 1.0)]
    assert errors == sorted(errors, reverse=True)


def test_gains_are_those_that_an_environment_pays(monkeypatch) -> None:
    """The oracle ends near the truth, and has been paid nearly all that the way is worth."""
    monkeypatch.setattr(way, "STARTS", 4)
    env = gym.make("CTMR-Similarity2D-v0", split="validation", step_cost=0.0).unwrapped
    landscape = Landscape("CTMR-Similarity2D-v0", lanes=4)
    landscape.show(0)
    starts = landscape.spread(4, np.random.default_rng(0))
    wanted = way.gains("CTMR-Similarity2D-v0", None, 1)[:, -1]
    for start, whole in zip(starts, wanted, strict=True):
        env.reset(seed=0, options={"pair": env._engine.source.ids[0], "start": start})
        paid, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.expert_action())
            paid, over = paid + float(reward), terminated or truncated
        assert paid == pytest.approx(whole, rel=0.15)
