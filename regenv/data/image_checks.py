"""Checks of image files that their readers leave out: truncated data and missing geometry.

ITK reads a truncated NIfTI file without a word (the rest are zeros), turns a spacing of 0 into 1, gives a file without
orientation the identity, and trusts numbers that end the process. So headers are checked and bytes are counted first.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from regenv.data import meta_header
from regenv.data.header_values import WRITE_AGAIN, check_spacing, damaged, whole_numbers
from regenv.errors import DataError

_CHUNK = 1 << 22
_LONGEST_LINE = 1 << 20


def format_of(path: Path) -> str:
    """``"nifti"``, ``"meta"``, ``"nrrd"``, ``"dicom"`` or ``""`` by name, DICOM also by its first bytes."""
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")):
        return "nifti"
    if name.endswith((".mha", ".mhd")):
        return "meta"
    if name.endswith((".nrrd", ".nhdr")):
        return "nrrd"
    if name.endswith((".dcm", ".ima")):
        return "dicom"
    with path.open("rb") as stream:
        stream.seek(128)
        return "dicom" if stream.read(4) == b"DICM" else ""


def check_geometry(path: Path) -> None:
    """Raises :class:`DataError` where the header does not say where the voxels lie; reads the header alone."""
    kind = format_of(path)
    if kind == "nifti":
        header = _nifti_header(path)
        if header.qform_code == 0 and header.sform_code == 0:
            raise DataError(f"{path} has no geometry (its sform and qform codes are 0); {WRITE_AGAIN}")
        check_spacing(path, header.spacing)
    elif kind == "meta":
        meta_header.check_header(path)
    elif kind == "nrrd":
        _check_nrrd(path)


def check_complete(path: Path) -> None:
    """Raises :class:`DataError` where the file holds fewer bytes than its header promises, or damaged ones."""
    kind = format_of(path)
    if kind == "nifti":
        _check_nifti_bytes(path)
    elif kind == "meta":
        meta_header.check_bytes(path)  # NRRD's and DICOM's readers count for themselves


@dataclass(frozen=True)
class _NiftiHeader:
    n_bytes: int
    data_offset: int
    spacing: tuple[float, ...]
    qform_code: int
    sform_code: int


def _nifti_header(path: Path) -> _NiftiHeader:
    """The few fields of a NIfTI-1 or NIfTI-2 header that the checks need."""
    header_path = _nifti_part(path, ".hdr")
    try:
        with _open(header_path) as stream:
            raw = stream.read(540)
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(path, str(error)) from error
    if len(raw) < 348:
        raise damaged(path, f"its header has {len(raw)} bytes of 348")
    for order in "<>":
        (size,) = struct.unpack_from(order + "i", raw, 0)
        if size == 348:
            dim = struct.unpack_from(order + "8h", raw, 40)
            (bits,) = struct.unpack_from(order + "h", raw, 72)
            pixdim = struct.unpack_from(order + "8f", raw, 76)
            (offset,) = struct.unpack_from(order + "f", raw, 108)
            qform, sform = struct.unpack_from(order + "2h", raw, 252)
            single = raw[344:347] == b"n+1"
            analyze = raw[344:347] not in (b"n+1", b"ni1")
            break
        if size == 540 and len(raw) >= 540:
            dim = struct.unpack_from(order + "8q", raw, 16)
            (bits,) = struct.unpack_from(order + "h", raw, 14)
            pixdim = struct.unpack_from(order + "8d", raw, 104)
            (offset,) = struct.unpack_from(order + "q", raw, 168)
            qform, sform = struct.unpack_from(order + "2i", raw, 344)
            single = raw[4:7] == b"n+2"
            analyze = False
            break
    else:
        raise DataError(f"{path} is not a NIfTI file (its first bytes are {raw[:4]!r}); check what wrote it")
    if not 1 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]):
        raise damaged(path, f"its header gives dimensions {dim}")
    if bits not in (1, 8, 16, 24, 32, 64, 96, 128, 192, 256) or (single and not 0 <= offset < 2**31):
        raise damaged(path, f"its header gives {bits} bits a voxel, from byte {offset:g} on")
    if analyze:
        qform = sform = 0
    n_bytes = math.prod(dim[1 : dim[0] + 1]) * bits // 8
    return _NiftiHeader(n_bytes, int(offset) if single else 0, pixdim[1 : min(dim[0], 3) + 1], qform, sform)


def _check_nifti_bytes(path: Path) -> None:
    header = _nifti_header(path)
    expected = header.data_offset + header.n_bytes
    data_path = _nifti_part(path, ".img")
    if not data_path.name.lower().endswith(".gz"):
        found = data_path.stat().st_size
    else:
        found = 0
        try:
            with _open(data_path) as stream:
                while found <= expected + _CHUNK and (block := stream.read(_CHUNK)):
                    found += len(block)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(path, f"{found} of {expected} bytes can be unpacked: {error}") from error
    if found < expected:
        raise damaged(path, f"{found} of {expected} bytes")


def _nifti_part(path: Path, suffix: str) -> Path:
    """The half of a ``.hdr``/``.img`` pair that holds header or voxels; the file itself where both are in one."""
    name, packed = path.name, ""
    if name.lower().endswith(".gz"):
        name, packed = name[:-3], name[-3:]
    if not name.lower().endswith((".hdr", ".img")):
        return path
    part = path.with_name(name[:-4] + suffix + packed)
    if not part.is_file():
        raise DataError(f"{path} needs {part.name} beside it, which is missing")
    return part


def _check_nrrd(path: Path) -> None:
    """The fields of an NRRD header that ITK's reader takes on trust, and its geometry."""
    fields = _nrrd_fields(path)
    if missing := {"type", "dimension", "sizes", "encoding"} - set(fields):
        raise damaged(path, f"its header lacks {', '.join(sorted(missing))}")
    if not set(fields) & {"space directions", "spacings"}:
        raise DataError(f"{path} has no geometry (neither 'space directions' nor 'spacings'); {WRITE_AGAIN}")
    (axes,) = whole_numbers(path, "dimension", fields["dimension"], 1, 1, 16)
    whole_numbers(path, "sizes", fields["sizes"], axes, 1, 2**31 - 1)
    if "%" in fields.get("data file", "") + fields.get("datafile", ""):
        raise DataError(f"{path} names its voxels' files by a pattern, which is not read; write it as one .nrrd file")
    if fields.get("labels", "").count('"') > 2 * axes:
        raise damaged(path, f"it has more labels than its {axes} axes")


def _nrrd_fields(path: Path) -> dict[str, str]:
    """The fields of an NRRD header; names in lower case."""
    fields = {}
    with path.open("rb") as stream:
        if not stream.readline(256).startswith(b"NRRD"):
            raise DataError(f"{path} is not an NRRD file (it does not begin with NRRD); check what wrote it")
        while line := stream.readline(_LONGEST_LINE).strip():
            name, _, value = line.decode("latin-1").partition(":")
            if line.startswith(b"#") or value.startswith("="):
                continue  # a comment, or a key and value of the user's
            name = name.strip().lower()
            if name in fields or b"\r" in line or len(line) >= _LONGEST_LINE - 1:
                raise damaged(path, f"its header has {name[:40]} twice, or in an endless line")
            fields[name] = value.strip()
    return fields


def _open(path: Path):  # type: ignore[no-untyped-def]
    """The file's bytes, unpacked where its name ends with .gz."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")
