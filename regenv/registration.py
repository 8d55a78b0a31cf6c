"""The table of environments, as data: an image pair and a transform model make an id.

A new environment is a row here and, where needed, one anatomy or modality file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

IMAGINGS = ("volume", "slice", "radiograph", "depth")
"""How the moved image comes about: the moving image resampled (also in 2-D), slices of it as thick as those of the
fixed image, or what a camera sees of it."""

PROJECTIONS = ("radiograph", "depth")
"""Those of a camera."""


@dataclass(frozen=True)
class Task:
    """What an id stands for: everything that changes the distribution of its scores.

    Attributes:
        id: Gymnasium id, ``<Modalities>-<Model>-vN``.
        title: One line.
        description: A paragraph for the environment's page.
        ndim: 2 or 3.
        modalities: Modality of the fixed and of the moving image.
        model: Transform model: ``"rigid"``, ``"similarity"``, ``"affine"``, or ``"sdm"``, a statistical deformation
            model fitted to the training subjects of the recipe.
        recipe: How the embedded pairs are made, a file of :mod:`regenv.data.recipes`.
        field_of_view: Default variant of the recipe.
        imaging: How the moved image comes about, one of :data:`IMAGINGS`.
        planes: Slices or radiographs of the fixed image, for each field of view that has not one.
        similarity: Default similarity of the reward, a name of :mod:`regenv.core.similarity`.
        misalignment: Half width of the uniform start distribution for each unit of the model's degrees of freedom.
        steps: Coarse and fine step in the degree of freedom's unit.
        horizon: Steps before an episode is truncated.
        view_size: Voxels along each side of the view grid.
        view_spacing_mm: Millimetres between them.
        success_mm: ``is_success`` means a TRE under this.
        step_cost: Paid for every action but STOP.
        reward_scales: Factor on the gain of each similarity: a median start to the truth is worth about 10.
        oracle: What greedy steps on the true error reach, measured (floor and path length), for the page.
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
    reward_scales: Mapping[str, float] = field(default_factory=dict)
    oracle: str = ""
    history: tuple[str, ...] = ("v0: first version.",)


_CTCBCT = """A planning CT (moving) is brought to a cone-beam CT of the same patient (fixed), as before every
fraction of image-guided radiotherapy and in the hybrid operating room. The CBCT is simulated from its physics:
scatter, beam hardening, noise and truncation by a detector smaller than the patient."""

# Measured: python -m benchmarks.calibrate CTCBCT-Rigid-v0 --episodes 48; the affine id's differ by a few percent.
_CTCBCT_SCALES = {
    "gradient_correlation": 13.0,
    "lncc": 19.0,
    "mi": 11.0,
    "mind": 76.0,
    "ncc": 15.0,
    "ngf": 87.0,
    "nmi": 42.0,
    "ssd": 250.0,
    "ssim": 19.0,
    "tre": 0.25,
    "parameter_distance": 0.26,
    "dice": 19.0,
}

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.id: task
        for task in (
            Task(
                id="CTCBCT-Rigid-v0",
                title="CT to cone-beam CT of the torso, rigid",
                description=_CTCBCT,
                ndim=3,
                modalities=("cbct", "ct"),
                model="rigid",
                similarity="ncc",
                misalignment={"mm": 30.0, "deg": 20.0},
                reward_scales=_CTCBCT_SCALES,
                oracle="Greedy on the true error: TRE 0.43 mm (median; 95 %: 0.51) after 30 steps (95 %: 38).",
            ),
            Task(
                id="CTCBCT-Affine-v0",
                title="CT to cone-beam CT of the torso, affine",
                description=_CTCBCT
                + " The start is sheared and scaled as well, as after a wrong table height or gantry calibration.",
                ndim=3,
                modalities=("cbct", "ct"),
                model="affine",
                similarity="ncc",
                misalignment={"mm": 30.0, "deg": 20.0, "%": 10.0},
                horizon=150,
                reward_scales=_CTCBCT_SCALES,
                oracle="Greedy on the true error: TRE 0.45 mm (median; 95 %: 0.65) after 53 steps (95 %: 68).",
            ),
        )
    }
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
