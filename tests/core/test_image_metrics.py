"""Image metrics against scikit-image and by hand."""

import numpy as np
import pytest

from regenv.core.image_metrics import image_metrics


@pytest.mark.parametrize("shape", [(24, 30), (20, 22, 24)])
def test_metrics_are_scikit_images(shape):
    skimage = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(0)
    fixed = rng.random(shape).astype(np.float32)
    moved = np.clip(0.7 * fixed + 0.3 * rng.random(shape), 0, 1).astype(np.float32)
    mask = np.zeros(shape, bool)
    mask[(slice(6, -6),) * len(shape)] = True  # windows do not reach the edge, where the two differ
    _, full = skimage.structural_similarity(
        *(a.astype(float) for a in (fixed, moved)), data_range=1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    found = image_metrics(fixed, moved, mask)
    assert found["ssim"] == pytest.approx(full[mask].mean(), abs=1e-6)
    assert found["mse"] == pytest.approx(skimage.mean_squared_error(fixed[mask], moved[mask]), rel=1e-5)
    assert found["cc"] == pytest.approx(np.corrcoef(fixed[mask], moved[mask])[0, 1], abs=1e-6)


def test_only_the_mask_counts():
    rng = np.random.default_rng(1)
    fixed = rng.random((40, 40))
    moved = fixed.copy()
    moved[:, 20:] = 0.5
    mask = np.zeros((40, 40), bool)
    mask[:, :10] = True
    assert image_metrics(fixed, moved, mask) == pytest.approx({"cc": 1, "mse": 0, "ssim": 1}, abs=1e-6)
    assert image_metrics(fixed, moved, ~mask)["mse"] > 0.01
    assert image_metrics(fixed, np.full_like(fixed, 0.5), mask)["cc"] == 0


def test_what_cannot_be_compared_is_named():
    image, mask = np.zeros((8, 8)), np.ones((8, 8))
    with pytest.raises(ValueError, match="one shape"):
        image_metrics(image, image[1:], mask)
    with pytest.raises(ValueError, match="mask is empty"):
        image_metrics(image, image, np.zeros((8, 8)))
    with pytest.raises(ValueError, match="moved image runs from"):
        image_metrics(image, image - 1000, mask)
    with pytest.raises(ValueError, match="moved image runs from"):
        image_metrics(image, image * np.nan, mask)
