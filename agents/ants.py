"""ANTs (Avants et al. 2011) through antspyx: rigid, multi-resolution gradient descent on mutual information.

ANTs draws its samples at random and adds up in threads: with a fixed seed and one thread runs repeat.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.starts import moved_to_start, with_start
from regenv.errors import require

if TYPE_CHECKING:
    import SimpleITK as sitk


class Ants:
    """ANTs' rigid registration, as its scripts set it up.

    Args:
        seed: Of the sampling of voxels.

    Raises:
        MissingExtraError: Without antspyx: ``pip install 'regenv[classical]'``.
    """

    method = {
        "name": "ants",
        "family": "classical",
        "description": "ANTs, Rigid, Mattes MI, 4 resolutions",
        "test_time_optimisation": True,
    }
    env_kwargs: dict[str, Any] = {}

    def __init__(self, seed: int = 0) -> None:
        self._ants = require("ants", "classical")
        self._seed = seed

    def register(self, fixed: sitk.Image, moving: sitk.Image, initial: sitk.Transform) -> sitk.Transform:
        """Registers from a rigid initial transform; the answer, fixed to moving points, includes it."""
        import SimpleITK as sitk

        from regenv.core.sitk import matrix_from_sitk

        with self._repeatable(), tempfile.TemporaryDirectory(prefix="regenv-ants-") as folder:
            result = self._ants.registration(
                self._image(fixed),
                self._image(moved_to_start(moving, initial)),
                type_of_transform="Rigid",
                initial_transform="Identity",
                aff_metric="mattes",
                outprefix=str(Path(folder) / "found"),
            )
            found = matrix_from_sitk(sitk.ReadTransform(result["fwdtransforms"][0]))
        return with_start(initial, found)

    @contextlib.contextmanager
    def _repeatable(self) -> Iterator[None]:
        """One thread and a fixed seed for ANTs; the global generators that antspyx seeds with it are put back."""
        before = np.random.get_state(), random.getstate()  # noqa: NPY002 (it is the global one that antspyx seeds)
        self._ants.config.set_ants_deterministic(True, self._seed + 1)
        try:
            yield
        finally:
            np.random.set_state(before[0])  # noqa: NPY002
            random.setstate(before[1])

    def _image(self, image: sitk.Image) -> Any:
        import SimpleITK as sitk

        d = image.GetDimension()
        return self._ants.from_numpy(
            sitk.GetArrayFromImage(image).astype(np.float32).T,  # ANTs counts axes as (x, y, z)
            origin=image.GetOrigin(),
            spacing=image.GetSpacing(),
            direction=np.reshape(image.GetDirection(), (d, d)),
        )


factory = Ants
