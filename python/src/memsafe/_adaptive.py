"""A loop over items that survives running out of memory.

pictures = adaptive(decode, latents, task="vae_decode", resolution=(512, 512))
"""

import ctypes as C
import gc
import os
import reprlib
import sys
import threading
import traceback
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, TypeVar

from . import _abi
from ._errors import InternalError, InvalidArgument, OutOfMemory
from ._library import error_of, lib, sized
from ._optimizer import (
    AdaptiveMemoryOptimizer,
    Resolution,
    cuda_of,
    height_width,
    in_use,
    task_number,
    torch_if_loaded,
)
from ._reports import Report
from ._values import whole

T = TypeVar("T")
R = TypeVar("R")

_HOOK = C.CFUNCTYPE(None, C.c_void_p)
_QUESTION = C.CFUNCTYPE(C.c_bool, C.c_void_p)

_libc: Any = None

# Runtimes that have no exception of their own for it.
_DEVICE_WORDS = (
    "cuda out of memory",
    "hip out of memory",
    "mps backend out of memory",
    "xpu out of memory",
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "resource_exhausted",
    "out of device memory",
)
_HOST_WORDS = (
    "defaultcpuallocator: can't allocate memory",
    "defaultcpuallocator: not enough memory",
    "bad_alloc",
    "failed to allocate memory",
)
_DEVICE_NAMES = {"OutOfMemoryError", "ResourceExhaustedError"}


def _kind(error: BaseException) -> Optional[int]:
    """The status that stands for an exception, if it says that memory ran out."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, OutOfMemory):
        return int(_abi.MS_DEVICE_MEMORY if error.status == "DEVICE_MEMORY" else _abi.MS_HOST_MEMORY)
    if names & _DEVICE_NAMES:
        return int(_abi.MS_DEVICE_MEMORY)
    if isinstance(error, MemoryError):
        return int(_abi.MS_HOST_MEMORY)
    if isinstance(error, Exception) and names & {"RuntimeError", "XlaRuntimeError", "RuntimeException"}:
        said = str(error).lower()
        if any(words in said for words in _DEVICE_WORDS):
            return int(_abi.MS_DEVICE_MEMORY)
        if any(words in said for words in _HOST_WORDS):
            return int(_abi.MS_HOST_MEMORY)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out: MemoryError, torch.OutOfMemoryError, cupy's, TensorFlow's and JAX's,
    and the RuntimeErrors that torch and ONNX Runtime raise for it."""
    return _kind(error) is not None


def trim_memory() -> None:
    """Gives back what can be had again: garbage, torch's cached blocks, and freed pages of the C library."""
    global _libc
    gc.collect()
    torch = torch_if_loaded()
    if torch is not None:
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        mps = getattr(torch, "mps", None)
        if mps is not None and torch.backends.mps.is_available():
            mps.empty_cache()
    if sys.platform == "linux":
        if _libc is None:
            _libc = C.CDLL(None)
        if hasattr(_libc, "malloc_trim"):  # glibc has it, musl has not
            _libc.malloc_trim(0)


def forget_frames(error: BaseException) -> None:
    """Empties the frames that an exception passed through: their locals hold the very memory that ran out."""
    seen = set()
    todo: List[Optional[BaseException]] = [error]
    while todo:
        at = todo.pop()
        if at is None or id(at) in seen:
            continue
        seen.add(id(at))
        traceback.clear_frames(at.__traceback__)
        todo += [at.__cause__, at.__context__]


class AdaptiveState:
    """What a loop has learned and counted. Keep it from call to call where work comes in pieces; one thread at a time."""

    def __init__(self) -> None:
        self.struct = _abi.ms_adaptive_state()

    def __repr__(self) -> str:
        s = self.struct
        failures = s.host_failures + s.device_failures
        return f"<memsafe.AdaptiveState {s.items} items in {s.batches} batches, {failures} failures of memory>"

    def report(self) -> Report:
        """``done``, items, and their ``batches``; ``failures`` of memory, ``halvings``, ``growths``, ``trims``,
        ``clean_ups``; ``smallest_batch`` and ``largest_batch`` that were tried; ``batch``, the largest that failures
        allow now, 0 = any."""
        s = self.struct
        return Report(
            {
                "done": s.items,
                "batches": s.batches,
                "failures": s.host_failures + s.device_failures,
                "halvings": s.halvings,
                "growths": s.growths,
                "trims": s.trims,
                "clean_ups": s.clean_ups,
                "batch": s.batch,
                "smallest_batch": s.smallest_batch,
                "largest_batch": s.largest_batch,
            }
        )


