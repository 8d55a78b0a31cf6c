"""Mirrored observations: what a pair looks like in a mirror, and which action does there what one did here.

A network that also learns from mirrored pairs sees each anatomy from more sides than a patient shows, and learns how
two images lie to each other instead of what lies where.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regenv.actions import DiscreteActions
from regenv.errors import OptionError
from regenv.imaging.view import View


class Mirrors:
    """All mirrors along the axes of a view; number 0 mirrors nothing.

    A mirror M turns a step ``exp(s G)`` into ``M exp(s G) M = exp(+-s G)``, since all generators G of rigid, similarity
    and affine steps are even or odd along each axis.

    Args:
        view: What is seen: images of the poses' dimension, or the three slices through a volume.
        actions: The steps, about the view's centre and along its axes.

    Raises:
        OptionError: If a mirrored observation is not what the mirrored step would show.
    """

    def __init__(self, view: View, actions: DiscreteActions) -> None:
        generators = getattr(actions.model, "generators", None)
        ndim = actions.model.ndim
        if generators is None or view.volumetric or view.ndim != ndim or not (ndim == 2 or view.orthogonal):
            raise OptionError(
                "mirrored=True needs rigid, similarity or affine poses, and images of their dimension or three slices"
            )
        planes = np.concatenate([level.planes for level in view.levels])
        self._axes = np.abs(planes[:, 1:]).argmax(2)  # (S, 2): the axis along rows, and along columns
        signs = np.array(list(product([1.0, -1.0], repeat=ndim)))
        self._flipped = signs < 0
        self._actions = torch.from_numpy(np.stack([_partners(s, generators, actions.table) for s in signs]))

    def __len__(self) -> int:
        return len(self._flipped)

    def observations(self, observations: Tensor, number: int) -> Tensor:
        """Observations ``(B, C, H, W)`` of one mirror."""
        planes = observations.unflatten(1, (-1, len(self._axes)))
        mirrored = [
            planes[:, :, s].flip([2 + i for i in range(2) if self._flipped[number, axes[i]]])
            for s, axes in enumerate(self._axes)
        ]
        return torch.stack(mirrored, 2).flatten(1, 2)

    def actions(self, actions: Tensor, number: int) -> Tensor:
        """The actions ``(B,)`` that do in a mirror what these do."""
        return self._actions.to(actions.device)[number][actions]


def _partners(signs: np.ndarray, generators: Any, table: np.ndarray) -> np.ndarray:
    """Which action ``(A,)`` of a table ``(A, K)`` each becomes in a mirror of signs ``(d,)``."""
    mirror = np.diag([*signs, 1.0])
    mirrored = np.sign((mirror @ generators @ mirror * generators).sum((1, 2)))
    return np.abs(table[None] - (table * mirrored)[:, None]).sum(2).argmin(1)
