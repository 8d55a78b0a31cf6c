"""OASIS as Learn2Reg distributes it: T1 brains with 35 labels, affinely aligned, 160 x 192 x 224.

Read by ``OASIS_dataset.json`` as :mod:`regenv.data.layouts.learn2reg` does. The official split has validation pairs
and test pairs whose labels are withheld: ``?test=validation`` measures on the pairs that papers report.
Two-dimensional environments get axial slices: the images of this set share one grid.

D. Marcus et al., "Open access series of imaging studies (OASIS)", J. Cogn. Neurosci. 19 (2007); A. Hoopes et al.,
"HyperMorph", IPMI 2021.
"""

from __future__ import annotations

from regenv.data.layouts import learn2reg
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request

TREE = """PATH/
  OASIS_dataset.json
  imagesTr/OASIS_0001_0000.nii.gz, ...
  labelsTr/OASIS_0001_0000.nii.gz, ...
  masksTr/OASIS_0001_0000.nii.gz, ...
  imagesTs/OASIS_0415_0000.nii.gz, ..."""


def find(request: Request) -> list[PairFiles]:
    """All pairs of all splits; brains are ``t1``."""
    path = request.root / "OASIS_dataset.json"
    if not path.is_file():
        raise NotThisLayoutError("has no file OASIS_dataset.json")
    own = Request(request.root, ("t1", "t1"), request.ndim, request.options)
    return learn2reg.cases_of(path, learn2reg.read_json(path), own)


LAYOUT = Layout("oasis", "OASIS (Learn2Reg)", TREE, find, slices=(0.4, 0.5, 0.6), axial=True)
