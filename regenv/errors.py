"""Errors that name the value and the fix, and the two helpers that make them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType


class DataError(ValueError):
    """An image, manifest or other file cannot be used; the message names the file and the fix."""


class OptionError(ValueError):
    """A keyword has an unknown value; the message lists the known ones and the nearest."""


class UnknownOptionError(OptionError, TypeError):
    """There is no such keyword; a TypeError too, as Python's own, so that who tries keywords can go on without it."""


class WithheldError(RuntimeError):
    """The truth was asked for where it is withheld (the test split)."""


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


def require(module: str, extra: str) -> ModuleType:
    """Imports an optional module, or says how to get it.

    Args:
        module: Importable name, such as ``"onnxruntime"`` or ``"matplotlib.pyplot"``.
        extra: The extra of this package that installs it, such as ``"align"``.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        if module.split(".")[0] != missing.split(".")[0]:
            raise  # the module is there, and something that it needs is broken: say that, not "install it"
        raise MissingExtraError(
            f"{module} is needed for this and is not installed: pip install 'regenv[{extra}]'", name=missing
        ) from error


_LONG = 30
"""More names than these are not listed where a near one is found."""


def near_miss(value: object, options: Iterable[object]) -> str:
    """What to say after an unknown value: the nearest known one and the list of all, if that is not long.

    Args:
        value: What was given.
        options: What is known.

    Returns:
        Such as ``"did you mean 'ncc'? Known: 'lncc', 'ncc', 'ssd'"``; without a near one only the list.
    """
    import difflib

    known = list(options)
    by_name = {str(option).lower(): option for option in known}
    near = difflib.get_close_matches(str(value).lower(), list(by_name), n=1, cutoff=0.55)
    if near and len(known) > _LONG:
        return f"did you mean {by_name[near[0]]!r}? It is one of {len(known)}"
    listed = "known: " + ", ".join(repr(option) for option in known) if known else "none is known"
    if near:
        return f"did you mean {by_name[near[0]]!r}? {listed[0].upper()}{listed[1:]}"
    return listed


def check_option(keyword: str, value: object, options: Iterable[object]) -> None:
    """Raises unless ``value`` is among ``options``.

    Args:
        keyword: Name of the keyword, for the message.
        value: What was given.
        options: What is allowed.

    Raises:
        OptionError: With the nearest allowed value and the list of all.
    """
    known = list(options)
    if value not in known:
        raise OptionError(f"{keyword}={value!r} is unknown; {near_miss(value, known)}")
