"""One lip sync: frames of a source through a session, in the order in which they are shown."""

import inspect
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

Frame = npt.NDArray[Any]
Progress = Callable[[int, Optional[int]], Any]


class Bar:
    """Whoever is told how far it is: a function (done, total), a bar of tqdm, or True for a new one."""

    def __init__(self, progress: Any) -> None:
        self._call: Optional[Progress] = None
        self._bar: Any = None
        self._own = progress is True
        if self._own:
            try:
                from tqdm.auto import tqdm
            except ImportError as e:
                raise _errors.Unsupported("progress=True needs the package tqdm; a function (done, total) does without") from e
            self._bar = tqdm(unit="frame")
        elif hasattr(progress, "update"):
            self._bar = progress
        elif callable(progress):
            self._call = progress
        elif progress not in (None, False):
            raise TypeError(f"progress is True, a function (done, total) or a bar of tqdm, not {type(progress).__name__}")

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
        said: Callable[[], str],
    ) -> None:
        self.source, self.speech, self.faces, self.loop = source, speech, faces, loop
        self.frames = frames  # 0 = as the speech asks for
        self.within = within  # frames behind the last are none of the clip's
        self.bar, self.copy, self.said = bar, copy, said


class LipSync(Iterator[Frame]):
    """Frames as they are done: arrays [height][width][3] of what the input's frames are of.

    Iterate over it; ``close()``, the end of a ``with`` block or dropping it gives up the rest. ``report`` says how it
    went so far. One thread at a time may iterate; ``cancel()`` may come from any thread.
    """

    def __init__(self, session: Session, job: Job, closed: Callable[[], None]) -> None:
        self._session, self._job, self._closed = session, job, closed
        self._report = Report()
        self._done = 0
        #: frames a second, as a fraction
        self.fps: Tuple[int, int] = job.source.fps
        self.width, self.height = job.source.width, job.source.height
        self._frames = self._run()

    # ---- what callers do

    def __iter__(self) -> "LipSync":
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> "LipSync":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends it; frames that were not taken are lost. A second time does nothing."""
        if inspect.getgeneratorstate(self._frames) == inspect.GEN_CREATED:
            self._end()
        self._frames.close()

    def cancel(self) -> None:
        """From any thread: what is under way ends soon, with Cancelled for who iterates."""
        self._session.cancel()

    @property
    def report(self) -> Report:
        """How it went so far: frames, those that were redrawn, the plan and its budget, seconds."""
        return self._report

    # ---- the work

    def _run(self) -> Generator[Frame, None, None]:
        try:
            yield from self._redraw()
        finally:
            self._end()

    def _end(self) -> None:
        if self._session is not None:
            self._session.close()
            self._job.source.close()
            self._job.bar.close()
            self._closed()

    def _redraw(self) -> Iterator[Frame]:
        session, job = self._session, self._job
        session.open()
        session.push_speech(job.speech)
        session.end_speech()
        job.speech = job.speech[:0].copy()  # the session has it, with half of its bytes
        wanted = session.info().speech_frames
        wanted = min(wanted, job.frames) if job.frames else wanted
        total = wanted if job.loop != "none" or job.source.count is None else min(wanted, job.source.count)
        redrawn = 0
        self._note(wanted)
        for push in self._pushes(wanted):
            while not push():
                raise _errors.InternalError("the session has no room for a frame though all that is ready was pulled")
            while self._done < wanted:
                pulled = session.pull()
                if pulled is None:
                    break
                number, pixels, was_redrawn = pulled
                redrawn += was_redrawn
                self._done = number + 1
                self._note(wanted)
                last = self._done == wanted
                if last and not redrawn:
                    break
                yield pixels.copy() if job.copy else pixels
                job.bar.tell(self._done, total)
            if self._done >= wanted:
                break
        self._note(wanted)
        if self._done and not redrawn:
            raise _errors.NoFace(job.said())

    def _pushes(self, wanted: int) -> Iterator[Callable[[], bool]]:
        """What is pushed, one after the other; the last is the end, which makes room for nothing."""
        session, job = self._session, self._job
        count = 0
        for frame in itertools.islice(job.source.forward(), wanted if job.within else None):
            points = job.faces.next() if job.faces else None
            yield lambda frame=frame, points=points: session.push(frame, points)  # type: ignore[misc]
            count += 1
        if count == 0:
            raise _errors.BadMedia("there is not one frame")
        if count < wanted and job.loop != "none":
            order = [loop_index(job.loop, n, count) for n in range(count, wanted)]
            for shown, frame in zip(order, job.source.again(order)):
                yield lambda frame=frame, shown=shown: session.push(frame, again=shown)  # type: ignore[misc]
        yield self._push_end

    def _push_end(self) -> bool:
        self._session.end()
        return True

    def _note(self, wanted: int) -> None:
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
        self._report.update(found)
