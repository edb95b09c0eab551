"""Faces of a video, and how good a lip-synced one is."""

import contextlib
import ctypes as C
import os
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np
import numpy.typing as npt

from . import _abi, _errors
from ._frames import Frame, FrameSource, Given, check_floats
from ._library import Handle, call, encoded, filled, lib, naming, sized, text
from ._lipsync import Bar
from ._model import Model, ModelLike
from ._models import PathLike, find_model
from ._new_file import NewFile, check_free
from ._options import frame_at
from ._reports import Report, report_of
from ._speech import Audio, speech_of
from ._track import Track, as_file, line_of, mouth_openings
from ._track import ended as track_ended
from ._values import Rate, Size, Time, budget_bytes, flag, rate, time_us, whole
from ._worker import Worker

Points = npt.NDArray[np.float32]


def _nets(params: Any, model: Optional[ModelLike], faces: Optional[PathLike], comfyui: Optional[PathLike]) -> None:
    """The folder of the face nets, which is all that is wanted of a model."""
    files: Mapping[str, Path] = {}
    if isinstance(model, Model):
        files = model.files
    elif faces is None:
        files = find_model(model, comfyui, frozenset({"config", "vae"}))
    params.model = encoded(files.get("model"))
    params.faces = encoded(faces if faces is not None else files.get("faces"))


def _clip(video: Any, fps: Rate, allow_truncated: bool, start_us: int = 0) -> FrameSource:
    wanted = rate("fps", fps)
    if isinstance(video, (str, os.PathLike)):
        from . import _media

        return _media.Clip(os.fspath(video), wanted, start_us, allow_truncated)
    if wanted is None:
        raise _errors.InvalidArgument('fps="source" is for files: frames that are given have no rate of their own')
    return Given(video, wanted, frame_at(start_us, wanted), start_us / 1e6)


def _bytes_of(frame: Frame, number: int) -> npt.NDArray[np.uint8]:
    """As the library looks at it: tight RGB of bytes."""
    check_floats(frame, number)
    if frame.dtype != np.uint8:
        frame = np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(frame)


class _Stop:
    """The library's object of a call, freed when all is done with it. Ctrl-C ends the call between two frames: nothing
    of one takes long, and what is under way then has ended before the object goes."""

    def __init__(self, destroy: str) -> None:
        self._owned = Handle("what is under way", lambda value: getattr(lib(), destroy)(C.byref(value)))
        self.handle = self._owned.value
        self.worker = Worker(lambda: None)

    def __enter__(self) -> "_Stop":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.worker.close()
        finally:
            self._owned.close()


# ---- detect


def _found(handle: C.c_void_p) -> Iterator[Tuple[Optional[Dict[str, Any]], bool]]:
    face, got = _abi.ms_found_face(), C.c_bool()
    while True:
        call("ms_finder_take_sized", handle, *sized(face), C.byref(got))
        if not got.value:
            return
        if not face.present:
            yield None, False
            continue
        points: Points = np.ctypeslib.as_array(face.landmarks).copy()
        yield {"frame": face.frame, "bbox": list(face.box), "landmarks106": points}, face.interpolated


def _look(params: _abi.ms_finder_params, clip: FrameSource, frames: int) -> Iterator[Tuple[Optional[Dict[str, Any]], bool]]:
    with _Stop("ms_finder_destroy") as work:
        handle, run = work.handle, work.worker.run
        run(lambda: call("ms_finder_create_sized", *sized(params), C.byref(handle)))
        for number, frame in enumerate(clip.forward()):
            if frames and number == frames:
                break
            rgb = _bytes_of(frame, number)
            pixels = rgb.ctypes.data_as(C.POINTER(C.c_uint8))
            run(lambda pixels=pixels: call("ms_finder_push", handle, pixels, 0))  # type: ignore[misc]
            yield from _found(handle)
        call("ms_finder_end", handle)
        yield from _found(handle)


class _TrackFile:
    """A track that has its name only when it is whole."""

    def __init__(self, path: str, force: bool) -> None:
        self.path = path
        check_free(path, force)
        self._new = NewFile(path)
        self._file = os.fdopen(self._new.handle, "w")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise _errors.file_error(f"cannot write {self.path}: {e.strerror or e}", e.errno, self.path) from e

    def add(self, face: Dict[str, Any]) -> None:
        with self._writing():
            self._file.write(line_of(face["frame"], face["landmarks106"], face["bbox"]))

    def finish(self) -> None:
        with self._writing():
            self._file.close()
        self._new.finish()

    def abort(self) -> None:
        with contextlib.suppress(OSError):  # what waits to be written may not find room now, either
            self._file.close()
        self._new.abort()