class Guard:
    """The Python side of a loop of the library: exceptions on their way through C, and the hooks.

    ``pending`` is what a call raised that was not the loop's to handle; ``last`` the last failure of memory.
    """

    def __init__(
        self,
        is_oom: Optional[Callable[[BaseException], bool]],
        trim: Optional[Callable[[], object]],
        clean_up: Optional[Callable[[], object]],
    ) -> None:
        self._is_oom = is_oom
        self._trim = trim or trim_memory
        self._clean_up = clean_up or trim_memory
        self.pending: Optional[BaseException] = None
        self.last: Optional[BaseException] = None

    def status_of(self, error: BaseException) -> int:
        """What the library is told of an exception; it is kept here."""
        status = _kind(error)
        try:
            if status is None and self._is_oom is not None and self._is_oom(error):
                status = _abi.MS_DEVICE_MEMORY
        except BaseException as e:  # noqa: B036 - raised in its place, with it as its context
            error = e
        if status is None:
            self.pending = error
            return int(_abi.MS_CANCELLED)
        forget_frames(error)
        self.last = error
        return int(status)

    def _hook(self, hook: Callable[[], object]) -> Callable[[Any], None]:
        def called(_arg: Any) -> None:
            try:
                hook()
            except BaseException as e:  # noqa: B036 - raised by the caller, once the library has returned
                self.pending = self.pending or e

        return called

    def fill(self, params: _abi.ms_adaptive_params) -> None:
        """Hooks of the loop. The parameters keep the functions alive."""
        params.trim = _HOOK(self._hook(self._trim))
        params.clean_up = _HOOK(self._hook(self._clean_up))
        params.cancelled = _QUESTION(lambda _arg: self.pending is not None)

    def raise_for(self, status: int, err: _abi.ms_error) -> None:
        """Raises what fn raised, else what the library says."""
        pending, last = self.pending, self.last
        self.forget()
        try:
            if pending is not None:
                raise pending
            if status == _abi.MS_OK:
                return
            if status in (_abi.MS_HOST_MEMORY, _abi.MS_DEVICE_MEMORY) and last is not None:
                raise last
            raise error_of(status, err)
        finally:
            del pending, last  # their traceback has this frame: they would hold themselves, and the batch

    def forget(self) -> None:
        """What was raised: it holds the frames that it passed through."""
        self.pending = self.last = None


def loop_params(
    optimizer: Optional[AdaptiveMemoryOptimizer],
    task: Optional[str],
    resolution: Optional[Resolution],
    max_batch: Optional[int],
    grow_after: Optional[int] = None,
    clean_up_items: Optional[int] = None,
) -> _abi.ms_adaptive_params:
    """The library's parameters, but the functions. The optimizer has to be in use as long as they are."""
    params = _abi.ms_adaptive_params()
    for name, value in (("max_batch", max_batch), ("grow_after", grow_after), ("clean_up_items", clean_up_items)):
        setattr(params, name, 0 if value is None else whole(name, value))
    if task is not None:
        params.task = task_number(task)
    if optimizer is not None:
        params.optimizer = optimizer.handle
        params.watch = optimizer.watch_handle
        size = height_width("resolution", optimizer.resolution if resolution is None else resolution)
        params.height, params.width = optimizer.item_size(params.task, size)
    return params


def run_loop(
    process: Callable[[int, int], None],
    count: int,
    params: _abi.ms_adaptive_params,
    guard: Guard,
    state: Optional[AdaptiveState] = None,
) -> None:
    """process(first, count) until all are done; raises what it raises, but for out of memory that was got over."""

    processed = 0

    def called(_arg: Any, first: int, n: int, _err: Any) -> int:
        nonlocal processed
        try:
            process(first, n)
            processed += n
            return int(_abi.MS_OK)
        except BaseException as e:  # noqa: B036 - raised by the caller, once the library has returned
            return guard.status_of(e)

    function = _abi.ms_process_fn(called)
    params.process = function
    guard.fill(params)
    err, done = _abi.ms_error(), C.c_int64()
    learned = (state or AdaptiveState()).struct
    status = lib().ms_adaptive_process_sized(
        *sized(params), 0, count, *sized(learned), C.byref(done), C.byref(err)
    )
    guard.raise_for(status, err)
    if processed != count:  # an exception that Python could not deliver within a callback
        raise InternalError(f"{count - processed} of {count} items were not processed: they were interrupted before they began")


