"""The network: one shared encoder, correlation of features, a rigid fit in closed form, and values of actions.

Observation ``(B, 2, 64, 64, 64)`` in, values ``(B, 6 * (2 n + 1))`` out. Nothing in it is a black box but the encoder:

1. :class:`Encoder` turns fixed and moved, apart and with the same weights, into unit-length descriptors on two lattices
   (every 4 voxels and every 2), with a confidence that a place can be found again.
2. *Coarse*: the most confident fixed places are compared with every place of the moved view. Matches that agree with
   each other (two true matches keep their distance, whatever the motion; Leordeanu and Hebert, ICCV 2005; Chen et al.,
   CVPR 2022) are fitted by a rigid motion. This is what captures large misalignments.
3. *Fine*: more places on the finer lattice, each searched in a small window around where the coarse motion puts it.
4. The value of an action is the decrease of the distance to the fitted motion (greedy supervised values, Liao et al.,
   AAAI 2017), in closed form for every step of every degree of freedom.

All of it is differentiable where training needs it and exports to ONNX: rotations come from Horn's quaternion by matrix
squaring, not from a singular value decomposition.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network.

    Attributes:
        size: Voxels along each axis of the view.
        channels: Of the encoder at half, quarter and eighth resolution.
        coarse_features: Length of a coarse descriptor.
        fine_features: Length of a fine descriptor.
        coarse_queries: Fixed places compared with all of the moved view.
        fine_queries: Fixed places searched in a window.
        radius: Of that window, in fine cells.
    """

    size: int = 64
    channels: tuple[int, int, int] = (16, 32, 64)
    coarse_features: int = 48
    fine_features: int = 24
    coarse_queries: int = 384
    fine_queries: int = 768
    radius: int = 2


class ConvBlock(nn.Module):
    """3x3x3 convolution, instance normalisation, leaky ReLU; residual where the widths allow."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.InstanceNorm3d(outputs, affine=True)
        self.residual = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, D, H, W)`` -> ``(B, outputs, D, H, W)``."""
        y = F.leaky_relu(self.norm(self.conv(x)), 0.1)
        return x + y if self.residual else y


class Encoder(nn.Module):
    """Descriptors and confidences of one view: a small U-net from half to an eighth of the resolution and back."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.channels
        self.stem = nn.Sequential(
            nn.Conv3d(1, half, 4, stride=2, padding=1, bias=False),
            nn.InstanceNorm3d(half, affine=True),
            nn.LeakyReLU(0.1),
        )
        self.level2 = ConvBlock(half, half)
        self.level4 = nn.Sequential(ConvBlock(half, quarter), ConvBlock(quarter, quarter))
        self.level8 = nn.Sequential(ConvBlock(quarter, eighth), ConvBlock(eighth, eighth), ConvBlock(eighth, eighth))
        self.level8_up = nn.Conv3d(eighth, quarter, 1)
        self.level4_out = nn.Sequential(ConvBlock(quarter, quarter), ConvBlock(quarter, quarter))
        self.level4_up = nn.Conv3d(quarter, half, 1)
        self.level2_out = ConvBlock(half, half)
        self.coarse = nn.Conv3d(quarter, config.coarse_features, 1)
        self.coarse_confidence = nn.Conv3d(quarter, 1, 1)
        self.fine = nn.Conv3d(half, config.fine_features, 1)
        self.fine_confidence = nn.Conv3d(half, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(B, 1, S, S, S)`` in [0, 1] -> coarse ``(B, N, C)``, its logits ``(B, N)``, fine ``(B, M, c)``, logits."""
        x2 = self.level2(self.stem(image * 2 - 1))
        x4 = self.level4(F.avg_pool3d(x2, 2))
        x8 = self.level8(F.avg_pool3d(x4, 2))
        y4 = self.level4_out(x4 + doubled(self.level8_up(x8)))
        y2 = self.level2_out(x2 + doubled(self.level4_up(y4)))
        coarse = unit(self.coarse(y4)).flatten(2).transpose(1, 2)
        fine = unit(self.fine(y2)).flatten(2).transpose(1, 2)
        # what is confident is read off the features and does not shape them
        sure4 = self.coarse_confidence(y4.detach()).flatten(1)
        sure2 = self.fine_confidence(y2.detach()).flatten(1)
        return coarse, sure4, fine, sure2


