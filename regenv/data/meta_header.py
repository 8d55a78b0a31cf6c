"""MetaImage headers (``.mha``, ``.mhd``), checked before ITK sees them, since it takes what they say on trust.

A number of dimensions that is negative or huge, and a pattern of file names with anything but one ``%d`` (which goes to
``sprintf``), end the process there.
"""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path

from regenv.data.header_values import (
    WRITE_AGAIN,
    check_one_value,
    check_spacing,
    damaged,
    finite_numbers,
    whole_numbers,
)
from regenv.errors import DataError

ELEMENT_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
"""Bytes of an element."""

_CHUNK = 1 << 22
_LONGEST_LINE = 4096
_MOST_AXES = 10
_MOST_VOXELS = 2**31 - 1
_PATTERN = re.compile(r"[^%]*%0?\d?d[^%]*")
_VECTORS = ("Offset", "Position", "Origin", "CenterOfRotation", "ElementSpacing", "ElementSize")
_MATRICES = ("TransformMatrix", "Rotation", "Orientation")


def check_header(path: Path) -> None:
    """Raises :class:`DataError` where the header does not say where the voxels lie, or says what cannot be."""
    fields, offset = _read(path)
    (axes,) = whole_numbers(path, "NDims", fields["NDims"], 1, 1, _MOST_AXES)
    whole_numbers(path, "DimSize", fields["DimSize"], axes, 1, _MOST_VOXELS)
    if fields["ElementType"] not in ELEMENT_BYTES:
        raise damaged(path, f"its ElementType {fields['ElementType'][:40]!r} is unknown")
    spacing = fields.get("ElementSpacing", fields.get("ElementSize"))
    if spacing is None:
        raise DataError(f"{path} has no geometry (no ElementSpacing in its header); {WRITE_AGAIN}")
    check_spacing(path, tuple(_number(value) for value in spacing.split()))
    for names, count in ((_VECTORS, axes), (_MATRICES, axes * axes)):
        for name in names:
            if name in fields:
                finite_numbers(path, name, fields[name], count)
    channels = fields.get("ElementNumberOfChannels", "1")
    check_one_value(path, whole_numbers(path, "ElementNumberOfChannels", channels, 1, 1, _MOST_VOXELS)[0])
    whole_numbers(path, "HeaderSize", fields.get("HeaderSize", "0"), 1, -1, 2**62)
    data_path, start = _voxels(path, fields, offset)
    if data_path is not None and data_path.is_file() and "CompressedDataSize" in fields:
        most = max(0, data_path.stat().st_size - start)
        whole_numbers(path, "CompressedDataSize", fields["CompressedDataSize"], 1, 0, most)


def check_bytes(path: Path) -> None:
    """Raises :class:`DataError` where there are fewer bytes than the header promises, or damaged ones."""
    fields, offset = _read(path)
    data_path, start = _voxels(path, fields, offset)
    if data_path is None:
        return  # one file per slice: ITK reports a missing or a short one
    if not data_path.is_file():
        raise DataError(f"{path} names its voxels' file {data_path.name}, which is missing beside it")
    if fields.get("BinaryData", "True").lower() == "false":
        return
    expected = math.prod(int(n) for n in fields["DimSize"].split()) * ELEMENT_BYTES[fields["ElementType"]]
    if fields.get("CompressedData", "False").lower() != "true":
        found = data_path.stat().st_size - start
    else:
        found = _unpacked_bytes(path, data_path, start, expected)
    if found < expected:
        raise damaged(path, f"{found} of {expected} bytes")


def _read(path: Path) -> tuple[dict[str, str], int]:
    """Fields of the header, and where the bytes after it begin."""
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        while line := stream.readline(_LONGEST_LINE + 1):
            key, equals, value = (part.strip() for part in line.decode("latin-1").partition("="))
            if not equals:
                break
            if len(line) > _LONGEST_LINE or key in fields:
                raise damaged(path, f"its header has {key[:40]} twice, or in an endless line")
            fields[key] = value
            if key == "ElementDataFile":
                break
        offset = stream.tell()
    missing = [key for key in ("NDims", "DimSize", "ElementType", "ElementDataFile") if not fields.get(key)]
    if missing:
        raise damaged(path, f"its header lacks {', '.join(missing)}")
    return fields, offset


def _voxels(path: Path, fields: dict[str, str], offset: int) -> tuple[Path | None, int]:
    """The file that holds the voxels and where they begin in it; None where there is a file per slice."""
    named = fields["ElementDataFile"]
    words = named.split()
    if named == "LOCAL":
        return path, offset
    if "%" in named:
        _check_pattern(path, words)
        return None, 0
    if words[0] == "LIST":
        return None, 0
    if len(named) > 255:
        raise damaged(path, f"its ElementDataFile has a name of {len(named)} characters")
    return path.parent / named, max(0, int(fields.get("HeaderSize", "0")))


def _check_pattern(path: Path, words: list[str]) -> None:
    """Raises unless the words are a name with one ``%d``, and the first, last and step of what stands for it."""
    numbers = " ".join(words[1:])
    if not _PATTERN.fullmatch(words[0]) or len(words) > 4:
        raise damaged(path, "its ElementDataFile must be a name with one %d, then first, last and step")
    first, last, *step = whole_numbers(path, "ElementDataFile's range", numbers, max(2, len(words) - 1), 0, 10**6)
    if step == [0] or last < first:
        raise damaged(path, f"its ElementDataFile runs from {first} to {last} in steps of {step}")


def _unpacked_bytes(path: Path, data_path: Path, start: int, expected: int) -> int:
    """Bytes that the zlib stream from ``start`` unpacks to; not counted much beyond ``expected``."""
    unpacker = zlib.decompressobj(wbits=47)  # 47: zlib or gzip header, whichever is there
    found = 0
    with data_path.open("rb") as stream:
        stream.seek(start)
        try:
            while found <= expected + _CHUNK and (block := unpacker.unconsumed_tail or stream.read(_CHUNK)):
                found += len(unpacker.decompress(block, _CHUNK))
        except zlib.error as error:
            raise damaged(path, f"{found} of {expected} bytes can be unpacked: {error}") from error
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
