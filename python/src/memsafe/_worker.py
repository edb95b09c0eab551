"""Long calls of the library that Ctrl-C interrupts."""

import atexit
import contextlib
import ctypes as C
import os
import queue
import sys
import threading
import weakref
from typing import Any, Callable, Generic, List, Optional, TypeVar

T = TypeVar("T")

_open: "weakref.WeakSet[Any]" = weakref.WeakSet()


def _forget() -> None:
    """In a process that was forked: what is open is the other one's to end. Here it stays for ever, since what is within it
    (PyAV's decoders) waits for threads that are not here, too, when it is freed."""
    global _open
    C.pythonapi.Py_IncRef(C.py_object(list(_open)))
    _open = weakref.WeakSet()


os.register_at_fork(after_in_child=_forget)


def end_at_exit(thing: Any) -> None:
    """Its _end_at_exit() is called when Python ends, while other threads still run: what waits for one later waits for
    ever."""
    _open.add(thing)


@atexit.register
def _end_all() -> None:
    for thing in list(_open):
        with contextlib.suppress(Exception):  # there is nobody left to tell, and others are to be ended
            thing._end_at_exit()


class _Job(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: List[T] = []
        self.error: Optional[BaseException] = None

    def run(self) -> None:
        try:
            self.result.append(self.work())
        except BaseException as e:  # noqa: B036 - it is raised where the result is waited for
            self.error = e
        self.done.set()


class Worker:
    """Runs calls one after the other on a thread of its own, while the main thread waits in a way that signals end.

    Python hears of Ctrl-C between two of its own instructions only, so a call of the library that takes a minute would
    keep it waiting so long. Other threads get no signals: their calls are made directly.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._jobs: queue.SimpleQueue[Optional[_Job[Any]]] = queue.SimpleQueue()
        self._thread: Optional[threading.Thread] = None

    def run(self, work: Callable[[], T]) -> T:
        """What work returns or raises. KeyboardInterrupt, after what was under way was cancelled and has ended."""
        if threading.current_thread() is not threading.main_thread():
            return work()
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="memsafe", daemon=True)
            self._thread.start()
        job = _Job(work)
        self._jobs.put(job)
        try:
            job.done.wait()
        except BaseException:
            self._cancel()
            self._finish(job)
            raise
        error, job.error = job.error, None
        if error is None:
            return job.result[0]
        try:
            raise error
        finally:
            del error, job, work  # its traceback has this frame: it would hold itself, and all that work holds

    @staticmethod
    def _finish(job: "_Job[Any]") -> None:
        """Memory that the library works on must not go before it has ended: a second Ctrl-C waits, too."""
        while True:
            try:
                job.done.wait()
                return
            except KeyboardInterrupt:
                continue

    def _serve(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job.run()
            del job

    def close(self) -> None:
        """Ends the thread once what is under way has ended. KeyboardInterrupt comes after that, not in place of it."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._jobs.put(None)
        interrupt: Optional[KeyboardInterrupt] = None
        # Python that ends lets no other thread run: there is nobody to wait for.
        while thread.is_alive() and not sys.is_finalizing():
            try:
                thread.join()
            except KeyboardInterrupt as e:
                interrupt = e
        if interrupt is not None:
            raise interrupt
