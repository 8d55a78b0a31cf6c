"""regenv: reinforcement-learning environments for medical image registration.

Importing the package registers the environments with Gymnasium::

    import gymnasium as gym, regenv
    env = gym.make("CTCBCT-Rigid-v0")

``gym.make("regenv:CTCBCT-Rigid-v0")`` does both at once. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regenv.catalogue import register_environments

if TYPE_CHECKING:
    from regenv.alignment.align import Alignment, align
    from regenv.core.sitk import to_sitk

__version__ = "0.1.0"
__all__ = ["Alignment", "__version__", "align", "to_sitk"]

register_environments()


def __getattr__(name: str) -> Any:
    # SimpleITK takes longer to import than everything else here: only those who use it pay for it.
    if name == "to_sitk":
        from regenv.core.sitk import to_sitk

        return to_sitk
    if name in ("align", "Alignment"):
        from regenv.alignment import align

        return getattr(align, name)
    raise AttributeError(f"module 'regenv' has no attribute {name!r}")
