"""Checks on what strangers write into rows and policy files: every field is bounded here, and nowhere else.

Each check returns its value or raises :class:`FieldError`, which names the field, shows the value and says what is
allowed. What passes can be shown in a terminal or a file name; Markdown and HTML escape it once more.
"""

from __future__ import annotations

import json
import re
import reprlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from regenv.errors import near_miss

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,39}")
WHOLE_LIMIT = 2**53  # beyond it a float, as JSON readers use, no longer tells neighbours apart
NUMBER_LIMIT = 1e12
TRANSFORM_BYTES = 90_000  # a lattice of 64 kB in base64, and what describes it

ENV_KEYWORDS = (
    "observation",
    "dtype",
    "channels",
    "parameters",
    "actions",
    "steps",
    "stop",
    "reward",
    "reward_region",
    "reward_scale",
    "step_cost",
    "preset",
    "horizon",
    "view_size",
    "view_spacing_mm",
    "threads",
)
"""What an agent may ask of an environment. Data set, split and starts belong to the track."""
_ENV_BOUNDS = {"horizon": (1, 1_000_000), "view_size": (1, 512), "threads": (1, 1024)}

# Printable by Unicode's tables, and yet nothing is seen: fillers, joiners, variation selectors.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_ALIKE = str.maketrans({"_": "-", ".": "-", "0": "o", "1": "l", "i": "l"})


class FieldError(ValueError):
    """A field is not what it may be; the message names it, shows the value and says what is allowed."""


def printable(text: str, limit: int = 2000) -> str:
    """The text as a terminal may get it: control, bidirectional and zero-width characters as escapes, and cut."""
    cut = text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in cut)


