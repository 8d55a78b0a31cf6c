"""What the network is taught: to find the same place in both views, to know where it can, and the motion in the end."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.greedy_supervised.data import Batch
from agents.greedy_supervised.network import Matcher, gather_rows

WEIGHTS = {"coarse": 1.0, "fine": 1.0, "position": 0.5, "pose": 0.5, "sure4": 0.3, "sure2": 0.3}
"""How much each part counts."""

JITTER_VOXELS = 3.0
JITTER_DEGREES = 4.0
"""How far off the motion may be around which fine places are searched."""


def losses(model: Matcher, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """The parts of the loss.

    Args:
        model: The network.
        batch: Examples.
        generator: Draws where the fine search is centred.

    Returns:
        ``coarse``, ``fine``: cross-entropy of finding a place; ``position``: error of the soft argmax (voxels);
        ``pose``:
        error of the motion fitted to the fine places (voxels, root mean square); ``sure4``, ``sure2``: confidences.
    """
    size = model.config.size
    views = batch.observation.flatten(0, 1).unsqueeze(1).float() / 255
    with torch.autocast("cpu", torch.bfloat16):
        encoded = model.encoder(views)
    coarse, sure4, fine, sure2 = (x.float().unflatten(0, (-1, 2)) for x in encoded)

    logits = model.coarse_logits(gather_rows(coarse[:, 0], batch.coarse_index), coarse[:, 1])
    index, weight = spread(batch.coarse_match, size // 4, 4)
    log_share = F.log_softmax(logits, dim=2)
    coarse_ce = -(torch.gather(log_share, 2, index) * weight).sum(2).mean()
    found = torch.gather(log_share.detach(), 2, index).exp().sum(2)

    p = model.fine_cells[batch.fine_index]
    rigid = torch.matmul(p, batch.motion[:, :3, :3].transpose(1, 2)) + batch.motion[:, None, :3, 3]
    cells, inside = model.fine_window(batch.fine_match + jitter(rigid, generator))
    fine_logits = model.fine_logits(gather_rows(fine[:, 0], batch.fine_index), fine[:, 1], cells, inside)
    where = model.fine_cells[cells]
    target = (1 - (where - batch.fine_match.unsqueeze(2)).abs() / 2).clamp(min=0).prod(3) * inside
    log_local = F.log_softmax(fine_logits, dim=2)
    fine_ce = -(target * log_local).sum(2).mean()
    sure = torch.sigmoid(torch.gather(sure2[:, 0], 1, batch.fine_index))
    q, weight = model.soft_argmax(log_local.exp(), where, sure)
    error = (q - batch.fine_match).pow(2).sum(2)

    return {
        "coarse": coarse_ce,
        "fine": fine_ce,
        "position": (error + 0.25).sqrt().mean(),
        "pose": pose_error(rigid, q, weight),
        "sure4": confidence_loss(sure4[:, 0], batch.coarse_index, found, batch.coarse_air),
        "sure2": confidence_loss(sure2[:, 0], batch.fine_index, torch.exp(-error.detach() / 2), batch.fine_air),
    }


def total(parts: dict[str, Tensor]) -> Tensor:
    """The weighted sum."""
    return torch.stack([WEIGHTS[name] * value for name, value in parts.items()]).sum()


def spread(position: Tensor, cells: int, step: int) -> tuple[Tensor, Tensor]:
    """Trilinear weights of ``position (B, K, 3)`` on a lattice: flat cell index and weight, both ``(B, K, 8)``."""
    u = (position / step + (cells - 1) / 2).clamp(0, cells - 1 - 1e-4)
    low = u.floor()
    t = u - low
    index, weight = [], []
    for corner in torch.cartesian_prod(*[torch.arange(2)] * 3):
        i = low.long() + corner
        index.append((i[..., 2] * cells + i[..., 1]) * cells + i[..., 0])
        weight.append(torch.where(corner.bool(), t, 1 - t).prod(-1))
    return torch.stack(index, -1), torch.stack(weight, -1)


def jitter(points: Tensor, generator: torch.Generator) -> Tensor:
    """Displacement ``(B, K, 3)`` of the points by a small random motion of each example."""
    b = len(points)
    shift = (torch.rand((b, 1, 3), generator=generator) * 2 - 1) * JITTER_VOXELS
    turn = (torch.rand((b, 1, 3), generator=generator) * 2 - 1) * math.radians(JITTER_DEGREES)
    return shift + torch.linalg.cross(turn.expand_as(points), points)


def pose_error(expected: Tensor, found: Tensor, weight: Tensor, scale: float = 1.5) -> Tensor:
    """How far the motion fitted to ``found`` carries the ``expected (B, K, 3)`` places off, voxels.

    The fit is linear, about the true motion, with the robust weights that it would have there.
    """
    off = found - expected
    w = weight / (1 + off.pow(2).sum(2) / scale**2) ** 2
    w = w / (w.sum(1, keepdim=True) + 1e-9)
    zero = torch.zeros_like(expected[..., 0])
    x, y, z = expected.unbind(2)
    turned = torch.stack(  # column k: where a rotation about axis k carries the point
        [torch.stack([zero, z, -y], 2), torch.stack([-z, zero, x], 2), torch.stack([y, -x, zero], 2)], 2
    )
    a = torch.cat([torch.eye(3).expand(*off.shape[:2], 3, 3), turned / 20], 3)  # rotations in units of 1 voxel at 20
    normal = torch.einsum("bk,bkij,bkil->bjl", w, a, a) + 1e-4 * torch.eye(6)
    right = torch.einsum("bk,bkij,bki->bj", w, a, off)
    motion = torch.linalg.solve(normal, right)
    return (torch.einsum("bkij,bj->bki", a, motion).pow(2).sum(2).mean(1) + 0.01).sqrt().mean()


def confidence_loss(logits: Tensor, index: Tensor, target: Tensor, air: Tensor) -> Tensor:
    """Confidence is how well a place is found; a place in air (index -1: none) cannot be."""
    loss = F.binary_cross_entropy_with_logits(torch.gather(logits, 1, index), target)
    nothing = F.softplus(torch.gather(logits, 1, air.clamp(min=0))) * (air >= 0)
    return loss + 0.5 * nothing.mean()
