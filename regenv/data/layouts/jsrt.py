"""JSRT: 247 chest radiographs, with the outlines of lungs, heart and clavicles of the SCR database.

``JPCLN001.IMG`` (with a nodule, 154) and ``JPCNN001.IMG`` (without, 93) hold 2048 x 2048 big-endian 16-bit integers
of 12 bits, pixels of 0.175 mm, bright where the film is dark (public converters show 1 - value / 4096): turned round
here, so that bone is bright, and averaged over 2 x 2 pixels to the 1024 x 1024 of the masks. The masks of SCR are
GIFs of that size, ``scratch/fold1/masks/heart/JPCLN001.gif``, odd images in fold 1, even ones in fold 2; without them
nothing is known of the truth. Pairs are between subjects. SCR measures one fold with what was trained on the other:
fold 1 is the training split, every fifth of it the validation split, fold 2 the test split.

J. Shiraishi et al., "Development of a digital image database for chest radiographs...", AJR 174 (2000); B. van
Ginneken, M. Stegmann, M. Loog, "Segmentation of anatomical structures in chest radiographs...", Med. Image Anal. 10
(2006).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.dataset import SPLITS
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request, ring
from regenv.data.layouts._raw import read_raw
from regenv.data.layouts._scans import make_truth
from regenv.data.pair import ImagePair
from regenv.errors import DataError, require

SIZE = (2048, 2048)
SPACING_MM = 0.175
N_NODULES = 154
"""Images with a nodule, which come first in the list."""

WHITE = 4095.0
LABELS = {1: "right lung", 2: "left lung", 3: "heart", 4: "right clavicle", 5: "left clavicle"}
"""Where masks overlap the later one counts: heart over lung, clavicles over both."""

TREE = """PATH/
  All247images/JPCLN001.IMG ... JPCLN154.IMG, JPCNN001.IMG ... JPCNN093.IMG   (in any folder)
  scratch/fold1/masks/heart/JPCLN001.gif, ...                                 (SCR, optional, in any folder)
  scratch/fold1/masks/left lung/, right lung/, left clavicle/, right clavicle/
  scratch/fold2/masks/..."""


def find(request: Request) -> list[PairFiles]:
    """Each radiograph with the next one of its split, in the order of their names."""
    images = {p.stem: p for p in sorted(request.root.rglob("JPC*.IMG")) if re.fullmatch(r"JPC(LN|NN)\d{3}", p.stem)}
    if not images:
        raise NotThisLayoutError("has no file JPCLN001.IMG")
    folds = sorted(p for p in request.root.rglob("fold?") if (p / "masks").is_dir())
    splits = {name: _split(name) for name in images}
    cases = []
    for split in SPLITS:
        for one, other in ring([name for name in images if splits[name] == split]):
            masks = tuple(_masks(folds, name) for name in (one, other)) if folds else ((), ())
            files = (images[one], images[other], *masks[0], *masks[1])
            load = partial(_load, images[one], images[other], *masks)
            cases.append(PairFiles(f"{one}-{other}", one, split, files, load, one_frame=False))
    return cases


def read_radiograph(path: Path) -> Image:
    """A radiograph, bright where the body absorbs, its middle at the origin."""
    array = WHITE - read_raw(path, SIZE, ">u2")
    if array.min() < 0:
        raise DataError(f"{path} holds values above {WHITE:.0f}, which 12 bits do not; it is not an original JSRT file")
    height, width = SIZE[1] // 2, SIZE[0] // 2
    halved = array.reshape(height, 2, width, 2).mean(axis=(1, 3))
    return Image(halved, Grid.centred((width, height), (2 * SPACING_MM, 2 * SPACING_MM)), "xray")


def read_masks(paths: tuple[Path, ...], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The five masks of a radiograph as one label map."""
    pillow = require("PIL.Image", "video")
    labels = np.zeros(shape, dtype=np.int32)
    for value, path in enumerate(paths, 1):
        try:
            with pillow.open(path) as picture:
                mask = np.asarray(picture.convert("L")) > 0
        except OSError as error:
            raise DataError(f"mask {path} cannot be read ({error}); copy it again") from error
        if mask.shape != shape:
            raise DataError(f"mask {path} has {mask.shape[1]} x {mask.shape[0]} pixels, not {shape[1]} x {shape[0]}")
        labels[mask] = value
    return labels


def _split(name: str) -> str:
    """By the place in the list of all images, whatever of it is there: even places (odd images) are fold 1."""
    place = int(name[-3:]) - 1 + (N_NODULES if name.startswith("JPCNN") else 0)
    if place % 2:
        return "test"
    return "validation" if (place // 2) % 5 == 4 else "train"


def _masks(folds: list[Path], name: str) -> tuple[Path, ...]:
    """The masks of an image in the fold that has its heart, else where fold 1 would have them."""
    fold = next((p for p in folds if (p / "masks" / "heart" / f"{name}.gif").exists()), folds[0])
    return tuple(fold / "masks" / label / f"{name}.gif" for label in LABELS.values())


def _load(fixed: Path, moving: Path, fixed_masks: tuple[Path, ...], moving_masks: tuple[Path, ...]) -> ImagePair:
    images = [read_radiograph(path) for path in (fixed, moving)]
    labels: list[NDArray[np.int32] | None] = [None, None]
    if fixed_masks:
        shape = images[0].grid.shape
        labels = [read_masks(masks, shape) for masks in (fixed_masks, moving_masks)]
    return ImagePair("", "", images[0], images[1], truth=make_truth(labels=labels, label_names=LABELS))


LAYOUT = Layout("jsrt", "JSRT", TREE, find, ndim=2)
