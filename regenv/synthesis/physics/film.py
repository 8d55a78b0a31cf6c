"""Chest radiographs from the water and the bone along each ray: exposure, scatter, noise and the processing after it.

1. Beer and Lambert for a beam of 70 to 125 kV in four energies, attenuation after NIST (Hubbell and Seltzer, NISTIR
   5632): a soft beam shows bone more.
2. Scatter of 0.2 to 0.9 times the primary in the median of the field behind an anti-scatter grid, broad and smooth
   (Ohnesorge, Flohr and Klingenbeck-Regn, Eur. Radiol. 9 (1999) 563-569).
3. Focal spot and screen blur, Poisson noise, and the logarithm.
4. What a reading station does: dynamic range compression and unsharp masking (Prokop et al., J. Thorac. Imaging 18
   (2003) 148-164), of random strength.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# keV, share of the detected spectrum at 70 kV and at 125 kV, attenuation of water per mm, of bone relative to water of
# equal attenuation at 70 keV
_SPECTRUM = (
    (40.0, 0.48, 0.10, 0.02683, 1.85),
    (60.0, 0.52, 0.42, 0.02059, 1.14),
    (80.0, 0.0, 0.31, 0.01837, 0.905),
    (100.0, 0.0, 0.17, 0.01707, 0.811),
)


def film(soft: Floats, bone: Floats, pixel_mm: float, rng: np.random.Generator) -> Floats:
    """A processed radiograph.

    Args:
        soft: ``(H, W)`` mm of water along each ray.
        bone: ``(H, W)`` mm of water that bone is worth at 70 keV.
        pixel_mm: Size of a pixel.
        rng: Draws scatter, dose and processing.

    Returns:
        ``(H, W)`` log attenuation, about 0 to 5: dense tissue is bright.
    """
    from scipy.ndimage import gaussian_filter

    primary = np.zeros(soft.shape, np.float32)
    hard = float(rng.uniform(0, 1))
    for _, low, high, water, dense in _SPECTRUM:
        primary += np.float32(low + hard * (high - low)) * np.exp(
            -np.float32(water) * (soft + np.float32(dense) * bone)
        )
    behind = soft > 20
    middle = float(np.median(primary[behind])) if behind.any() else 1.0
    source = np.clip(primary, 1e-6, 1)
    source = source * -np.log(source)
    broad = gaussian_filter(source, 45.0 / pixel_mm, mode="nearest", truncate=2.5)
    broad *= middle / max(float(np.median(broad[behind])) if behind.any() else 1.0, 1e-9)
    signal = primary + np.float32(rng.uniform(0.2, 0.9)) * broad
    signal = gaussian_filter(signal, float(rng.uniform(0.2, 0.45)) * 2.0 / pixel_mm)
    photons = float(np.exp(rng.uniform(np.log(4e3), np.log(6e4)))) / middle
    counts = rng.poisson(signal * photons)
    log = -np.log(np.maximum(counts, 1.0) / photons).astype(np.float32)
    # dynamic range compression flattens what is broad, unsharp masking lifts what is fine
    flat = gaussian_filter(log, 28.0 / pixel_mm, mode="nearest")
    fine = log - gaussian_filter(log, 8.0 / pixel_mm, mode="nearest")
    level = float(flat[behind].mean()) if behind.any() else 0.0
    processed = log - np.float32(rng.uniform(0.1, 0.55)) * (flat - level) + np.float32(rng.uniform(0.2, 1.3)) * fine
    return np.clip(processed, 0.02, 12.0).astype(np.float32)
