"""Vertebrae, discs, spinal canal and cord."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regenv.synthesis.anatomy.canvas import Canvas
from regenv.synthesis.anatomy.shapes import capsule, local, rounded_box, smooth_max, smooth_min
from regenv.synthesis.anatomy.subject import Subject, Vertebra
from regenv.synthesis.anatomy.tissues import Organ, Tissue

Field = NDArray[np.floating]


def paint_spine(canvas: Canvas, subject: Subject, landmarks: dict[str, NDArray[np.float64]]) -> None:
    """Paints the vertebrae in view, from below upward, and notes their centres and spinous tips."""
    rng = np.random.default_rng([subject.seed, 21])
    wobble = rng.normal(0, 1, (len(subject.vertebrae), 6))
    for n in range(len(subject.vertebrae) - 1, -1, -1):
        v = subject.vertebrae[n]
        if v.name == "C1":
            _paint_atlas(canvas, v)
            landmarks["C1_lateral_mass_left"] = v.centre + v.axes @ np.array([18.0, 5.0, 0.0])
            landmarks["C1_lateral_mass_right"] = v.centre + v.axes @ np.array([-18.0, 5.0, 0.0])
            continue
        _paint_vertebra(canvas, subject, v, wobble[n])
        landmarks[f"{v.name}_body"] = v.centre
        landmarks[f"{v.name}_spinous"] = v.centre + v.axes @ np.array(_spinous(v)[1]) * 0.93
    _paint_canal(canvas, subject)


def _spinous(v: Vertebra) -> tuple[tuple[float, float, float], tuple[float, float, float], float, float]:
    """Root, tip, half-thickness and half-height of the spinous process, in the vertebra's axes."""
    root = v.depth / 2 + 19
    if v.lumbar:
        return (0, root, -4), (0, root + 22, -9), 2.6, 10.0
    if v.cervical:
        length = 26 if v.name == "C7" else 15
        return (0, root - 3, -2), (0, root + length, -12), 2.6, 4.0
    # long and steep in the middle of the chest, short and level at its ends
    steep = {"T1": 8, "T2": 12, "T3": 16, "T10": 17, "T11": 12, "T12": 8}.get(v.name, 22)
    return (0, root - 2, -4), (0, root + 20, -4 - steep), 2.6, 5.5


def _paint_vertebra(canvas: Canvas, subject: Subject, v: Vertebra, wobble: NDArray[np.float64]) -> None:
    """Cortical shell and cancellous core of one vertebra, and the disc below it."""
    box = canvas.around(v.centre + v.axes @ np.array([0, 18.0, -4.0]), (54, 54, 42))
    if any(s.stop <= s.start for s in box):
        return
    u, b, w = local(*canvas.coordinates(box), v.centre, v.axes)
    body = _body(u, b, w, v)
    if v.name == "C2":
        dens = capsule(u, b, w, (0, 0, v.height * 0.4), (0, -1, v.height * 0.5 + 17), 6.0, 5.0)
        body = smooth_min(body, dens, 4.0)
    arch = _arch(u, b, w, v, wobble)
    whole = smooth_min(body, arch, 3.0)
    canal = np.sqrt((u / np.float32(1.15)) ** 2 + (b - np.float32(v.depth / 2 + 8.0)) ** 2) - np.float32(8.2)
    whole = smooth_max(whole, -canal, 1.0)
    disc = _disc(u, b, w, v)
    canvas.paint(box, disc, Tissue.DISC, Organ.SPINE)
    canvas.paint(box, whole, Tissue.CORTICAL, Organ.SPINE)
    shell = 1.15 * subject.bone
    canvas.paint(box, whole + shell + 0.9 * (arch < body), Tissue.CANCELLOUS, Organ.SPINE)


def _paint_atlas(canvas: Canvas, v: Vertebra) -> None:
    """C1: a ring with thick sides and no body."""
    box = canvas.around(v.centre + v.axes @ np.array([0, 12.0, 0]), (46, 40, 18))
    if any(s.stop <= s.start for s in box):
        return
    u, b, w = local(*canvas.coordinates(box), v.centre, v.axes)
    mid = v.depth / 2 + 8.0
    ring = np.sqrt((np.sqrt((u / 1.1) ** 2 + (b - mid + 4) ** 2) - 19.0) ** 2 + (w * 0.75) ** 2) - 3.8
    side = rounded_box(np.abs(u) - 18.5, b - mid + 9, w, (6.5, 9.0, 8.0), 4.0)
    wing = capsule(np.abs(u), b, w, (20, mid - 8, 0), (38, mid - 7, -1), 5.0, 3.5)
    whole = smooth_min(smooth_min(ring, side, 3.0), wing, 3.0)
    canvas.paint(box, whole, Tissue.CORTICAL, Organ.SPINE)
    canvas.paint(box, whole + 2.2, Tissue.CANCELLOUS, Organ.SPINE)


