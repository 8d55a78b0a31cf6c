"""The adapters answer in the words of the library that they stand for."""

from __future__ import annotations

import pytest

from regenv.errors import UnknownOptionError

RIGID = "CTCBCT-Rigid-v0"


@pytest.mark.parametrize(
    ("keyword", "advice"),
    [
        ("n_envs", r"did you mean num_envs\?"),
        ("env_kwargs", "pass keywords directly"),
        ("vec_env_cls", "batched by itself"),
        ("wrapper_class", "wrap what is returned"),
        ("max_steps", r"did you mean horizon\?"),
        ("n_agents", r"parallel_env\(id, agents=\.\.\.\)"),
    ],
)
def test_stable_baselines3(keyword, advice):
    sb3 = pytest.importorskip("regenv.adapters.sb3", exc_type=ImportError)
    with pytest.raises(UnknownOptionError, match=rf"make_vec_env got .*'{keyword}'; .*{advice}"):
        sb3.make_vec_env(RIGID, **{keyword: 4})


@pytest.mark.parametrize(
    ("keyword", "advice"),
    [
        ("n_agents", r"did you mean agents\?"),
        ("max_cycles", r"did you mean horizon\?"),
        ("seed", r"reset\(seed=\.\.\.\)"),
        ("num_envs", r"gym\.make_vec\(id, num_envs=\.\.\.\)"),
        ("region", "did you mean 'region_size'"),
    ],
)
def test_pettingzoo(keyword, advice):
    adapter = pytest.importorskip("regenv.adapters.pettingzoo")
    pytest.importorskip("pettingzoo")
    with pytest.raises(UnknownOptionError, match=f"parallel_env got .*'{keyword}'; .*{advice}"):
        adapter.parallel_env(RIGID, **{keyword: 3})


def test_stable_baselines3_reads_channels_last():
    sb3 = pytest.importorskip("regenv.adapters.sb3", exc_type=ImportError)
    import gymnasium as gym
    from stable_baselines3 import DQN
    from stable_baselines3.common.env_checker import check_env
    from stable_baselines3.common.vec_env import VecTransposeImage

    from tests.envs.blobs import Blobs

    blobs = Blobs("train")
    check_env(gym.make(RIGID, dataset=blobs, channels="last").unwrapped)
    envs = sb3.make_vec_env(RIGID, 2, seed=0, dataset=blobs, channels="last")
    model = DQN("CnnPolicy", envs, buffer_size=20, learning_starts=4)
    assert isinstance(model.get_env(), VecTransposeImage)  # it saw where the channels are
    model.learn(8)
