"""Procedural patients scanned twice: the embedded data set ``"phantom"``.

A subject is an anatomy drawn from a seed; its scans are made by the physics of each modality, as a recipe says
(:mod:`regenv.synthesis.recipes`).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.data.cache import digest
from regenv.data.frames import case_generator
from regenv.data.packing import pack, unpack
from regenv.data.pair import ImagePair
from regenv.errors import check_option
from regenv.synthesis.patient import Retake, pack_patient, unpack_patient
from regenv.synthesis.procedural import Procedural, Whole, subject_seed
from regenv.synthesis.recipe import get_recipe
from regenv.synthesis.variation import retaken

CASES = {"validation": 16, "test": 200}

_PATIENT_VERSION = 1  # of what is kept of patients whose images are rendered again


class PhantomDataset(Procedural):
    """Procedural pairs of one recipe.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        modalities: Of the fixed and of the moving image, from those of the recipe.
        field_of_view: One of the recipe's; default its first.
        recipe: Name of a file of :mod:`regenv.synthesis.recipes`.
        subjects: How many subjects to train on, each varied without end; None for no end.

    Attributes:
        generator: Name and version of what makes the images, such as ``"phantom 8, cbct 3"``.

    Raises:
        OptionError: On an unknown option.
    """

    name = "phantom"

    def __init__(
        self,
        split: str = "train",
        modalities: Sequence[str] = ("cbct", "ct"),
        field_of_view: str | None = None,
        recipe: str = "torso",
        subjects: int | None = None,
    ) -> None:
        self.recipe = get_recipe(recipe)
        self.field_of_view = field_of_view or self.recipe.fields_of_view[0]
        check_option("field_of_view", self.field_of_view, self.recipe.fields_of_view)
        for modality in modalities:
            check_option(f"modality of recipe {recipe}", modality, self.recipe.modalities)
        self.ndim, self.mirrors = self.recipe.ndim, self.recipe.mirrors
        self.modalities = (str(modalities[0]), str(modalities[1]))
        self._family = "phantom" if recipe == "torso" else f"phantom-{recipe}"
        self.generator = ", ".join([f"{self._family.replace('-', ' ', 1)} {self.recipe.version}", *self._physics()])
        spec = {"modalities": self.modalities, "field_of_view": self.field_of_view, "recipe": recipe}
        super().__init__(
            split, f"{self._family}-{self.field_of_view}", self._family, CASES, subjects, {"name": self.name, **spec}
        )

    @property
    def max_crop(self) -> tuple[float, float]:
        """See :class:`regenv.synthesis.procedural.Procedural`; the recipe's."""
        return self.recipe.crop_fixed, self.recipe.crop_moving

    def whole(self, number: int) -> Whole:
        """See :class:`regenv.synthesis.procedural.Procedural`."""
        arrays = self._kept(number)
        return Whole(unpack(arrays), unpack_patient(arrays))

    def _vary(self, whole: Whole, rng: np.random.Generator) -> ImagePair:
        retake = self._retake
        if retake is None or whole.patient is None:
            return super()._vary(whole, rng)
        return retaken(whole.pair, whole.patient, retake.take, self.field_of_view, rng)

    @property
    def _retake(self) -> Retake | None:
        """How fixed images are rendered again; None where they are not a camera's, or none is varied."""
        return self.recipe.retake if self.split == "train" else None

    def _generator(self, *case: object) -> np.random.Generator:
        return case_generator(self._family, self.field_of_view, self.split, *case)

    def _make(self, number: int) -> dict[str, NDArray[Any]]:
        which = subject_seed(self.split, number), self.modalities, self.field_of_view
        if self._retake is None:
            return pack(self.recipe.make(*which))
        pair, patient = self._retake.make(*which)
        return pack(pair) | pack_patient(patient)

    def _what(self, number: int) -> str:
        return f"{self._family} {self.field_of_view} {self.split} {number}"

    def _key(self, number: int) -> str:
        return digest(
            self._family,
            self.recipe.version,
            physics=self._physics(),
            seed=subject_seed(self.split, number),
            modalities=self.modalities,
            field_of_view=self.field_of_view,
            **({} if self._retake is None else {"patient": _PATIENT_VERSION}),
        )

    def _physics(self) -> list[str]:
        """Names and versions of the modalities that have one of their own."""
        versions = []
        for modality in dict.fromkeys(self.modalities):
            if importlib.util.find_spec(f"regenv.synthesis.physics.{modality}") is not None:
                module = importlib.import_module(f"regenv.synthesis.physics.{modality}")
                versions += [f"{modality} {module.VERSION}"] if hasattr(module, "VERSION") else []
        return versions
