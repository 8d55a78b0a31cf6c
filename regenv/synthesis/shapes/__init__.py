"""Domain-randomised volumes: anatomy that nobody has, in contrasts that no scanner makes.

An agent that has only seen torsos knows torsos. One that has seen random shapes in random contrasts has to learn what
registration is: find the same place twice. This follows SynthMorph (Hoffmann et al., IEEE TMI 2022), where networks
trained on random label maps carry over to scans they never saw.

Two layers:

* :func:`make_anatomy` draws an anatomy once (about 0.4 s): a label map of nested random structures (envelope, skin and
  bone-like shells, organs, folded sheets, vessel-like trees, chains of blocks) and a texture shared by all contrasts.
* :func:`acquire` takes a picture of it (a few milliseconds): one random intensity per label, window, bias field, blur,
  thick slices along one axis, noise, streaks, a table, a cylindrical field of view.

:class:`PairGenerator` renders fixed and moved views of two such pictures under a known residual motion, for training;
:class:`ShapesDataset` is the embedded data set ``"shapes"``.
"""

from __future__ import annotations

from regenv.synthesis.shapes.acquisition import Acquisition, acquire, draw_contrasts
from regenv.synthesis.shapes.anatomy import LABELS, SIZE, Anatomy, make_anatomy
from regenv.synthesis.shapes.dataset import ShapesDataset
from regenv.synthesis.shapes.pairs import RESIDUALS, PairGenerator, Residual, TrainingPair

__all__ = [
    "LABELS",
    "RESIDUALS",
    "SIZE",
    "Acquisition",
    "Anatomy",
    "PairGenerator",
    "Residual",
    "ShapesDataset",
    "TrainingPair",
    "acquire",
    "draw_contrasts",
    "make_anatomy",
]
