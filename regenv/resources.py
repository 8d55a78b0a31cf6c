"""Files that ship with the package: tracks, reference rows, policy files.

In a clone they are the tree's own folders; in an installed wheel the build maps them to ``regenv/_data``
(``hatch_build.py``), so an outsider needs no clone.
"""

from __future__ import annotations

from pathlib import Path

from regenv.errors import near_miss

_PACKAGE = Path(__file__).resolve().parent
_IN_CLONE = {"tracks": "benchmarks/tracks", "submissions": "benchmarks/submissions", "policies": "agents/weights"}


def resource_dir(kind: str) -> Path:
    """The folder that holds all resources of a kind.

    Args:
        kind: ``"tracks"``, ``"submissions"`` or ``"policies"``.

    Returns:
        ``regenv/_data/<kind>`` in an installed package, else the clone's folder. It may not exist yet.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind not in _IN_CLONE:
        raise ValueError(f"unknown kind of resource {kind!r}; {near_miss(kind, _IN_CLONE)}")
    packaged = _PACKAGE / "_data"
    return packaged / kind if packaged.is_dir() else _PACKAGE.parent / _IN_CLONE[kind]


def resource(kind: str, name: str) -> Path:
    """The path of one resource: a file, or for ``"submissions"`` a folder.

    Args:
        kind: ``"tracks"``, ``"submissions"`` or ``"policies"``.
        name: Path inside the kind's folder, such as ``"ctcbct-rigid.toml"`` or ``"greedy_supervised_rigid.onnx"``.

    Returns:
        An existing path. It must not be written to.

    Raises:
        ValueError: If there is no such kind.
        FileNotFoundError: If there is no such resource; the message names the near miss or lists what there is.
    """
    folder = resource_dir(kind)
    path = folder / name
    if path.exists():
        return path
    raise FileNotFoundError(f"no {name!r} in {kind} ({folder}); {near_miss(name, resource_names(kind))}")


def resource_names(kind: str) -> list[str]:
    """Sorted names of what lies in the kind's folder, hidden files left out; empty when the folder is missing."""
    folder = resource_dir(kind)
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
