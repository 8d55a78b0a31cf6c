"""Writes the small TOML files of tracks and submissions; the standard library only reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def dumps(document: Mapping[str, Any]) -> str:
    """TOML text of a mapping of strings, numbers, booleans, lists of these, and nested mappings (tables).

    Values of None are left out, as TOML has no null.

    Raises:
        TypeError: If a value is of another type.
    """
    return "\n".join(_table(document, ())).strip() + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = [(k, v) for k, v in table.items() if v is not None and not isinstance(v, Mapping)]
    nested = [(k, v) for k, v in table.items() if isinstance(v, Mapping)]
    lines = ["", f"[{'.'.join(_key(p) for p in path)}]"] if path and (plain or not nested) else []
    lines += [f"{_key(k)} = {_value(v)}" for k, v in plain]
    for key, value in nested:
        lines += _table(value, (*path, key))
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # a JSON string is a basic TOML string, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)  # 1.0, 1e-05, inf and nan are TOML as Python writes them
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    raise TypeError(f"TOML has no {type(value).__name__}: {value!r}")