def shown(value: object) -> str:
    """A value in an error message: its ``repr``, short however large or deep it is."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = 60
    brief.maxlevel = 3
    try:
        return printable(brief.repr(value), 200)
    except (ValueError, RecursionError):  # an integer of more digits than Python prints
        return f"a {type(value).__name__}"


def name(key: str, value: Any) -> str:
    """A name for tables and folders: 1 to 40 plain ASCII characters, not starting with a dot or a dash."""
    allowed = "a name of 1 to 40 characters A-Z, a-z, 0-9, '.', '_' and '-', not starting with '.' or '-'"
    return _matching(key, value, NAME, allowed)


def digest(key: str, value: Any) -> str:
    """A hash in hexadecimal digits, or nothing where none is known."""
    return _matching(key, value, re.compile("[0-9a-f]{0,64}"), "up to 64 hexadecimal digits")


def commit(key: str, value: Any) -> str:
    """A git commit, ``-dirty`` where the code had changed since, or nothing where none is known."""
    return _matching(key, value, re.compile("([0-9a-f]{7,64}(-dirty)?)?"), "a git commit or empty")


def _matching(key: str, value: Any, pattern: re.Pattern[str], allowed: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise FieldError(f"{key} must be {allowed}, got {shown(value)}")
    return value


def lookalike(value: str) -> str:
    """Equal for names that a reader takes for the same: by case, by ``-_.``, by ``0O`` and by ``1lI``."""
    return value.lower().translate(_ALIKE)


def text(key: str, value: Any, limit: int = 200) -> str:
    """One line of at most ``limit`` characters that all show: no control, bidirectional or zero-width ones, NFC."""
    if not isinstance(value, str):
        raise FieldError(f"{key} must be text, got {shown(value)}")
    if len(value) > limit:
        raise FieldError(f"{key} has {len(value)} characters, at most {limit} are allowed: {shown(value)}")
    # More than two marks on one letter paint over the lines above and below.
    piled = "MMM" in "".join(unicodedata.category(c)[0] for c in value)
    if not value.isprintable() or _INVISIBLE.search(value) or piled:
        raise FieldError(f"{key} must be one line of characters that show, got {shown(value)}")
    if not unicodedata.is_normalized("NFC", value):
        raise FieldError(f"{key} must be composed Unicode (NFC), got {shown(value)}")
    return value


def choice(key: str, value: Any, options: Sequence[str]) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in options:
        raise FieldError(f"{key}={shown(value)} is unknown; {near_miss(shown(value), options)}")
    return value


def flag(key: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise FieldError(f"{key} must be true or false, got {shown(value)}")
    return value


def whole(key: str, value: Any, low: int = 0, high: int = WHOLE_LIMIT) -> int:
    """A whole number within bounds."""
    if type(value) is not int or not low <= value <= high:
        raise FieldError(f"{key} must be a whole number from {low} to {high}, got {shown(value)}")
    return value


def number(key: str, value: Any, low: float = -NUMBER_LIMIT, high: float = NUMBER_LIMIT) -> float:
    """A finite number within bounds."""
    if type(value) not in (int, float) or not low <= value <= high:  # NaN is in no range
        raise FieldError(f"{key} must be a finite number from {low:g} to {high:g}, got {shown(value)}")
    return value


def listing(key: str, value: Any, low: int = 0, high: int = 100) -> Sequence[Any]:
    """A list of a bounded length; its items are for the caller to check."""
    if not isinstance(value, list | tuple) or not low <= len(value) <= high:
        got = f"{len(value)} items" if isinstance(value, list | tuple) else shown(value)
        raise FieldError(f"{key} must be a list of {low} to {high} items, got {got}")
    return value


def table(key: str, value: Any, high: int = 32) -> Mapping[str, Any]:
    """A mapping of at most ``high`` names to values, which are for the caller to check."""
    if not isinstance(value, Mapping) or len(value) > high:
        raise FieldError(f"{key} must be a table of at most {high} entries, got {shown(value)}")
    for entry in value:
        name(f"{key}: an entry", entry)
    return value


def env_keyword(key: str, value: Any) -> None:
    """A keyword of the environment: a scalar, or a list or table of scalars, and no more than memory allows."""
    where = f"env_kwargs.{key}"
    if key in _ENV_BOUNDS and value is not None:
        whole(where, value, *_ENV_BOUNDS[key])
    items = [(where, value)]
    if isinstance(value, Mapping):
        items = [(f"{where}.{entry}", item) for entry, item in table(where, value).items()]
    elif isinstance(value, list | tuple):
        items = [(where, item) for item in listing(where, value, high=256)]
    for place, item in items:
        if isinstance(item, str):
            text(place, item)
        elif item is not None and not isinstance(item, bool):
            number(place, item)


def actions(key: str, value: Any) -> None:
    """The actions of an episode: numbers, or lists of up to 64 numbers, at most 10,000; None where there are none."""
    if value is not None:
        _numbers(key, value, low=0, high=10_000)


def check_transform(value: Any) -> None:
    """The final transform of an episode: nested rows of a matrix, a list of coefficients, or a mapping.

    Only form and size are checked; what the numbers mean is for the transform model to say.

    Args:
        value: ``(d + 1, d + 1)`` nested lists, up to 4,096 coefficients, or a mapping of names, such as ``{"matrix":
            [[...]], "lattice": "base64", "shape": [...], "scale": 0.01}``, of at most :data:`TRANSFORM_BYTES` as JSON.

    Raises:
        FieldError: If it is none of these.
    """
    if isinstance(value, Mapping):
        for entry, item in table("transform", value, high=16).items():
            if isinstance(item, str):
                if len(item) > TRANSFORM_BYTES or not item.isascii() or not item.isprintable():
                    raise FieldError(f"transform.{entry} must be up to {TRANSFORM_BYTES} ASCII characters")
            elif isinstance(item, list | tuple):
                _numbers(f"transform.{entry}", item)
            else:
                number(f"transform.{entry}", item)
        size = len(json.dumps(dict(value)))
        if size > TRANSFORM_BYTES:
            raise FieldError(f"transform takes {size} bytes as JSON, at most {TRANSFORM_BYTES} are allowed")
    else:
        _numbers("transform", value)


def _numbers(key: str, value: Any, low: int = 1, high: int = 4096) -> None:
    """Numbers, or rows of up to 64 numbers."""
    for row in listing(key, value, low, high):
        for item in listing(key, row, low=1, high=64) if isinstance(row, list | tuple) else (row,):
            number(key, item)
