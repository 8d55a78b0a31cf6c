"""Nested results compared by value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gymnasium.utils.env_checker import data_equivalence

SEED = 11


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers, arrays and strings in nested dictionaries and lists, each with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def equal(a: Any, b: Any) -> bool:
    """Whether two nested results have the same values at the same places."""
    return data_equivalence(a, b, exact=True)
