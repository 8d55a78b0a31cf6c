"""Rendering on a torch device gives what the CPU kernels give; on torch's own CPU device where there is no GPU."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import regenv  # noqa: F401
from regenv.envs.cases import CaseSource
from regenv.errors import OptionError
from regenv.imaging import get_imaging
from regenv.imaging.renderer import Renderer
from regenv.imaging.volume_torch import TorchRenderer
from regenv.poses import get_model

torch = pytest.importorskip("torch", reason="needs the extra 'agents'")


@pytest.mark.parametrize("observation", ["slices", "volume", "volume_zoom"])
def test_the_same_samples_bytes_and_sums(observation, blobs):
    imaging = get_imaging("volume")
    view = imaging.view(observation, ndim=3, size=20, spacing_mm=9.0)
    rigid = get_model("rigid", 3)
    source = CaseSource(blobs, rigid, np.zeros(6), imaging)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    on_cpu, on_torch = Renderer(view, 3, rigid, 1), TorchRenderer(view, 3, rigid, 1, device)
    rng = np.random.default_rng(0)
    away = rigid.exp(rng.uniform(-1, 1, (3, 6)) * [40, 40, 40, 30, 30, 30])
    poses = np.stack([source.draw_start(i, rng) for i in range(3)]) @ away
    for renderer in (on_cpu, on_torch):
        for lane in range(3):
            renderer.load(lane, source.case(lane))
        renderer.render(poses)
    for one, two in zip(on_cpu.levels, on_torch.levels, strict=True):
        np.testing.assert_array_equal(one.valid, two.valid)
        np.testing.assert_allclose(one.moved, two.moved, atol=1e-5)
        np.testing.assert_allclose(one.sums, two.sums, rtol=1e-5, atol=1e-3)
        assert np.abs(one.moved_u8.astype(int) - two.moved_u8).max() <= 1
        assert one.valid.min() == 0 and one.valid.max() == 1


def test_the_identity_is_exact_on_a_device_too():
    from regenv.core.resample import volume_planes
    from regenv.core.resample_torch import TorchVolumes

    volume = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    volumes = TorchVolumes(1, torch.device("cpu"))
    volumes.load(0, volume, -1.0)
    values, valid = volumes.sample(np.eye(4)[None, :3], volume_planes((5, 5, 5)), 5, slice(None))
    np.testing.assert_array_equal(values[0].numpy(), volume[:5, :5, :5])
    assert valid.all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_an_episode_on_the_gpu_pays_what_it_pays_on_the_cpu(blobs):
    rewards = []
    for device in ("cpu", "cuda"):
        envs = gym.make_vec("CTCBCT-Rigid-v0", num_envs=4, dataset=blobs, device=device)
        envs.reset(seed=0)
        rewards.append(np.stack([envs.step(np.full(4, a))[1] for a in (0, 5, 9)]))
    np.testing.assert_allclose(rewards[0], rewards[1], atol=1e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_gpu_is_named(blobs):
    with pytest.raises(OptionError, match="no CUDA device"):
        gym.make_vec("CTCBCT-Rigid-v0", num_envs=2, dataset=blobs, device="cuda")


def test_an_unknown_device_is_named(blobs):
    with pytest.raises(OptionError, match="cuda"):
        gym.make_vec("CTCBCT-Rigid-v0", num_envs=2, dataset=blobs, device="gpux")