def detect(
    video: Any,
    model: Optional[ModelLike] = None,
    out: Optional[PathLike] = None,
    *,
    faces: Optional[PathLike] = None,
    comfyui: Optional[PathLike] = None,
    face: int = -1,
    max_gap: Optional[int] = None,
    fps: Rate = 25,
    frames: int = 0,
    threads: int = 0,
    device: str = "auto",
    budget: Optional[Size] = None,
    allow_truncated: bool = False,
    force: bool = False,
    progress: Any = None,
) -> Report:
    """The faces of a video, as lipsync() finds them.

    video: a file, or frames as lipsync() takes them. model: as Model() has it, or a Model, of which only the face nets
    are used; faces: their folder; comfyui: ComfyUI's models folder, as Model() has it.
    out: a track file to write, JSON lines with ``frame``, ``bbox`` and ``landmarks106``; else the report's ``faces`` has
    for each frame a dict of these or None. ``bbox`` is [left, top, right, bottom], ``landmarks106`` a float32 array
    [106][2], in pixels. Either can be lipsync()'s track.
    face: the N-th face to appear is followed, -1 = the largest. max_gap: frames without a face that are bridged.

    The report has ``frames``, ``frames_with_face``, ``frames_interpolated``, ``frames_lost`` and ``seconds``.
    NoFace: in no frame; BadMedia, BadModel, BudgetError, FileError, InvalidArgument.
    """
    began = time.monotonic()
    if flag("force", force) and out is None:
        raise _errors.InvalidArgument("force is for a file that is there: give out=")
    p = filled(_abi.ms_finder_params, "ms_finder_params_init_sized")
    _nets(p, model, faces, comfyui)
    p.face, p.threads = whole("face", face), whole("threads", threads)
    p.device, p.budget_bytes = encoded(device), budget_bytes("budget", budget)
    if max_gap is not None:
        p.max_gap = whole("max_gap", max_gap)
    whole("frames", frames, 0, _abi.MS_RUN_MAX_FRAMES)
    flag("allow_truncated", allow_truncated)
    bar = Bar(progress)
    file = _TrackFile(os.fspath(out), force) if out is not None else None
    try:
        clip = _clip(video, fps, allow_truncated)
        with contextlib.closing(clip):
            p.width, p.height = clip.width, clip.height
            total = min(frames, clip.count or frames) if frames else clip.count
            bar.begin()
            found: List[Optional[Dict[str, Any]]] = []
            counts = {"frames": 0, "frames_with_face": 0, "frames_interpolated": 0}
            for known, interpolated in _look(p, clip, frames):
                counts["frames"] += 1
                counts["frames_with_face"] += known is not None
                counts["frames_interpolated"] += interpolated
                if file is None:
                    found.append(known)
                elif known is not None:
                    file.add(known)
                bar.tell(counts["frames"], total)
            if not counts["frames_with_face"]:
                name = os.fspath(video) if isinstance(video, (str, os.PathLike)) else "the frames that were given"
                raise _errors.NoFace(f"{name}: no usable face in {counts['frames']} frames")
            report = Report(counts, frames_lost=clip.lost, seconds=time.monotonic() - began)
        if file is not None:
            file.finish()
            report["output"] = file.path
        else:
            report["faces"] = found
        return report
    except BaseException:
        if file is not None:
            file.abort()
        raise
    finally:
        bar.close()


# ---- score


def _beside(video: Any, clip: FrameSource, what: str, start_us: int = 0) -> Optional[FrameSource]:
    """Another video, at the rate of the one that is judged."""
    if video is None:
        return None
    num, den = clip.fps
    other = _clip(video, f"{num}/{den}", True, start_us)
    if (other.width, other.height) != (clip.width, clip.height):
        other.close()
        raise _errors.InvalidArgument(f"{what} is {other.width}x{other.height}, the video {clip.width}x{clip.height}: they cannot be compared")
    return other


def _is_track(truth: Any) -> bool:
    if not isinstance(truth, (str, os.PathLike)):
        return False
    try:
        with open(truth, "rb") as file:
            return file.read(1) == b"{"
    except OSError as e:
        raise _errors.file_error(f"cannot read {os.fspath(truth)}: {e.strerror}", e.errno, os.fspath(truth)) from e


