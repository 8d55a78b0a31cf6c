"""The table of environments, as data: an image pair and a transform model make an id.

A new environment is a row here and, where needed, one anatomy, modality or recipe file. Rows of one pair of modalities
share a :class:`Family`; what is measured of each (reward scales, the oracle's floor) is in ``calibration.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from regenv.task import Task


@dataclass(frozen=True)
class Family:
    """Environments of one pair of modalities.

    Attributes:
        pair: First part of their ids.
        title: What is registered, in a line.
        description: A paragraph for their pages.
        modalities: Of the fixed and of the moving image.
        shared: Fields of :class:`regenv.task.Task` that all have.
        models: Second part of an id, and the fields that only it has.
    """

    pair: str
    title: str
    description: str
    modalities: tuple[str, str]
    shared: Mapping[str, Any]
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_RIGID = {"model": "rigid", "misalignment": {"mm": 30.0, "deg": 20.0}}
_AFFINE = {"model": "affine", "misalignment": {"mm": 30.0, "deg": 20.0, "%": 10.0}, "horizon": 150}
# coefficients in standard deviations about the mean shape; a start tells nothing of the truth
_SDM = {"model": "sdm", "misalignment": {"sd": 1.0}, "steps": (0.5, 0.1), "horizon": 200, "success_mm": 3.0}

FAMILIES = (
    Family(
        "CTCBCT",
        "CT to cone-beam CT of the torso",
        """A planning CT (moving) is brought to a cone-beam CT of the same patient (fixed), as before every fraction of
        image-guided radiotherapy and in the hybrid operating room. The CBCT is simulated from its physics: scatter,
        beam hardening, noise and truncation by a detector smaller than the patient.""",
        ("cbct", "ct"),
        {"similarity": "ncc", "ndim": 3},
        {
            "Rigid": _RIGID,
            "Affine": _AFFINE
            | {"more": "The start is sheared and scaled as well, as after a wrong table height or gantry calibration."},
        },
    ),
)


def _tasks(family: Family) -> dict[str, Task]:
    """The rows of one family."""
    tasks = {}
    for suffix, own in family.models.items():
        fields: dict[str, Any] = {**family.shared, **own}
        more = fields.pop("more", "")
        task = Task(
            id=f"{family.pair}-{suffix}-v0",
            title=f"{family.title}, {fields['model'] if fields['model'] != 'sdm' else 'deformable'}",
            description=f"{family.description} {more}".strip(),
            modalities=family.modalities,
            **fields,
        )
        tasks[task.id] = task
    return tasks


TASKS: Mapping[str, Task] = MappingProxyType(
    {task_id: task for family in FAMILIES for task_id, task in _tasks(family).items()}
)


def get_task(task_id: str) -> Task:
    """The row of an id.

    Raises:
        ValueError: If there is none; the message names the nearest.
    """
    if task_id not in TASKS:
        from regenv.errors import near_miss

        raise ValueError(f"unknown environment {task_id!r}; {near_miss(task_id, TASKS)}")
    return TASKS[task_id]


def register_environments() -> None:
    """Registers every row with Gymnasium, once."""
    import gymnasium as gym

    for task_id in TASKS:
        if task_id not in gym.registry:
            gym.register(
                id=task_id,
                entry_point="regenv.envs.single:RegistrationEnv",
                vector_entry_point="regenv.envs.vector:RegistrationVectorEnv",
                kwargs={"task": task_id},
            )
