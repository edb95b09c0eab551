"""One lip sync: frames of a source through a session, in the order in which they are shown."""

import contextlib
import itertools
from typing import Any, Callable, Dict, Generator, Iterator, Optional, Tuple

import numpy.typing as npt

from . import _errors
from ._frames import FrameSource, loop_index
from ._library import lib, text
from ._reports import Report
from ._session import Session
from ._speech import Samples
from ._track import Faces
from ._worker import end_at_exit

Frame = npt.NDArray[Any]
Progress = Callable[[int, Optional[int]], Any]


class Bar:
    """Whoever is told how far it is: a function (done, total), a bar of tqdm, or True for a new one."""

    def __init__(self, progress: Any) -> None:
        self._call: Optional[Progress] = None
        self._bar: Any = None
        self._make: Optional[Callable[[], Any]] = None
        self._own = progress is True
        if self._own:
            try:
                from tqdm.auto import tqdm
            except ImportError as e:
                raise _errors.Unsupported("progress=True needs the package tqdm: pip install tqdm; a function (done, total) does without") from e
            self._make = lambda: tqdm(unit="frame")
        elif hasattr(progress, "update"):
            self._bar = progress
        elif callable(progress):
            self._call = progress
        elif progress not in (None, False):
            raise TypeError(f"progress is True, a function (done, total) or a bar of tqdm, not {type(progress).__name__}")

    def begin(self) -> None:
        """All was checked: a bar of its own is shown."""
        if self._make:
            self._bar, self._make = self._make(), None

    def tell(self, done: int, total: Optional[int]) -> None:
        if self._call:
            self._call(done, total)
        elif self._bar is not None:
            if total is not None and self._bar.total != total:
                self._bar.total = total
            self._bar.update(1)

    def close(self) -> None:
        if self._own and self._bar is not None:
            self._bar.close()
            self._bar = None


class Job:
    """What one lip sync is about; all of it was checked."""

    def __init__(
        self,
        source: FrameSource,
        speech: Samples,
        *,
        faces: Optional[Faces],
        loop: str,
        frames: int,
        within: bool,
        bar: Bar,
        copy: bool,
        no_face: Callable[[int], _errors.NoFace],
    ) -> None:
        self.source, self.speech, self.faces, self.loop = source, speech, faces, loop
        self.frames = frames  # 0 = as the speech asks for
        self.within = within  # frames behind the last are none of the clip's
        self.bar, self.copy, self.no_face = bar, copy, no_face


class _Run:
    """The work of one lip sync. Nothing that it holds knows the LipSync, which is therefore gone when its last user is."""

    def __init__(self, session: Session, job: Job) -> None:
        self._session: Optional[Session] = session
        self._job: Optional[Job] = job
        #: whether nothing of it uses the model any more
        self.is_over = False
        self.report = Report()
        self.fps: Tuple[int, int] = job.source.fps
        self.width, self.height = job.source.width, job.source.height
        self._done = self._redrawn = 0
        self._wanted: Optional[int] = None  # frames, once it is known how many

    def frames(self) -> Generator[Frame, None, None]:
        try:
            yield from self._redraw()
        finally:
            self.end()

    def end(self) -> None:
        """A second time does nothing. What tracebacks hold of this is then no memory to speak of."""
        session, job = self._session, self._job
        self._session = self._job = None
        if session is None or job is None:
            return
        with contextlib.ExitStack() as stack:  # Ctrl-C may come in the midst of each, and out of it
            stack.callback(setattr, self, "is_over", True)
            stack.callback(job.bar.close)
            stack.callback(job.source.close)
            session.close()

    def missed(self) -> Optional[Callable[[], _errors.Error]]:
        """What who iterates does not get if it ends now. None: all frames were taken."""
        job, done = self._job, self._done
        if job is None:
            return None
        if self._wanted is None or done < self._wanted:
            return lambda: _errors.Cancelled("the model was closed before the lip sync was over: the frames that were to come are lost")
        if self._redrawn:
            return None
        no_face = job.no_face
        return lambda: no_face(done)

    def cancel(self) -> None:
        session = self._session
        if session is not None:
            session.cancel()

    @property
    def ended(self) -> bool:
        return self._session is None

    @property
    def is_foreign(self) -> bool:
        session = self._session
        return session is not None and session.owned.is_foreign

    def check_process(self) -> None:
        session = self._session
        if session is not None:
            session.owned.check_process()

    # In these, locals are no place for the session, the source and the speech: a traceback keeps locals.

    def _redraw(self) -> Iterator[Frame]:
        assert self._session is not None and self._job is not None
        self._job.bar.begin()
        self._session.open()
        self._session.push_speech(self._job.speech)
        self._session.end_speech()
        self._job.speech = self._job.speech[:0].copy()  # the session has it, with half of its bytes
        wanted = self._session.info().speech_frames
        wanted = min(wanted, self._job.frames) if self._job.frames else wanted
        count = self._job.source.count
        total = wanted if self._job.loop != "none" or count is None else min(wanted, count)
        self._wanted = wanted
        self._note(wanted)
        for push in self._pushes(wanted):
            while not push():
                raise _errors.InternalError("the session has no room for a frame though all that is ready was pulled")
            while self._done < wanted:
                pulled = self._session.pull()
                if pulled is None:
                    break
                number, pixels, was_redrawn = pulled
                self._redrawn += was_redrawn
                self._done = number + 1
                self._note(wanted)
                yield pixels.copy() if self._job.copy else pixels
                self._job.bar.tell(self._done, total)
            if self._done >= wanted:
                break
        self._note(wanted)
        if self._done and not self._redrawn:
            raise self._job.no_face(self._done)

    def _pushes(self, wanted: int) -> Iterator[Callable[[], bool]]:
        """What is pushed, one after the other; the last is the end, which makes room for nothing."""
        assert self._session is not None and self._job is not None
        push, job = self._session.push, self._job
        count = 0
        for frame in itertools.islice(job.source.forward(), wanted if job.within else None):
            points = job.faces.next(count < wanted) if job.faces else None
            yield lambda frame=frame, points=points: push(frame, points)  # type: ignore[misc]
            count += 1
        if count == 0:
            raise _errors.BadMedia("there is not one frame")
        if count < wanted and job.loop != "none":
            order = [loop_index(job.loop, n, count) for n in range(count, wanted)]
            for shown, frame in zip(order, job.source.again(order)):
                yield lambda frame=frame, shown=shown: push(frame, again=shown)  # type: ignore[misc]
        yield self._push_end

    def _push_end(self) -> bool:
        assert self._session is not None
        self._session.end()
        return True

    def _note(self, wanted: int) -> None:
        assert self._session is not None and self._job is not None
        info, progress = self._session.info(), self._session.progress()
        found: Dict[str, Any] = {
            "frames": self._done,
            "frames_redrawn": min(progress.redrawn, self._done),
            "frames_lost": self._job.source.lost,
            "frames_wanted": wanted,
            "width": self.width,
            "height": self.height,
            "fps": self.fps[0] / self.fps[1],
            "resolution": info.resolution,
            "wanted_resolution": info.wanted_resolution,
            "window_frames": info.window_frames,
            "rung": text(lib().ms_rung_name(info.rung)),
            "budget_bytes": info.budget_bytes,
            "planned_bytes": info.planned_bytes,
            "planned_window_s": info.planned_window_s,
            "weights_read_bytes": info.weights_read_bytes,
            "recoveries": info.recoveries,
            "changes": info.changes,
            "seconds": progress.seconds,
        }
        self.report.update(found)


