"""Hyperparameters as data: a TOML file of tables, and the dataclass that checks them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from regenv.errors import near_miss

C = TypeVar("C")


def load_config(kind: type[C], path: Path, names: tuple[str, ...], overrides: Mapping[str, Any]) -> C:
    """A configuration from the tables of a file, later ones over earlier ones, and overrides over all.

    Args:
        kind: The dataclass; its ``__post_init__`` checks the values.
        path: The TOML file.
        names: Of the tables, such as ``("default", "CTMR-Similarity2D-v0")``.
        overrides: Fields; None leaves the file's value.

    Raises:
        ValueError: On an unknown table or key, or a missing one; the message names file and nearest key.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    chosen: dict[str, Any] = {}
    for name in names:
        if name not in tables:
            raise ValueError(f"{path.name} has no table {name!r}; {near_miss(name, tables)}")
        chosen |= tables[name]
    chosen |= {key: value for key, value in overrides.items() if value is not None}
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in chosen:
        if key not in known:
            raise ValueError(f"{path.name}: unknown hyperparameter {key!r}; {near_miss(key, known)}")
    if missing := sorted(set(known) - set(chosen)):
        raise ValueError(f"{path.name} lacks {', '.join(missing)}")
    return kind(**chosen)
