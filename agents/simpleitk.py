"""SimpleITK's registration, as a careful user sets it up: multi-resolution gradient descent on MI or NCC.

Three levels (shrink 8, 4, 2 to voxels of about 2 mm), Mattes mutual information (Mattes et al. 2003) or normalised
cross-correlation, steps scaled by the physical shift of each parameter, centre of rotation in the middle of the fixed
image, a mask over the fixed body where the images are in Hounsfield units. One thread and a fixed seed: runs repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import SimpleITK as sitk

AIR_HU = -900.0
BODY_HU = -500.0


class SimpleITKRegistration:
    """Registers two images from an initial transform, rigid if that is rigid, else affine.

    Args:
        metric: ``"mattes"`` or ``"ncc"``.
        seed: Of the sampling of voxels.
        samples: Voxels of each level that the metric sees, drawn at random.
        iterations: Most iterations on each level.

    Attributes:
        evaluations: Evaluations of the metric in the last call (at least; line searches are not counted).
    """

    env_kwargs: dict[str, Any] = {}

    def __init__(self, metric: str = "mattes", seed: int = 0, samples: int = 15_000, iterations: int = 200) -> None:
        if metric not in ("mattes", "ncc"):
            raise ValueError(f"metric={metric!r} is unknown; known: 'mattes', 'ncc'")
        self.metric = metric
        self.samples = samples
        self.iterations = iterations
        self.evaluations = 0
        self._seed = seed
        self.method = {
            "name": f"simpleitk-{'mi' if metric == 'mattes' else 'ncc'}",
            "family": "classical",
            "description": f"SimpleITK, {'Mattes MI' if metric == 'mattes' else 'NCC'}, three levels, gradient descent",
            "test_time_optimisation": True,
        }

    def register(self, fixed: sitk.Image, moving: sitk.Image, initial: sitk.Transform) -> sitk.Transform:
        """Registers.

        Args:
            fixed: Scalar image.
            moving: Scalar image of the same dimension.
            initial: Linear transform, fixed to moving points.

        Returns:
            Fixed to moving points, the initial transform included.

        Raises:
            ValueError: If the fixed image is a few slices or radiographs, or the initial transform is not linear.
        """
        import SimpleITK as sitk

        if min(fixed.GetSize()) < 4:
            raise ValueError(
                f"this agent registers volumes and 2-D images; a fixed image of {fixed.GetSize()} is neither"
            )
        fixed, moving = (sitk.Cast(image, sitk.sitkFloat32) for image in (fixed, moving))
        method = self._method(fixed)
        correction = _correction(fixed, initial)
        method.SetMovingInitialTransform(initial)
        method.SetInitialTransform(correction, inPlace=True)
        self.evaluations = 0
        method.AddCommand(sitk.sitkIterationEvent, self._count)
        method.Execute(fixed, moving)
        # A composite applies its last transform first: the correction, then the initial transform.
        return sitk.CompositeTransform([initial, correction])

    def _method(self, fixed: sitk.Image) -> sitk.ImageRegistrationMethod:
        import SimpleITK as sitk

        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)
        method.SetGlobalDefaultNumberOfThreads(1)
        if self.metric == "mattes":
            method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
        else:
            method.SetMetricAsCorrelation()
        method.SetMetricSamplingStrategy(method.RANDOM)
        factors = shrink_factors(fixed)
        voxels = [fixed.GetNumberOfPixels() / factor ** fixed.GetDimension() for factor in factors]
        # SimpleITK takes a seed of 0 for the time of day.
        method.SetMetricSamplingPercentagePerLevel([min(1.0, self.samples / n) for n in voxels], self._seed + 1)
        mask = body_mask(fixed)
        if mask is not None:
            method.SetMetricFixedMask(mask)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=2.0, minStep=1e-3, numberOfIterations=self.iterations, relaxationFactor=0.6
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel(factors)
        method.SetSmoothingSigmasPerLevel([4.0, 2.0, 1.0])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
        return method

    def _count(self) -> None:
        self.evaluations += 1


def _correction(fixed: sitk.Image, initial: sitk.Transform) -> sitk.Transform:
    """What is optimised: applied on the fixed side, about the fixed centre; rigid where the initial transform is."""
    import SimpleITK as sitk

    from regenv.core.sitk import matrix_from_sitk

    d = fixed.GetDimension()
    linear = matrix_from_sitk(initial)[:d, :d]
    rigid = np.allclose(linear @ linear.T, np.eye(d), atol=1e-5)
    correction: Any
    if rigid:
        correction = sitk.Euler3DTransform() if d == 3 else sitk.Euler2DTransform()
    else:
        correction = sitk.AffineTransform(d)
    correction.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()]))
    return correction


def body_mask(image: sitk.Image) -> sitk.Image | None:
    """The body and a margin of a centimetre where the image is in Hounsfield units (it has air); else None."""
    import SimpleITK as sitk

    if sitk.GetArrayViewFromImage(image).min() > AIR_HU:
        return None
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(image > BODY_HU), sortByObjectSize=True)
    body = sitk.BinaryFillhole(parts == 1)
    margin = [max(1, round(10.0 / spacing)) for spacing in image.GetSpacing()]
    mask = sitk.BinaryDilate(body, margin, sitk.sitkBall)
    return mask if sitk.GetArrayViewFromImage(mask).sum() > 1000 else None


def shrink_factors(image: sitk.Image) -> list[int]:
    """Three shrink factors that bring the finest spacing to about 12, 6 and 3 mm."""
    finest = min(image.GetSpacing())
    return [max(1, round(target / finest)) for target in (12.0, 6.0, 3.0)]


def mi(seed: int = 0) -> SimpleITKRegistration:
    """Mattes mutual information."""
    return SimpleITKRegistration("mattes", seed)


def ncc(seed: int = 0) -> SimpleITKRegistration:
    """Normalised cross-correlation."""
    return SimpleITKRegistration("ncc", seed)


factory = mi
