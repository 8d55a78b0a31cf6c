"""The metadata of a policy file, checked: whoever wrote it may name built-in options and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from regenv import fields
from regenv.errors import near_miss
from regenv.reading import parse_json

FORMAT = "1"
KEYWORDS = tuple(key for key in fields.ENV_KEYWORDS if key != "threads")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True)
class Metadata:
    """What a policy file says of itself.

    Attributes:
        env_kwargs: Keywords of the environment that it wants.
        max_steps: Steps after which it stops by itself, or None.
        min_confidence: Below it an answer is not to be trusted; None where the file does not say.
        method: What it says of its making, for a row.
    """

    env_kwargs: Mapping[str, Any]
    max_steps: int | None
    min_confidence: float | None
    method: Mapping[str, Any]

    @classmethod
    def of(cls, found: Mapping[str, str]) -> Metadata:
        """From the file's strings.

        Raises:
            ValueError: If an entry is missing or not what it may be; the message names it.
        """
        if found.get("regenv_policy") != FORMAT:
            raise fields.FieldError(
                f"regenv_policy={fields.shown(found.get('regenv_policy'))}, expected {FORMAT!r}: it is no policy file "
                "of this version; export it again"
            )
        least = _json("min_confidence", found.get("min_confidence"))
        return cls(
            env_kwargs=_keywords(_json("env_kwargs", found.get("env_kwargs", ""))),
            max_steps=_max_steps(found["max_steps"]) if "max_steps" in found else None,
            min_confidence=None if least is None else fields.number("min_confidence", least, -1e6, 1e6),
            method={key: check(key, found[key]) for key, check in _METHOD.items() if key in found},
        )


def _json(key: str, text: str | None) -> Any:
    try:
        return None if text is None else parse_json(text)
    except ValueError as error:
        raise fields.FieldError(f"{key} is no JSON: {error}") from error


def _keywords(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise fields.FieldError(f"env_kwargs must be a JSON object, got {fields.shown(found)}")
    for key, value in found.items():
        if key not in KEYWORDS:
            raise fields.FieldError(f"env_kwargs may not set {fields.shown(key)}; {near_miss(key, KEYWORDS)}")
        fields.env_keyword(key, value)
        # The environment imports a reward "module:function" and reads paths; a plain word is neither.
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,):
            if isinstance(item, str) and _WORD.fullmatch(item) is None:
                raise fields.FieldError(
                    f"env_kwargs: {key}={fields.shown(item)}: a policy file may name built-in options only"
                )
    return found


def _max_steps(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) is None:
        raise fields.FieldError(f"max_steps must be a whole number from 1 to 999999, got {fields.shown(text)}")
    return fields.whole("max_steps", int(text), low=1)


_METHOD: Mapping[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(("family", "description", "code", "training_data"), fields.text),
    "name": fields.name,
    "commit": fields.commit,
    "training": lambda key, text: fields.table(key, _json(key, text)),
}
