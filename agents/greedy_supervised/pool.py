"""What training looks at: random anatomies and pieces of procedural torsos, made once and kept on disk.

No real image enters. Torsos (the training subjects of the ``phantom`` data set) come as label maps, so that they
are shown in random contrasts too, and in half of the pairs in those of CT.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regenv.data.cache import cache_dir, digest, progress
from regenv.files import written_whole
from regenv.modality import get_modality
from regenv.synthesis.shapes import LABELS, SIZE, Anatomy, make_anatomy
from regenv.synthesis.shapes.anatomy import VERSION

PIECES = 3
"""Pieces cut from each torso: two at full resolution and the whole at about half."""


def load_pool(anatomies: int, torsos: int) -> list[Anatomy]:
    """The pool, memory-mapped; made first where it is not in the cache (half a second each, with progress).

    Args:
        anatomies: Number of random anatomies.
        torsos: Number of procedural torsos, each giving :data:`PIECES`.
    """
    names = [("shapes", seed) for seed in range(anatomies)]
    names += [("torso", seed * PIECES + piece) for seed in range(torsos) for piece in range(PIECES)]
    folder = cache_dir() / "greedy-supervised"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not _path(folder, *name).exists()]
    if missing:
        with progress("making training anatomies", len(missing)) as advance:
            for kind, number in missing:
                _keep(_path(folder, kind, number), make_anatomy(number) if kind == "shapes" else _torso(number))
                advance()
    return [_read(_path(folder, *name), name[0]) for name in names]


def _path(folder: Path, kind: str, number: int) -> Path:
    key = digest("shapes" if kind == "shapes" else "torso-labels", VERSION, number=number)
    return folder / f"{key}.npy"


def _keep(path: Path, anatomy: Anatomy) -> None:
    with written_whole(path) as beside, open(beside, "wb") as file:
        np.save(file, np.stack([anatomy.labels, anatomy.texture.view(np.uint8)]))


def _read(path: Path, kind: str) -> Anatomy:
    both = np.load(path, mmap_mode="r")
    return Anatomy(both[0], both[1].view(np.int8), ct_intensities() if kind == "torso" else None)


def ct_intensities() -> NDArray[np.float32]:
    """``(LABELS,)``: the CT number of each tissue in the window of CT environments."""
    from regenv.synthesis.anatomy.tissues import CT_NUMBERS

    low, high = get_modality("ct").window
    table = np.zeros(LABELS, np.float32)
    for tissue, number in CT_NUMBERS.items():
        table[int(tissue)] = np.clip((number.mean - low) / (high - low), 0, 1)
    return table


def _torso(number: int) -> Anatomy:
    from regenv.synthesis.anatomy.torso import torso

    seed, piece = divmod(number, PIECES)
    fields = ("torso", "heart", "spine")
    body = torso(seed, 2.0 if piece < 2 else 3.6, fields[seed % len(fields)])
    rng = np.random.default_rng([seed, piece, VERSION])
    return Anatomy(_cut(body.tissue, rng), _cut(np.clip(32 * body.fine, -127, 127).astype(np.int8), rng))


def _cut(volume: NDArray, rng: np.random.Generator) -> NDArray:
    """A cube of :data:`SIZE` voxels at a random place, padded where the volume is smaller."""
    state = rng.bit_generator.state
    starts = [int(rng.integers(0, n - SIZE + 1)) if n >= SIZE else 0 for n in volume.shape]
    rng.bit_generator.state = state  # labels and texture are cut alike
    piece = volume[tuple(slice(start, start + SIZE) for start in starts)]
    before = [(SIZE - n) // 2 for n in piece.shape]
    return np.pad(piece, [(b, SIZE - n - b) for b, n in zip(before, piece.shape, strict=True)])
