"""A folder of two real pairs of files, small enough to register in a moment, and the track on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from regenv.evaluation.cases import bind
from regenv.evaluation.track import Track, find_track

AGENTS = "tests.evaluation.some_agents"


def write_pairs(folder: Path, pairs: int = 2) -> Path:
    """Smooth blobs in air, written by SimpleITK: fixed and moving lie in one frame (``aligned``)."""
    import SimpleITK as sitk

    folder.mkdir(parents=True, exist_ok=True)
    rows = ["id,subject,fixed,moving,fixed_modality,moving_modality,aligned"]
    for n in range(pairs):
        rng = np.random.default_rng(n)
        values = gaussian_filter(rng.normal(size=(40, 48, 48)), 3)
        hu = np.full(values.shape, -1000.0)
        hu[5:-5, 6:-6, 6:-6] = (300 * values / values.std())[5:-5, 6:-6, 6:-6]
        for name, factor in (("fixed", 0.8), ("moving", 1.0)):
            image = sitk.GetImageFromArray((factor * hu + 5 * rng.normal(size=hu.shape)).astype(np.int16))
            image.SetSpacing((4.0, 4.0, 4.0))
            sitk.WriteImage(image, str(folder / f"{name}{n}.mha"))
        rows.append(f"pair{n},subject{n},fixed{n}.mha,moving{n}.mha,cbct,ct,true")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def real_track(pairs) -> Track:
    """The shipped template on that folder: 20 starts of each of two pairs."""
    return bind(find_track("ctcbct-rigid-real"), pairs)
