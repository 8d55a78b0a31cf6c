"""What the kernels need below numba: loads by address, interpolation in vector registers, arrays without owner."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

_LANE = ir.IntType(32)
# Fused multiply-add is allowed: a + w (b - a) is still exactly a where w is 0.
_FUSED = ("contract",)


def _floats(n: int) -> Any:
    return ir.VectorType(ir.FloatType(), n)


def _lanes(*indices: int) -> Any:
    return ir.Constant(ir.VectorType(_LANE, len(indices)), list(indices))


def _read(builder: Any, address: Any, kind: Any) -> Any:
    value = builder.load(builder.inttoptr(address, kind.as_pointer()))
    value.align = 4
    return value


def _splat(builder: Any, value: Any, n: int) -> Any:
    nothing = ir.Constant(_floats(n), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_LANE, 0))
    return builder.shuffle_vector(first, nothing, _lanes(*[0] * n))


def _blend(builder: Any, a: Any, b: Any, weight: Any) -> Any:
    difference = builder.fsub(b, a, flags=_FUSED)
    return builder.fadd(a, builder.fmul(weight, difference, flags=_FUSED), flags=_FUSED)


def _blend_pair(builder: Any, pair: Any, weight: Any) -> Any:
    left, right = (builder.extract_element(pair, ir.Constant(_LANE, k)) for k in (0, 1))
    return _blend(builder, left, right, weight)


def _load_at(typingctx, address):  # type: ignore[no-untyped-def]
    """The float32 at an integer address."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _read(builder, args[0], ir.FloatType())

    return types.float32(types.int64), codegen


def _bilinear_at(typingctx, address, down, wx, wy):  # type: ignore[no-untyped-def]
    """Bilinear interpolation of the 2 x 2 float32 from an address on; ``down`` bytes to the next row."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        address, down, wx, wy = args
        upper, lower = (_read(builder, a, _floats(2)) for a in (address, builder.add(address, down)))
        return _blend_pair(builder, _blend(builder, upper, lower, _splat(builder, wy, 2)), wx)

    return types.float32(types.int64, types.int64, types.float32, types.float32), codegen


def _trilinear_at(typingctx, address, down, deep, wx, wy, wz):  # type: ignore[no-untyped-def]
    """Trilinear interpolation of the 2 x 2 x 2 float32 from an address on; ``down``, ``deep`` bytes to row and slice.

    Neighbours in x are loaded as pairs and the four pairs blended four and two at a time: a third faster than scalars.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        address, down, deep, wx, wy, wz = args

        def slice_at(start: Any) -> Any:
            upper, lower = (_read(builder, a, _floats(2)) for a in (start, builder.add(start, down)))
            return builder.shuffle_vector(upper, lower, _lanes(0, 1, 2, 3))

        near, far = slice_at(address), slice_at(builder.add(address, deep))
        both = _blend(builder, near, far, _splat(builder, wz, 4))
        upper, lower = (builder.shuffle_vector(both, both, lanes) for lanes in (_lanes(0, 1), _lanes(2, 3)))
        return _blend_pair(builder, _blend(builder, upper, lower, _splat(builder, wy, 2)), wx)

    arguments = (types.int64, types.int64, types.int64, types.float32, types.float32, types.float32)
    return types.float32(*arguments), codegen


def _pointer_to(kind: Any) -> Any:
    maker: Any = types.CPointer
    result = maker(kind)

    def pointer(typingctx, address):  # type: ignore[no-untyped-def]
        """An integer address as a pointer."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return result(types.int64), codegen

    return intrinsic(pointer)


load: Any = intrinsic(_load_at)
bilinear: Any = intrinsic(_bilinear_at)
trilinear: Any = intrinsic(_trilinear_at)
_float_pointer = _pointer_to(types.float32)
_byte_pointer = _pointer_to(types.uint8)
_double_pointer = _pointer_to(types.float64)


@numba.njit(cache=True, nogil=True)
def doubles_at(address, rows, columns):  # type: ignore[no-untyped-def]
    """The C-contiguous float64 array ``(rows, columns)`` at an integer address; the caller keeps it alive."""
    return carray(_double_pointer(address), (rows, columns))


@numba.njit(cache=True, nogil=True)
def unowned_floats(array):  # type: ignore[no-untyped-def]
    """The same float32 array without reference counting: each row sliced off otherwise costs two atomic operations.

    The owner has to outlive it: numba frees a local array after its last mention.
    """
    return carray(_float_pointer(array.ctypes.data), array.shape)


@numba.njit(cache=True, nogil=True)
def unowned_bytes(array):  # type: ignore[no-untyped-def]
    """As :func:`unowned_floats`, uint8."""
    return carray(_byte_pointer(array.ctypes.data), array.shape)


@numba.njit(cache=True, nogil=True)
def unowned_doubles(array):  # type: ignore[no-untyped-def]
    """As :func:`unowned_floats`, float64."""
    return carray(_double_pointer(array.ctypes.data), array.shape)
