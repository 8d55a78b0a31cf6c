"""Miniature copies of official layouts, written as they are distributed; every landmark is a voxel of its own value."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from regenv.core.geometry import transform_points
from tests.data import files

SIZE = (20, 16, 12)
SPACING = (1.5, 2.0, 3.0)
FIXED_MARKS = np.array([[4, 5, 3], [9, 8, 7], [14, 3, 5], [6, 11, 9]])
MOVING_MARKS = np.array([[5, 5, 3], [9, 7, 8], [13, 4, 5], [6, 10, 8]])
MARK = 3000.0
"""Value of the first landmark's voxel; each further one has 100 more."""


def marked(marks: np.ndarray, seed: int, *, size: tuple[int, ...] = SIZE, kind: type = np.int16) -> np.ndarray:
    """Noise from -50 to 50 ``[z, y, x]`` with a bright voxel at each mark (x, y, z from 0)."""
    array = np.random.default_rng(seed).integers(-50, 50, size[::-1]).astype(kind)
    for i, (x, y, z) in enumerate(marks):
        array[z, y, x] = MARK + 100 * i
    return array


def image(
    marks: np.ndarray,
    seed: int,
    *,
    direction: np.ndarray | None = None,
    origin: tuple[float, ...] = (10.0, -20.0, 30.0),
) -> sitk.Image:
    """A marked image with a geometry."""
    made = sitk.GetImageFromArray(marked(marks, seed))
    made.SetSpacing(SPACING)
    made.SetOrigin(origin)
    if direction is not None:
        made.SetDirection(direction.ravel().tolist())
    return made


def physical(made: sitk.Image, marks: np.ndarray) -> np.ndarray:
    """LPS mm of voxels."""
    return np.array([made.TransformContinuousIndexToPhysicalPoint(row) for row in marks.astype(float).tolist()])


def save(path: Path, made: sitk.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return files.write(path, made)


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def labels_of(seed: int, values: int = 3) -> sitk.Image:
    """A label map of blocks, on the geometry of :func:`image`."""
    array = np.zeros(SIZE[::-1], dtype=np.uint8)
    for value in range(1, values + 1):
        array[2:-2, 3 * value : 3 * value + 3, 4 + seed % 3 : -4] = value
    made = sitk.GetImageFromArray(array)
    made.SetSpacing(SPACING)
    made.SetOrigin((10.0, -20.0, 30.0))
    return made


# Raw lungs.


def raw_lungs(path: Path, marks: np.ndarray, seed: int, size: tuple[int, ...] = SIZE) -> Path:
    """HU + 1024, slices from the head, padding of -2000 in a corner."""
    array = marked(marks, seed, size=size)
    array[0, 0, :3] = -2000
    path.parent.mkdir(parents=True, exist_ok=True)
    array.astype("<i2").tofile(path)
    return path


def raw_points(path: Path, marks: np.ndarray) -> Path:
    """``x y z`` from 1, with the tabs and blanks of the originals."""
    return text(path, "".join(f" {x + 1}\t{y + 1}\t{z + 1} \n" for x, y, z in marks))


DIRLAB = {
    1: ("Case1Pack", "case1_{}_s.img", "ExtremePhases", "Case1_300_{}_xyz.txt"),
    2: ("Case2Pack", "case2_{}-ssm.img", "ExtremePhases", "Case2_300_{}_xyz.txt"),
    6: ("Case6Pack", "case6_{}.img", "extremePhases", "case6_dirLab300_{}_xyz.txt"),
    8: ("Case8Deploy", "case8_{}.img", "extremePhases", "case8_dirLab300_{}_xyz.txt"),
}


def dirlab(root: Path, cases: tuple[int, ...] = (1, 2, 6, 8), size: tuple[int, ...] = SIZE) -> Path:
    for number in cases:
        folder, img, points, txt = DIRLAB[number]
        for phase, marks in (("T00", FIXED_MARKS), ("T50", MOVING_MARKS)):
            raw_lungs(root / folder / "Images" / img.format(phase), marks, number, size)
            raw_points(root / folder / points / txt.format(phase), marks)
    return root


def copdgene(root: Path) -> Path:
    for number in (1, 9):
        for side, marks in (("i", FIXED_MARKS), ("e", MOVING_MARKS)):
            raw_lungs(root / f"copd{number}" / f"copd{number}_{side}BHCT.img", marks, number)
            raw_points(root / f"copd{number}" / f"copd{number}_300_{side}BH_xyz_r1.txt", marks)
    return root


def popi(root: Path) -> Path:
    for phase in (0, 10, 60):
        marks = FIXED_MARKS if phase == 10 else MOVING_MARKS
        made = image(marks, phase, origin=(0.0, 0.0, 0.0))
        save(root / "4DCT-MetaImage" / f"{phase:02d}-P.mhd", made)
        rows = [
            *(marks * SPACING).tolist(),
            *[[15.0, 16.0, 18.0]] * 36,
            [900.0, 900.0, 900.0],
        ]  # the 41st is an artefact
        lines = ["#X Y Z", *("{} {} {}".format(*row) for row in rows)]
        text(root / "4DLandmarks" / f"{phase:02d}-Landmarks.pts", "\n".join(lines) + "\n")
    return root


# Heads.


def rire(root: Path) -> Path:
    truth = rire_truth()
    ct, mr = image(FIXED_MARKS, 1), image(MOVING_MARKS, 2, origin=(-3.0, 4.0, 5.0))
    for patient in ("training_001", "patient_001"):
        save(root / patient / "ct" / f"{patient}_ct.mhd", ct)
        save(root / patient / "mr_T1" / f"{patient}_mr_T1.mhd", mr)
        save(root / patient / "mr_T2" / f"{patient}_mr_T2.mhd", mr)
        save(root / patient / "mr_T1_rectified" / f"{patient}_mr_T1_rectified.mhd", mr)
    n = np.array(SIZE) - 1
    corners = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)]) * n * SPACING
    images = transform_points(truth, corners + ct.GetOrigin()) - mr.GetOrigin()
    head = [f"line {i} of the header" for i in range(13)] + ["Point      x          y          z        new_x", ""]
    rows = [
        f"  {i}  " + " ".join(f"{v:10.4f}" for v in (*a, *b))
        for i, (a, b) in enumerate(zip(corners, images, strict=True), 1)
    ]
    for name in ("ct_T1", "ct_T2", "ct_T1_rectified"):
        text(root / "training_001" / "transformations" / f"{name}.standard", "\n".join([*head, *rows, "", "(end)"]))
    return root


