"""The table of environments, as data: an image pair and a transform model make an id.

A new environment is a row here and, where needed, one anatomy, modality or recipe file. Rows of one pair of modalities
share a :class:`Family`; what is measured of each (reward scales, the oracle's floor) is in ``calibration.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from regenv.task import Task

Fields = dict[str, Any]
"""Fields of :class:`regenv.task.Task` by name."""


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
    shared: Fields
    models: Mapping[str, Fields]


_RIGID: Fields = {"model": "rigid", "misalignment": {"mm": 30.0, "deg": 20.0}}
_AFFINE: Fields = {"model": "affine", "misalignment": {"mm": 30.0, "deg": 20.0, "%": 10.0}, "horizon": 150}
# small organs and narrow views
_SMALL: Fields = {"steps": (2.0, 0.5), "success_mm": 3.0}
_SMALL_RIGID: Fields = {**_RIGID, **_SMALL, "misalignment": {"mm": 12.0, "deg": 15.0}}
_SMALL_AFFINE: Fields = {**_AFFINE, **_SMALL, "misalignment": {"mm": 12.0, "deg": 15.0, "%": 10.0}}
# from no deformation at all, as in a clinic: if starts were drawn about it, going back to it would be paid unseen
_SDM: Fields = {
    "model": "sdm",
    "called": "deformable",
    "misalignment": {"sd": 0.0},
    "steps": (0.5, 0.1),
    "horizon": 200,
    "success_mm": 2.0,
}
# whose starts are a few millimetres off
_SMALL_SDM: Fields = {**_SDM, "success_mm": 1.0}
_2D: Fields = {"ndim": 2, "view_size": 96}

FAMILIES = (
    Family(
        "CTCBCT",
        "CT to cone-beam CT of the torso",
        """A planning CT (moving) is brought to a cone-beam CT of the same patient (fixed), as before every fraction of
        image-guided radiotherapy and in the hybrid operating room. The CBCT is simulated from its physics: scatter,
        beam hardening, noise and truncation by a detector smaller than the patient.""",
        ("cbct", "ct"),
        {"similarity": "ncc"},
        {
            "Rigid": _RIGID,
            "Affine": {
                **_AFFINE,
                "more": "The start is sheared and scaled as well, as after a wrong table height or gantry calibration.",
            },
            "SDM": {
                **_SDM,
                "recipe": "torso_deformed",
                "view_spacing_mm": 4.0,
                "more": "Between the scans the patient breathes, bends and changes weight.",
            },
        },
    ),
    Family(
        "CTMR",
        "CT to MR of the pelvis",
        """A CT (moving) is brought to an MR of the same patient (fixed), as when a target that only MR shows is planned
        on CT, which holds the electron densities. The intensities of the two are related by no function.""",
        ("t2", "ct"),
        {"similarity": "mi", "recipe": "pelvis", "field_of_view": "pelvis", "view_spacing_mm": 4.0},
        {
            "Rigid": _RIGID,
            "Affine": _AFFINE,
            "SDM": {
                **_SMALL_SDM,
                "recipe": "pelvis_deformed",
                "similarity": "nmi",  # gains from the starts of all 12 validation subjects that were tried
                "horizon": 300,
                "more": 'Bladder and rectum are filled differently. With `field_of_view="spine"` a sagittal MR of the '
                "lumbar spine is the fixed image, and the spine is bent differently.",
            },
        },
    ),
    Family(
        "CTMR",
        "CT to MR, slices of head and neck",
        """A CT slice (moving) of the head or neck is brought to the MR slice (fixed) of the same patient, as in Sun et
        al., ACCV 2018, and Hu et al., Med. Image Anal. 2021.""",
        ("t1", "ct"),
        {
            **_2D,
            "similarity": "mi",
            "recipe": "head_slices",
            "field_of_view": "head_and_neck",
            "view_spacing_mm": 2.5,
        },
        {
            "Affine2D": {**_AFFINE, "horizon": 100},
            "Similarity2D": {**_AFFINE, "model": "similarity", "horizon": 100},
        },
    ),
    Family(
        "CTPET",
        "CT to PET of the torso",
        """A CT (moving) is brought to a PET with FDG (fixed) of the same patient, taken on another scanner. The PET is
        blurred by breathing and resolution and noisy with the counts of a clinical scan.""",
        ("pet", "ct"),
        {"similarity": "mi", "recipe": "torso_ctpet", "view_spacing_mm": 5.0},
        {"Rigid": _RIGID, "Affine": _AFFINE},
    ),
    Family(
        "LungCT",
        "CT of the lungs, between exhale and inhale",
        """The lungs breathed in and breathed out are brought together in the style of the DIR-Lab cases: they slide
        along the chest wall, and their density falls as they fill. Either may be the fixed image, each of half of the
        patients, so that which way they move has to be seen. The TRE is measured in the lungs.""",
        ("ct", "ct"),
        {"similarity": "lncc", "recipe": "lungs", "field_of_view": "lungs", "view_spacing_mm": 4.5},
        {
            "Affine": {**_AFFINE, "horizon": 160, "success_mm": 10.0},
            "SDM": {**_SDM, "success_mm": 3.0},
        },
    ),
    Family(
        "LiverCT",
        "CT of the abdomen, between subjects",
        """The abdomen of one subject (moving) is brought to that of another (fixed); organs are labelled, so that
        overlap can be measured.""",
        ("ct", "ct"),
        {"similarity": "ncc", "recipe": "liver", "field_of_view": "liver", "view_spacing_mm": 4.5},
        {
            # NCC is best up to 21 mm from the truth, MI up to 6 mm
            "Affine": {**_AFFINE, "similarity": "mi", "success_mm": 15.0},
            "SDM": {**_SDM, "success_mm": 5.0},
        },
    ),
    Family(
        "T1T2",
        "T2- to T1-weighted MR of the brain",
        """A T2-weighted MR (moving) of the brain is brought to the T1-weighted one (fixed) of the same subject, who has
        moved between the sequences. PD and FLAIR are a data set away:
        `regenv.datasets.make_dataset("phantom", recipe="brain_rigid", modalities=("flair", "pd"))`.""",
        ("t1", "t2"),
        {"similarity": "mi", "recipe": "brain_rigid", "field_of_view": "head"},
        {
            "Rigid": _RIGID,
            "Affine": {**_AFFINE, "horizon": 180},
            "SDM": {
                **_SDM,
                "recipe": "brain_deformed",
                "more": "The second scan is distorted, smoothly, by millimetres.",
            },
        },
    ),
    Family(
        "BrainMR",
        "MR of the brain, between subjects",
        """The brain of one subject (moving) is brought to that of another (fixed), both T1-weighted; structures are
        labelled.""",
        ("t1", "t1"),
        {"similarity": "ncc", "recipe": "brain_between", "field_of_view": "head"},
        {
            "Affine": {**_AFFINE, "horizon": 180, "success_mm": 8.0},
            "SDM": _SDM,
            "SDM2D": {
                **_SMALL_SDM,
                **_2D,
                "recipe": "brain_slices",
                "field_of_view": "axial",
                "view_spacing_mm": 2.0,
                "more": "Here of axial slices, which deform in their plane.",
            },
        },
    ),
    Family(
        "CardiacMR",
        "Cine MR of the heart, between end-diastole and end-systole",
        """The heart at end-diastole and at end-systole is brought together in short-axis cine MR with slices of 8 to
        10 mm: the wall thickens, the base descends, the apex twists. Either may be the fixed image, each of half of the
        subjects, so that whether it contracts or fills has to be seen.""",
        ("mr", "mr"),
        {"similarity": "ncc", "recipe": "cardiac", "field_of_view": "heart", "view_spacing_mm": 2.0},
        {
            "SDM": _SMALL_SDM,
            "SDM2D": {
                **_SMALL_SDM,
                **_2D,
                "recipe": "cardiac_slices",
                "view_spacing_mm": 1.4,
                "more": "Here of single slices through the middle of the ventricle.",
            },
        },
    ),
    Family(
        "ProstateMR",
        "MR of the prostate, between subjects",
        """The prostate of one subject (moving) is brought to that of another (fixed), both T2-weighted, as in Krebs et
        al., MICCAI 2017; gland and central gland are labelled.""",
        ("t2", "t2"),
        {"similarity": "ncc", "recipe": "prostate_between", "field_of_view": "prostate", "view_spacing_mm": 1.5},
        {
            "SDM": _SDM,
            "SDM2D": {
                **_SMALL_SDM,
                **_2D,
                "recipe": "prostate_slices",
                "view_spacing_mm": 1.0,
                "more": "Here of axial slices, which deform in their plane.",
            },
        },
    ),
    Family(
        "MRTRUS",
        "MR to transrectal ultrasound of the prostate",
        """An MR (moving), in which the tumour was seen, is brought to the transrectal ultrasound (fixed) that guides
        the needle.""",
        ("us", "t2"),
        {"similarity": "mind", "recipe": "prostate_trus", "field_of_view": "prostate", "view_spacing_mm": 1.5},
        {
            "Rigid": _SMALL_RIGID,
            "Affine": _SMALL_AFFINE,
            "SDM": {
                **_SMALL_SDM,
                "recipe": "prostate_trus_deformed",
                "more": "The probe presses on the gland, and the bladder is filled differently.",
            },
        },
    ),
    Family(
        "MRUS",
        "MR to intra-operative ultrasound of the brain",
        """A T1-weighted MR (moving) taken before the operation is brought to an ultrasound volume (fixed) swept through
        the craniotomy, as in RESECT and CuRIOUS.""",
        ("us", "t1"),
        {"similarity": "lc2", "recipe": "brain_us", "field_of_view": "brain", "view_spacing_mm": 1.5},
        {"Rigid": {**_SMALL_RIGID, "misalignment": {"mm": 15.0, "deg": 12.0}}},
    ),
    Family(
        "USUS",
        "Ultrasound of the brain before and after resection",
        """An ultrasound volume from before the resection (moving) is brought to one from after it (fixed), as in BITE:
        the tumour is gone, its cavity filled, and the speckle is new.""",
        ("us", "us"),
        {"similarity": "mind", "recipe": "brain_us_us", "field_of_view": "brain", "view_spacing_mm": 1.5},
        {"Affine": {**_SMALL_AFFINE, "misalignment": {"mm": 12.0, "deg": 12.0, "%": 5.0}}},
    ),
    Family(
        "KneeMR",
        "MR of the knee, between subjects",
        """The knee of one subject (moving) is brought to that of another (fixed), as in atlas-based segmentation of
        cartilage; bones and cartilages are labelled.""",
        ("mr", "mr"),
        {"similarity": "ncc", "recipe": "knee", "field_of_view": "knee", "view_spacing_mm": 2.0},
        {
            "Affine": {**_AFFINE, **_SMALL, "misalignment": {"mm": 15.0, "deg": 15.0, "%": 10.0}, "success_mm": 6.0},
            "SDM": _SDM,
        },
    ),
    Family(
        "ChestXRay",
        "Radiographs of the chest, between subjects",
        """The postero-anterior radiograph of one subject (moving) is brought to that of another (fixed), in the style
        of JSRT; lungs, heart and clavicles are labelled.""",
        ("xray", "xray"),
        # exposure, processing and the wall of the chest change intensities more than linearly
        {**_2D, "similarity": "mi", "recipe": "chest_xray", "field_of_view": "chest", "view_spacing_mm": 3.6},
        {"Affine2D": {**_AFFINE, "horizon": 100, "success_mm": 15.0}, "SDM2D": {**_SDM, "success_mm": 5.0}},
    ),
    Family(
        "XRayCT",
        "CT of the spine to a radiograph",
        """A CT (moving) of the spine is posed so that its radiograph agrees with the one (fixed) that a C-arm takes in
        the operating room, with screws and guide wires that the CT does not have, as in Miao et al., AAAI 2018.
        The variant `cbct` has a low-dose cone-beam CT for a volume, `biplane` a second radiograph.""",
        ("xray", "ct"),
        {
            "similarity": "lncc",  # the volume covers only a part of the radiograph, and metal has the strongest edges
            "recipe": "xray_spine",
            "field_of_view": "ct",
            "imaging": "radiograph",
            "planes": {"biplane": 2},
            "view_size": 96,
            "view_spacing_mm": 3.0,
        },
        {"Rigid": {**_SMALL_RIGID, "misalignment": {"mm": 15.0, "tz": 25.0, "deg": 10.0}}},
    ),
    Family(
        "SliceMR",
        "Volume to slice of the brain",
        """An MR volume (moving) is posed so that it contains a single thick slice (fixed) of the same brain, as in
        motion correction of fetal MR and in slice-wise functional imaging. The variant `stack` has three slices with
        gaps between them.""",
        ("t2", "t2"),
        {
            "similarity": "ncc",
            "recipe": "slice_volume",
            "field_of_view": "adult",
            "imaging": "slice",
            "planes": {"stack": 3},
        },
        {"Rigid": {**_SMALL_RIGID, "misalignment": {"mm": 12.0, "deg": 12.0}}},
    ),
    Family(
        "PETPET",
        "PET to follow-up PET of the torso",
        """A PET with FDG (moving) is brought to one of the same patient months later (fixed): the weight has changed,
        and so has what lights up.""",
        ("pet", "pet"),
        # lesions that come and go move the best NCC by 5 mm; edges stay
        {"similarity": "ngf", "recipe": "torso_petpet", "view_spacing_mm": 5.0},
        {"Affine": _AFFINE},
    ),
    Family(
        "DepthCT",
        "CT to the patient's surface from a depth camera",
        """A CT (moving) is posed so that its skin agrees with what a depth camera above the table sees of the patient
        (fixed), bare, clothed or under a blanket, as in Ma et al., MICCAI 2017.""",
        ("depth", "ct"),
        {
            # depth is the same quantity in both; NCC does not see it along the camera's axis, in SSD jumps outweigh it
            "similarity": "truncated_ssd",
            "recipe": "depth_surface",
            "field_of_view": "bare",
            "imaging": "depth",
            "view_size": 96,
            "view_spacing_mm": 6.0,
        },
        {"Rigid": {**_RIGID, "success_mm": 10.0}},
    ),
)


def _tasks(family: Family) -> dict[str, Task]:
    """The rows of one family."""
    tasks = {}
    for suffix, own in family.models.items():
        fields: Fields = {"ndim": 3, **family.shared, **own}
        more = fields.pop("more", "")
        task = Task(
            id=f"{family.pair}-{suffix}-v0",
            title=f"{family.title}, {fields.pop('called', fields['model'])}",
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