def unit(features: Tensor) -> Tensor:
    """``(B, C, ...)`` scaled to length one along C."""
    return features * torch.rsqrt(features.pow(2).sum(1, keepdim=True) + 1e-6)


def lattice(cells: int, step: float) -> Tensor:
    """Positions ``(cells^3, 3)`` (x, y, z) of the cells about the centre, in units of ``step``-sized cells."""
    line = (torch.arange(cells, dtype=torch.float32) - (cells - 1) / 2) * step
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack([x.flatten(), y.flatten(), z.flatten()], dim=1)


def offsets(radius: int) -> Tensor:
    """Integer steps ``((2 radius + 1)^3, 3)`` (x, y, z) to the cells of a window."""
    return lattice(2 * radius + 1, 1.0).long()


def gather_rows(values: Tensor, index: Tensor) -> Tensor:
    """``values (B, N, C)``, ``index (B, ...)`` -> ``(B, ..., C)``: whole rows, which ONNX copies fastest."""
    first = index.flatten(1)[:, :1]
    lanes = torch.cumsum(first * 0 + 1, dim=0) - 1  # no torch.arange: the exporter fixes its length
    lanes = lanes.reshape(-1, *[1] * (index.dim() - 1))
    return values.flatten(0, 1)[index + lanes * values.shape[1]]


def doubled(x: Tensor) -> Tensor:
    """Each voxel of ``(B, C, D, H, W)`` repeated twice along each axis."""
    c, d, h, w = x.shape[1:]
    wide = x.reshape(-1, c, d, 1, h, 1, w, 1).expand(-1, c, d, 2, h, 2, w, 2)
    return wide.reshape(-1, c, 2 * d, 2 * h, 2 * w)


class Motion(NamedTuple):
    """Rotation ``(B, 3, 3)``, translation ``(B, 3)`` and the rotation as a unit quaternion ``(B, 4)`` (w, x, y, z)."""

    rotation: Tensor
    translation: Tensor
    quaternion: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """``(B, N, 3)`` moved."""
        return torch.matmul(points, self.rotation.transpose(1, 2)) + self.translation.unsqueeze(1)


def rigid_fit(p: Tensor, q: Tensor, weight: Tensor) -> Motion:
    """Weighted least-squares motion with q = R p + t (Horn, JOSA A 1987).

    The quaternion is the dominant eigenvector of a 4 x 4 matrix, found by squaring it.
    """
    w = weight / (weight.sum(1, keepdim=True) + 1e-9)
    pc = (w.unsqueeze(2) * p).sum(1)
    qc = (w.unsqueeze(2) * q).sum(1)
    h = torch.matmul(((p - pc.unsqueeze(1)) * w.unsqueeze(2)).transpose(1, 2), q - qc.unsqueeze(1))
    sxx, sxy, sxz = h[:, 0, 0], h[:, 0, 1], h[:, 0, 2]
    syx, syy, syz = h[:, 1, 0], h[:, 1, 1], h[:, 1, 2]
    szx, szy, szz = h[:, 2, 0], h[:, 2, 1], h[:, 2, 2]
    n = torch.stack(
        [
            torch.stack([sxx + syy + szz, syz - szy, szx - sxz, sxy - syx], 1),
            torch.stack([syz - szy, sxx - syy - szz, sxy + syx, szx + sxz], 1),
            torch.stack([szx - sxz, sxy + syx, syy - sxx - szz, syz + szy], 1),
            torch.stack([sxy - syx, szx + sxz, syz + szy, szz - sxx - syy], 1),
        ],
        1,
    )
    eye = torch.eye(4, dtype=n.dtype, device=n.device)
    scale = n.abs().sum(2).amax(1)[:, None, None] + 1e-6
    a = n / scale + eye * 1.0001  # all eigenvalues positive, the wanted one stays the largest
    for _ in range(14):
        a = torch.matmul(a, a)
        a = a / (a.abs().sum((1, 2), keepdim=True) + 1e-20)
    start = torch.tensor([1.0, 0.11, 0.07, 0.13], dtype=n.dtype, device=n.device)
    quaternion = torch.matmul(a, start)
    quaternion = quaternion / (quaternion.pow(2).sum(1, keepdim=True) + 1e-20).sqrt()
    r = quaternion_matrix(quaternion)
    return Motion(r, qc - torch.matmul(r, pc.unsqueeze(2)).squeeze(2), quaternion)


