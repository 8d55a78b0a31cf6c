"""Checks of image files that their readers leave out: truncated data and missing geometry.

ITK reads a truncated NIfTI file without a word (the rest are zeros), turns a spacing of 0 into 1, and gives a file
without orientation the identity. Each of these would be a registration of something else, so the headers are looked at
and the bytes are counted here.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from regenv.errors import DataError

_CHUNK = 1 << 22

META_BYTES = {
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
"""Bytes of a MetaImage element."""

_WRITE_AGAIN = "write it again with its geometry (3D Slicer, ITK-SNAP and dcm2niix do), or as .mha"


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
            raise DataError(f"{path} has no geometry (its sform and qform codes are 0); {_WRITE_AGAIN}")
        _check_spacing(path, header.spacing)
    elif kind == "meta":
        fields, _ = _meta_header(path)
        spacing = fields.get("ElementSpacing", fields.get("ElementSize"))
        if spacing is None:
            raise DataError(f"{path} has no geometry (no ElementSpacing in its header); {_WRITE_AGAIN}")
        _check_spacing(path, tuple(_number(value) for value in spacing.split()))
    elif kind == "nrrd":
        names = _nrrd_fields(path)
        if missing := {"type", "dimension", "sizes", "encoding"} - names:
            raise _damaged(path, f"its header lacks {', '.join(sorted(missing))}")
        if not names & {"space directions", "spacings"}:
            raise DataError(f"{path} has no geometry (neither 'space directions' nor 'spacings'); {_WRITE_AGAIN}")


def check_complete(path: Path) -> None:
    """Raises :class:`DataError` where the file holds fewer bytes than its header promises, or damaged ones."""
    kind = format_of(path)
    if kind == "nifti":
        _check_nifti_bytes(path)
    elif kind == "meta":
        _check_meta_bytes(path)  # NRRD's and DICOM's readers count for themselves


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
        raise _damaged(path, str(error)) from error
    if len(raw) < 348:
        raise _damaged(path, f"its header has {len(raw)} bytes of 348")
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
        raise _damaged(path, f"its header gives dimensions {dim}")
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
                while block := stream.read(_CHUNK):
                    found += len(block)
        except (OSError, EOFError, zlib.error) as error:
            raise _damaged(path, f"{found} of {expected} bytes can be unpacked: {error}") from error
    if found < expected:
        raise _damaged(path, f"{found} of {expected} bytes")


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


def _meta_header(path: Path) -> tuple[dict[str, str], int]:
    """Fields of a MetaImage header, and where the bytes after it begin."""
    fields: dict[str, str] = {}
    with path.open("rb") as stream:
        while line := stream.readline(65536):
            key, equals, value = line.decode("latin-1").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                break
        offset = stream.tell()
    missing = [key for key in ("NDims", "DimSize", "ElementType", "ElementDataFile") if not fields.get(key)]
    if missing:
        raise _damaged(path, f"its header lacks {', '.join(missing)}")
    return fields, offset


def _check_meta_bytes(path: Path) -> None:
    fields, offset = _meta_header(path)
    local = fields["ElementDataFile"] == "LOCAL"
    data_path = path if local else path.parent / fields["ElementDataFile"]
    if fields["ElementDataFile"].split()[0] == "LIST" or "%" in fields["ElementDataFile"]:
        return  # one file per slice: ITK reports a missing or a short one
    if not data_path.is_file():
        raise DataError(f"{path} names its voxels' file {data_path.name}, which is missing beside it")
    if fields.get("BinaryData", "True").lower() == "false" or fields["ElementType"] not in META_BYTES:
        return
    expected = math.prod(int(n) for n in fields["DimSize"].split()) * META_BYTES[fields["ElementType"]]
    expected *= int(fields.get("ElementNumberOfChannels", "1"))
    start = offset if local else max(0, int(fields.get("HeaderSize", "0")))
    if fields.get("CompressedData", "False").lower() != "true":
        found = data_path.stat().st_size - start
    else:
        found = _unpacked_bytes(path, data_path, start, expected)
    if found < expected:
        raise _damaged(path, f"{found} of {expected} bytes")


def _unpacked_bytes(path: Path, data_path: Path, start: int, expected: int) -> int:
    """Bytes that the zlib stream from ``start`` unpacks to."""
    unpacker = zlib.decompressobj(wbits=47)  # 47: zlib or gzip header, whichever is there
    found = 0
    with data_path.open("rb") as stream:
        stream.seek(start)
        try:
            while block := stream.read(_CHUNK):
                found += len(unpacker.decompress(block))
        except zlib.error as error:
            raise _damaged(path, f"{found} of {expected} bytes can be unpacked: {error}") from error
    return found


def _nrrd_fields(path: Path) -> set[str]:
    """Names of the fields of an NRRD header."""
    names = set()
    with path.open("rb") as stream:
        if not stream.readline(256).startswith(b"NRRD"):
            raise DataError(f"{path} is not an NRRD file (it does not begin with NRRD); check what wrote it")
        while line := stream.readline(65536).strip():
            if not line.startswith(b"#"):
                names.add(line.decode("latin-1").partition(":")[0].strip().lower())
    return names


def _check_spacing(path: Path, spacing: tuple[float, ...]) -> None:
    if not all(math.isfinite(s) and s > 0 for s in spacing):
        shown = ", ".join(f"{s:g}" for s in spacing)
        raise DataError(f"{path} has a spacing of ({shown}) mm, which must be positive; {_WRITE_AGAIN}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _open(path: Path):  # type: ignore[no-untyped-def]
    """The file's bytes, unpacked where its name ends with .gz."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _damaged(path: Path, found: str) -> DataError:
    return DataError(f"{path} is truncated or damaged ({found}); copy or download it again")
