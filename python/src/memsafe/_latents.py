"""Latents, or any frames of floats that are alike in time, made smaller: exactly, or by rank.

blob = LatentCompressor().compress(latents)             # bytes; blob.ratio
latents = LatentCompressor().decompress(blob)
"""

import ctypes as C
import math
import struct
import zlib
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from . import _abi
from ._errors import BadMedia, InvalidArgument, Unsupported
from ._library import call, lib, sized
from ._optimizer import torch_if_loaded
from ._reports import Report
from ._values import Size, index_of, size_bytes, size_text

_MAGIC = b"MSLP\x01"
_HEAD = struct.Struct(
    "<5sBBBI"
)  # magic, type, flags, dimensions, CRC-32 of the 8 bytes before and of the sides
_FROM_TORCH, _AS_BITS, _STORED = 1, 2, 4  # _STORED: a CRC-32 and the values themselves, where they cannot be made smaller
_CRC = struct.Struct("<I")
_MOST_DIMENSIONS = 16
_TYPES = {0: "float32", 1: "float16", 2: "bfloat16"}
_EXACT_RANK = 99  # the exact mode keeps fewer where more would not pay


class Latents(bytes):
    """A compressed block. It is bytes to keep or send; what was gained and lost is beside it."""

    #: ``ratio`` of bytes before and after, ``psnr_db`` (infinite where nothing is lost), ``lossy``, ``raw_bytes``,
    #: ``bytes``, ``components`` of each window, ``max_error``, ``stored``: it was not to be made smaller and is kept as it
    #: is, with a header of some bytes, so that the ratio is a little less than 1
    report: Report

    def __repr__(self) -> str:
        report = vars(self).get("report")  # what was loaded or cut has none
        return f"<memsafe.Latents, {size_text(len(self))}{f', {self.ratio:.3g} to 1' if report else ''}>"

    @property
    def ratio(self) -> float:
        """Bytes before to bytes after."""
        return float(self.report["ratio"])

    @property
    def psnr_db(self) -> float:
        """Against the range of the values, or their size where all are the same; infinite where nothing is lost."""
        return float(self.report["psnr_db"])


class _Array(NamedTuple):
    values: "np.ndarray[Any, Any]"  # float32, of any shape
    kind: int
    torch: bool
    bits: Optional["np.ndarray[Any, Any]"]  # uint16, where kind has 16 bits


