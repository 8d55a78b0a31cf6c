"""Brings rows of an earlier schema up to date. Only headers change; what was run stays as it was run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from regenv.evaluation.score import SCORE_VERSION
from regenv.evaluation.submission import SCHEMA_VERSION, header_of, read_document, read_episodes
from regenv.evaluation.track import TrackError, find_track
from regenv.fields import FieldError, shown

SAME_NUMBERS: Mapping[str, str] = {}
"""Digests that a shipped track had before, where its starts and truths are the same; to the track's name."""


def migrate(folder: Path) -> bool:
    """Rewrites the header of a row of schema 1, whole or not at all; leaves one of the current schema alone.

    Args:
        folder: Of the row.

    Returns:
        Whether the row was of an earlier schema.

    Raises:
        OSError: If the header cannot be read or written.
        ValueError: If the row cannot be brought up to date; it is left as it is.
    """
    document = read_document(folder)
    if document.get("schema") == SCHEMA_VERSION:
        return False
    if document.get("schema") != 1:
        raise FieldError(f"schema is {shown(document.get('schema'))}; only rows of schema 1 can be migrated")
    submission = header_of(_second_schema(document))
    read_episodes(folder)  # a row whose episodes the current schema refuses is not brought up to date by half
    submission.write_header(folder)
    return True


def _second_schema(first: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of schema 2 from those of schema 1: only the runner wrote such rows, so their seconds were measured."""
    return {
        **first,
        "schema": 2,
        "timing": "measured",
        "score_version": SCORE_VERSION,
        "track_digest": _current_digest(first.get("track_digest"), first.get("track")),
    }


def _current_digest(digest: Any, track: Any) -> Any:
    """The track's digest today, if the row's is an earlier one of the same numbers; else the row's own, unchanged."""
    if not isinstance(digest, str) or SAME_NUMBERS.get(digest) != track:
        return digest
    try:
        return find_track(track).digest
    except TrackError:
        return digest
