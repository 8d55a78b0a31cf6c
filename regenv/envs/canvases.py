"""Which canvas renders what."""

from __future__ import annotations

from regenv.core.models import TransformModel
from regenv.envs.canvas import Canvas
from regenv.envs.views import View
from regenv.errors import OptionError
from regenv.task import PROJECTIONS


def make_canvas(
    imaging: str, model: TransformModel, view: View, lanes: int, threads: int | None, device: str = "cpu"
) -> Canvas:
    """The canvas of an environment.

    Args:
        imaging: How the moved image comes about, see :data:`regenv.task.IMAGINGS`.
        model: The transform model.
        view: What is seen.
        lanes: Number of lanes.
        threads: Threads for more than one lane.
        device: ``"cpu"``, or a torch device.

    Raises:
        OptionError: If there is no such device on this machine, or none but the CPU does this.
        MissingExtraError: If torch is not installed.
    """
    if imaging == "volume" and model.name != "sdm":
        if device == "cpu":
            return Canvas(view, lanes, threads)
        from regenv.envs.canvas_torch import TorchCanvas, torch_device

        return TorchCanvas(view, lanes, threads, torch_device(device))
    if device != "cpu":
        what = "a statistical deformation" if imaging == "volume" else f"a {imaging}"
        raise OptionError(f"device={device!r}: {what} is rendered on the processor only; use device='cpu'")
    if imaging in PROJECTIONS:
        from regenv.envs.canvas_projection import ProjectionCanvas

        return ProjectionCanvas(view, lanes, threads, imaging)
    if imaging == "slice":
        from regenv.envs.canvas_slice import SliceCanvas

        return SliceCanvas(view, lanes, threads)
    from regenv.envs.canvas_deformation import DeformationCanvas

    return DeformationCanvas(view, lanes, threads, model)
