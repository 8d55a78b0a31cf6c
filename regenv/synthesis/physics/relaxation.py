"""Relaxation times and proton densities of the tissues.

T1 and T2 at 1.5 and 3 T after Stanisz et al., Magn. Reson. Med. 54 (2005) 507-512 (blood, cord, heart); de Bazelaire et
al., Radiology 230 (2004) 652-659 (abdomen, liver and kidney among it; prostate's T1); Gold et al., Am. J. Roentgenol.
183 (2004) 343-351 (knee: cartilage, synovial fluid, fat, marrow, muscle); Bojorquez et al., Magn. Reson. Imaging 35
(2017) 69-80 (brain at 3 T) and Wansapura et al., J. Magn. Reson. Imaging 9 (1999) 531-538 (its T2). Fat and marrow have
Gold's T2, measured with long echo trains, which is why fat is bright in fast spin echo. Values without a published
measurement at both fields (skin, bowel content, ligament, meniscus, tumour) are typical of their kind.
"""

from __future__ import annotations

from dataclasses import dataclass

from regenv.synthesis.anatomy.tissues import Tissue


@dataclass(frozen=True)
class Relaxation:
    """What a tissue's signal follows from.

    Attributes:
        t1_ms: Longitudinal relaxation time at 1.5 and 3 T.
        t2_ms: Transverse relaxation time at 1.5 and 3 T.
        density: Proton density relative to water.
        fat: Share of the protons that fat suppression takes away.
        flow: 1 for fast arterial blood, between 0 and 1 for slower flow.
        coarse: Relative standard deviation of the signal within a subject at a scale of about 15 mm.
        fine: The same at about 4 mm.
        between: Relative standard deviation of T1, T2 and density between subjects.
    """

    t1_ms: tuple[float, float]
    t2_ms: tuple[float, float]
    density: float
    fat: float = 0.0
    flow: float = 0.0
    coarse: float = 0.03
    fine: float = 0.03
    between: float = 0.03


def _fluid(t1: float, t2: float, coarse: float = 0.02) -> Relaxation:
    return Relaxation((t1, t1), (t2, 0.8 * t2), 1.0, coarse=coarse, fine=0.02)


_VOID = Relaxation((1000.0, 1000.0), (10.0, 10.0), 0.0)

