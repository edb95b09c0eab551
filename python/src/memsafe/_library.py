"""The native library: found, loaded, called."""

import atexit
import contextlib
import ctypes as C
import logging
import os
import re
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type, TypeVar

from . import _abi, _errors
from ._version import __version__

T = TypeVar("T", bound=C.Structure)

_lock = threading.Lock()
_loaded: Optional[C.CDLL] = None


def library_path() -> Path:
    """The file of the library: MEMSAFE_LIBRARY, else the one in this package."""
    named = os.environ.get("MEMSAFE_LIBRARY")
    return Path(named) if named else Path(__file__).resolve().parent / "libmemsafe.so"


def _tell(_arg: Any, message: Any) -> None:
    """Why it is not the card that does the work. What else the library warns of is in what its functions return, or of no account."""
    if text(message.contents.code) == "device":
        logging.getLogger("memsafe").warning("%s", text(message.contents.text))


_callback = _abi.ms_log_callback(_tell)  # as long as the library may call it


def _listen(found: C.CDLL) -> None:
    found.ms_log_set(_callback, None, _abi.MS_LOG_WARNING)
    # Threads of the library may outlive the interpreter.
    atexit.register(found.ms_log_set, _abi.ms_log_callback(), None, _abi.MS_LOG_WARNING)


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
    _listen(found)
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


class Handle:
    """An object of the library that threads share: whoever is in a function with it has it until he leaves. It is freed
    by close(), or where somebody is inside then, by the last who leaves.

    A process that was forked has its memory, but not its threads: there it is neither used nor freed, since whoever
    waits for such a thread waits for ever.
    """

    def __init__(self, what: str, free: Callable[[C.c_void_p], object], of: "Optional[Handle]" = None, ended: str = "closed") -> None:
        """what: its name in a message, ended: what it is when it was closed. free: is given ``value``, once. of: what it
        is made from, which stays as long."""
        self.value = C.c_void_p()
        self._what, self._ended, self._free, self._of = what, ended, free, of
        self._process = os.getpid()
        self._changed = threading.Condition(threading.RLock())  # a handler of signals may come in the midst of it
        self._inside: List[Optional[int]] = []  # threads; append() and remove() are whole even then
        self._open, self._is_awaited, self._is_freed = True, False, False
        if of is not None:
            of.enter(None)

    def __bool__(self) -> bool:
        return self._open and bool(self.value)

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a fork of the one that it belongs to."""
        return os.getpid() != self._process

    @property
    def is_used(self) -> bool:
        return bool(self._inside)

    def check_process(self) -> None:
        """Before any lock is taken: the fork may have come while another thread had it, which is not here to let go."""
        if self.is_foreign:
            raise _errors.InvalidArgument(
                f"{self._what} belongs to process {self._process}, of which this one is a fork, and cannot be used here: make another one"
            )

    def enter(self, thread: Optional[int]) -> C.c_void_p:
        """thread: that is inside until leave() with the same; None: an object, which is no thread's."""
        self.check_process()
        with self._changed:
            if not self._open:
                raise _errors.InvalidArgument(f"{self._what} is {self._ended}")
            self._inside.append(thread)
            return self.value

    def leave(self, thread: Optional[int]) -> None:
        if self.is_foreign:
            return
        with self._changed:
            self._inside.remove(thread)
            self._changed.notify_all()
            is_awaited = self._is_awaited
        if not is_awaited:
            self._free_if_last()

    @contextlib.contextmanager
    def use(self) -> Iterator[C.c_void_p]:
        me = threading.get_ident()
        value = self.enter(me)
        try:
            yield value
        finally:
            self.leave(me)

    def close(self, wait: bool = False) -> None:
        """A second time does nothing. wait: until nobody else is inside: this thread itself may be, where a handler of
        signals calls this, and frees it when it leaves."""
        if self.is_foreign:
            self._open = False
            return
        try:
            with self._changed:
                self._open = False
                self._is_awaited = wait
                me = threading.get_ident()
                while wait and any(thread != me for thread in self._inside):
                    self._changed.wait(0.1)  # so that Ctrl-C is heard
        finally:
            self._is_awaited = False
            self._free_if_last()

    def _free_if_last(self) -> None:
        with self._changed:
            if self._open or self._inside or self._is_freed:
                return
            self._is_freed = True
        self._free(self.value)
        if self._of is not None:
            self._of.leave(None)


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
