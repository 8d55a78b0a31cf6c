"""The tissues and organs that an anatomy is made of.

A *tissue* says what a voxel consists of (a modality turns it into an intensity); an *organ* says what it belongs to.
CT numbers are typical values at 120 kVp without contrast medium, after Schneider, Bortfeld and Schlegel, Phys. Med.
Biol. 45 (2000) 459-478, and the reference ranges of radiology textbooks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Tissue(IntEnum):
    """What a voxel consists of."""

    AIR = 0
    LUNG = 1
    FAT = 2
    SKIN = 3
    MUSCLE = 4
    ARTERY = 5
    VEIN = 6
    HEART_LEFT = 7
    HEART_RIGHT = 8
    MYOCARDIUM = 9
    WALL = 10
    LIVER = 11
    SPLEEN = 12
    RENAL_CORTEX = 13
    RENAL_MEDULLA = 14
    CORTICAL = 15
    CANCELLOUS = 16
    CARTILAGE = 17
    DISC = 18
    CSF = 19
    NERVE = 20
    GAS = 21
    FLUID = 22
    CONTENT = 23
    PANCREAS = 24
    GLAND = 25
    MARROW = 26
    LUNG_VESSEL = 27
    GREY_MATTER = 28
    WHITE_MATTER = 29
    TOOTH = 30
    DIPLOE = 31
    PROSTATE_PERIPHERAL = 32
    PROSTATE_TRANSITION = 33
    URINE = 34
    RECTUM_WALL = 35
    SEMINAL_VESICLE = 36
    TUMOUR = 37
    LIGAMENT = 38
    MENISCUS = 39
    HYALINE = 40
    SYNOVIA = 41
    BLOOD = 42
    AMNION = 43


class Organ(IntEnum):
    """What a voxel belongs to; 0 is everything that has no name here."""

    NONE = 0
    SPINE = 1
    RIBS = 2
    STERNUM = 3
    SHOULDER = 4
    LUNG_LEFT = 5
    LUNG_RIGHT = 6
    HEART = 7
    AORTA = 8
    LIVER = 9
    SPLEEN = 10
    KIDNEY_LEFT = 11
    KIDNEY_RIGHT = 12
    STOMACH = 13
    BOWEL = 14
    TRACHEA = 15
    SPINAL_CANAL = 16
    SKULL = 17
    MANDIBLE = 18
    BRAIN = 19
    PROSTATE = 20
    CENTRAL_GLAND = 21
    BLADDER = 22
    RECTUM = 23
    PELVIS_BONE = 24
    FEMUR_LEFT = 25
    FEMUR_RIGHT = 26
    LV_CAVITY = 27
    LV_WALL = 28
    RV_CAVITY = 29
    FEMUR = 30
    TIBIA = 31
    PATELLA = 32
    FEMORAL_CARTILAGE = 33
    TIBIAL_CARTILAGE = 34
    CORTEX = 35
    WHITE_MATTER = 36
    DEEP_GREY = 37
    VENTRICLES = 38
    CEREBELLUM = 39
    BRAINSTEM = 40
    CLAVICLES = 41
    TUMOUR = 42


ORGAN_NAMES: dict[int, str] = {int(o): o.name.lower() for o in Organ}


@dataclass(frozen=True)
class CTNumber:
    """CT number of a tissue.

    Attributes:
        mean: Hounsfield units.
        between: Standard deviation between subjects, HU.
        coarse: Standard deviation within a subject at a scale of about 15 mm, HU.
        fine: The same at a scale of about 4 mm, HU.
        contrast: Share of the enhancement of the blood pool that the tissue takes up.
    """

    mean: float
    between: float = 3.0
    coarse: float = 3.0
    fine: float = 3.0
    contrast: float = 0.0


CT_NUMBERS: dict[Tissue, CTNumber] = {
    Tissue.AIR: CTNumber(-1000, 0, 0, 0),
    Tissue.LUNG: CTNumber(-845, 30, 22, 24),
    Tissue.FAT: CTNumber(-102, 5, 8, 12),
    Tissue.SKIN: CTNumber(10, 15, 10, 20),
    Tissue.MUSCLE: CTNumber(50, 8, 9, 16),
    Tissue.ARTERY: CTNumber(42, 4, 2, 3, 1.0),
    Tissue.VEIN: CTNumber(42, 4, 2, 3, 0.45),
    Tissue.HEART_LEFT: CTNumber(43, 4, 5, 6, 0.9),
    Tissue.HEART_RIGHT: CTNumber(43, 4, 10, 14, 0.8),
    Tissue.MYOCARDIUM: CTNumber(48, 4, 4, 6, 0.25),
    Tissue.WALL: CTNumber(38, 6, 8, 8, 0.1),
    Tissue.LIVER: CTNumber(58, 8, 4, 6, 0.12),
    Tissue.SPLEEN: CTNumber(50, 5, 4, 6, 0.3),
    Tissue.RENAL_CORTEX: CTNumber(36, 4, 4, 6, 0.55),
    Tissue.RENAL_MEDULLA: CTNumber(30, 4, 4, 6, 0.3),
    Tissue.CORTICAL: CTNumber(820, 110, 60, 130),
    Tissue.CANCELLOUS: CTNumber(190, 45, 25, 55),
    Tissue.CARTILAGE: CTNumber(105, 20, 30, 35),
    Tissue.DISC: CTNumber(85, 12, 8, 10),
    Tissue.CSF: CTNumber(12, 4, 3, 4),
    Tissue.NERVE: CTNumber(38, 4, 3, 4),
    Tissue.GAS: CTNumber(-960, 15, 5, 10),
    Tissue.FLUID: CTNumber(15, 10, 8, 10),
    Tissue.CONTENT: CTNumber(25, 20, 30, 45),
    Tissue.PANCREAS: CTNumber(40, 6, 12, 20, 0.2),
    Tissue.GLAND: CTNumber(20, 15, 25, 30),
    Tissue.MARROW: CTNumber(60, 40, 20, 40),
    Tissue.LUNG_VESSEL: CTNumber(40, 6, 4, 6, 0.8),
    Tissue.GREY_MATTER: CTNumber(38, 2, 2, 3, 0.02),
    Tissue.WHITE_MATTER: CTNumber(28, 2, 2, 3, 0.02),
    Tissue.TOOTH: CTNumber(1900, 200, 60, 100),
    Tissue.DIPLOE: CTNumber(420, 90, 60, 90),
    # New tissues go to the end: a subject's deviations are drawn in this order.
    Tissue.PROSTATE_PERIPHERAL: CTNumber(38, 4, 4, 5, 0.2),
    Tissue.PROSTATE_TRANSITION: CTNumber(44, 4, 6, 8, 0.3),
    Tissue.URINE: CTNumber(6, 4, 2, 3),
    Tissue.RECTUM_WALL: CTNumber(38, 5, 5, 6, 0.2),
    Tissue.SEMINAL_VESICLE: CTNumber(24, 5, 5, 6, 0.1),
    Tissue.TUMOUR: CTNumber(42, 6, 6, 8, 0.4),
    Tissue.LIGAMENT: CTNumber(85, 10, 6, 8),
    Tissue.MENISCUS: CTNumber(90, 10, 6, 8),
    Tissue.HYALINE: CTNumber(75, 10, 6, 8),
    Tissue.SYNOVIA: CTNumber(15, 5, 3, 4),
    Tissue.BLOOD: CTNumber(45, 4, 2, 3, 1.0),
    Tissue.AMNION: CTNumber(8, 4, 2, 3),
}