def rire_truth() -> np.ndarray:
    """From CT to MR, both in LPS."""
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.05, -0.1, 0.2, (3.0, -4.0, 5.0))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(turn.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = turn.GetTranslation()
    return matrix


def ixi(root: Path) -> Path:
    for number in range(2, 22):
        for kind in ("T1", "T2"):
            path = root / f"IXI-{kind}" / f"IXI{number:03d}-Guys-{800 + number:04d}-{kind}.nii.gz"
            save(path, image(FIXED_MARKS, number))
    (root / "IXI-T2" / "IXI003-Guys-0803-T2.nii.gz").unlink()  # not every subject has every scan
    return root


def bids(root: Path) -> Path:
    for number in range(1, 13):
        for kind in ("T1w", "T2w"):
            save(root / f"sub-{number:02d}" / "anat" / f"sub-{number:02d}_{kind}.nii.gz", image(FIXED_MARKS, number))
    for session in ("ses-a", "ses-b", "ses-c"):
        stem = f"sub-99_{session}_acq-mprage_run-1_T1w.nii.gz"
        save(root / "sub-99" / session / "anat" / stem, image(FIXED_MARKS, 99))
    return root


TAGS = """MNI Tag Point File
Volumes = 2;
%Volume: first.mnc
%Volume: second.mnc

Points =
{};
"""


def tags(path: Path, first: np.ndarray, second: np.ndarray) -> Path:
    """LPS points as an MNI tag file, which is RAS."""
    flip = np.array([-1.0, -1.0, 1.0])
    rows = [" ".join(f"{v:.6f}" for v in (*a, *b)) + ' ""' for a, b in zip(first * flip, second * flip, strict=True)]
    return text(path, TAGS.format("\n".join(rows)))


def resect(root: Path) -> Path:
    mr, us = image(FIXED_MARKS, 1), image(MOVING_MARKS, 2, origin=(8.0, -18.0, 31.0))
    for number in (1, 2, 12):
        case = root / "NIFTI" / f"Case{number}"
        for sequence in ("T1", "FLAIR"):
            save(case / "MRI" / f"Case{number}-{sequence}.nii.gz", mr)
        for stage in ("before", "after"):
            save(case / "US" / f"Case{number}-US-{stage}.nii.gz", us)
        points = physical(mr, FIXED_MARKS), physical(us, MOVING_MARKS)
        tags(case / "Landmarks" / f"Case{number}-MRI-beforeUS.tag", *points)
        if number != 2:
            tags(case / "Landmarks" / f"Case{number}-beforeUS-afterUS.tag", points[1], points[1])
    return root


def bite(root: Path) -> Path:
    turn = np.diag([-1.0, -1.0, 1.0])  # axes that run along those of MINC
    mr, us = image(FIXED_MARKS, 1, direction=turn), image(MOVING_MARKS, 2, direction=turn, origin=(8.0, -18.0, 31.0))
    for number in (1, 2):
        case = root / "group2" / f"{number:02d}"
        for name, made in ((f"{number:02d}_mr_tal", mr), (f"{number:02d}a_us_tal", us)):
            if number == 1:
                minc = sitk.Cast(made, sitk.sitkFloat32)  # MINC holds RAS
                minc.SetOrigin((-made.GetOrigin()[0], -made.GetOrigin()[1], made.GetOrigin()[2]))
                minc.SetDirection(np.eye(3).ravel().tolist())
                save(case / f"{name}.mnc", minc)
            else:
                save(case / f"{name}.nii", made)
        tags(case / f"{number:02d}_all.tag", physical(mr, FIXED_MARKS), physical(us, MOVING_MARKS))
    return root


# Hearts.


def acdc(root: Path) -> Path:
    for part, number in (("training", 1), ("training", 5), ("testing", 101)):
        name = f"patient{number:03d}"
        folder = root / part / name
        text(folder / "Info.cfg", "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n")
        for frame in (1, 12):
            unscaled(folder / f"{name}_frame{frame:02d}.nii.gz", image(FIXED_MARKS, frame))
            unscaled(folder / f"{name}_frame{frame:02d}_gt.nii.gz", labels_of(frame))
    return root


def unscaled(path: Path, made: sitk.Image) -> None:
    """A NIfTI file whose sform has no scale, as those of ACDC: only the qform tells the spacing."""
    made = sitk.Image(made)
    made.SetOrigin((0.0, 0.0, 0.0))
    plain = save(path.with_name("plain.nii"), made)
    raw = bytearray(plain.read_bytes())
    plain.unlink()
    for row, values in enumerate(((-1, 0, 0, 0), (0, -1, 0, 0), (0, 0, 1, 0))):
        struct.pack_into("<4f", raw, 280 + 16 * row, *values)
    path.write_bytes(gzip.compress(bytes(raw)))


HEARTS = {"SCD0000101": "SC-HF-I-1", "SCD0000301": "SC-HF-I-5", "SCD0004401": "SC-N-11"}
RADIUS_PX = {"ed": 6.0, "es": 4.0}


def sunnybrook(root: Path) -> Path:
    text(
        root / "scd_patientdata.csv",
        "PatientID,OriginalID,Gender,Age,Pathology\n" + "".join(f"{p},{o},M,60,HF\n" for p, o in HEARTS.items()),
    )
    for patient, original in HEARTS.items():
        series = root / "SCD_IMAGES_01" / patient / "CINESAX_300"
        padded = original.rpartition("-")[0] + f"-{int(original.rpartition('-')[2]):02d}"
        outlines = root / "SCD_ManualContours" / padded / "contours-manual" / "IRCCI-expert"
        for k in range(4):
            for frame, phase in enumerate(("es", "ed", "other")):  # the order of the phases must not matter
                number = 20 * k + frame + 1
                dicom(series / f"IM-0003-{number:04d}.dcm", k, number)
                if phase != "other" and (k > 0 or phase == "ed"):  # the first slice is outlined once
                    circle(outlines / f"IM-0001-{number:04d}-icontour-manual.txt", RADIUS_PX[phase])
                    if phase == "ed":  # the wall is outlined at the end of diastole alone
                        circle(outlines / f"IM-0001-{number:04d}-ocontour-manual.txt", RADIUS_PX[phase] + 2.5)
    return root


def dicom(path: Path, k: int, number: int) -> None:
    """A slice of 32 x 24 pixels at 10 k mm along an oblique normal; its first pixel tells its number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(number).integers(0, 400, (24, 32)).astype(np.int16)
    array[0, 0] = number
    piece = sitk.GetImageFromArray(array)
    piece.SetSpacing((1.4, 1.2))
    position = np.array([5.0, 6.0, 7.0]) + 10.0 * k * np.array([0.0, -0.6, 0.8])
    tags_ = {
        "0008|0060": "MR",
        "0020|000d": "1.2.3",
        "0020|000e": "1.2.3.4",
        "0008|0018": f"1.2.3.4.{number}",
        "0020|0013": str(number),
        "0020|0032": "\\".join(f"{v:.6f}" for v in position),
        "0020|0037": "1\\0\\0\\0\\0.8\\0.6",
        "0028|0030": "1.2\\1.4",
    }
    for tag, value in tags_.items():
        piece.SetMetaData(tag, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(piece)


def circle(path: Path, radius: float, centre: tuple[float, float] = (15.0, 11.0)) -> None:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    rows = np.stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)], 1)
    text(path, "".join(f"{x:.2f} {y:.2f}\n" for x, y in rows))


# Learn2Reg.


def learn2reg(root: Path, name: str = "NLST") -> Path:
    """A paired task with masks and keypoints; its validation pair is in the list of training pairs too, as in NLST."""
    entries = []
    for subject in (1, 2, 3, 4):
        for scan, marks in ((0, FIXED_MARKS), (1, MOVING_MARKS)):
            stem = f"{name}_{subject:04d}_{scan:04d}"
            part = "Ts" if subject == 4 else "Tr"
            direction = files.oblique() if scan else None
            made = image(marks, 10 * subject + scan, direction=direction)
            save(root / f"images{part}" / f"{stem}.nii.gz", made)
            if subject == 4:
                continue
            mask = sitk.Cast(made >= 0, sitk.sitkUInt8)
            save(root / "masksTr" / f"{stem}.nii.gz", mask)
            text(
                root / "keypointsTr" / f"{stem}.csv", "".join("{},{},{}\n".format(*row) for row in marks.astype(float))
            )
            entries.append(
                {
                    "image": f"./imagesTr/{stem}.nii.gz",
                    "mask": f"./masksTr/{stem}.nii.gz",
                    "keypoints": f"./keypointsTr/{stem}.nii.gz",  # as the official files have it; they are .csv
                }
            )

    def pair(subject: int, part: str = "Tr") -> dict[str, str]:
        stem = f"./images{part}/{name}_{subject:04d}"
        return {"fixed": f"{stem}_0000.nii.gz", "moving": f"{stem}_0001.nii.gz"}

    task = {
        "name": name,
        "modality": {"0": "CT"},
        "labels": {},
        "tensorImageSize": {"0": "3D"},
        "training": entries,
        "test": [f"./imagesTs/{name}_0004_0000.nii.gz", f"./imagesTs/{name}_0004_0001.nii.gz"],
        "training_paired_images": [pair(1), pair(2), pair(3)],
        "registration_val": [pair(3)],
        "registration_test": [pair(4, "Ts")],
    }
    text(root / f"{name}_dataset.json", json.dumps(task))
    return root


def oasis(root: Path) -> Path:
    """An unpaired task with labels."""
    for subject in range(1, 8):
        save(root / "imagesTr" / f"OASIS_{subject:04d}_0000.nii.gz", image(FIXED_MARKS, subject))
        save(root / "labelsTr" / f"OASIS_{subject:04d}_0000.nii.gz", labels_of(subject))
        save(root / "masksTr" / f"OASIS_{subject:04d}_0000.nii.gz", labels_of(subject) > 0)
    for subject in (8, 9):
        save(root / "imagesTs" / f"OASIS_{subject:04d}_0000.nii.gz", image(FIXED_MARKS, subject))

    def name(subject: int, folder: str = "images") -> str:
        return f"./{folder}{'Tr' if subject < 8 else 'Ts'}/OASIS_{subject:04d}_0000.nii.gz"

    task = {
        "name": "OASIS",
        "modality": {"0": "MR"},
        "labels": {"0": {"0": "background", "1": "Left-Cerebral-White-Matter", "2": "Left-Cerebral-Cortex"}},
        "training": [{"image": name(s), "label": name(s, "labels"), "mask": name(s, "masks")} for s in range(1, 8)],
        "test": [{"image": name(s)} for s in (8, 9)],
        "registration_val": [{"fixed": name(6), "moving": name(7)}],
        "registration_test": [{"fixed": name(8), "moving": name(9)}],
    }
    text(root / "OASIS_dataset.json", json.dumps(task))
    return root


# Radiographs.


def jsrt(root: Path, size: int = 64, masks: bool = True) -> Path:
    from PIL import Image

    names = [f"JPCLN{i:03d}" for i in (1, 2, 3, 4)]
    for i, name in enumerate(names):
        film = np.random.default_rng(i).integers(0, 4096, (size, size)).astype(">u2")
        path = root / "All247images" / f"{name}.IMG"
        path.parent.mkdir(parents=True, exist_ok=True)
        film.tofile(path)
        for value, label in enumerate(("right lung", "left lung", "heart", "right clavicle", "left clavicle"), 1):
            if not masks:
                continue
            mask = np.zeros((size // 2, size // 2), dtype=np.uint8)
            mask[4 * value : 4 * value + 6, 5:15] = 255
            gif = root / "scratch" / f"fold{i % 2 + 1}" / "masks" / label / f"{name}.gif"
            gif.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(gif)
    return root
