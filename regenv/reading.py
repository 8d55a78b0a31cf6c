"""Reads files that strangers give: regular files only, never more than a limit, and no surprise while parsing."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class UnsafeFileError(ValueError):
    """A file is a link, a pipe or a device, or larger than it may be; the message says which."""


def read_bounded(path: Path, limit: int, *, links: bool = False) -> bytes:
    """The bytes of a regular file.

    Args:
        path: The file.
        limit: Bytes that it may have.
        links: Follow a symbolic link, for a file that the user names; never for one that came in a folder.

    Raises:
        OSError: If it is not there.
        UnsafeFileError: If it is no regular file or too large.
    """
    # What is opened is what is looked at; without O_NONBLOCK a named pipe would hold us here for ever.
    if not links and path.is_symlink():
        raise UnsafeFileError(f"{path.name} is a symbolic link; a regular file is wanted")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if links else os.O_NOFOLLOW))
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise UnsafeFileError(f"{path.name} is no regular file")
    with open(descriptor, "rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise UnsafeFileError(f"{path.name} has {found.st_size:,} bytes, at most {limit:,} are allowed")
    return content


def parse_json(text: str | bytes) -> Any:
    """JSON, where whatever can be wrong with it is a ValueError (nesting without end, numbers without end)."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def parse_toml(content: bytes) -> dict[str, Any]:
    """TOML, where whatever can be wrong with it is a ValueError."""
    # The standard library's parser takes time by the square of the dots in a key.
    if longest := next((len(line) for line in content.split(b"\n") if len(line) > 4096), 0):
        raise ValueError(f"a line has {longest} bytes, at most 4096 are allowed")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def gunzip(content: bytes, limit: int) -> bytes:
    """Decompresses, at most ``limit`` bytes; see :func:`gunzip_lines` for the errors."""
    return b"".join(gunzip_lines(content, limit, limit))


def gunzip_lines(content: bytes, limit: int, line_limit: int) -> Iterator[bytes]:
    """The lines of a gzip file's content, one after the other, so that nothing is unpacked beyond a limit.

    Args:
        content: The compressed bytes.
        limit: Bytes that all lines may have.
        line_limit: Bytes that one line may have.

    Raises:
        ValueError: If it is no gzip file or damaged.
        UnsafeFileError: If there is more than the limits allow.
    """
    total = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            while line := stream.readline(line_limit + 1):
                total += len(line)
                if total > limit or len(line) > line_limit:
                    raise UnsafeFileError(f"it unpacks to more than {limit:,} bytes, or {line_limit:,} in a line")
                yield line
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"it is damaged: {error}") from error
