"""Intensity windows: how a modality's values become the [0, 1] that agents see and similarities compare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.core.image import Image
from regenv.modality import get_modality


def window_of(image: Image) -> tuple[float, float]:
    """Lower and upper intensity of the image's window, computed once from the whole image.

    A modality with an absolute scale has a fixed window; others take the 0.5th and 99.5th percentile of the values
    that are not background.
    """
    modality = get_modality(image.modality)
    if modality.window is not None:
        return modality.window
    values = image.array[image.array != image.background]
    low, high = np.percentile(values if values.size else image.array, (0.5, 99.5))
    if modality.headroom_below is not None:
        low -= modality.headroom_below
    else:
        low = min(float(low), image.background)
    return float(low), max(float(high), low + 1e-6)


def windowed(image: Image, headroom: float = 0.0) -> tuple[NDArray[np.float32], float, tuple[float, float]]:
    """The image's array and its background mapped to [0, 1] by its window, clipped; and the window.

    Args:
        image: The image.
        headroom: Share by which the window is widened at its upper end.
    """
    low, high = window_of(image)
    high += headroom * (high - low)
    scaled = (image.array - np.float32(low)) * np.float32(1.0 / (high - low))
    background = float(np.clip((image.background - low) / (high - low), 0.0, 1.0))
    return np.clip(scaled, 0.0, 1.0, out=scaled), background, (low, high)
