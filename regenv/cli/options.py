"""What several commands share: ``--set KEY=VALUE`` and the checks of ids."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Keyword of the environment, such as -s observation=volume."),
]
DatasetOption = Annotated[str, typer.Option(help="phantom, shapes, folder:PATH, or LAYOUT:PATH, such as ixi:PATH.")]
SplitOption = Annotated[str, typer.Option(help="train, validation or test.")]
SeedOption = Annotated[int, typer.Option(help="Of the environment and the agent.")]


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """``["steps=[4, 1]", "observation=volume"]`` as keywords; values are JSON, or else text.

    Raises:
        ValueError: If there is no ``=``.
    """
    keywords: dict[str, Any] = {}
    for setting in settings or []:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ValueError(f"--set {setting!r} must be KEY=VALUE, such as --set observation=volume")
        try:
            keywords[key] = json.loads(value)
        except json.JSONDecodeError:
            keywords[key] = {"True": True, "False": False, "None": None}.get(value, value)
    return keywords


def known_id(env_id: str) -> str:
    """The id, checked, so that a slip is answered with the nearest one."""
    from regenv.catalogue import get_task

    return get_task(env_id).id