def quaternion_matrix(quaternion: Tensor) -> Tensor:
    """Unit quaternions ``(B, 4)`` (w, x, y, z) -> ``(B, 3, 3)``."""
    w, x, y, z = quaternion[:, 0], quaternion[:, 1], quaternion[:, 2], quaternion[:, 3]
    return torch.stack(
        [
            torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], 1),
            torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], 1),
            torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1),
        ],
        1,
    )


def robust_fit(p: Tensor, q: Tensor, weight: Tensor, scales: tuple[float, ...]) -> tuple[Motion, Tensor]:
    """Iteratively reweighted :func:`rigid_fit` (Geman-McClure) with shrinking ``scales`` (voxels); last weights too."""
    motion = rigid_fit(p, q, weight)
    robust = weight
    for scale in scales:
        error = (motion(p) - q).pow(2).sum(2)
        robust = weight / (1 + error / scale**2) ** 2
        motion = rigid_fit(p, q, robust)
    return motion, robust


def consensus(p: Tensor, q: Tensor, weight: Tensor, tolerance: float) -> Tensor:
    """Weights of the matches that keep their mutual distances: leading eigenvector of second-order compatibility."""
    dp = pairwise(p)
    dq = pairwise(q)
    c = F.relu(1 - ((dp - dq) / tolerance) ** 2)
    c = c * weight.unsqueeze(1) * weight.unsqueeze(2)
    a = c * torch.matmul(c, c)
    v = weight
    for _ in range(12):
        v = torch.matmul(a, v.unsqueeze(2)).squeeze(2)
        v = v / (v.pow(2).sum(1, keepdim=True).sqrt() + 1e-20)
    return v


def pairwise(p: Tensor) -> Tensor:
    """Distances ``(B, N, N)`` between the points ``(B, N, 3)``."""
    square = p.pow(2).sum(2)
    d = square.unsqueeze(1) + square.unsqueeze(2) - 2 * torch.matmul(p, p.transpose(1, 2))
    return (F.relu(d) + 1e-6).sqrt()


class Queries(NamedTuple):
    """Places of the fixed view: where (voxels about the centre), descriptor, and how sure they are to be found.

    They depend on the fixed view alone, so an episode needs them once.
    """

    coarse_place: Tensor
    coarse: Tensor
    coarse_sure: Tensor
    fine_place: Tensor
    fine: Tensor
    fine_sure: Tensor


