"""Data sets by name: the one place that knows both the patients that are invented and those that are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regenv.data.dataset import SPLITS, Dataset
from regenv.data.layouts import LAYOUTS, is_layout, make_layout
from regenv.errors import OptionError, check_option, near_miss
from regenv.imaging import get_imaging
from regenv.poses import MODELS, pose_model

EMBEDDED = ("phantom", "shapes")
"""Data sets that need no file."""


def make_dataset(
    name: str,
    *,
    split: str = "train",
    modalities: Sequence[str] = ("cbct", "ct"),
    field_of_view: str | None = None,
    model: str = "rigid",
    ndim: int = 3,
    recipe: str = "torso",
    imaging: str = "volume",
    slices: int = 1,
    extent_mm: float = 192.0,
    subjects: int | None = None,
) -> Dataset:
    """The data set of that name.

    Args:
        name: ``"phantom"`` (procedural anatomy), ``"shapes"`` (random shapes and contrasts), ``"folder:PATH"`` (your
            images, see :class:`regenv.data.folder.FolderDataset`) or ``"LAYOUT:PATH"`` (a public data set as it is
            distributed, such as ``"ixi:PATH"``; see :data:`regenv.data.layouts.LAYOUTS`).
        split: ``"train"``, ``"validation"`` or ``"test"``.
        modalities: Of fixed and moving image, such as ``("cbct", "ct")``.
        field_of_view: What the embedded anatomy shows, one of the recipe's; None for its first.
        model: Transform model of the environment; a folder's true transforms are checked against it.
        ndim: 2 or 3; images of another dimension are refused.
        recipe: How the embedded anatomy is made, a file of :mod:`regenv.synthesis.recipes`.
        imaging: How the moved image comes about, see :data:`regenv.imaging.IMAGINGS`; random shapes are made for it.
        slices: Slices of the fixed image, where it is made of slices.
        extent_mm: Width of the view, which random shapes fill.
        subjects: How many training subjects an embedded data set has; None for no end.

    Returns:
        The data set.

    Raises:
        OptionError: If a name is unknown; the message suggests the nearest.
        DataError: If files of a folder cannot be used.
    """
    check_option("split", split, SPLITS)
    check_option("model", model, MODELS)
    check_option("ndim", ndim, (2, 3))
    modalities = tuple(modalities) if not isinstance(modalities, str) else (modalities,)
    if len(modalities) != 2:
        raise OptionError(f"modalities={modalities!r} must name two, fixed and moving, such as ('cbct', 'ct')")
    if subjects is not None and (name not in EMBEDDED or split != "train"):
        raise OptionError(
            f"subjects={subjects} limits the training subjects of {' and '.join(map(repr, EMBEDDED))}; "
            f"dataset={name!r}, split={split!r} has the pairs it has: leave it out"
        )
    how = get_imaging(imaging)
    if name == "phantom":
        from regenv.synthesis.phantom import PhantomDataset

        return PhantomDataset(split, modalities, field_of_view, recipe, subjects)
    if name == "shapes":
        from regenv.synthesis.shapes import ShapesDataset

        if how.view_ndim(ndim) != ndim:
            raise OptionError(f"dataset='shapes' has no {how.noun}; use dataset='phantom' or your own data")
        population = (recipe, field_of_view or "") if pose_model(model).needs_population else None
        return ShapesDataset(split, ndim, slices if how.slabs else 0, extent_mm, population, subjects)
    if name.startswith("folder:") and name.strip() != "folder:":
        from regenv.data.folder import FolderDataset
        from regenv.synthesis.simulate import simulated_cbct

        path = name[len("folder:") :]
        return FolderDataset(
            path,
            split=split,
            modalities=modalities,
            model=model,
            ndim=ndim,
            single_slice=how.slabs,
            simulate=simulated_cbct,
        )
    if is_layout(name):
        return make_layout(name, split=split, modalities=modalities, model=model, ndim=ndim)
    known = (*EMBEDDED, "folder:PATH", *(f"{layout}:PATH" for layout in LAYOUTS))
    if Path(name).expanduser().exists():
        raise OptionError(f"dataset={name!r} is a path; for a folder of your own images write dataset='folder:{name}'")
    kind, colon, _ = name.partition(":")
    raise OptionError(f"dataset={name!r} is unknown; {near_miss(f'{kind}:PATH' if colon else name, known)}")
