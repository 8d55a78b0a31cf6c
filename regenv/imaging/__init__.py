"""How fixed and moved images come about: volumes, slices, radiographs, depth maps.

A new kind of imaging is a file here and a row of :data:`IMAGINGS`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from regenv.errors import OptionError, near_miss
from regenv.imaging.base import Imaging
from regenv.poses.base import PoseModel

if TYPE_CHECKING:
    from regenv.imaging.renderer import Renderer
    from regenv.imaging.view import View

IMAGINGS = {"volume": "volume", "slice": "slices", "radiograph": "radiograph", "depth": "depth"}
"""File of each kind of imaging, by its word in the table of environments: the moving image resampled (also in 2-D),
slices of it as thick as those of the fixed image, or what a camera sees of it."""


@cache
def get_imaging(name: str) -> Imaging:
    """The kind of imaging of that name.

    Raises:
        ValueError: If there is none; the message names the nearest.
    """
    if name not in IMAGINGS:
        raise ValueError(f"unknown imaging {name!r}; {near_miss(name, IMAGINGS)}")
    imaging: Imaging = import_module(f"regenv.imaging.{IMAGINGS[name]}").IMAGING
    return imaging


def make_renderer(
    imaging: Imaging, poses: PoseModel, view: View, lanes: int, threads: int | None, device: str = "cpu"
) -> Renderer:
    """What renders the cases of an environment.

    Args:
        imaging: How the moved image comes about.
        poses: The pose model.
        view: What is seen.
        lanes: Number of lanes.
        threads: Threads for more than one lane; None for the default.
        device: ``"cpu"``, or a torch device.

    Raises:
        OptionError: If there is no such device on this machine, or none but the processor does this.
        MissingExtraError: If torch is not installed.
    """
    kind = "cpu" if device == "cpu" else "torch"
    place = imaging.renderers.get((poses.sampling, kind))
    if place is None:
        known = ", ".join(f"{sampling} on {where}" for sampling, where in imaging.renderers)
        raise OptionError(
            f"device={device!r}: a {imaging.noun} is not rendered there through a {poses.sampling} ({poses.name}); "
            f"there is: {known}. Use device='cpu'"
        )
    module, _, name = place.partition(":")
    renderer: Renderer = getattr(import_module(module), name)(view, lanes, poses, threads, device)
    return renderer


def make_view(name: str, *, ndim: int, size: int, spacing_mm: float, imaging: str = "volume", planes: int = 1) -> View:
    """The view of an ``observation`` keyword under a kind of imaging; see :meth:`regenv.imaging.base.Imaging.view`."""
    return get_imaging(imaging).view(name, ndim=ndim, size=size, spacing_mm=spacing_mm, count=planes)
