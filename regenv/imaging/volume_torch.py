"""Volumes on a torch device: the engine, its buffers and everything above it stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.lanes import ALL, Lanes, in_turn, lane_numbers, run_lanes
from regenv.errors import OptionError, require
from regenv.imaging.case import Case
from regenv.imaging.renderer import Renderer


class TorchRenderer(Renderer):
    """Renders the lanes of cases on a device and brings samples, bytes and sums back into the buffers.

    ``threads`` are for what stays on the CPU (similarities that are no function of the sums).
    """

    def _prepare(self, device: str) -> None:
        from regenv.core.resample_torch import TorchVolumes

        self._torch = require("torch", "agents")
        place = torch_device(device)
        self._volumes = TorchVolumes(self.lanes, place)
        self._fixed = [self._torch.zeros(level.fixed.shape, device=place) for level in self.levels]
        self._mask = [fixed.bool() for fixed in self._fixed]

    def load(self, lane: int, case: Case) -> None:
        """See :class:`Renderer`."""
        super().load(lane, case)
        self.recalled(lane, case)

    def recalled(self, lane: int, case: Case) -> None:
        """See :class:`Renderer`: takes the lane's images to the device."""
        super().recalled(lane, case)
        self._volumes.load(lane, case.moving, case.moving_background)
        for buffers, fixed, mask in zip(self.levels, self._fixed, self._mask, strict=True):
            fixed[lane] = self._torch.from_numpy(buffers.fixed[lane])
            mask[lane] = self._torch.from_numpy(buffers.mask[lane]).bool()

    def render(self, poses: NDArray[np.float64], lanes: Lanes = ALL) -> None:
        """See :class:`Renderer`."""
        from regenv.core.resample_torch import similarity_sums_torch

        d = self.view.ndim
        base = self._to_index[lanes] @ self._poses.matrices(poses[lanes])
        for buffers, fixed, mask in zip(self.levels, self._fixed, self._mask, strict=True):
            matrices = (base @ buffers.to_physical[lanes])[:, :d]
            moved, valid = self._volumes.sample(matrices, buffers.level.planes, buffers.level.size, lanes)
            sums = similarity_sums_torch(fixed[lanes], moved, mask[lanes], valid)
            buffers.moved[lanes] = moved.cpu().numpy()
            buffers.valid[lanes] = valid.cpu().numpy()
            buffers.moved_u8[lanes] = (moved.clamp(0.0, 1.0) * 255.0).round().to(self._torch.uint8).cpu().numpy()
            buffers.sums[lanes] = sums.cpu().numpy()
        some = lane_numbers(lanes, self.lanes)
        run_lanes(in_turn, some, *self._then(self.levels[0]), threads=self._threads(some))


def torch_device(name: str) -> Any:
    """The torch device of that name.

    Raises:
        MissingExtraError: If torch is not installed.
        OptionError: If there is no such device on this machine.
    """
    torch = require("torch", "agents")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"device={name!r} is unknown; known: 'cpu', 'cuda', 'cuda:0', ...") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"device={name!r}: torch finds no CUDA device here; use device='cpu' (see `regenv doctor`)")
    return device