def _widened(kind: int, bits: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """float32 of 16-bit floats that are given as bits."""
    if kind == 1:
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _narrowed(kind: int, values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Bits of 16-bit floats, rounded to nearest."""
    if kind == 1:
        with np.errstate(over="ignore"):
            half: np.ndarray[Any, Any] = values.astype(np.float16).view(np.uint16)
        return half
    wide = values.view(np.uint32)
    rounded = (wide + 0x7FFF + ((wide >> 16) & 1)) >> 16
    bits: np.ndarray[Any, Any] = np.where(np.isnan(values), wide >> 16, rounded).astype(np.uint16)
    return bits


def _dense(torch: Any, x: Any) -> Any:
    """A tensor whose values lie one after the other in the host's memory. InvalidArgument: it has none that could."""
    if x.is_meta:
        raise InvalidArgument("latents on the meta device have a shape and no values")
    if x.layout != torch.strided or x.is_nested:
        raise InvalidArgument(f"latents must be a dense tensor, not {'a nested one' if x.is_nested else str(x.layout).replace('torch.', '')}")
    return x.detach().cpu().resolve_neg().contiguous()


def _read(x: Any) -> _Array:
    torch = torch_if_loaded()
    from_torch = torch is not None and isinstance(x, torch.Tensor)
    if from_torch:
        x = _dense(torch, x)
        name = str(x.dtype).replace("torch.", "")
    else:
        x = np.ascontiguousarray(x).reshape(np.shape(x))
        if not x.dtype.isnative:
            x = x.astype(x.dtype.newbyteorder("="))  # below, bytes are looked at as this machine has them
        name = x.dtype.name
    kinds = [kind for kind, known in _TYPES.items() if known == name]
    if not kinds:
        raise InvalidArgument(f"latents must be {', '.join(_TYPES.values())}, not {name}: convert them first")
    if from_torch:
        data = x.view(torch.int16).numpy().view(np.uint16) if kinds[0] else x.numpy()
    else:
        data = x.view(np.uint16) if kinds[0] else x
    if data.ndim > _MOST_DIMENSIONS:
        raise InvalidArgument(f"latents must have up to {_MOST_DIMENSIONS} dimensions, not {data.ndim}")
    if kinds[0] == 0:
        return _Array(data, 0, from_torch, None)
    return _Array(_widened(kinds[0], data), kinds[0], from_torch, data)


def _rows(shape: Tuple[int, ...]) -> Tuple[int, int]:
    """Frames and values of each: the first dimension is time. A vector is one frame."""
    if len(shape) < 2:
        return 1, math.prod(shape)
    return shape[0], math.prod(shape[1:])


def _stored(array: _Array) -> bytes:
    """Its values as they are, each with its lowest byte first."""
    return array.values.astype("<f4").tobytes() if array.bits is None else array.bits.astype("<u2").tobytes()


def _unstored(data: bytes, kind: int, shape: Tuple[int, ...]) -> "Tuple[Optional[np.ndarray[Any, Any]], Optional[np.ndarray[Any, Any]]]":
    """float32 values, or bits of 16, of what is behind the header."""
    size = math.prod(shape) * (2 if kind else 4)
    if len(data) != _CRC.size + size:
        raise BadMedia(f"compressed latents have {len(data)} bytes behind their header, {_CRC.size + size} are expected")
    if _CRC.unpack_from(data)[0] != zlib.crc32(data[_CRC.size :]):
        raise BadMedia("stored latents are damaged: their checksum is another")
    found = np.frombuffer(data, "<u2" if kind else "<f4", offset=_CRC.size).reshape(shape)
    return (None, found.astype(np.uint16)) if kind else (found.astype(np.float32), None)


class LatentCompressor:
    """Compresses arrays of numpy and tensors of torch whose first dimension is time.

    Every bit comes back, NaN and -0 too, unless ``rank`` makes it lossy. Types: float32, float16, bfloat16.

    What cannot be made smaller (noise of 16 bits) is kept as it is: no block is larger than its values by more than a
    header, 16 bytes and 8 for each dimension.

    rank: lossy, keeps so many per cent of the components of each window, 1 to 99. None or 0 = exact.
    window: frames that are predicted from each other, 1 to 256.
    """

    def __init__(self, rank: Optional[int] = None, *, window: int = 16) -> None:
        per_cent, frames = 0 if rank is None else index_of(rank), index_of(window)
        if per_cent is None or not 0 <= per_cent <= 99:
            raise InvalidArgument(f"rank must be 1 to 99 per cent, or None or 0 for every bit, not {rank!r}")
        if frames is None or not 1 <= frames <= _abi.MS_LATENTS_FRAMES:
            raise InvalidArgument(f"window must be 1 to {_abi.MS_LATENTS_FRAMES} frames, not {window!r}")
        self.rank = per_cent or None  # 0 is svd_rank's word for none
        self.window = frames

    def compress(self, x: Any) -> Latents:
        """Bytes that ``decompress()`` makes the same array or tensor of; ``.report``, ``.ratio`` and ``.psnr_db`` say
        what was gained and lost."""
        array = _read(x)
        values, flags = array.values, _FROM_TORCH if array.torch else 0
        if (
            array.bits is not None
            and self.rank is None
            and (_narrowed(array.kind, values) != array.bits).any()
        ):
            # A NaN whose payload does not survive the way through float32: the bits themselves as numbers.
            values, flags = array.bits.astype(np.float32), flags | _AS_BITS
        parts = []
        total: Dict[str, Any] = {
            "squared": 0.0,
            "low": math.inf,
            "high": -math.inf,
            "lossy": False,
            "max": 0.0,
        }
        components = []
        frames, count = _rows(values.shape)
        table = values.reshape(frames, count)
        for first in range(0, frames if count else 0, self.window):
            rows = np.ascontiguousarray(table[first : first + self.window])
            block, report = self._block(rows)
            parts += [struct.pack("<Q", len(block)), block]
            components.append(report.components)
            total["low"], total["high"] = min(total["low"], report.low), max(total["high"], report.high)
            if report.lossy:
                total["lossy"] = True
                back = self._unblock(block, rows.shape)
                if array.kind:
                    back = _widened(array.kind, _narrowed(array.kind, back))
                error = np.abs(rows.astype(np.float64) - back)
                total["squared"] += float((error * error).sum())
                total["max"] = max(total["max"], float(error.max()))
        raw = values.size * (2 if array.kind else 4)
        stored = sum(map(len, parts)) > raw + _CRC.size
        if stored:
            flags = flags & ~_AS_BITS | _STORED
            data = _stored(array)
            parts, components = [_CRC.pack(zlib.crc32(data)), data], []
            total.update(squared=0.0, max=0.0, lossy=False)
        blob = Latents(b"".join([self._head(array.kind, flags, values.shape), *parts]))
        mean = total["squared"] / max(values.size, 1)
        # Of what has no range, the size.
        span = total["high"] - total["low"] or abs(total["high"])
        blob.report = Report(
            {
                "raw_bytes": raw,
                "bytes": len(blob),
                "ratio": raw / len(blob),
                "psnr_db": 10 * math.log10(span * span / mean) if mean > 0 and span > 0 else math.inf,
                "max_error": total["max"],
                "lossy": total["lossy"],
                "stored": stored,
                "components": components,
            }
        )
        return blob

    def decompress(self, blob: bytes, *, like: Optional[str] = None, limit: Size = "4G") -> Any:
        """The array or tensor, on the CPU. ``BadMedia``: the bytes are damaged, or none of ``compress()``.

        like: "numpy" or "torch", by default what was compressed. limit: bytes of the result; more is refused before
        memory is taken for it.
        """
        if like not in (None, "numpy", "torch"):
            raise InvalidArgument(f'like must be "numpy" or "torch", not {like!r}')
        if not isinstance(blob, (bytes, bytearray, memoryview)):
            raise TypeError(f"decompress() takes the bytes that compress() gave, not {type(blob).__name__}")
        data = bytes(blob)
        kind, flags, shape, at = self._read_head(data)
        frames, count = _rows(shape)
        if frames * count * 4 > size_bytes("limit", limit):
            raise BadMedia(f"latents of {size_text(frames * count * 4)}: limit= allows {limit}")
        if flags & _STORED:
            return self._shaped(*_unstored(data[at:], kind, shape), kind, flags, like)
        blocks = self._find_blocks(data, at, frames, count)
        values = np.empty((frames, count), np.float32)
        for block, first, n in blocks:
            self._unblock(block, (n, count), values[first : first + n])
        if flags & _AS_BITS:
            with np.errstate(invalid="ignore"):
                return self._shaped(None, values.reshape(shape).astype(np.uint16), kind, flags, like)
        return self._shaped(values.reshape(shape), None, kind, flags, like)

    # ---- the format ----

    @staticmethod
    def _head(kind: int, flags: int, shape: Tuple[int, ...]) -> bytes:
        front = _MAGIC + bytes((kind, flags, len(shape)))
        sides = struct.pack(f"<{len(shape)}Q", *shape)
        return front + struct.pack("<I", zlib.crc32(front + sides)) + sides

    @staticmethod
    def _read_head(data: bytes) -> Tuple[int, int, Tuple[int, ...], int]:
        if len(data) < _HEAD.size or data[:5] != _MAGIC:
            raise BadMedia(f"{len(data)} bytes that are no compressed latents")
        _, kind, flags, dimensions, crc = _HEAD.unpack_from(data)
        at = _HEAD.size + 8 * dimensions
        if (
            dimensions > _MOST_DIMENSIONS
            or len(data) < at
            or zlib.crc32(data[:8] + data[_HEAD.size : at]) != crc
        ):
            raise BadMedia("the header of compressed latents is damaged")
        shape = struct.unpack_from(f"<{dimensions}Q", data, _HEAD.size)
        known = flags & ~(_FROM_TORCH | _AS_BITS | _STORED) == 0 and flags & (_AS_BITS | _STORED) != _AS_BITS | _STORED
        if kind not in _TYPES or not known or (flags & _AS_BITS and not kind):
            raise BadMedia(
                f"compressed latents of type {kind} with flags {flags}, which this version does not know"
            )
        if math.prod(max(side, 1) for side in shape) >= 1 << 60:
            raise BadMedia(f"compressed latents of shape {shape}")
        return kind, flags, shape, at

    @staticmethod
    def _find_blocks(data: bytes, at: int, frames: int, count: int) -> List[Tuple[bytes, int, int]]:
        """Each block with its first frame and their number. Their headers are believed only as far as they fit."""
        blocks, first = [], 0
        while at < len(data):
            size = struct.unpack_from("<Q", data, at)[0] if len(data) - at >= 8 else 0
            at += 8
            if not 0 < size <= len(data) - at:
                raise BadMedia(f"compressed latents end too early, at byte {min(at, len(data))}")
            block, info = data[at : at + size], _abi.ms_latents_info()
            call("ms_latents_read_sized", block, size, *sized(info))
            if info.values != count or info.frames > frames - first:
                raise BadMedia(
                    f"a block of {info.frames} frames of {info.values} values in latents of {frames} of {count}"
                )
            blocks.append((block, first, int(info.frames)))
            first, at = first + info.frames, at + size
        if first != (frames if count else 0):
            raise BadMedia(f"compressed latents have {first} of {frames} frames")
        return blocks

    def _block(self, rows: "np.ndarray[Any, Any]") -> Tuple[bytes, _abi.ms_latents_report]:
        params, report, made = _abi.ms_latents_params(), _abi.ms_latents_report(), C.c_void_p()
        params.frames, params.values = rows.shape
        params.rank_percent = self.rank or _EXACT_RANK
        params.lossy = self.rank is not None
        pointer = rows.ctypes.data_as(C.POINTER(C.c_float))
        call("ms_latents_compress_sized", *sized(params), pointer, C.byref(made), *sized(report))
        try:
            return C.string_at(made, report.block_bytes), report
        finally:
            lib().ms_mem_free(made)

    @staticmethod
    def _unblock(
        block: bytes, shape: Tuple[int, int], into: Optional["np.ndarray[Any, Any]"] = None
    ) -> "np.ndarray[Any, Any]":
        rows = np.empty(shape, np.float32) if into is None else into
        call(
            "ms_latents_decompress",
            None,
            block,
            len(block),
            rows.ctypes.data_as(C.POINTER(C.c_float)),
            rows.size,
        )
        return rows

    @staticmethod
    def _shaped(
        values: "Optional[np.ndarray[Any, Any]]",
        bits: "Optional[np.ndarray[Any, Any]]",
        kind: int,
        flags: int,
        like: Optional[str],
    ) -> Any:
        """Of float32 values, or of bits of 16."""
        if kind and bits is None and values is not None:
            bits = _narrowed(kind, values)
        if like == "torch" or (like is None and flags & _FROM_TORCH):
            try:
                import torch
            except ImportError as e:
                raise Unsupported(
                    'these latents are of torch, which is not here: like="numpy" does without'
                ) from e
            if bits is None:
                return torch.from_numpy(values)
            return torch.from_numpy(bits.view(np.int16)).view(getattr(torch, _TYPES[kind]))
        if bits is None:
            return values
        if kind == 1:
            return bits.view(np.float16)
        try:
            import ml_dtypes

            return bits.view(ml_dtypes.bfloat16)
        except ImportError:  # numpy has no such type of its own: the same numbers
            return _widened(kind, bits)


__all__ = ["LatentCompressor", "Latents"]
