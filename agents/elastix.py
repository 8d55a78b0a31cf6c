"""elastix (Klein et al. 2010) through itk-elastix: rigid, adaptive stochastic gradient descent on mutual information.

The parameter map is the one that elastix itself proposes for rigid registration, with four resolutions. elastix draws
its samples at random: with a fixed seed and one thread runs repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agents.starts import moved_to_start, with_start
from regenv.errors import require

if TYPE_CHECKING:
    import SimpleITK as sitk


class Elastix:
    """elastix's default rigid registration.

    Args:
        seed: Of the sampling of voxels.

    Raises:
        MissingExtraError: Without itk-elastix: ``pip install 'regenv[classical]'``.
    """

    method = {
        "name": "elastix",
        "family": "classical",
        "description": "elastix, default rigid parameter map, Mattes MI, 4 resolutions",
        "test_time_optimisation": True,
    }
    env_kwargs: dict[str, Any] = {}

    def __init__(self, seed: int = 0) -> None:
        self._itk = require("itk", "classical")
        # itk loads its parts when they are first named, which takes seconds: here, not in the first registration.
        self._elastix = self._itk.elastix_registration_method
        self._parameters = self._itk.ParameterObject
        self._seed = seed

    def register(self, fixed: sitk.Image, moving: sitk.Image, initial: sitk.Transform) -> sitk.Transform:
        """Registers from a rigid initial transform; the answer, fixed to moving points, includes it."""
        itk = self._itk
        itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(1)
        parameters = self._parameters.New()
        chosen = parameters.GetDefaultParameterMap("rigid", 4)
        chosen["RandomSeed"] = [str(self._seed + 1)]  # 0 means none
        chosen["AutomaticTransformInitialization"] = ["false"]
        chosen["WriteResultImage"] = ["false"]
        parameters.AddParameterMap(chosen)
        _, result = self._elastix(
            self._image(fixed),
            self._image(moved_to_start(moving, initial)),
            parameter_object=parameters,
            number_of_threads=1,
            log_to_console=False,
        )
        return with_start(initial, euler_matrix(result.GetParameterMap(0)))

    def _image(self, image: sitk.Image) -> Any:
        import SimpleITK as sitk

        d = image.GetDimension()
        converted = self._itk.image_from_array(sitk.GetArrayFromImage(image).astype(np.float32))
        converted.SetSpacing(image.GetSpacing())
        converted.SetOrigin(image.GetOrigin())
        converted.SetDirection(self._itk.matrix_from_array(np.reshape(image.GetDirection(), (d, d))))
        return converted


def euler_matrix(parameters: Any) -> np.ndarray:
    """The ``(d + 1, d + 1)`` matrix, fixed to moving points, of an elastix Euler transform's parameter map."""
    import SimpleITK as sitk

    from regenv.core.sitk import matrix_from_sitk

    values = [float(v) for v in parameters["TransformParameters"]]
    centre = [float(v) for v in parameters["CenterOfRotationPoint"]]
    transform = sitk.Euler3DTransform() if len(centre) == 3 else sitk.Euler2DTransform()
    transform.SetCenter(centre)
    if len(centre) == 3 and parameters.get("ComputeZYX", ["false"])[0] == "true":
        transform.SetComputeZYX(True)
    transform.SetParameters(values)
    return matrix_from_sitk(transform)


factory = Elastix
