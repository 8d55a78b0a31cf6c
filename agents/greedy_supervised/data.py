"""Batches for training, made by worker processes while the network learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from regenv.synthesis.shapes import Anatomy, PairGenerator, TrainingPair

AIR = 64
"""Places outside the body that are taught to be nothing to look for."""


@dataclass(frozen=True)
class Batch:
    """Training examples; positions in voxels about the view's centre.

    Attributes:
        observation: ``(B, 2, S, S, S)`` uint8.
        motion: ``(B, 4, 4)`` true residual.
        coarse_index: ``(B, K)`` cells of the four-voxel lattice, to be found at ``coarse_match`` ``(B, K, 3)``.
        coarse_air: ``(B, AIR)`` cells of the same lattice outside the body, -1 where there are none.
        fine_index: ``(B, Q)`` cells of the two-voxel lattice, to be found at ``fine_match`` ``(B, Q, 3)``.
        fine_air: ``(B, AIR)``.
    """

    observation: Tensor
    motion: Tensor
    coarse_index: Tensor
    coarse_match: Tensor
    coarse_air: Tensor
    fine_index: Tensor
    fine_match: Tensor
    fine_air: Tensor


class Stream(IterableDataset):
    """Examples without end; each worker draws its own.

    Args:
        anatomies: To draw from.
        seed: Of the stream.
        coarse: Coarse cells taught in each pair.
        fine: Fine cells taught in each pair.
    """

    def __init__(self, anatomies: list[Anatomy], seed: int, coarse: int = 192, fine: int = 256) -> None:
        self.anatomies, self.seed, self.coarse, self.fine = anatomies, seed, coarse, fine

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yields examples."""
        info = get_worker_info()
        worker = 0 if info is None else info.id
        generator = PairGenerator(self.anatomies, seed=self.seed * 1000 + worker)
        rng = np.random.default_rng([self.seed, worker, 7])
        while True:
            example = self._example(generator.draw(), rng)
            if example is not None:
                yield example

    def _example(self, pair: TrainingPair, rng: np.random.Generator) -> dict[str, Tensor] | None:
        """None where the views share too little to learn from."""
        n = pair.observation.shape[-1] // 4
        matches = pair.matches / pair.spacing_mm
        count = _pooled(pair.shown, n)
        coarse = np.flatnonzero(count == 8)
        edges = pair.shown & pair.edge
        coarse_edges = np.flatnonzero((count == 8) & (_pooled(edges, n) > 1))
        if len(coarse_edges) < 20 or pair.observation.reshape(2, -1).std(1).min() < 5:
            return None
        # a coarse cell is found where its eight fine cells are found on average
        centres = (matches * pair.shown[..., None]).reshape(n, 2, n, 2, n, 2, 3).sum((1, 3, 5)).reshape(-1, 3) / 8
        chosen4 = _mostly(coarse_edges, coarse, self.coarse, rng)
        chosen2 = _mostly(np.flatnonzero(edges), np.flatnonzero(pair.shown), self.fine, rng)
        motion = pair.motion.copy()
        motion[:3, 3] /= pair.spacing_mm
        return {
            "observation": torch.from_numpy(pair.observation),
            "motion": torch.from_numpy(motion).float(),
            "coarse_index": torch.from_numpy(chosen4),
            "coarse_match": torch.from_numpy(centres[chosen4]).float(),
            "coarse_air": _some(np.flatnonzero(_pooled(pair.body, n) == 0), rng),
            "fine_index": torch.from_numpy(chosen2),
            "fine_match": torch.from_numpy(matches.reshape(-1, 3)[chosen2]).float(),
            "fine_air": _some(np.flatnonzero(~pair.body), rng),
        }


def _pooled(cells: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """How many of the eight fine cells of each of ``n^3`` coarse cells are set, flat."""
    return cells.reshape(n, 2, n, 2, n, 2).sum((1, 3, 5)).reshape(-1)


def _mostly(
    edges: NDArray[np.int64], anywhere: NDArray[np.int64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Three quarters of the cells where labels change, so that there is something to be found; the rest anywhere."""
    return np.concatenate([rng.choice(edges, count - count // 4), rng.choice(anywhere, count // 4)])


def _some(cells: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.choice(cells, AIR) if len(cells) else np.full(AIR, -1))


def batches(anatomies: list[Anatomy], seed: int, size: int, workers: int) -> Iterator[Batch]:
    """Endless :class:`Batch` of ``size`` examples."""
    loader = DataLoader(
        Stream(anatomies, seed), batch_size=size, num_workers=workers, prefetch_factor=6 if workers else None
    )
    for item in loader:
        yield Batch(**item)
