"""Brings rows of an earlier schema up to date. Only headers change; what was run stays as it was run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from regenv.evaluation.score import SCORE_VERSION
from regenv.evaluation.submission import SCHEMA_VERSION, header_of, read_document, read_episodes
from regenv.evaluation.track import find_track
from regenv.fields import FieldError, shown

SAME_NUMBERS: Mapping[str, str] = {"ac9cfdf8429f39802f2460b9ecb9572f": "ctcbct-rigid"}
"""Digests that a shipped track had before, where its starts and truths are the same; to the track's name."""


def migrate(folder: Path) -> bool:
    """Rewrites the header of a row that is out of date, whole or not at all; leaves a current one alone.

    A header is out of date if it is of schema 1, or states an earlier digest of the same numbers. No score version
    changed what a row stores of a case, so the row takes that of its track.

    Args:
        folder: Of the row.

    Returns:
        Whether the header was rewritten.

    Raises:
        OSError: If the header cannot be read or written.
        ValueError: If the row cannot be brought up to date; it is left as it is.
    """
    document = read_document(folder)
    schema, digest = document.get("schema"), document.get("track_digest")
    if schema not in (1, SCHEMA_VERSION):
        raise FieldError(f"schema is {shown(schema)}; only rows of schema 1 and {SCHEMA_VERSION} can be migrated")
    track = find_track(SAME_NUMBERS[digest]) if isinstance(digest, str) and digest in SAME_NUMBERS else None
    if track is not None and track.name != document.get("track"):
        raise FieldError(f"the digest {digest} is of the track {track.name}, not of {shown(document.get('track'))}")
    if schema == SCHEMA_VERSION and track is None:
        return False
    current = dict(document)
    if schema == 1:  # only the runner wrote such rows, so their seconds were measured
        current |= {"schema": 2, "timing": "measured", "score_version": SCORE_VERSION}
    if track is not None:
        current |= {"track_digest": track.digest, "score_version": track.score_version}
    submission = header_of(current)
    read_episodes(folder)  # a row whose episodes the current schema refuses is not brought up to date by half
    submission.write_header(folder)
    return True