def score(
    video: Any,
    audio: Optional[Audio] = None,
    *,
    truth: Any = None,
    input: Any = None,
    track: Optional[Track] = None,
    model: Optional[ModelLike] = None,
    faces: Optional[PathLike] = None,
    comfyui: Optional[PathLike] = None,
    window: int = 16,
    fps: Optional[Rate] = None,
    frames: int = 0,
    start: Optional[Time] = None,
    threads: int = 0,
    device: str = "auto",
    budget: Optional[Size] = None,
    progress: Any = None,
) -> Report:
    """How good a lip-synced video is, in numbers; docs/score.md says what each means.

    video: a file, or frames as lipsync() takes them, with fps (25 when it is not given; a file has its own).
    audio: what it should say; None = the sound of the video itself, which is then a file.
    truth: what it should look like: a video or frames, or a track file with ``mouth_opening``.
    input: the video or frames that the lip sync was given.
    track: the faces, as lipsync() takes them, of each frame of the input from its beginning; None: they are detected in
        the input, the truth or the video, the first that there is.
    model: as Model() has it, or a Model, of which only the face nets are used; faces: their folder; comfyui: ComfyUI's
        models folder.
    window: frames of the run's windows. start: where in the input the lip sync began, its start.

    ``enough_frames`` of the report is False where too few frames have a face for its ``sync_*`` to mean anything.
    NoFace: in no frame; InvalidArgument: sizes differ, or something is missing; BadMedia, BadModel, BudgetError.
    """
    if audio is None:
        if not isinstance(video, (str, os.PathLike)):
            raise _errors.InvalidArgument("frames have no sound: audio= names what they should say", hints=["speech"])
        audio = os.fspath(video)
    bar = Bar(progress)
    clip = _clip(video, fps if fps is not None else "source" if isinstance(video, (str, os.PathLike)) else 25, True)
    sources: List[Optional[FrameSource]] = [clip]
    try:
        openings = mouth_openings(os.fspath(truth)) if _is_track(truth) else None
        sources.append(_beside(input, clip, "the input", time_us("start", start)))
        sources.append(_beside(None if openings is not None else truth, clip, "the truth"))
        speech = np.ascontiguousarray(speech_of(audio), np.float32)
        p = filled(_abi.ms_scorer_params, "ms_scorer_params_init_sized")
        _nets(p, model, faces, comfyui)
        p.device, p.threads, p.budget_bytes = encoded(device), whole("threads", threads), budget_bytes("budget", budget)
        p.width, p.height, p.window = clip.width, clip.height, whole("window", window)
        whole("frames", frames, 0, _abi.MS_RUN_MAX_FRAMES)
        p.fps_num, p.fps_den = clip.fps
        p.first_frame = frame_at(time_us("start", start), clip.fps)
        p.input, p.truth = sources[1] is not None, sources[2] is not None
        p.speech = speech.ctypes.data_as(C.POINTER(C.c_float))
        p.speech_samples = speech.size
        most = frames or 2 * (clip.count or 0)  # a file may have some more than it says
        with as_file(track, p.first_frame + most if most else None) as (path, end):
            p.track = encoded(path)
            return _judged(p, sources, openings, frames, end, bar)
    finally:
        bar.close()
        for source in sources:
            if source is not None:
                source.close()


def _judged(
    p: _abi.ms_scorer_params,
    sources: List[Optional[FrameSource]],
    openings: Optional[Dict[int, float]],
    frames: int,
    track_end: Optional[int],
    bar: Bar,
) -> Report:
    clip = sources[0]
    assert clip is not None
    total = min(frames, clip.count or frames) if frames else clip.count
    bar.begin()
    with _Stop("ms_scorer_destroy") as work:
        handle = work.handle
        with naming(text(p.track) or None):
            work.worker.run(lambda: call("ms_scorer_create_sized", *sized(p), C.byref(handle)))
        iterators = [source.forward() if source is not None else iter(()) for source in sources]
        for number, frame in enumerate(iterators[0]):
            if frames and number == frames:
                break
            if track_end is not None and p.first_frame + number >= track_end:
                raise track_ended(p.first_frame + number)
            given = [frame, *(next(other, None) for other in iterators[1:])]
            _push(work.worker, handle, number, given, None if openings is None else openings.get(number))
            bar.tell(number + 1, total)
        report = _abi.ms_score_report()
        call("ms_scorer_get_report_sized", handle, *sized(report))
    made = report_of(report)
    made["enough_frames"] = made["frames_with_face"] >= _abi.MS_SCORE_LEAST_FRAMES
    made["has_truth"] = p.truth or openings is not None
    made["frames_lost"] = clip.lost
    return made


def _push(worker: Worker, handle: C.c_void_p, number: int, given: List[Optional[Frame]], opening: Optional[float]) -> None:
    kept = [None if frame is None else _bytes_of(frame, number) for frame in given]
    f = _abi.ms_score_frame()
    for name, rgb in zip(("video", "input", "truth"), kept):
        if rgb is not None:
            setattr(f, name, rgb.ctypes.data_as(C.POINTER(C.c_uint8)))
    if opening is not None:
        f.has_opening, f.truth_opening = True, opening
    worker.run(lambda: call("ms_scorer_push_sized", handle, *sized(f)))
