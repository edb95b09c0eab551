"""A model that stays loaded."""

import contextlib
import ctypes as C
import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, Optional, Union, overload

from . import _abi, _errors
from ._library import Handle, call, choice, encoded, filled, lib, naming
from ._lipsync import Bar, Job, LipSync
from ._models import PathLike, find_model
from ._options import NAMES as _OPTIONS
from ._options import Options, check_use, set_profile
from ._options import unknown as _unknown
from ._reports import Report, report_of
from ._session import Session
from ._speech import Audio, speech_of
from ._track import Faces
from ._values import Size, budget_bytes, flag, time_us, whole

if TYPE_CHECKING:
    from ._write import Output


class Model:
    """A LatentSync model, opened on a device under a memory budget. Its weights are read once, when they are first needed.

    path_or_repo: as find_model() has it: a folder, "ByteDance/LatentSync-1.6" in the Hugging Face cache, a name in
        ComfyUI's models folder, "demo"; None = the only one that is installed.
    device: "auto" = the best of this machine, "cpu", "cuda", "cuda:1".
    budget: what the process may come to hold of the device's memory, bytes or "8G"; on the CPU that is the process's
        memory with Python itself. None = what is free less a margin; 0 is refused.
    host_budget: likewise of the host's memory beside a device with memory of its own.
    precision: "auto", "fp32", "fp16", "bf16": how weights are stored.
    threads: 0 = all. The frames do not depend on it.
    profile, profile_file, settings: the policy (docs/memory.md): a tier's name, a YAML or JSON file, fields by name.
    config, unet, vae, whisper, faces: files or folders in place of the model's.
    face_nets: False = without the nets that find faces: every lip sync has a track then.
    comfyui: ComfyUI's models folder; None = COMFYUI_MODELS, or that of the ComfyUI that this process is.

    BadModel, FileError (files); Unsupported (the device); BudgetError; InvalidArgument.

    One lip sync at a time may use a model. Several models may be used in as many threads at once, if each has a budget
    that is named: a budget is the whole process's, so the one that begins later needs the larger one.
    """

    def __init__(
        self,
        path_or_repo: Optional[PathLike] = None,
        device: str = "auto",
        budget: Optional[Size] = None,
        *,
        host_budget: Optional[Size] = None,
        precision: str = "auto",
        threads: int = 0,
        profile: Optional[str] = None,
        profile_file: Optional[PathLike] = None,
        settings: Optional[Mapping[str, Any]] = None,
        config: Optional[PathLike] = None,
        unet: Optional[PathLike] = None,
        vae: Optional[PathLike] = None,
        whisper: Optional[PathLike] = None,
        faces: Optional[PathLike] = None,
        face_nets: bool = True,
        comfyui: Optional[PathLike] = None,
    ) -> None:
        self._handle = _native()
        self._last: Optional[weakref.ref[LipSync]] = None  # the latest that has begun
        self._beginning: Optional[object] = None  # whoever begins a lip sync; a user's source may be asked for a frame meanwhile
        self._lock = threading.RLock()  # nothing of the user's is called under it but what a lip sync that is ended lets go
        given = {"config": config, "unet": unet, "vae": vae, "whisper": whisper, "faces": faces}
        found: Dict[str, Optional[PathLike]] = dict(self._find(path_or_repo, comfyui, given))
        #: the files that it is made of: "model", a folder, and parts that are elsewhere
        self.files: Dict[str, Path] = {k: Path(v) for k, v in found.items() if v is not None}
        self._params = filled(_abi.ms_model_params, "ms_model_params_init_sized")
        for name, path in found.items():
            setattr(self._params, name, encoded(path))
        self._params.no_faces = not flag("face_nets", face_nets)
        self._params.device = encoded(device)
        self._params.threads = whole("threads", threads)
        self._precision = choice("precision", precision, "ms_precision", "MS_PRECISION_")  # where a lip sync names none
        self._params.precision = self._precision
        self._params.budget_bytes = budget_bytes("budget", budget)
        self._params.host_budget_bytes = budget_bytes("host_budget", host_budget)
        self._profile_file = profile_file
        self._settings = set_profile(self._params.profile, profile, profile_file, settings)
        self._open()

    @staticmethod
    def _find(path_or_repo: Optional[PathLike], comfyui: Optional[PathLike], given: Mapping[str, Optional[PathLike]]) -> Dict[str, Any]:
        named = {k: v for k, v in given.items() if v is not None}
        if path_or_repo is None and {"config", "unet", "vae", "whisper"} <= named.keys():
            return named
        return {**find_model(path_or_repo, comfyui, frozenset(named)), **named}

    def _open(self) -> None:
        handle = _native()
        with naming(*self.files.values(), self._profile_file):
            call("ms_model_open_sized", C.byref(self._params), C.sizeof(self._params), C.byref(handle.value))
        self._handle = handle

    # ---- its life

    def close(self) -> None:
        """Gives back its memory. A second time does nothing. A lip sync that still runs on it is ended, and who goes on
        to iterate over it gets Cancelled. InvalidArgument: another thread waits for a frame of it; cancel() ends that."""
        if self._handle.is_foreign:
            self._handle.close()
            return
        with self._lock:
            running = self._running()
            if running:
                running.end_with_model()
            self._handle.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    def cancel(self) -> None:
        """From any thread: the lip sync under way, if there is one, ends soon with Cancelled."""
        running = self._running()
        if running:
            running.cancel()

    def _running(self) -> Optional[LipSync]:
        """The lip sync under way."""
        last = self._last
        running = last() if last is not None else None
        return None if running is None or running.is_over else running

    def evict(self) -> None:
        """Gives back the memory of the weights until they are needed again. InvalidArgument while a lip sync runs."""
        with self._use() as handle:
            call("ms_model_evict", handle)

    @property
    def info(self) -> Report:
        """Device, tier, precision, resolution of the redrawn face, frames of a window, what it holds and may hold.

        ``held_bytes`` is what counts in ``budget_bytes`` now: on the CPU the whole process's memory, with Python and
        numpy in it, also before weights are loaded and after ``evict()``; ``loaded`` says whether weights are there.
        """
        with self._use() as handle:
            return report_of(filled(_abi.ms_model_info, "ms_model_get_info_sized", handle))

    def __repr__(self) -> str:
        where = self.files.get("model") or self.files.get("unet")
        return f"<memsafe.Model {where}{'' if self._handle else ', closed'}>"

    @contextlib.contextmanager
    def _use(self) -> Iterator[C.c_void_p]:
        self._handle.check_process()
        with contextlib.ExitStack() as stack:
            with self._lock:  # another precision may be about to open it anew
                value = stack.enter_context(self._handle.use())
            yield value

    # ---- lip sync

    @overload
    def lipsync(self, video: Any, audio: Audio, out: None = None, **options: Any) -> LipSync: ...

    @overload
    def lipsync(self, video: Any, audio: Audio, out: PathLike, **options: Any) -> Report: ...

    def lipsync(self, video: Any, audio: Audio, out: Optional[PathLike] = None, **options: Any) -> Union[LipSync, Report]:
        """The mouth in video follows audio.

        video: a file (needs PyAV), or frames: an array [frames][height][width][3], a list or whatever gives one frame
            [height][width][3] after the other, of uint8 or of floats from 0 to 1; torch's tensors, too. Floats from
            -0.25 to 1.25 are clipped, others refused: those from -1 to 1 have to be scaled.
        audio: a file, or (samples, rate): floats from -1 to 1, int16 or int32, [samples] or [channels][samples].
        out: a video file to write (needs PyAV); then the result is its report. None: the result is an iterator of
            frames, each as soon as its window is done.
        options: those of ``memsafe run`` by name; docs/python.md has the table. Above all steps=20, guidance=1.5,
            seed=1247, track=None, frames=0 (all), fps=25, loop="pingpong", paste="face", precision, start, duration;
            and progress= (a function (done, total), a bar of tqdm, True for one), copy=False (frames are then
            read-only and valid until the next one is asked for or the iterator ends, the last one too).

        TypeError: an option that there is not; InvalidArgument: a value that cannot be; BudgetError (needs_bytes says
        what would do), OutOfMemory, BadMedia, BadModel, FileError; NoFace: not one frame has a face, after the last
        frame; Cancelled. KeyboardInterrupt ends it within a step of denoising, and leaves nothing behind.
        """
        unknown = [name for name in options if name not in _OPTIONS]
        if unknown:
            raise _unknown(unknown[0])
        check_use(options, to_file=out is not None)
        wishes = Options(**options)
        if out is None:
            return self._begin(video, audio, wishes, None)
        from ._write import Output, comment_of

        self._spare(os.fspath(out))
        file = Output(os.fspath(out), wishes)
        with self._begin(video, audio, wishes, file) as frames:
            name, info = self._name(), self.info
            return file.write(frames, lambda resolution: comment_of(name, resolution, info, wishes))

    def _name(self) -> str:
        files = self.files
        return files["model"].resolve().name if "model" in files else files["unet"].stem

    def _spare(self, path: str) -> None:
        """A file of the model is no place to write to."""
        files = _abi.ms_model_check_params()
        for name in ("model", "config", "unet", "vae", "whisper", "faces"):
            setattr(files, name, getattr(self._params, name))
        if os.path.exists(path) and lib().ms_model_has_file_sized(C.byref(files), C.sizeof(files), encoded(path)):
            raise _errors.InvalidArgument(f"the output {path} is a file of the model")

    def _begin(self, video: Any, audio: Audio, o: Options, out: "Optional[Output]") -> LipSync:
        bar = Bar(o.progress)
        name = os.fspath(video) if isinstance(video, (str, os.PathLike)) else "the frames that were given"
        me = object()
        try:
            self._want(o, me)
            params = filled(_abi.ms_session_params, "ms_session_params_init_sized")
            o.fill(params)
            o.length_us()  # said before files are read
            speech = speech_of(audio, time_us("audio_start", o.audio_start))
            if not len(speech):
                raise _errors.InvalidArgument(f"audio_start={o.audio_start!r} is behind the end of the speech")
            source, first = o.source(video)
            try:
                loop = o.loop_of(source)
                params.width, params.height = source.width, source.height
                params.format = _abi.MS_PIXEL_RGB_F32 if source.floats else _abi.MS_PIXEL_RGB24
                params.fps_num, params.fps_den = source.fps
                params.keep_faces = loop != "none"
                params.speech_s = len(speech) / 16000
                most = o.most_frames(source.fps)
                params.frames = most
                if out is not None:
                    out.check(source, video, audio, speech)
                job = Job(
                    source,
                    speech,
                    faces=Faces(o.track, first) if o.track is not None else None,
                    loop=loop,
                    frames=most,
                    within=o.has_range,
                    bar=bar,
                    copy=o.copy and out is None,
                    no_face=lambda frames: _no_face(name, o, frames),
                )
                with self._lock, naming(o.pressure_trace):
                    session = Session(self._handle, params)
                    lipsync = LipSync(session, job)
                    self._last = weakref.ref(lipsync)
            except BaseException:
                source.close()
                raise
            return lipsync
        finally:
            if self._beginning is me:
                self._beginning = None

    def _want(self, o: Options, me: object) -> None:
        """For one lip sync alone from here on. Another precision than the model has now opens it anew."""
        self._handle.check_process()
        with self._lock:
            if not self._handle:
                raise _errors.InvalidArgument("the model is closed")
            if self._beginning is not None:
                raise _errors.InvalidArgument("the model is in use by another lip sync, which is beginning: one at a time")
            self._take(o)
            self._beginning = me

    def _take(self, o: Options) -> None:
        wanted = self._precision if o.precision is None else choice("precision", o.precision, "ms_precision", "MS_PRECISION_")
        if self._running():
            raise _errors.InvalidArgument("the model is in use by another lip sync: one at a time. close() the first, or drop it, before the next begins")
        before = self._params.precision
        if wanted == before:
            return
        self._handle.close()
        self._params.precision = wanted
        try:
            self._open()
        except BaseException:
            self._params.precision = before
            with contextlib.suppress(_errors.Error):  # why the one that was asked for does not open is to be told
                self._open()
            raise


def _native() -> Handle:
    return Handle("the model", lambda value: lib().ms_model_close(C.byref(value)))


def _no_face(name: str, o: Options, frames: int) -> _errors.NoFace:
    """In the command's words."""
    if o.track is not None:
        return _errors.NoFace(f"{name}: no usable face in {frames} frames: track has none for them")
    if o.face >= 0:
        return _errors.NoFace(f"{name}: no usable face number {o.face} in {frames} frames; {_errors.HINTS['face']}", hints=["face"])
    return _errors.NoFace(f"{name}: no usable face in {frames} frames")


ModelLike = Union[PathLike, Model]
