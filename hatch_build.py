"""Maps what an outsider needs of `benchmarks/` and `agents/` into the wheel, so that it is not copied in the tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Source in the clone -> where `regenv/resources.py` looks for it in an installed package.
PACKAGE_DATA = {
    "benchmarks/tracks": "regenv/_data/tracks",
    "benchmarks/submissions": "regenv/_data/submissions",
    "agents/weights/greedy_supervised_rigid.onnx": "regenv/_data/policies/greedy_supervised_rigid.onnx",
}


class PackageDataHook(BuildHookInterface):
    """Adds `PACKAGE_DATA` to the wheel; an editable install reads the tree itself and gets none of it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        for source, target in PACKAGE_DATA.items():
            path = Path(self.root, source)
            if path.exists():
                build_data["force_include"][str(path)] = target
