"""Where faces are, said by the caller: a track file, or points."""

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterable as AnyIterable
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _errors

POINTS = 106
Points = npt.NDArray[np.float32]
_END: Any = object()
Track = Union[str, "os.PathLike[str]", Iterable[Any]]


def _shown(value: Any) -> str:
    """A value as a message has it: of a large one its shape."""
    shape = getattr(value, "shape", None)
    if shape is None and isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    if shape is None:
        return repr(value)
    return f"an array {list(shape)}" if tuple(shape) != (POINTS, 2) else "one that has a value that is no number"


def _points(value: Any, where: str) -> Points:
    try:
        points = np.ascontiguousarray(value, np.float32)
    except (TypeError, ValueError):
        points = np.empty(0, np.float32)
    if points.shape != (POINTS, 2) or not np.isfinite(points).all():
        raise _errors.BadMedia(f"{where}: a face is {POINTS} points of two coordinates, pixels, not {_shown(value)}")
    return points


def _read(path: str) -> Iterator["tuple[int, Points]"]:
    """The faces of a track file with their frames, which rise."""
    last = -1
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{path}:{number}"
                try:
                    face = json.loads(line)
                    frame, landmarks = face["frame"], face["landmarks106"]
                except (ValueError, KeyError, TypeError) as e:
                    raise _errors.BadMedia(f'{where}: is no object with "frame" and "landmarks106"') from e
                if type(frame) is not int or frame <= last:
                    raise _errors.BadMedia(f"{where}: frame {frame} comes after frame {last}")
                last = frame
                yield frame, _points(landmarks, where)
    except OSError as e:
        raise _errors.file_error(f"cannot read {path}: {e.strerror}", e.errno, path) from e


def _given(track: Any) -> Iterable[Any]:
    """Of each frame its face, of what is no file."""
    if isinstance(track, dict):  # the report of memsafe.detect()
        if "faces" not in track:
            raise TypeError(f"track is a report without faces: detect() wrote them to {track.get('output', 'a file')}, name that")
        track = track["faces"]
    if not isinstance(track, AnyIterable):
        raise TypeError(f"track is a file's name, detect()'s report or faces for each frame, not {type(track).__name__}")
    return track


def _face(value: Any, number: int) -> Optional[Points]:
    if isinstance(value, dict):  # what memsafe.detect() gives
        value = value.get("landmarks106")
    return None if value is None else _points(value, f"track: frame {number}")


def _box(value: Any, number: int) -> Optional[List[float]]:
    """Without one the points' own is taken."""
    box = value.get("bbox") if isinstance(value, dict) else None
    try:
        found = None if box is None else [float(v) for v in box]
    except (TypeError, ValueError):
        found = []
    if found is not None and not (len(found) == 4 and np.isfinite(found).all()):
        raise _errors.BadMedia(f"track: frame {number}: bbox is [left, top, right, bottom], pixels, not {_shown(box)}")
    return found


def _number(value: float) -> Union[int, float]:
    return int(value) if value == int(value) else value


def line_of(frame: int, landmarks: Points, box: Optional[List[float]] = None) -> str:
    """Of a track file, as the command writes it."""
    face: Dict[str, Any] = {"frame": frame}
    if box is not None:
        face["bbox"] = [_number(v) for v in box]
    face["landmarks106"] = [[_number(x), _number(y)] for x, y in landmarks.astype(float).tolist()]
    return json.dumps(face, separators=(",", ":")) + "\n"


def ended(number: int) -> _errors.InvalidArgument:
    return _errors.InvalidArgument(f"track ends before frame {number}: it has points or None for each frame of the video")


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise _errors.file_error(f"cannot write the track to a temporary file: {e.strerror or e}", e.errno, e.filename) from e


def _close(file: Any) -> None:
    with contextlib.suppress(OSError):  # what waits to be written may not find room now, either
        file.close()


@contextlib.contextmanager
def as_file(track: Optional[Track], most: Optional[int]) -> Iterator[Tuple[Optional[str], Optional[int]]]:
    """The file of a track, for what in the library reads one, and the frame before which it ends; None: a file has only
    those that have a face. most: frames of it that are looked at, for it may have no end; None = all."""
    if track is None or isinstance(track, (str, os.PathLike)):
        yield None if track is None else os.fspath(track), None
        return
    with contextlib.ExitStack() as stack:
        with _writing():
            file = tempfile.NamedTemporaryFile("w", suffix=".jsonl")  # noqa: SIM115 - closed by _close()
        stack.callback(_close, file)
        count = 0
        for number, value in enumerate(itertools.islice(_given(track), most)):
            face = _face(value, number)
            if face is not None:
                with _writing():
                    file.write(line_of(number, face, _box(value, number)))
            count = number + 1
        with _writing():
            file.flush()
        yield file.name, count


class Faces:
    """The points of one frame after the other; None where a frame has no face."""

    def __init__(self, track: Track, first: int) -> None:
        self._file: Optional[Iterator[tuple[int, Points]]] = None
        self._given: Iterator[Any] = iter(())
        self._next = first
        if isinstance(track, (str, os.PathLike)):
            self._file = _read(os.fspath(track))
            self._ahead = next(self._file, None)
        else:
            self._given = iter(_given(track))
            for _ in range(first):
                next(self._given, None)

    def next(self, is_shown: bool = True) -> Optional[Points]:
        """Of the next frame. InvalidArgument: it is shown, and what was given ended before."""
        number, self._next = self._next, self._next + 1
        if self._file is None:
            value = next(self._given, _END)
            if value is _END:
                if is_shown:
                    raise ended(number)
                return None
            return _face(value, number)
        while self._ahead and self._ahead[0] < number:
            self._ahead = next(self._file, None)
        return self._ahead[1] if self._ahead and self._ahead[0] == number else None


def mouth_openings(path: str) -> Dict[int, float]:
    """Of a track that is a truth: how far the mouth is open in each frame, pixels."""
    openings: Dict[int, float] = {}
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    face = json.loads(line)
                    frame, opening = int(face["frame"]), face.get("mouth_opening")
                except (ValueError, KeyError, TypeError, AttributeError) as e:
                    raise _errors.BadMedia(f'{path}:{number}: is no object with "frame"') from e
                if opening is not None:
                    openings[frame] = float(np.float32(opening))
                elif not openings:
                    raise _errors.BadMedia(f'{path}: has no "mouth_opening", so it is no truth')
    except OSError as e:
        raise _errors.file_error(f"cannot read {path}: {e.strerror}", e.errno, path) from e
    return openings
