"""Image similarities, all oriented so that larger is better, all under the same rule for overlap.

Each metric is one file that holds a :class:`Similarity` named ``SIMILARITY``; a file put here is found without a list.

    similarity = get_similarity("ncc")
    state = similarity.prepare(fixed, mask, volumetric=False)
    values = similarity.evaluate(fixed, moved, mask, valid, volumetric=False, state=state)
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from regenv.core.similarity._base import LaneImages, Similarity

__all__ = ["SIMILARITIES", "LaneImages", "Similarity", "get_similarity"]


class _Registry(Mapping[str, Similarity]):
    """Every metric of this package with its default options, imported when asked for."""

    def __init__(self) -> None:
        self._names = tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")))

    def __getitem__(self, name: str) -> Similarity:
        if name not in self._names:
            raise KeyError(name)
        return get_similarity(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def get_similarity(name: str, **options: Any) -> Similarity:
    """The metric of that name, with its published defaults where no option is given.

    Args:
        name: A key of :data:`SIMILARITIES`.
        **options: Fields of the metric's class (``window``, ``bins``, ...).

    Raises:
        ValueError: If the name is unknown (the message names the nearest) or an option is.
    """
    if name not in SIMILARITIES._names:
        near = difflib.get_close_matches(str(name).lower(), SIMILARITIES._names, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown similarity {name!r}, choose one of {', '.join(SIMILARITIES)}{hint}")
    kind = importlib.import_module(f"{__name__}.{name}").SIMILARITY
    known = [field.name for field in fields(kind)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"similarity {name!r} has no option {unknown[0]!r}; its options: {', '.join(known) or 'none'}")
    metric: Similarity = kind(**options)
    return metric


SIMILARITIES = _Registry()
"""Name to metric with default options, of every file in this package."""