def _body(u: Field, b: Field, w: Field, v: Vertebra) -> Field:
    """A waisted cylinder, flat at the back."""
    waist = 1 - 0.10 * (1 - np.minimum((2 * w / v.height) ** 2, 1.2))
    half = np.float32(v.width / 2) * waist
    depth = np.where(b > 0, v.depth / 2 * 0.98, v.depth / 2 * waist)
    p, q = u / half, b / depth
    r2 = p * p + q * q + 1e-6
    square = np.where(b > 0, 0.26, 0.02)
    rho = np.sqrt(r2) / (1 + square * 4 * p * p * q * q / (r2 * r2))
    side = (rho - 1) * np.float32(min(v.width, v.depth) / 2)
    # end plates are slightly hollow
    end = np.abs(w) - np.float32(v.height / 2) + np.float32(1.3) * np.maximum(0, 1 - rho * rho)
    return smooth_max(side, end, 2.5)


def _disc(u: Field, b: Field, w: Field, v: Vertebra) -> Field:
    """The disc below the body, bulging a little."""
    rho = np.sqrt((u / (v.width / 2 + 0.5)) ** 2 + (b / (v.depth / 2 + 0.5)) ** 2)
    side = (rho - 1) * np.float32(v.depth / 2)
    centre = -(v.height + v.disc) / 2
    return smooth_max(side, np.abs(w - centre) - (v.disc / 2 + 1.6), 2.0)


def _arch(u: Field, b: Field, w: Field, v: Vertebra, wobble: NDArray[np.float64]) -> Field:
    """Pedicles, laminae, transverse, articular and spinous processes."""
    s = np.abs(u)
    back = v.depth / 2
    mid = back + 8.0
    pedicle_x = v.width * (0.30 if not v.cervical else 0.40)
    pedicle = capsule(s, b, w, (pedicle_x, back - 4, v.height * 0.18), (14.0, mid, v.height * 0.12), 3.9, 3.9)
    lamina = rounded_box(
        np.sqrt((s / 1.12) ** 2 + (b - mid) ** 2) - 10.6,
        np.zeros_like(s),
        w + np.maximum(b - mid, 0) * 0.35 + 1.0,
        (2.6, 1.0, v.height * (0.46 if v.lumbar else 0.42)),
        1.0,
    )
    lamina = smooth_max(lamina, mid - 1.0 - b, 1.5)
    if v.lumbar:
        transverse = capsule(s, b, w, (13, mid - 1, 3), (41 + wobble[0] * 2, mid + 4, 4 + wobble[1]), 3.8, 3.0)
    elif v.cervical:
        transverse = capsule(s, b, w, (11, mid - 8, 0), (24, mid - 8, -3), 4.2, 3.4)
    else:
        # shorter and turned backward toward the lower ribs
        n = float(v.name[1:])
        reach = np.interp(n, [1, 10, 12], [36, 29, 20]) + wobble[0]
        transverse = capsule(s, b, w, (13, mid + 2, 3), (reach, mid + np.interp(n, [1, 12], [9, 16]), 5), 4.6, 4.6)
    facet_x = 15.0 if v.lumbar else 12.5
    facets = capsule(
        s, b, w, (facet_x, mid + 6, v.height * 0.55), (facet_x, mid + 8, -v.height * 0.62), 4.4 if v.lumbar else 3.4
    )
    root, tip, thin, tall = _spinous(v)
    slope = (tip[2] - root[2]) / (tip[1] - root[1])
    sag = w - np.float32(root[2]) - np.float32(slope) * (b - np.float32(root[1]))
    length = (tip[1] - root[1]) / 2 + 3
    spinous = rounded_box(
        u - np.float32(wobble[2] * 0.02) * (b - mid),
        b - np.float32((root[1] + tip[1]) / 2),
        sag,
        (thin, length, tall),
        min(thin, 2.4),
    )
    knob = capsule(u, b, w, (wobble[2] * 0.4, tip[1] - 1, tip[2] + 2), (wobble[2] * 0.4, tip[1] + 1, tip[2] - 3), 4.2)
    d = smooth_min(pedicle, lamina, 3.0)
    for part in (transverse, facets, spinous, knob):
        d = smooth_min(d, part, 3.0)
    return d


def _paint_canal(canvas: Canvas, subject: Subject) -> None:
    """Dural sac, cord down to L1, roots below, fat behind."""
    points = np.array([v.centre + v.axes @ np.array([0, v.depth / 2 + 8.0, 0]) for v in subject.vertebrae])
    ends = np.hstack([points, np.full((len(points), 1), 6.6)])
    canvas.tubes(np.hstack([ends[:-1], ends[1:]]), Tissue.FAT, Organ.SPINAL_CANAL, grow=1.0)
    canvas.tubes(np.hstack([ends[:-1], ends[1:]]), Tissue.CSF, Organ.SPINAL_CANAL)
    last = next(i for i, v in enumerate(subject.vertebrae) if v.name == "L1")
    cord = np.hstack([points, np.full((len(points), 1), 4.4)])[: last + 1]
    canvas.tubes(np.hstack([cord[:-1], cord[1:]]), Tissue.NERVE)