_shared = threading.Lock()
_defaults: Dict[Optional[str], AdaptiveMemoryOptimizer] = {}


def _forget() -> None:
    """In a process that was forked: it makes its own."""
    global _shared
    _shared = threading.Lock()
    _defaults.clear()


os.register_at_fork(after_in_child=_forget)


def _default_optimizer() -> AdaptiveMemoryOptimizer:
    """For what "auto" means now: torch may have been loaded since, and its device may have changed."""
    now = cuda_of("auto")
    with _shared:
        if now not in _defaults:
            _defaults[now] = AdaptiveMemoryOptimizer(now or "auto")
        return _defaults[now]


def check_task(
    task: Optional[str], optimizer: Optional[AdaptiveMemoryOptimizer], resolution: Optional[Resolution]
) -> None:
    """An optimizer answers for a task: without one it would do nothing."""
    for name, given in (("optimizer", optimizer), ("resolution", resolution)):
        if task is None and given is not None:
            raise InvalidArgument(f"{name}= does nothing without task=, for which the optimizer answers")


def results_of(got: Any, count: int, what: str) -> List[Any]:
    """What fn returned, as a list with a result for each of its items."""
    is_many = hasattr(got, "__iter__") or hasattr(got, "__getitem__")
    if not is_many or getattr(got, "shape", None) == ():  # an array without a dimension only looks like many
        raise InvalidArgument(f"fn returned {reprlib.repr(got)} for {count} {what}: it must return a list with a result for each")
    results = list(got)
    if len(results) != count:
        raise InvalidArgument(f"fn returned {len(results)} results for {count} {what}")
    return results


def adaptive(
    fn: Callable[[List[T]], Sequence[R]],
    items: Iterable[T],
    task: Optional[str] = None,
    *,
    optimizer: Optional[AdaptiveMemoryOptimizer] = None,
    resolution: Optional[Resolution] = None,
    max_batch: Optional[int] = None,
    grow_after: Optional[int] = None,
    clean_up_items: Optional[int] = None,
    is_oom: Optional[Callable[[BaseException], bool]] = None,
    trim: Optional[Callable[[], object]] = None,
    clean_up: Optional[Callable[[], object]] = None,
    state: Optional[AdaptiveState] = None,
) -> List[R]:
    """Results of ``fn`` over all items, in their order, each item's once.

    fn takes a list of items and returns as many results, all of them or none: after out of memory the same items come
    again, perhaps fewer at a time. The batch is the least of what the optimizer answers now for ``task``, ``max_batch``
    and what failures have taught. After a failure memory is trimmed and the batch halves; a single item is tried twice,
    and then fn's own exception is raised. After some full batches without a failure the batch doubles again.

    task: one of the optimizer's; None = ``max_batch`` alone (by default 32) and what failures teach; optimizer= and
        resolution= are refused then.
    optimizer: by default one for torch's device or this machine; resolution: of an item, where it is not the optimizer's.
    grow_after: full batches that must succeed before the batch doubles, by default 4.
    clean_up_items: items from one ``clean_up()`` to the next; by default the tier's; negative = under pressure only.
    is_oom: what else counts as out of memory, beside ``is_out_of_memory()``.
    trim, clean_up: called before a retry and at the interval; by default ``trim_memory()``.
    state: kept from call to call where work comes in pieces; it also counts.
    """
    check_task(task, optimizer, resolution)
    todo = items if isinstance(items, list) else list(items)
    if optimizer is None and task is not None:
        optimizer = _default_optimizer()
    results: List[R] = []

    def process(first: int, count: int) -> None:
        results.extend(results_of(fn(todo[first : first + count]), count, "items"))

    with in_use(optimizer):
        params = loop_params(optimizer, task, resolution, max_batch, grow_after, clean_up_items)
        run_loop(process, len(todo), params, Guard(is_oom, trim, clean_up), state)
    return results


__all__ = ["AdaptiveState", "adaptive", "is_out_of_memory", "trim_memory"]
