from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs `pip install 'regenv[agents]'`")

import torch

from agents.pqn.mirrors import Mirrors
from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.pair import ImagePair, Truth
from regenv.errors import OptionError

SIZE = 37  # odd, so that the three slices pass through the very middle


class MirroredBlocks:
    """A random image of ``ndim`` dimensions, and the same in a mirror along some axes."""

    name, split, ids, subjects = "blocks", "train", ("a", "b"), ("a", "a")

    def __init__(self, flipped: np.ndarray) -> None:
        self.ndim, self.flipped = len(flipped), flipped

    def load(self, index: int) -> ImagePair:
        """Pair 0, or pair 1: its mirror image."""
        rng = np.random.default_rng(0)
        grid = Grid.centred((SIZE,) * self.ndim, (4.0,) * self.ndim)
        fixed, moving = (rng.normal(size=(SIZE,) * self.ndim) * 100 for _ in range(2))
        if index:
            axes = [self.ndim - 1 - a for a in np.flatnonzero(self.flipped)]  # arrays have x last
            fixed, moving = np.flip(fixed, axes), np.flip(moving, axes)
        images = [Image(np.ascontiguousarray(a), grid, "ct", -1000.0) for a in (fixed, moving)]
        return ImagePair(self.ids[index], "a", *images, None, None, Truth(np.eye(self.ndim + 1)))


@pytest.mark.parametrize("env_id", ["CTCBCT-Rigid-v0", "CTMR-Affine-v0", "CTMR-Similarity2D-v0"])
def test_a_mirrored_action_shows_the_mirror_image(env_id: str) -> None:
    keywords = {"view_size": SIZE, "view_spacing_mm": 4.0, "steps": [8.0, 2.0]}
    config = gym.make(env_id, **keywords).unwrapped.config
    model = config.make_poses()
    mirrors = Mirrors(config.make_view(), config.make_actions(model))
    assert len(mirrors) == 2**model.ndim
    start = model.exp(np.full((1, model.n_parameters), 3.0))[0]
    for number in range(len(mirrors)):
        flipped = np.array([number >> (model.ndim - 1 - axis) & 1 for axis in range(model.ndim)], bool)
        mirror = np.diag([*np.where(flipped, -1.0, 1.0), 1.0])
        envs = [gym.make(env_id, dataset=MirroredBlocks(flipped), **keywords) for _ in range(2)]
        for action in range(0, envs[0].action_space.n, 3):
            envs[0].reset(options={"pair": "a", "start": start})
            envs[1].reset(options={"pair": "b", "start": mirror @ start @ mirror})
            seen = torch.from_numpy(envs[0].step(action)[0][None])
            partner = int(mirrors.actions(torch.tensor([action]), number))
            found = mirrors.observations(seen, number)[0].numpy().astype(int)
            np.testing.assert_allclose(found, envs[1].step(partner)[0], atol=1)  # a grey level, by rounding


@pytest.mark.parametrize(
    ("env_id", "keywords"),
    [
        ("CTMR-SDM-v0", {}),
        ("XRayCT-Rigid-v0", {}),
        ("SliceMR-Rigid-v0", {}),
        ("CTCBCT-Rigid-v0", {"observation": "volume"}),
    ],
)
def test_where_a_mirror_would_show_something_else_it_is_refused(env_id: str, keywords: dict) -> None:
    config = gym.make(env_id, **keywords).unwrapped.config
    with pytest.raises(OptionError, match="mirrored=True needs"):
        Mirrors(config.make_view(), config.make_actions(config.make_poses()))
