from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from regenv.testing import check_environment, sanity_envs
from regenv.testing.sanity_envs import SANITY_ENVS

Policy = Callable[[Any, np.ndarray], Any]


def _returns(name: str, policy: Callable[[], Policy], episodes: int = 40, **keywords: Any) -> float:
    """Mean return of a policy, made anew for each episode and asked with environment and observation."""
    env = sanity_envs.make(name, threads=1, **keywords)
    total = 0.0
    for seed in range(episodes):
        act = policy()
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(act(env.unwrapped, observation))
            total += float(reward)
            over = terminated or truncated
    return total / episodes


def _oracle() -> Policy:
    return lambda env, observation: env.expert_action()


@pytest.mark.parametrize("name", SANITY_ENVS)
def test_each_keeps_the_rules_of_environments(name: str) -> None:
    check_environment(sanity_envs.make(name))
    envs = sanity_envs.make_vec(name, 2, threads=1)
    assert envs.reset(seed=0)[0].shape == (2, 2, 36, 36)


@pytest.mark.parametrize("name", SANITY_ENVS)
def test_the_oracle_solves_it_and_random_actions_do_not(name: str) -> None:
    rng = np.random.default_rng(0)
    env = SANITY_ENVS[name]
    assert _returns(name, _oracle) > env.solved > env.random + 2
    assert _returns(name, lambda: lambda env, observation: rng.integers(9)) < env.random


@pytest.mark.parametrize("split", ["train", "validation"])
def test_other_ovals_are_no_easier(split: str) -> None:
    assert _returns("shift", _oracle, split=split) > SANITY_ENVS["shift"].solved


def test_shift_needs_no_other_action_than_two() -> None:
    """Along the other degrees of freedom nothing is to be done: the oracle uses the first two actions and STOP."""
    used = set()

    def noting() -> Policy:
        def act(env: Any, observation: np.ndarray) -> int:
            used.add(int(env.expert_action()))
            return int(env.expert_action())

        return act

    _returns("shift", noting)
    assert used == {0, 1, 8}


def test_inverted_is_dark_in_one_image_and_bright_in_the_other() -> None:
    env = sanity_envs.make("inverted", misalignment={"mm": 0.0, "deg": 0.0, "%": 0.0})
    fixed, moved = env.reset(seed=0)[0].astype(float)
    assert np.corrcoef(fixed.ravel(), moved.ravel())[0, 1] < -0.9
    plain = sanity_envs.make("shift", misalignment={"mm": 0.0, "deg": 0.0, "%": 0.0})
    fixed, moved = plain.reset(seed=0)[0].astype(float)
    assert np.corrcoef(fixed.ravel(), moved.ravel())[0, 1] > 0.9


def test_who_does_not_stop_pays_for_it() -> None:
    def oracle_without_stop() -> Policy:
        return lambda env, observation: a if (a := env.expert_action()) != 8 else 0

    assert _returns("stop", oracle_without_stop) < SANITY_ENVS["stop"].random


def _searching(remembers: bool) -> Callable[[], Policy]:
    """Goes one way while nothing is seen, and with a memory back after so many steps; acts as the oracle else."""

    def made() -> Policy:
        blind = 0

        def act(env: Any, observation: np.ndarray) -> int:
            nonlocal blind
            if np.ptp(observation[1]) > 50:
                return int(env.expert_action())
            blind += 1
            return 1 if remembers and blind > 9 else 0

        return act

    return made


def test_memory_cannot_be_solved_without_one() -> None:
    solved = SANITY_ENVS["memory"].solved
    assert _returns("memory", _searching(remembers=True)) > solved
    assert _returns("memory", _searching(remembers=False)) < 0.75 * solved


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'shift'"):
        sanity_envs.make("shiff")
    with pytest.raises(ValueError, match="did you mean 'stop'"):
        sanity_envs.make_vec("stopp", 2)
