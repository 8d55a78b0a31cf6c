"""Pictures for a page: PNG bytes, pictures under each other, and fewer of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.errors import require


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture ``(H, W, 3)`` uint8 as PNG bytes."""
    stream = io.BytesIO()
    image: Any = require("PIL.Image", "video")
    image.fromarray(picture).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def side_by_side(pictures: Sequence[tuple[str, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Pictures ``(H, W, 3)`` of one height with a caption over each, stacked downwards."""
    image, drawing = require("PIL.Image", "video"), require("PIL.ImageDraw", "video")
    rows = []
    for text, picture in pictures:
        bar = image.new("RGB", (picture.shape[1], 22), (0, 0, 0))
        drawing.Draw(bar).text((6, 5), text, fill=(255, 255, 255))
        rows += [np.asarray(bar), picture]
    return np.concatenate(rows)


def thinned(frames: list[NDArray[np.uint8]], most: int = 40) -> list[NDArray[np.uint8]]:
    """At most so many pictures, evenly, the first and the last among them: a page should load at once."""
    keep = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))
    return [frames[i] for i in keep]