RELAXATION: dict[Tissue, Relaxation] = {
    Tissue.AIR: _VOID,
    Tissue.GAS: _VOID,
    Tissue.LUNG: Relaxation((1200, 1350), (30, 22), 0.12, coarse=0.15, fine=0.25, between=0.1),
    Tissue.FAT: Relaxation((288, 371), (165, 133), 0.80, fat=1.0, coarse=0.04, fine=0.05),
    Tissue.SKIN: Relaxation((850, 1000), (30, 28), 0.60, coarse=0.08, fine=0.12),
    Tissue.MUSCLE: Relaxation((1130, 1420), (35.3, 31.7), 0.85, coarse=0.05, fine=0.10),
    Tissue.ARTERY: Relaxation((1441, 1932), (290, 275), 0.93, flow=1.0),
    Tissue.VEIN: Relaxation((1441, 1932), (150, 90), 0.93, flow=0.55),
    Tissue.BLOOD: Relaxation((1441, 1932), (230, 190), 0.93, flow=0.75, coarse=0.05),
    Tissue.HEART_LEFT: Relaxation((1441, 1932), (290, 275), 0.93, flow=0.8, coarse=0.06),
    Tissue.HEART_RIGHT: Relaxation((1441, 1932), (150, 90), 0.93, flow=0.7, coarse=0.08),
    Tissue.LUNG_VESSEL: Relaxation((1441, 1932), (200, 150), 0.93, flow=0.7),
    Tissue.MYOCARDIUM: Relaxation((1030, 1471), (40, 47), 0.85, coarse=0.05, fine=0.05),
    Tissue.WALL: Relaxation((900, 1150), (45, 42), 0.75, coarse=0.06, fine=0.08),
    Tissue.RECTUM_WALL: Relaxation((1000, 1250), (58, 54), 0.80, coarse=0.06, fine=0.10),
    Tissue.LIVER: Relaxation((586, 809), (46, 34), 0.75, fine=0.05),
    Tissue.SPLEEN: Relaxation((1057, 1328), (79, 61), 0.82, fine=0.04),
    Tissue.RENAL_CORTEX: Relaxation((966, 1142), (87, 76), 0.85, fine=0.05),
    Tissue.RENAL_MEDULLA: Relaxation((1412, 1545), (85, 81), 0.88, fine=0.05),
    Tissue.PANCREAS: Relaxation((584, 725), (46, 43), 0.78, fat=0.1, coarse=0.08, fine=0.15),
    Tissue.GLAND: Relaxation((1000, 1200), (60, 55), 0.78, fat=0.2, coarse=0.12, fine=0.15),
    Tissue.CORTICAL: Relaxation((250, 280), (0.6, 0.5), 0.15),
    Tissue.TOOTH: Relaxation((250, 280), (0.4, 0.3), 0.10),
    Tissue.CANCELLOUS: Relaxation((520, 586), (75, 68), 0.55, fat=0.55, coarse=0.08, fine=0.14),
    Tissue.DIPLOE: Relaxation((420, 500), (85, 75), 0.38, fat=0.6, coarse=0.15, fine=0.25),
    Tissue.MARROW: Relaxation((288, 365), (165, 133), 0.72, fat=0.95, coarse=0.05, fine=0.08),
    Tissue.CARTILAGE: Relaxation((1050, 1150), (36, 32), 0.65, coarse=0.06, fine=0.08),
    Tissue.HYALINE: Relaxation((1066, 1240), (42.1, 36.9), 0.75, coarse=0.05, fine=0.05),
    Tissue.MENISCUS: Relaxation((700, 850), (13, 11), 0.55, fine=0.08),
    Tissue.LIGAMENT: Relaxation((700, 850), (7, 6), 0.50, fine=0.10),
    Tissue.SYNOVIA: Relaxation((2850, 3620), (1210, 767), 1.0, coarse=0.03),
    Tissue.DISC: Relaxation((1000, 1200), (92, 80), 0.80, coarse=0.10, fine=0.08, between=0.10),
    Tissue.CSF: Relaxation((4000, 4160), (1600, 1200), 1.0, coarse=0.03, fine=0.02),
    Tissue.NERVE: Relaxation((745, 993), (74, 78), 0.72),
    Tissue.GREY_MATTER: Relaxation((1080, 1460), (95, 90), 0.83, coarse=0.02, fine=0.03, between=0.02),
    Tissue.WHITE_MATTER: Relaxation((640, 840), (74, 69), 0.71, coarse=0.02, fine=0.02, between=0.02),
    Tissue.FLUID: _fluid(2900, 800, 0.08),
    Tissue.URINE: _fluid(3300, 1000),
    Tissue.AMNION: _fluid(3800, 1500),
    Tissue.CONTENT: Relaxation((650, 800), (60, 50), 0.55, fat=0.2, coarse=0.35, fine=0.35, between=0.2),
    Tissue.PROSTATE_PERIPHERAL: Relaxation((1330, 1650), (160, 145), 0.90, coarse=0.10, fine=0.08, between=0.06),
    Tissue.PROSTATE_TRANSITION: Relaxation((1250, 1550), (95, 87), 0.86, coarse=0.14, fine=0.16, between=0.05),
    Tissue.SEMINAL_VESICLE: Relaxation((1500, 1750), (220, 190), 0.92, coarse=0.12, fine=0.25, between=0.08),
    Tissue.TUMOUR: Relaxation((1400, 1750), (105, 98), 0.88, coarse=0.08, fine=0.08, between=0.06),
}
"""Every tissue of :class:`regenv.synthesis.anatomy.tissues.Tissue`."""
