"""Frames in as they come, results out at once, in order, never more of them held than the buffer.

with StreamingFrameProcessor(redraw, buffer=16, window=4) as stream:
    for picture in stream(frames):
        show(picture)
"""

import contextlib
import ctypes as C
import threading
from itertools import chain, repeat
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Generic,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    TypeVar,
)

from . import _abi
from ._adaptive import Guard, _default_optimizer, check_task, loop_params, results_of, trim_memory
from ._errors import InternalError, InvalidArgument
from ._library import Handle, call, error_of, lib, sized
from ._optimizer import AdaptiveMemoryOptimizer, Resolution
from ._reports import Report
from ._values import flag, whole
from ._worker import end_at_exit

T = TypeVar("T")
R = TypeVar("R")

# Waits are cut into pieces, so that Ctrl-C ends them, and because the library tells nobody that a window is done.
_WAITS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)


def _waits() -> Iterator[float]:
    return chain(_WAITS_S, repeat(_WAITS_S[-1]))


class StreamingFrameProcessor(Generic[T, R]):
    """A bounded stream: frames are pushed, ``fn`` turns a window of them at a time into results, results are pulled.

    Frames and results are any Python objects. What is held, frames that wait and results that were not pulled, is never
    more than ``buffer``. When fn runs out of memory, memory is trimmed, the window halves and the same frames come again,
    as in ``adaptive()``. Another exception of fn comes out of the stream behind the results before it.

    fn: takes a list of frames and returns as many results; all of them or none.
    buffer: frames and results that are held at most.
    window: fn is called when so many wait, or fewer at the end; by default the optimizer's batch for ``task``, else 1.
        At most ``buffer``.
    task, optimizer, resolution, is_oom, trim, clean_up: as for ``adaptive()``.
    own_thread: fn runs on a thread of the stream while the caller pushes and pulls; else on the thread that pulls.

    One thread may do all by calling the stream with an iterable. Or some threads ``push()`` and others ``pull()``.
    """

    def __init__(
        self,
        fn: Callable[[List[T]], Sequence[R]],
        buffer: int = 16,
        *,
        window: Optional[int] = None,
        task: Optional[str] = None,
        optimizer: Optional[AdaptiveMemoryOptimizer] = None,
        resolution: Optional[Resolution] = None,
        own_thread: bool = False,
        is_oom: Optional[Callable[[BaseException], bool]] = None,
        trim: Optional[Callable[[], object]] = None,
        clean_up: Optional[Callable[[], object]] = None,
    ) -> None:
        if whole("buffer", buffer) < 1:
            raise InvalidArgument(f"buffer must be 1 or more frames, not {buffer!r}")
        check_task(task, optimizer, resolution)
        if task is not None and optimizer is None:
            optimizer = _default_optimizer()
        if window is None:
            window = (
                optimizer.get_optimal_batch_size(task, resolution=resolution) if task and optimizer else 1
            )
            window = min(window, buffer)
        if not 1 <= whole("window", window) <= buffer:
            raise InvalidArgument(f"window must be 1 to {buffer} (buffer) frames, not {window}")
        self._fn = fn
        self._buffer, self._window = buffer, window
        self._own_thread = flag("own_thread", own_thread)
        self._optimizer = optimizer  # the stream's loop asks it as long as it lives
        self._held: Dict[int, T] = {}  # the library orders and bounds numbers; the objects are here
        self._made: Dict[int, R] = {}
        self._next = 0
        # By way of the stream: while a hook is called, it cannot be found to be garbage, and be freed by who is in it.
        self._guard = Guard(is_oom, self._within(trim or trim_memory), self._within(clean_up or trim_memory))
        self._changed = threading.Condition()
        self._calling: List[int] = []  # threads that are within fn or a hook
        self._own: Optional[int] = None  # the library's thread
        self._over = self._is_cancelled = False
        loop = loop_params(optimizer if task else None, task, resolution, None)
        self._guard.fill(loop)
        params = _abi.ms_frame_stream_params()
        lib().ms_frame_stream_params_init_sized(*sized(params))
        params.frame_bytes = 1
        params.buffer_frames, params.window_frames = buffer, window
        params.own_thread = own_thread
        params.process = self._process_fn = _abi.ms_frame_process_fn(self._process)
        self._loop = loop
        of = optimizer.owned if optimizer else None
        self._owned = Handle("the stream", self._free, of, "gone")
        try:
            call("ms_frame_stream_create_sized", *sized(params), *sized(loop), C.byref(self._owned.value))
        except BaseException:
            self._owned.close()
            raise
        end_at_exit(self)

    def __repr__(self) -> str:
        over = ", closed" if not self._owned else ""
        return f"<memsafe.StreamingFrameProcessor buffer={self._buffer}, window={self._window}{over}>"

    # ---- the library calls ----

    def _within(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            me = threading.get_ident()
            self._calling.append(me)
            try:
                return function(*arguments)
            finally:
                self._calling.remove(me)

        return called

    def _process(self, _arg: Any, frames: Any, count: int, _err: Any) -> int:
        try:
            if self._own_thread:
                self._own = threading.get_ident()
            numbers = [frames[i].number for i in range(count)]
            waiting = [self._held[n] for n in numbers]
            got = self._within(lambda: results_of(self._fn(waiting), count, "frames"))()
            self._made.update(zip(numbers, got))
            for number in numbers:
                del self._held[number]
            return int(_abi.MS_OK)
        except BaseException as e:  # noqa: B036 - raised where results are pulled
            status = self._guard.status_of(e)
            # MS_CANCELLED would end the stream before what was done is pulled.
            return int(_abi.MS_INTERNAL) if status == _abi.MS_CANCELLED else status

    # ---- what callers call ----

    def push(self, frame: T, wait: bool = True) -> bool:
        """Hands a frame over. False: there is no room, and ``wait`` is False.

        Waiting for room needs another thread that pulls.
        """
        pushed, waits = C.c_bool(), _waits()
        with self._use() as stream:
            with self._changed:
                number = self._next
                self._next += 1
                self._held[number] = frame
            try:
                while True:
                    self._checked(
                        lambda err: lib().ms_frame_stream_try_push(
                            stream, number, b"", 0, C.byref(pushed), err
                        )
                    )
                    if pushed.value:
                        return True
                    if not wait:
                        return False
                    self._wait(next(waits))
            finally:
                if not pushed.value:
                    self._held.pop(number, None)
                self._wake()

    def pull(self, wait: bool = True) -> Optional[R]:
        """The next result. EOFError: there will be no more. None: there is none yet, and ``wait`` is False.

        Waiting needs frames that are pushed by another thread, or ``close()`` before.
        """
        for result in self._take(wait):
            return result
        if self._over:
            raise EOFError("the stream has ended")
        return None

    def _take(self, wait: bool) -> List[R]:
        """The next result, if there is one."""
        frame, got, waits = _abi.ms_frame(), C.c_bool(), _waits()
        with self._use() as stream:
            while True:
                self._checked(
                    lambda err: lib().ms_frame_stream_try_pull(stream, C.byref(frame), C.byref(got), err)
                )
                if got.value:
                    number = frame.number
                    lib().ms_frame_stream_release(stream, C.byref(frame))
                    self._wake()
                    if number not in self._made:  # an exception that Python could not deliver within a callback
                        self._held.pop(number, None)
                        raise InternalError(f"frame {number} was not processed: fn was interrupted before it began")
                    return [self._made.pop(number)]
                self._over = bool(lib().ms_frame_stream_ended(stream))
                if self._over or not wait:
                    return []
                self._wait(next(waits))

    def close(self) -> None:
        """No more frames come; what is in the stream can still be pulled."""
        with self._use() as stream:
            lib().ms_frame_stream_close(stream)
            self._wake()

    def cancel(self) -> None:
        """Ends everything at once: whoever waits or comes later gets ``Cancelled``."""
        with self._use() as stream:
            self._is_cancelled = True
            lib().ms_frame_stream_cancel(stream)
            self._wake()

    def __call__(self, frames: Iterable[T]) -> Iterator[R]:
        """Results of ``frames``, as soon as each is done; frames are taken from the iterable as there is room."""
        try:
            for frame in frames:
                while not self.push(frame, wait=False):
                    yield from self._some(wait=True)
                yield from self._some(wait=False)
            self.close()
            yield from self
        except GeneratorExit:
            with contextlib.suppress(InvalidArgument):  # the stream may be gone before its generator
                self.cancel()
            raise

    def _some(self, wait: bool) -> Iterator[R]:
        """What is ready; with ``wait`` at least one result."""
        while True:
            got = self._take(wait)
            if not got:
                return
            yield from got
            wait = False

    def __iter__(self) -> Iterator[R]:
        while True:
            got = self._take(wait=True)
            if not got:
                return
            yield from got

    def stats(self) -> Report:
        """``pushed``, ``processed`` and ``pulled`` frames; ``held`` now and ``most_held``; ``failures`` of memory,
        ``halvings``, ``smallest_batch``."""
        stats, learned = _abi.ms_frame_stream_stats(), _abi.ms_adaptive_state()
        with self._use() as stream:
            lib().ms_frame_stream_get_stats_sized(stream, *sized(stats))
            lib().ms_frame_stream_get_state_sized(stream, *sized(learned))
        return Report(
            {
                "pushed": stats.pushed,
                "processed": stats.processed,
                "pulled": stats.pulled,
                "held": stats.held,
                "most_held": stats.most_held,
                "failures": learned.host_failures + learned.device_failures,
                "halvings": learned.halvings,
                "smallest_batch": learned.smallest_batch,
            }
        )

    def destroy(self) -> None:
        """Cancels what is under way, waits for those who are inside, and frees the stream. InvalidArgument: from within
        fn or a hook, which is inside; ``cancel()`` may come from there. A handler of signals that comes while this very
        thread waits in ``pull()`` or ``push()`` does not wait for that, which then frees the stream."""
        if threading.get_ident() in self._calling:
            raise InvalidArgument("destroy() waits for fn to end, and this call comes from within: cancel() ends the stream from there")
        self._end()

    def _end(self) -> None:
        if self._owned.is_foreign:
            self._owned.close()
            return
        if not self._owned:
            return
        with contextlib.suppress(InvalidArgument):  # somebody else ends it
            self.cancel()
        self._owned.close(wait=True)

    def _free(self, value: C.c_void_p) -> None:
        lib().ms_frame_stream_destroy(C.byref(value))
        self._held.clear()
        self._made.clear()
        self._guard.forget()

    def _end_at_exit(self) -> None:
        """Those who are inside may never leave; the library's own thread wants Python while it ends."""
        if self._owned.is_used:
            self.cancel()
        else:
            self._end()

    def __enter__(self) -> "StreamingFrameProcessor[T, R]":
        return self

    def __exit__(self, *_: Any) -> None:
        self.destroy()

    def __del__(self) -> None:
        if not getattr(self, "_owned", None):
            return
        if self._own == threading.get_ident():  # garbage was collected there, and the library waits for its thread
            threading.Thread(target=self._end, daemon=True).start()
        else:
            self._end()

    # ---- inside ----

    def _checked(self, function: Callable[[Any], int]) -> None:
        err = _abi.ms_error()
        status = function(C.byref(err))
        pending, last = self._guard.pending, self._guard.last
        try:
            if isinstance(pending, (KeyboardInterrupt, SystemExit)):
                raise pending
            if status == _abi.MS_OK:
                return  # fn may have failed behind results that are still to be pulled
            if status == _abi.MS_CANCELLED and (pending is None or self._is_cancelled):
                raise error_of(status, err)
            if status in (_abi.MS_HOST_MEMORY, _abi.MS_DEVICE_MEMORY) and last is not None:
                pending = last
            raise pending or error_of(status, err)
        finally:
            del pending, last  # their traceback has this frame: they would hold themselves, and the frames

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait(seconds)

    def _use(self) -> ContextManager[C.c_void_p]:
        return self._owned.use()


__all__ = ["StreamingFrameProcessor"]
