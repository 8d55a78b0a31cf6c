"""Tumours in an anatomy: where they may grow, and the anatomy with them in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.anatomy import Anatomy
from regenv.synthesis.anatomy.tissues import Organ, Tissue

# where FDG-avid lesions are found, how often, and their radii in mm
_SITES: tuple[tuple[str, float, tuple[float, float]], ...] = (
    ("lung", 0.3, (5.0, 17.0)),
    ("node", 0.3, (4.0, 10.0)),
    ("liver", 0.2, (5.0, 16.0)),
    ("bone", 0.2, (5.0, 12.0)),
)


@dataclass(frozen=True)
class Lesion:
    """A tumour: an ellipsoid, smooth at its edge.

    Attributes:
        centre: Position ``(x, y, z)`` in the subject's mm.
        radii: Half-axes along x, y, z in mm.
        uptake: SUV that it takes up.
        site: ``"lung"``, ``"node"``, ``"liver"`` or ``"bone"``.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    uptake: float
    site: str


def draw_lesions(anatomy: Anatomy, rng: np.random.Generator, most: int = 7) -> tuple[Lesion, ...]:
    """Draws none to ``most`` lesions in lungs, nodes of the fat, liver and bones.

    Args:
        anatomy: The subject.
        rng: Draws their number, places, sizes and uptake.
        most: The largest number.
    """
    weights = np.array([share for _, share, _ in _SITES])
    lesions: list[Lesion] = []
    for _ in range(int(rng.integers(0, most + 1))):
        name, _, (low, high) = _SITES[int(rng.choice(len(_SITES), p=weights / weights.sum()))]
        centre = _place(anatomy, name, rng)
        radius = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        radii = radius * np.exp(rng.normal(0, 0.15, 3))
        uptake = float(np.exp(rng.uniform(np.log(2.5), np.log(16.0))))
        if centre is not None:
            lesions.append(Lesion(tuple(centre), tuple(float(r) for r in radii), uptake, name))  # type: ignore[arg-type]
    return tuple(lesions)


def _place(anatomy: Anatomy, site: str, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """A random voxel of the site, by rejection: no pass over the volume. None where the anatomy has hardly any."""
    size = np.asarray(anatomy.grid.size)
    for _ in range(40):
        index = rng.integers(0, size, (256, 3))
        organ = anatomy.organ[index[:, 2], index[:, 1], index[:, 0]]
        tissue = anatomy.tissue[index[:, 2], index[:, 1], index[:, 0]]
        if site == "lung":
            good = np.isin(organ, (Organ.LUNG_LEFT, Organ.LUNG_RIGHT)) & (tissue == Tissue.LUNG)
        elif site == "liver":
            good = (organ == Organ.LIVER) & (tissue == Tissue.LIVER)
        elif site == "bone":
            good = tissue == Tissue.CANCELLOUS
        else:
            # fat near the middle: mediastinum and retroperitoneum
            x = anatomy.grid.origin[0] + anatomy.grid.spacing[0] * index[:, 0]
            good = (tissue == Tissue.FAT) & (organ == Organ.NONE) & (np.abs(x) < 45) & _deep(anatomy, index)
        if good.any():
            chosen = index[np.flatnonzero(good)[0]]
            return np.asarray(anatomy.grid.origin) + chosen * np.asarray(anatomy.grid.spacing)
    return None


def _deep(anatomy: Anatomy, index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the body goes on for 50 mm in front of and behind each voxel."""
    step = int(50 / anatomy.grid.spacing[1])
    last = anatomy.grid.size[1] - 1
    ahead, behind = np.clip(index[:, 1] - step, 0, last), np.clip(index[:, 1] + step, 0, last)
    deep = anatomy.body[index[:, 2], ahead, index[:, 0]] & anatomy.body[index[:, 2], behind, index[:, 0]]
    return np.asarray(deep, dtype=np.bool_)


def lesion_shares(anatomy: Anatomy, lesion: Lesion) -> tuple[tuple[slice, slice, slice], NDArray[np.float32]]:
    """The voxels about a lesion that lie in the anatomy, and the share of each that the lesion fills."""
    grid = anatomy.grid
    centre = (np.asarray(lesion.centre) - grid.origin) / grid.spacing
    radii = np.asarray(lesion.radii) / grid.spacing
    first = np.clip(np.floor(centre - radii - 1), 0, grid.size).astype(int)
    last = np.clip(np.ceil(centre + radii + 1) + 1, first, grid.size).astype(int)
    box = tuple(slice(a, b) for a, b in zip(first[::-1], last[::-1], strict=True))
    x, y, z = (
        (np.arange(first[a], last[a]) - centre[a]).reshape([-1 if a == b else 1 for b in (2, 1, 0)]) for a in range(3)
    )
    rho = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
    share = np.clip(0.5 - (rho - 1.0) * float(np.mean(radii)), 0, 1)
    # a lesion does not leave the body
    return box, (share * anatomy.body[box]).astype(np.float32)  # type: ignore[return-value]


def with_lesions(anatomy: Anatomy, lesions: tuple[Lesion, ...]) -> Anatomy:
    """The anatomy with tumour tissue where the lesions are; the one given is not changed."""
    tissue, under, share, organ = (a.copy() for a in (anatomy.tissue, anatomy.under, anatomy.share, anatomy.organ))
    for lesion in lesions:
        box, cover = lesion_shares(anatomy, lesion)
        most, some = cover >= 0.5, (cover > 0.02) & (cover < 0.5)
        before = tissue[box].copy()
        tissue[box][most] = Tissue.TUMOUR
        under[box][most] = before[most]
        share[box][most] = np.rint(255 * cover[most]).astype(np.uint8)
        organ[box][most] = Organ.TUMOUR
        under[box][some] = Tissue.TUMOUR
        share[box][some] = np.rint(255 * (1 - cover[some])).astype(np.uint8)
    return replace(anatomy, tissue=tissue, under=under, share=share, organ=organ)
