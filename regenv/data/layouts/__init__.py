"""Readers of the official layouts of public data sets: ``dataset="NAME:PATH"``, one file per layout, found by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regenv.data.layouts._base import LayoutDataset

LAYOUTS = tuple(sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_")))
"""Names of all layouts: the files of this folder."""


def is_layout(name: str) -> bool:
    """Whether a data set's name, such as ``"ixi:PATH"``, names one of :data:`LAYOUTS`."""
    return ":" in name and name.partition(":")[0] in LAYOUTS


def make_layout(name: str, *, split: str, modalities: Sequence[str], model: str, ndim: int) -> LayoutDataset:
    """The data set of that name.

    Args:
        name: ``"LAYOUT:PATH"``, or ``"LAYOUT:PATH?option=value&option=value"``.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        modalities: Of fixed and moving image; a layout with several images per subject takes those.
        model: Transform model of the environment.
        ndim: 2 or 3.

    Returns:
        The data set.

    Raises:
        DataError: If the folder is not of that layout (the message prints the tree that is expected) or files of it are
            missing or unusable.
        OptionError: If an option is unknown.
    """
    from regenv.data.layouts._base import LayoutDataset

    layout = import_module(f"{__name__}.{name.partition(':')[0]}").LAYOUT
    return LayoutDataset(layout, name, split=split, modalities=modalities, model=model, ndim=ndim)
