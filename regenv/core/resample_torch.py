"""The kernels of :mod:`regenv.core.resample` on a torch device: the same samples, sums and bytes, all lanes at once.

Coordinates are float64, weights and values float32, as on the CPU; sums are added in float64. Values agree with the CPU
kernels to rounding (1e-6 of the intensity range), not bit for bit. Importing this module imports torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regenv.core.lanes import Lanes

SNAP = 2.0**20  # coordinates are rounded to this fraction of a voxel, as the CPU kernels do at the start of a row


class TorchVolumes:
    """The moving volumes of B lanes on a device, ragged, one behind the other.

    Args:
        lanes: Number of lanes, B.
        device: A torch device.
    """

    def __init__(self, lanes: int, device: Any) -> None:
        self.device = device
        empty = torch.zeros(0, dtype=torch.float32, device=device)
        self._volumes = [empty] * lanes
        self._sizes = np.ones((lanes, 3), np.int64)
        self._backgrounds = np.zeros(lanes, np.float32)
        self._pool: Any = None

    def load(self, lane: int, volume: NDArray[np.float32], background: float) -> None:
        """Puts a volume ``([z,] y, x)`` on a lane."""
        self._volumes[lane] = torch.from_numpy(volume).to(self.device).reshape(-1)
        self._sizes[lane] = (*volume.shape[::-1], 1)[:3]
        self._backgrounds[lane] = background
        self._pool = None

    def sample(
        self, matrices: NDArray[np.float64], planes: NDArray[np.float64], size: int, lanes: Lanes
    ) -> tuple[Any, Any]:
        """Values float32 and validity bool, tensors ``(B, S, size, size)``, on planes of the view.

        Args:
            matrices: ``(B, d, d + 1)`` from view index to continuous index of the volume.
            planes: ``(S, 3, d)``.
            size: Pixels along each side of a plane.
            lanes: Which lanes the matrices are of.
        """
        if self._pool is None:
            self._pool = torch.cat(self._volumes)
        lengths = np.array([v.numel() for v in self._volumes])
        offsets = torch.from_numpy((np.cumsum(lengths) - lengths)[lanes]).to(self.device)
        sizes = torch.from_numpy(self._sizes[lanes]).to(self.device)
        index = self._coordinates(matrices, planes, size)
        shape = sizes[:, None, None, None, :]
        inside = ((index >= -0.5) & (index < shape - 0.5)).all(-1)
        index = torch.minimum(index.clamp(min=0.0), (shape - 1).to(index.dtype))
        low = index.floor()
        weight = (index - low).to(torch.float32)
        low = low.long()
        high = torch.minimum(low + 1, shape - 1)
        values = self._interpolate(low, high, weight, sizes, offsets)
        background = torch.from_numpy(self._backgrounds[lanes]).to(self.device)[:, None, None, None]
        return torch.where(inside, values, background), inside

    def _coordinates(self, matrices: NDArray[np.float64], planes: NDArray[np.float64], size: int) -> Any:
        """Continuous indices ``(B, S, size, size, 3)``; the third is 0 in two dimensions."""
        d = matrices.shape[1]
        # Composed on the host: origin, row step and column step of each plane in the volume's indices.
        linear = np.einsum("bkd,spd->bspk", matrices[:, :, :d], planes)
        linear[:, :, 0] += matrices[:, None, :, d]
        padded = np.zeros((*linear.shape[:3], 3))
        padded[..., :d] = linear
        steps = torch.from_numpy(padded).to(self.device)
        count = torch.arange(size, dtype=torch.float64, device=self.device)
        rows = steps[:, :, 1, None, None, :] * count[None, None, :, None, None]
        columns = steps[:, :, 2, None, None, :] * count[None, None, None, :, None]
        index = steps[:, :, 0, None, None, :] + rows + columns
        return (index * SNAP).round() / SNAP

    def _interpolate(self, low: Any, high: Any, weight: Any, sizes: Any, offsets: Any) -> Any:
        width = sizes[:, 0][:, None, None, None]
        area = width * sizes[:, 1][:, None, None, None]
        start = offsets[:, None, None, None]

        def line(y: Any, z: Any) -> Any:
            base = start + z * area + y * width
            a, b = self._pool[base + low[..., 0]], self._pool[base + high[..., 0]]
            return a + weight[..., 0] * (b - a)

        def plane(z: Any) -> Any:
            a = line(low[..., 1], z)
            return a + weight[..., 1] * (line(high[..., 1], z) - a)

        a = plane(low[..., 2])
        return a + weight[..., 2] * (plane(high[..., 2]) - a)


def similarity_sums_torch(fixed: Any, moved: Any, mask: Any, valid: Any) -> Any:
    """The seven sums of :func:`regenv.core.resample.render_with_sums`, ``(B, 7)`` float64 tensor."""
    both = (mask & valid).flatten(1)
    f = torch.where(both, fixed.flatten(1), 0.0).to(torch.float64)
    m = torch.where(both, moved.flatten(1), 0.0).to(torch.float64)
    n_mask = mask.flatten(1).sum(1)
    columns = [n_mask, both.sum(1), f.sum(1), m.sum(1), (f * f).sum(1), (m * m).sum(1), (f * m).sum(1)]
    return torch.stack([c.to(torch.float64) for c in columns], dim=1)
