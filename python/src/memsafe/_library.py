"""The native library: found, loaded, called."""

import contextlib
import ctypes as C
import os
import re
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple, Type, TypeVar

from . import _abi, _errors
from ._version import __version__

T = TypeVar("T", bound=C.Structure)

_lock = threading.Lock()
_loaded: Optional[C.CDLL] = None


def library_path() -> Path:
    """The file of the library: MEMSAFE_LIBRARY, else the one in this package."""
    named = os.environ.get("MEMSAFE_LIBRARY")
    return Path(named) if named else Path(__file__).resolve().parent / "libmemsafe.so"


def _load() -> C.CDLL:
    path = library_path()
    try:
        # RTLD_LOCAL: its symbols are nobody else's. ctypes lets go of the GIL in every call.
        found = C.CDLL(str(path), mode=os.RTLD_LOCAL | os.RTLD_NOW)
    except OSError as e:
        raise ImportError(f"memsafe's library cannot be loaded: {e}") from e
    for name, (result, arguments) in _abi.FUNCTIONS.items():
        try:
            function = getattr(found, name)
        except AttributeError:
            raise ImportError(f"{path} is older than this package {__version__}: it has no {name}()") from None
        function.restype, function.argtypes = result, arguments
    return found


def lib() -> Any:
    """The library, loaded once; what it has of functions are its attributes."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _load()
    return _loaded


def text(value: Optional[bytes]) -> str:
    """The library's text. Paths may hold any bytes."""
    return os.fsdecode(value) if value else ""


def encoded(value: Any) -> Optional[bytes]:
    """A path or name for the library; None stays None."""
    return None if value is None else os.fsencode(value)


def hints_of(bits: int) -> List[int]:
    return [n for n in range(1, 64) if bits >> n & 1]


def _sentence(err: _abi.ms_error, codes: List[str], hints: List[int]) -> str:
    message = text(err.message) or text(lib().ms_status_text(err.code))
    words = [_errors.HINTS.get(code) or text(lib().ms_hint_text(hint)) for code, hint in zip(codes, hints)]
    return "; ".join([message, *words])


def error_of(status: int, err: _abi.ms_error) -> _errors.Error:
    """The exception for a status and its details."""
    name = text(lib().ms_status_name(status))
    hints = hints_of(err.hints)
    codes = [text(lib().ms_hint_code(hint)) for hint in hints]
    err.code = status
    kind = _errors.BY_STATUS.get(name, _errors.InternalError)
    details: Dict[str, Any] = dict(stage=text(err.stage) or None, frame=err.frame if err.frame >= 0 else None, hints=codes)
    sentence = _sentence(err, codes, hints)
    if kind is _errors.FileError:
        error: _errors.Error = _errors.file_error(sentence, _errors.errno_in(sentence, codes), **details)
    else:
        error = kind(sentence, **details)
    error.status = name
    return error


def call(name: str, *arguments: Any) -> None:
    """Calls a function that returns a status and takes an ms_error last; raises what it says."""
    err = _abi.ms_error()
    status = getattr(lib(), name)(*arguments, C.byref(err))
    if status != _abi.MS_OK:
        raise error_of(status, err)


@contextlib.contextmanager
def naming(*paths: Any) -> Iterator[None]:
    """A FileError of the library has its file in its sentence alone; of these, which the library was given, it gets the
    one as ``filename``."""
    try:
        yield
    except _errors.FileError as e:
        if e.filename is None:
            known = [os.fspath(path) for path in paths if path is not None]
            # A folder's name is also the beginning of its files'.
            named = [path for path in known if re.search(re.escape(path) + r"(?![^\s:;,\"])", str(e))]
            e.filename = max(named, key=len, default=None)
        raise


def filled(kind: Type[T], name: str, *before: Any) -> T:
    """A struct that a function without a status fills in: name(*before, struct, its size)."""
    struct = kind()
    getattr(lib(), name)(*before, C.byref(struct), C.sizeof(struct))
    return struct


def sized(struct: C.Structure) -> Tuple[Any, int]:
    """A struct as _sized functions take it."""
    return C.byref(struct), C.sizeof(struct)


def choice(option: str, value: Any, enum: str, prefix: str) -> int:
    """The number of an enumeration's value by its name in lower case, with - or _."""
    values: Dict[str, int] = {
        name[len(prefix) :].lower(): number
        for name, number in _abi.ENUMS[enum].items()
        if name.startswith(prefix) and not name.endswith("_COUNT")
    }
    key = str(value).lower().replace("-", "_")
    if key not in values:
        raise _errors.InvalidArgument(f"{option} must be {', '.join(values)}, not {value!r}")
    return values[key]


def has_feature(name: str) -> bool:
    """Whether the library was built with "ffmpeg", "yaml", "onnx", "sqlite", "zstd" or "plugins"."""
    number = 0
    while True:
        feature = lib().ms_feature_name(number)
        if feature is None:
            return False
        if text(feature) == name:
            return bool(lib().ms_has_feature(number))
        number += 1