class LipSync(Iterator[Frame]):
    """Frames as they are done: arrays [height][width][3] of what the input's frames are of.

    Iterate over it; ``close()``, the end of a ``with`` block or dropping it gives up the rest. ``report`` says how it
    went so far. One thread at a time may iterate; ``cancel()`` may come from any thread.
    """

    def __init__(self, session: Session, job: Job) -> None:
        self._run = _Run(session, job)
        self._frames = self._run.frames()
        self._missed: Optional[Callable[[], _errors.Error]] = None  # when the model was closed
        #: frames a second, as a fraction
        self.fps: Tuple[int, int] = self._run.fps
        self.width, self.height = self._run.width, self._run.height
        end_at_exit(self)

    def __iter__(self) -> "LipSync":
        return self

    def __next__(self) -> Frame:
        self._run.check_process()
        try:
            return next(self._frames)
        except StopIteration:
            if self._missed is not None:
                raise self._missed() from None
            raise

    def __enter__(self) -> "LipSync":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_frames"):
            self.close()

    def __repr__(self) -> str:
        done, wanted = self.report.get("frames", 0), self.report.get("frames_wanted")
        how = f"{done}{'' if wanted is None else f' of {wanted}'} frames"
        return f"<memsafe.LipSync {self.width}x{self.height}, {how}{', closed' if self._run.ended else ''}>"

    def close(self) -> None:
        """Ends it; frames that were not taken are lost. A second time does nothing. InvalidArgument: another thread is
        within it; cancel() ends that."""
        if self._run.is_foreign:
            return  # the thread that is within it may not be here
        try:
            self._frames.close()
        except ValueError as e:
            if e.__traceback__ is not None and e.__traceback__.tb_next is not None:
                raise  # from within; Python itself says that the generator is executing, which may have ended by now
            raise _errors.InvalidArgument(
                "another thread waits for a frame of this lip sync, or this call comes from within: cancel() it before it is closed"
            ) from None
        self._run.end()  # if it never began, the generator has nothing to clean up

    def end_with_model(self) -> None:
        """The model goes: whoever iterates is told, for the frames so far are not all."""
        if not self._run.ended:
            missed = self._run.missed()
            try:
                self.close()
            except _errors.InvalidArgument:  # it goes on
                raise
            except BaseException:
                self._missed = missed
                raise
            self._missed = missed

    @property
    def is_over(self) -> bool:
        """Whether the model may be used by another."""
        return self._run.is_over

    def cancel(self) -> None:
        """From any thread: what is under way ends soon, with Cancelled for who iterates."""
        self._run.check_process()
        self._run.cancel()

    def _end_at_exit(self) -> None:
        """Python ends. A thread that still iterates is told, for nobody else can close what it is in."""
        self._run.cancel()
        self.close()

    @property
    def report(self) -> Report:
        """How it went so far: frames, those that were redrawn, the plan and its budget, seconds."""
        return self._run.report
