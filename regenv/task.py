"""What the row of an environment says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regenv.data.dataset import Dataset


@dataclass(frozen=True)
class Task:
    """What an id stands for: everything that changes the distribution of its scores.

    Attributes:
        id: Gymnasium id, ``<Modalities>-<Model>-vN``.
        title: One line.
        description: A paragraph for the environment's page.
        ndim: 2 or 3.
        modalities: Modality of the fixed and of the moving image.
        model: Pose model, a key of :data:`regenv.poses.MODELS`: ``"rigid"``, ``"similarity"``, ``"affine"``, or
            ``"sdm"``, a statistical deformation model fitted to the training subjects of the recipe.
        recipe: How the embedded pairs are made, a file of :mod:`regenv.synthesis.recipes`.
        field_of_view: Default variant of the recipe.
        imaging: How the moved image comes about, a key of
            :data:`regenv.imaging.IMAGINGS`.
        planes: Slices or radiographs of the fixed image, for each field of view that has not one.
        similarity: Default similarity of the reward, a name of :mod:`regenv.core.similarity`.
        reward_region: What it is computed on: ``"view"``, ``"coarse"`` or ``"volume"``, see
            :class:`regenv.envs.config.Config`.
        misalignment: Half width of the uniform start distribution for each unit of the model's degrees of freedom.
        steps: Coarse and fine step in the degree of freedom's unit.
        horizon: Steps before an episode is truncated.
        view_size: Voxels along each side of the view grid.
        view_spacing_mm: Millimetres between them.
        success_mm: ``is_success`` means a TRE under this.
        step_cost: Paid for every action but STOP.
        history: Version history, newest first.
    """

    id: str
    title: str
    description: str
    ndim: int
    modalities: tuple[str, str]
    model: str
    similarity: str
    misalignment: Mapping[str, float]
    recipe: str = "torso"
    field_of_view: str = "torso"
    imaging: str = "volume"
    planes: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[float, ...] = (4.0, 0.5)
    horizon: int = 100
    view_size: int = 64
    view_spacing_mm: float = 3.0
    success_mm: float = 5.0
    step_cost: float = 0.02
    reward_region: str = "view"
    history: tuple[str, ...] = ("v0: first version.",)

    def dataset(
        self,
        name: str = "phantom",
        split: str = "train",
        *,
        field_of_view: str | None = None,
        extent_mm: float | None = None,
        subjects: int | None = None,
    ) -> Dataset:
        """The data set of that name, as this task's environments read it.

        Args:
            name: As in :func:`regenv.datasets.make_dataset`.
            split: ``"train"``, ``"validation"`` or ``"test"``.
            field_of_view: Variant of the recipe; default the task's.
            extent_mm: Width of the view; default the task's.
            subjects: How many training subjects an embedded data set has; None for no end.

        Raises:
            OptionError: If a name is unknown; the message suggests the nearest.
            DataError: If files of a folder cannot be used.
        """
        from regenv.datasets import make_dataset

        field_of_view = field_of_view or self.field_of_view
        return make_dataset(
            name,
            split=split,
            modalities=self.modalities,
            field_of_view=field_of_view,
            model=self.model,
            ndim=self.ndim,
            recipe=self.recipe,
            imaging=self.imaging,
            slices=self.planes.get(field_of_view, 1),
            extent_mm=self.view_size * self.view_spacing_mm if extent_mm is None else extent_mm,
            subjects=subjects,
        )

    @property
    def calibration(self) -> Mapping[str, Any]:
        """Measured constants of the row.

        ``reward_scales`` (factor on the gain of each similarity: a median start to the truth is worth about 10),
        ``oracle`` (floor and path length of greedy steps on the true error), ``model`` (of a deformation: TRE before
        and at the best coefficients), ``steps_per_second``. Written by
        ``python -m benchmarks.tools.calibrate ID --write``.
        """
        return _calibrations().get(self.id, {})


@cache
def _calibrations() -> dict[str, Any]:
    path = Path(__file__).with_name("calibration.json")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
