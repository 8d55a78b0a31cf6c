"""The patient whom a camera took the fixed image of, kept so that a varied one can be rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray
from regenv.core.image import Image
from regenv.data.packing import pack_image, unpack_image
from regenv.data.pair import ImagePair


@dataclass(frozen=True, eq=False)
class Patient:
    """A whole patient in the space of the moving image, which shows a part.

    Attributes:
        hu: CT numbers.
        points: ``(N, 3)`` mm, places that go with the patient, such as the ends of implants.
        numbers: ``(M,)`` what else the recipe needs to take the image, such as the implants' radii.
    """

    hu: Image
    points: FloatArray
    numbers: FloatArray

    def bytes_held(self) -> int:
        """Memory that it takes."""
        return self.hu.array.nbytes + self.points.nbytes + self.numbers.nbytes


Take = Callable[[Patient, tuple[Camera, ...], FloatArray, str, np.random.Generator], tuple[Image, NDArray[np.bool_]]]
"""``take(patient, cameras, world_to_patient, field_of_view, rng)``: a fixed image and its mask."""


@dataclass(frozen=True)
class Retake:
    """How a recipe with cameras takes the fixed image of any patient.

    Attributes:
        make: As the recipe's ``make``, the same pair, with its patient.
        take: Makes the fixed image, here and in ``make``.
    """

    make: Callable[[int, tuple[str, str], str], tuple[ImagePair, Patient]]
    take: Take


def pack_patient(patient: Patient) -> dict[str, NDArray[Any]]:
    """A patient's arrays by name, CT numbers in whole HU."""
    whole = Image(np.rint(patient.hu.array), patient.hu.grid, patient.hu.modality, patient.hu.background)
    named = {"patient_points": patient.points, "patient_numbers": patient.numbers}
    return pack_image("patient", whole) | named


def unpack_patient(arrays: Mapping[str, NDArray[Any]]) -> Patient | None:
    """The patient of :func:`pack_patient`; None where there is none."""
    if "patient_points" not in arrays:
        return None
    return Patient(unpack_image("patient", arrays), arrays["patient_points"], arrays["patient_numbers"])