class Matcher(nn.Module):
    """Encoder and matching; see the module's docstring."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.coarse_sharpness = nn.Parameter(torch.tensor(math.log(12.0)))
        self.fine_sharpness = nn.Parameter(torch.tensor(math.log(10.0)))
        self.register_buffer("coarse_cells", lattice(config.size // 4, 4.0), persistent=False)
        self.register_buffer("fine_cells", lattice(config.size // 2, 2.0), persistent=False)
        self.register_buffer("window", offsets(config.radius), persistent=False)
        self.register_buffer("neighbours", offsets(1), persistent=False)

    def coarse_logits(self, fixed: Tensor, moved: Tensor) -> Tensor:
        """Descriptors ``(B, K, C)`` against ``(B, N, C)`` -> ``(B, K, N)``."""
        return torch.matmul(fixed, moved.transpose(1, 2)) * self.coarse_sharpness.exp()

    def fine_window(self, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Cells around ``centre (B, K, 3)``, in voxels about the centre: flat index and inside, ``(B, K, W)``."""
        cells = self.config.size // 2
        middle = torch.round(centre / 2 + (cells - 1) / 2)
        index = middle.unsqueeze(2) + self.window.to(centre.dtype)
        inside = ((index >= 0) & (index <= cells - 1)).all(3)
        i = index.clamp(0, cells - 1).long()
        return (i[..., 2] * cells + i[..., 1]) * cells + i[..., 0], inside

    def fine_logits(self, query: Tensor, moved: Tensor, index: Tensor, inside: Tensor) -> Tensor:
        """Descriptors ``(B, K, c)`` against windows of ``(B, M, c)`` -> ``(B, K, W)``."""
        candidates = gather_rows(moved, index)
        logits = torch.matmul(candidates, query.unsqueeze(3)).squeeze(3) * self.fine_sharpness.exp()
        return logits.masked_fill(~inside, -1e4)

    def ask(self, fixed: Tensor) -> Queries:
        """The places of the fixed view ``(B, 1, S, S, S)`` that are most likely to be found again."""
        coarse, sure4, fine, sure2 = self.encoder(fixed)
        sure4, index4 = torch.topk(sure4, self.config.coarse_queries, dim=1)
        sure2, index2 = torch.topk(sure2, self.config.fine_queries, dim=1)
        return Queries(
            self.coarse_cells[index4],
            gather_rows(coarse, index4),
            torch.sigmoid(sure4),
            self.fine_cells[index2],
            gather_rows(fine, index2),
            torch.sigmoid(sure2),
        )

    def match_coarse(self, queries: Queries, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Where the coarse queries were found in the moved view (voxels about the centre), and weights."""
        cells = self.config.size // 4
        share = torch.softmax(self.coarse_logits(queries.coarse, moved), dim=2)
        # soft argmax among the 27 cells about the peak; their mass is the confidence
        peak = share.argmax(2)
        centre = torch.stack([peak % cells, peak // cells % cells, peak // (cells * cells)], dim=2)
        around = centre.unsqueeze(2) + self.neighbours
        inside = ((around >= 0) & (around < cells)).all(3).to(share.dtype)
        around = around.clamp(0, cells - 1)
        near = torch.gather(share, 2, (around[..., 2] * cells + around[..., 1]) * cells + around[..., 0]) * inside
        mass = near.sum(2)
        where = (around.to(share.dtype) - (cells - 1) / 2) * 4
        q = (near.unsqueeze(3) * where).sum(2) / (mass.unsqueeze(2) + 1e-9)
        return q, mass * queries.coarse_sure

    def match_fine(self, queries: Queries, moved: Tensor, motion: Motion) -> tuple[Tensor, Tensor]:
        """Where the fine queries were found around where the motion puts them, and weights."""
        index, inside = self.fine_window(motion(queries.fine_place))
        share = torch.softmax(self.fine_logits(queries.fine, moved, index, inside), dim=2)
        q, weight = self.soft_argmax(share, self.fine_cells[index], queries.fine_sure)
        return q, weight * inside.any(2).to(share.dtype)

    @staticmethod
    def soft_argmax(share: Tensor, cells: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
        """Mean position ``(B, K, 3)`` under ``share (B, K, W)``, and its weight: sure and concentrated."""
        q = (share.unsqueeze(3) * cells).sum(2)
        variance = (share * (cells - q.unsqueeze(2)).pow(2).sum(3)).sum(2)
        return q, sure / (variance + 0.5) ** 2

    def answer(self, queries: Queries, moved: Tensor) -> tuple[Motion, Tensor]:
        """Motion (voxels, about the centre) and share of agreeing matches, for the moved view ``(B, 1, S, S, S)``."""
        coarse, _, fine, _ = self.encoder(moved)
        p = queries.coarse_place
        q, weight = self.match_coarse(queries, coarse)
        motion, _ = robust_fit(p, q, weight * consensus(p, q, weight, 5.0), (8.0, 6.0, 4.0, 3.0))
        for scales in ((4.0, 2.0), (2.0, 1.0, 1.0)):
            q, weight = self.match_fine(queries, fine, motion)
            motion, robust = robust_fit(queries.fine_place, q, weight, scales)
        return motion, robust.sum(1) / (weight.sum(1) + 1e-9)

    def forward(self, observation: Tensor) -> tuple[Motion, Tensor]:
        """Views ``(B, 2, S, S, S)`` in [0, 1], fixed and moved -> as :meth:`answer`."""
        return self.answer(self.ask(observation[:, :1]), observation[:, 1:])


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross product of ``(B, 3)`` vectors, written out: the exporter fixes the batch size of torch's own."""
    x = a[:, 1:2] * b[:, 2:3] - a[:, 2:3] * b[:, 1:2]
    y = a[:, 2:3] * b[:, 0:1] - a[:, 0:1] * b[:, 2:3]
    z = a[:, 0:1] * b[:, 1:2] - a[:, 1:2] * b[:, 0:1]
    return torch.cat([x, y, z], dim=1)


def log_motion(motion: Motion, spacing_mm: float) -> Tensor:
    """Coefficients ``(B, 6)`` of the rigid generators, mm and degrees, whose exponential is the motion."""
    q = motion.quaternion * (1 - 2 * (motion.quaternion[:, :1] < 0).to(motion.quaternion.dtype))
    length = (q[:, 1:].pow(2).sum(1, keepdim=True) + 1e-14).sqrt()
    angle = 2 * torch.atan(length / q[:, :1].clamp(min=1e-6))
    omega = q[:, 1:] / length * angle
    # inverse of the left Jacobian; (1 - a / 2 cot(a / 2)) / a^2 tends to 1 / 12
    half = angle / 2
    small = (angle < 1e-2).to(angle.dtype)  # no torch.full_like: the exporter fixes its batch size
    k = small / 12 + (1 - small) * (1 - half / torch.tan(half + 1e-9)) / (angle**2 + 1e-14)
    t = motion.translation * spacing_mm
    across = cross(omega, t)
    shift = t - 0.5 * across + k * cross(omega, across)
    return torch.cat([shift, omega * (180 / math.pi)], dim=1)


class Policy(nn.Module):
    """Values of the actions of a multi-discrete rigid environment, in closed form from the fitted motion.

    For degree of freedom k with the distance s_k still to go, a step a is worth |s_k| - |s_k - a|: what it takes off
    the distance (Liao et al. 2017, without the discount). Once all that is left moves the body by less than
    ``stop_mm``, doing nothing carries their terminal bonus.

    Attributes:
        matcher: The network.
        steps: Sizes of steps in mm and degrees; action 0 is none, 2 i + 1 is +steps[i], 2 i + 2 is -steps[i].
        spacing_mm: Of the view that the observation shows.
        stop_mm: See above.
    """

    LEVER_MM = 60.0
    """Typical distance of the body from the view's centre: what a rotation counts in mm."""

    def __init__(self, matcher: Matcher, steps: tuple[float, ...], spacing_mm: float, stop_mm: float = 0.3) -> None:
        super().__init__()
        self.matcher, self.steps, self.spacing_mm, self.stop_mm = matcher, steps, spacing_mm, stop_mm
        moves = [0.0] + [sign * size for size in steps for sign in (1.0, -1.0)]
        self.register_buffer("moves", torch.tensor(moves), persistent=False)

    def ask(self, fixed: Tensor) -> Queries:
        """Of the fixed view ``(B, 1, S, S, S)`` uint8, once an episode."""
        return self.matcher.ask(fixed.to(torch.float32) / 255)

    def answer(self, queries: Queries, moved: Tensor) -> tuple[Tensor, Tensor]:
        """Of the moved view ``(B, 1, S, S, S)`` uint8: values ``(B, 6, 2 n + 1)`` and confidence ``(B,)``."""
        motion, confidence = self.matcher.answer(queries, moved.to(torch.float32) / 255)
        left = log_motion(motion, self.spacing_mm)
        values = left.abs().unsqueeze(2) - (left.unsqueeze(2) - self.moves).abs()
        turn = left[:, 3:].pow(2).sum(1) * (math.pi / 180 * self.LEVER_MM) ** 2
        done = (left[:, :3].pow(2).sum(1) + turn < self.stop_mm**2).to(values.dtype)
        bonus = (self.moves == 0).to(values.dtype) * 10.0
        return values + done[:, None, None] * bonus, confidence

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 2, S, S, S)`` uint8 -> as :meth:`answer`."""
        return self.answer(self.ask(observation[:, :1]), observation[:, 1:])
