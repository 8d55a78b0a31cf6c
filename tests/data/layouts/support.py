"""What the tests of all layouts use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regenv.data.dataset import Dataset
from regenv.data.pair import ImagePair, Truth
from regenv.datasets import make_dataset
from tests.data.layouts import trees


@dataclass(frozen=True)
class Tree:
    """A layout in miniature, and what its tests ask of it."""

    write: Callable[[Path], Path]
    modalities: tuple[str, str]
    lost: str  # a file without which a case is incomplete
    ndim: int = 3


TREES = {
    "acdc": Tree(trees.acdc, ("mr", "mr"), "testing/patient101/patient101_frame12_gt.nii.gz"),
    "bids": Tree(trees.bids, ("t1", "t2"), ""),
    "bite": Tree(trees.bite, ("us", "t1"), "group2/01/01_all.tag"),
    "copdgene": Tree(trees.copdgene, ("ct", "ct"), "copd9/copd9_eBHCT.img"),
    "dirlab": Tree(trees.dirlab, ("ct", "ct"), "Case2Pack/ExtremePhases/Case2_300_T50_xyz.txt"),
    "ixi": Tree(trees.ixi, ("t1", "t2"), ""),
    "jsrt": Tree(trees.jsrt, ("xray", "xray"), "scratch/fold2/masks/left lung/JPCLN002.gif", ndim=2),
    "learn2reg": Tree(trees.learn2reg, ("ct", "ct"), "keypointsTr/NLST_0002_0001.csv"),
    "oasis": Tree(trees.oasis, ("t1", "t1"), "labelsTr/OASIS_0006_0000.nii.gz"),
    "popi": Tree(trees.popi, ("ct", "ct"), "4DLandmarks/60-Landmarks.pts"),
    "resect": Tree(trees.resect, ("us", "flair"), "NIFTI/Case12/US/Case12-US-before.nii.gz"),
    "rire": Tree(trees.rire, ("t1", "ct"), "training_001/transformations/ct_T1.standard"),
    "sunnybrook": Tree(trees.sunnybrook, ("mr", "mr"), "SCD_IMAGES_01/SCD0000301/CINESAX_300/IM-0003-0022.dcm"),
}


def pairs_of(name: str, *modalities: str, split: str = "test", ndim: int = 3) -> Dataset:
    return make_dataset(name, split=split, modalities=modalities, ndim=ndim)


def truth_of(pair: ImagePair) -> Truth:
    assert pair.truth is not None
    return pair.truth
