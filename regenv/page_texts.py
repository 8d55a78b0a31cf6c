"""Sentences of an environment's page that depend on its kind of transform and of imaging."""

from __future__ import annotations

from regenv.task import PROJECTIONS, Task

STATE = {
    "matrix": (
        "The state is a transform T from fixed to moving physical points (mm, LPS), here {article} {model} one with "
        "{count} degrees of freedom. The agent changes T step by step"
    ),
    "sdm": (
        "The state is the vector c of {count} coefficients of a statistical deformation model, in standard deviations, "
        "each within 3: `T(x) = A (x + u(x))` with `u(x) = sum_k c_k sigma_k phi_k(x)`, the modes fitted to training "
        "subjects only and symmetrised, so that c = 0 is no deformation; the linear part A is given. The true "
        "deformation lies only partly in the span of the modes, as it does for patients. The agent changes c step "
        "by step"
    ),
}
"""What the state is."""

MOVED = {
    "volume": "; the moved image is always resampled from the original moving image through T.",
    "slice": (
        "; the moved image is a slice of the moving volume where T puts the fixed one, averaged over its thickness, "
        "always from the original volume."
    ),
    "radiograph": (
        ". Fixed points are points of the X-ray system: the sources and detectors stand, T poses the volume before "
        "them, and the moved image is its digitally reconstructed radiograph (line integrals of attenuation, Joseph "
        "1982)."
    ),
    "depth": (
        ". Fixed points are points of the camera's world: the camera stands, T poses the volume before it, and the "
        "moved image is the depth at which its rays meet the skin."
    ),
}
"""How the moved image comes about."""

STEP = {
    "matrix": (
        "A step multiplies T on its fixed side, `T <- T exp(s G)`, about {about}, so an action looks the same in "
        "the view whatever T already is. A step that would carry the centre out of the view by more than half its "
        "width changes nothing."
    ),
    "sdm": (
        "A step adds to one coefficient. A step that would leave 3 standard deviations, or fold space, changes nothing."
    ),
}
"""What a step does."""

ABOUT = {
    "volume": "the centre of the view and along its axes",
    "slice": "the centre of the view and along its axes",
    "radiograph": "the isocentre and along the detector's axes: x and y in plane, z in depth",
    "depth": "the point the camera looks at and along the axes of its image: x and y in plane, z in depth",
}
"""Where the axes of a step are."""

UNSEEN = {
    "volume": "",
    "slice": "",
    "radiograph": " So does one that would bring a source into the volume, or the volume out of a detector's sight.",
    "depth": " So does one that would bring the camera into the volume, or the volume out of its sight.",
}
"""Which other steps change nothing."""

TRE = {
    "volume": "`tre` (mm)",
    "slice": "`tre` (mm)",
    "radiograph": (
        "`tre` (mm: at the 8 corners of the target's box; with one radiograph in its plane only, which is mTREproj)"
    ),
    "depth": "`tre` (mm)",
}
"""What the error in ``info`` is."""


def kind_of(task: Task) -> str:
    """``"sdm"`` or ``"matrix"``."""
    return "sdm" if task.model == "sdm" else "matrix"


def channels(task: Task, count: int) -> str:
    """What the channels of the default observation are; ``count`` of them."""
    half = count // 2
    if task.imaging == "volume" and task.ndim == 3:
        return (
            f"Channels 0 to {half - 1} are the slices through the middle of the fixed image across its third, second "
            f"and first axis (axial, coronal and sagittal in axial scans), channels {half} to {count - 1} the same "
            "slices of the moved image."
        )
    what = {"volume": "image", "slice": "slice", "radiograph": "radiograph", "depth": "depth map"}[task.imaging]
    if half == 1:
        return f"Channel 0 is the fixed {what}, channel 1 the moved one."
    return f"Channels 0 to {half - 1} are the fixed {what}s, channels {half} to {count - 1} the moved ones."


def grid(task: Task, size: int, spacing_mm: float) -> str:
    """What the view grid is."""
    if task.imaging in PROJECTIONS:
        where = "on the detector" if task.imaging == "radiograph" else "at the point the camera looks at"
        return f"The view has {size} pixels of {spacing_mm:g} mm to a side {where}, about its middle."
    what = "pixels" if task.ndim == 2 else "voxels"
    return (
        f"The view grid has {size} {what} of {spacing_mm:g} mm to a side, along the fixed image's axes and about its "
        "centre."
    )


def start(task: Task, widths: str) -> str:
    """Where an episode starts."""
    if task.model == "sdm":
        return (
            f"A pair of the split, and coefficients drawn uniformly within {widths} of 0. The start does not depend "
            "on the truth."
        )
    frame = (
        "Every pair has its own random physical frame"
        + (" and crop" if task.imaging == "volume" else " of its volume")
        + ", so neither the identity nor aligned centres are the answer."
    )
    truth = "the true transform" + (
        f", or the {task.model} one nearest to it," if task.model in ("affine", "similarity") else ""
    )
    return (
        f"A pair of the split, and {truth} composed with a misalignment drawn uniformly, of at most {widths} in each "
        f"degree of freedom. {frame}"
    )


def outside(task: Task, explained: float) -> str:
    """What of the truth lies outside the model; ``explained`` of the training subjects' squares lies within."""
    seen = task.calibration.get("model")
    share = f" The modes explain {explained:.0%} of the training subjects' squared displacement."
    if not seen:
        return share
    return (
        f"{share} Of the validation subjects' {seen['given_median']:g} mm (median TRE at c = 0) they leave "
        f"{seen['outside_median']:g} mm at their best; `python -m benchmarks.tools.calibrate {task.id}`."
    )


def oracle(task: Task) -> str:
    """What greedy steps on the true error reach."""
    seen = task.calibration.get("oracle")
    if not seen:
        return ""
    begun = f"from {seen['start_median']:g} mm in the median " if "start_median" in seen else ""
    return (
        f"Greedy on the true error: {begun}to a TRE of {seen['tre_median']:g} mm (median; 95 %: {seen['tre_95']:g}) "
        f"after {seen['steps_median']:g} steps (95 %: {seen['steps_95']:g}); "
        f"`python -m benchmarks.tools.calibrate {task.id}`."
    )
