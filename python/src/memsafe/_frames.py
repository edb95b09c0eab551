"""Where frames come from when they are no file, and in which order a clip is shown."""

import itertools
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


def as_frame(value: Any, number: int) -> Frame:
    """An array [height][width][3] of uint8 or float32 whose rows are tight."""
    if hasattr(value, "detach"):  # a tensor of torch, which may be on a device
        value = value.detach().cpu().numpy()
    frame = np.asarray(value)
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise _errors.InvalidArgument(f"frame {number}: a frame is [height][width][3], this is {list(frame.shape)}")
    if frame.dtype.kind == "f":
        frame = frame.astype(np.float32, copy=False)
        if frame.size and (frame.max() > 2 or frame.min() < -1):
            raise _errors.InvalidArgument(
                f"frame {number}: floats are expected from 0 to 1, these are {frame.min():.4g} to {frame.max():.4g}: "
                "divide by 255, or give bytes (uint8)"
            )
    elif frame.dtype != np.uint8:
        raise _errors.InvalidArgument(f"frame {number}: a frame has bytes (uint8) or floats from 0 to 1, not {frame.dtype}")
    if frame.strides[2] != frame.itemsize or frame.strides[1] != 3 * frame.itemsize:
        frame = np.ascontiguousarray(frame)
    return frame


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

    def __init__(self, frames: Any, fps: Tuple[int, int], start: int) -> None:
        if not hasattr(frames, "__iter__") and not hasattr(frames, "__getitem__"):
            raise TypeError(f"video is a file's name or frames: an array, a list, a generator, not {type(frames).__name__}")
        self.fps = fps
        self._start = start
        self.rewinds = isinstance(frames, (AbstractSequence, np.ndarray)) or (hasattr(frames, "__getitem__") and hasattr(frames, "__len__"))
        self.count = max(len(frames) - start, 0) if hasattr(frames, "__len__") else None
        self._frames = frames
        self._iterator: Iterator[Any] = iter(frames)
        first: List[Any] = list(itertools.islice(self._iterator, start, start + 1))
        if not first:
            raise _errors.BadMedia(f"there is no frame {start} to begin with" if start else "there is not one frame")
        self._first = as_frame(first[0], 0)
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
