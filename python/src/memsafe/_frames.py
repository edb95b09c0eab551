"""Where frames come from when they are no file, and in which order a clip is shown."""

import itertools
import math
import os
import reprlib
from collections.abc import Sequence as AbstractSequence
from typing import Any, Iterable, Iterator, List, Optional, Tuple

import numpy as np
import numpy.typing as npt

from . import _errors

Frame = npt.NDArray[Any]


def loop_index(loop: str, frame: int, clip: int) -> int:
    """The clip's frame that an output frame shows; at the turns of ping-pong a frame comes twice, as in the reference."""
    if loop == "repeat":
        return frame % clip
    if loop == "hold":
        return min(frame, clip - 1)
    lap, place = divmod(frame, clip)
    return clip - 1 - place if lap % 2 else place


LOWEST, HIGHEST = -0.25, 1.25  # of floats, as the library's sessions have it: resampling overshoots so far, which is clipped


def as_frame(value: Any, number: int) -> Frame:
    """An array [height][width][3] of uint8 or float32 whose rows are tight."""
    if isinstance(value, (str, bytes, os.PathLike)):
        raise _errors.InvalidArgument(f"frame {number} is {reprlib.repr(value)}: a frame is an array [height][width][3], no file's name or bytes")
    if hasattr(value, "detach"):  # a tensor of torch, which may be on a device
        value = value.detach().cpu().numpy()
    frame = np.asarray(value)
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise _errors.InvalidArgument(f"frame {number}: a frame is [height][width][3], this is {list(frame.shape)}")
    if frame.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what becomes infinite is refused as out of range
            frame = frame.astype(np.float32, copy=False)
    elif frame.dtype != np.uint8:
        raise _errors.InvalidArgument(f"frame {number}: a frame has bytes (uint8) or floats from 0 to 1, not {frame.dtype}")
    if frame.strides[2] != frame.itemsize or frame.strides[1] != 3 * frame.itemsize:
        frame = np.ascontiguousarray(frame)
    return frame


def check_floats(frame: Frame, number: int) -> None:
    """Refuses what the library's sessions refuse: for frames that are to be refused earlier, or go elsewhere."""
    if frame.dtype.kind != "f" or not frame.size:
        return
    low, high = float(frame.min()), float(frame.max())  # NaN if there is one
    if math.isnan(low):
        raise _errors.InvalidArgument(f"frame {number}: a value is no number (NaN)")
    if low < LOWEST or high > HIGHEST:
        raise _errors.InvalidArgument(
            f"frame {number}: floats are from 0 to 1 ({LOWEST} to {HIGHEST} is clipped), these are {low:.4g} to {high:.4g}: "
            "scale those from -1 to 1 by (v + 1) / 2, those to 255 by v / 255, or give bytes (uint8)"
        )


class FrameSource:
    """A clip that is read forward, and where it can be, gone back in. Frames are valid until the next one is asked for."""

    #: frames a second as a fraction
    fps: Tuple[int, int]
    #: whether again() works
    rewinds: bool
    #: frames from the first on, where that is known
    count: Optional[int]
    height: int
    width: int
    floats: bool

    def forward(self) -> Iterator[Frame]:
        """From the first frame on; once."""
        raise NotImplementedError

    def again(self, order: Iterable[int]) -> Iterator[Frame]:
        """Frames by number, of those that forward() gave."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes what was opened."""

    @property
    def lost(self) -> int:
        """Frames that could not be decoded."""
        return 0


class Given(FrameSource):
    """Frames that the caller has: an array, a list, or what gives one after the other."""

    def __init__(self, frames: Any, fps: Tuple[int, int], start: int, start_given: Any = None) -> None:
        """start: the first frame that is taken, at the time start_given."""
        is_bytes = isinstance(frames, (bytes, bytearray, memoryview))
        if is_bytes or (not hasattr(frames, "__iter__") and not hasattr(frames, "__getitem__")):
            raise TypeError(f"video is a file's name or frames: an array, a list, a generator, not {type(frames).__name__}")
        shape = getattr(frames, "shape", None)
        if shape is not None and len(shape) == 3:
            raise _errors.InvalidArgument(f"video is one picture, {list(shape)}: frames are [frames][height][width][3], video[None] makes one of it")
        self.fps = fps
        self._start = start
        self.rewinds = isinstance(frames, (AbstractSequence, np.ndarray)) or (hasattr(frames, "__getitem__") and hasattr(frames, "__len__"))
        self.count = max(len(frames) - start, 0) if hasattr(frames, "__len__") else None
        self._frames = frames
        self._iterator: Iterator[Any] = iter(frames)
        first: List[Any] = list(itertools.islice(self._iterator, start, start + 1))
        if not first and start:
            count = len(frames) if hasattr(frames, "__len__") else None
            there = "all that were given" if count is None else f"the last of {count} at {fps[0] / fps[1]:.6g} a second"
            raise _errors.InvalidArgument(f"start={start_given!r} is frame {start}, behind {there}")
        if not first:
            raise _errors.BadMedia("there is not one frame")
        self._first = as_frame(first[0], 0)
        check_floats(self._first, 0)
        self.height, self.width = self._first.shape[:2]
        self.floats = self._first.dtype == np.float32

    def _like_first(self, value: Any, number: int) -> Frame:
        frame = as_frame(value, number)
        if frame.shape != self._first.shape or frame.dtype != self._first.dtype:
            raise _errors.InvalidArgument(
                f"frame {number} is {list(frame.shape)} of {frame.dtype}, the first one {list(self._first.shape)} of {self._first.dtype}"
            )
        return frame

    def forward(self) -> Iterator[Frame]:
        yield self._first
        for number, value in enumerate(self._iterator, 1):
            yield self._like_first(value, number)

    def again(self, order: Iterable[int]) -> Iterator[Frame]:
        for number in order:
            yield self._like_first(self._frames[self._start + number], self._start + number)
