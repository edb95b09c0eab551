"""The options of a lip sync, which are the command's by name."""

import ctypes as C
import dataclasses
import difflib
import os
from typing import Any, Iterable, List, Mapping, Optional, Tuple

from . import _abi, _errors
from ._frames import FrameSource, Given
from ._library import choice, encoded
from ._models import PathLike
from ._track import Track
from ._values import Rate, Time, flag, number, rate, time_us, whole

# Options of the command that belong to the model, and those that only it has.
OF_MODEL = frozenset(["budget", "host_budget", "device", "threads", "profile", "profile_file", "settings", "set", "config", "unet", "vae", "whisper", "faces", "model", "demo"])
OF_COMMAND = frozenset(
    ["rest", "preview", "resume", "report", "tonemap", "format", "pixel_format", "sound_codec", "segment", "part", "latent_cache", "latent_cache_dir", "latent_cache_size", "latent_rank", "quiet", "verbose"]
)
# Those of a file that is written, and those of frames that come one after the other.
OF_FILE = ("codec", "crf", "audio_out", "no_metadata", "force")
OF_FRAMES = ("copy",)
LOOPS = ("pingpong", "repeat", "hold", "none")


def unknown(name: str) -> TypeError:
    """What to say of an option that lipsync() does not have."""
    if name in OF_MODEL:
        return TypeError(f"{name} is an option of memsafe.Model(), not of lipsync()")
    if name in OF_COMMAND:
        return TypeError(f"{name} is an option of the command `memsafe run` that lipsync() does not have")
    near = difflib.get_close_matches(name, sorted(NAMES), 1)
    return TypeError(f"lipsync() has no option {name}" + (f"; did you mean {near[0]}?" if near else ""))


def check_use(given: Iterable[str], to_file: bool) -> None:
    """InvalidArgument: an option that would do nothing."""
    for name in given:
        if name in OF_FILE and not to_file:
            raise _errors.InvalidArgument(f"{name} is for files: give out=")
        if name in OF_FRAMES and to_file:
            raise _errors.InvalidArgument(f"{name} is for frames that are iterated over: with out= there are none")


@dataclasses.dataclass
class Options:
    """By name as the command has them, with its defaults."""

    # what is redrawn, and how
    steps: int = 20
    guidance: float = 1.5
    seed: int = 1247
    deepcache: bool = False
    resolution: int = 0
    paste: str = "face"
    face: int = -1
    max_gap: Optional[int] = None
    track: Optional[Track] = None
    # which part of the inputs
    fps: Rate = 25
    frames: int = 0
    loop: Optional[str] = None
    start: Optional[Time] = None
    duration: Optional[Time] = None
    to: Optional[Time] = None
    audio_start: Optional[Time] = None
    allow_truncated: bool = False
    # memory and speed
    precision: Optional[str] = None
    allow_downscale: bool = False
    force_rung: str = "auto"
    pressure_trace: Optional[PathLike] = None
    held_frames: int = 0
    # the file that is written
    codec: str = "h264"
    crf: int = 18
    audio_out: str = "original"
    no_metadata: bool = False
    force: bool = False
    # of this package
    progress: Any = None
    copy: bool = True

    def fill(self, p: _abi.ms_session_params) -> None:
        """All that a session takes as it is."""
        for name in ("deepcache", "allow_truncated", "allow_downscale", "no_metadata", "force", "copy"):
            flag(name, getattr(self, name))
        p.steps, p.guidance = whole("steps", self.steps), number("guidance", self.guidance)
        p.deepcache, p.resolution = self.deepcache, whole("resolution", self.resolution)
        p.seed = whole("seed", self.seed, 0, (1 << 64) - 1)
        p.paste = choice("paste", self.paste, "ms_paste", "MS_PASTE_")
        p.rung = choice("force_rung", self.force_rung, "ms_rung", "MS_RUNG_")
        p.allow_downscale = self.allow_downscale
        p.face = whole("face", self.face)
        if self.max_gap is not None:
            p.max_gap = whole("max_gap", self.max_gap)
        p.given_faces = self.track is not None
        p.held_frames = whole("held_frames", self.held_frames)
        p.pressure_trace = encoded(self.pressure_trace)
        whole("frames", self.frames, 0, _abi.MS_RUN_MAX_FRAMES)

    @property
    def has_range(self) -> bool:
        return self.start is not None or self.duration is not None or self.to is not None

    def source(self, video: Any) -> Tuple[FrameSource, int]:
        """The clip, from the range's first frame on, and that frame's number."""
        wanted = rate("fps", self.fps)
        start = time_us("start", self.start)
        if isinstance(video, (str, os.PathLike)):
            from . import _media

            clip = _media.Clip(os.fspath(video), wanted, start, self.allow_truncated)
            return clip, clip.start
        if wanted is None:
            raise _errors.InvalidArgument('fps="source" is for files: frames that are given have no rate of their own')
        first = frame_at(start, wanted)
        return Given(video, wanted, first, self.start), first

    def loop_of(self, source: FrameSource) -> str:
        if self.loop is None:
            return "pingpong" if source.rewinds else "none"
        if self.loop not in LOOPS:
            raise _errors.InvalidArgument(f"loop must be {', '.join(LOOPS)}, not {self.loop!r}")
        if self.loop != "none" and not source.rewinds:
            raise _errors.InvalidArgument(f'loop="{self.loop}" needs frames that can be gone back to, like a list, an array or a file')
        return self.loop

    def length_us(self) -> int:
        """Of the range; 0 = it has no end."""
        length = time_us("duration", self.duration)
        if self.duration is not None and length == 0:
            raise _errors.InvalidArgument(f"duration must be more than 0 s, not {self.duration!r}")
        if self.to is not None:
            if self.duration is not None:
                raise _errors.InvalidArgument(f"to={self.to!r} and duration={self.duration!r} both say where it ends: name one")
            length = time_us("to", self.to) - time_us("start", self.start)
            if length <= 0:
                raise _errors.InvalidArgument(f"to={self.to!r} is not after start={self.start!r}")
        return length

    def most_frames(self, fps: Tuple[int, int]) -> int:
        """That the options ask for; 0 = all. Those that begin within a range, as FFmpeg's -t counts them."""
        length = self.length_us()
        within = -(-length * fps[0] // (fps[1] * 1000000))
        return min(self.frames, within) if self.frames and within else self.frames or within


NAMES = frozenset(field.name for field in dataclasses.fields(Options))


def frame_at(us: int, fps: Tuple[int, int]) -> int:
    """The frame that begins nearest to a time; of two the even one."""
    return round(us * fps[0] / (fps[1] * 1000000))


def set_profile(
    source: _abi.ms_profile_source, tier: Optional[str], file: Optional[PathLike], settings: Optional[Mapping[str, Any]]
) -> List[bytes]:
    """The policy's sources, over the environment's. What is returned must stay as long as the struct."""
    texts = [f"{name}={value}".encode() for name, value in (settings or {}).items()]
    source.tier, source.file = encoded(tier), encoded(file)
    source.settings = C.cast((C.c_char_p * max(len(texts), 1))(*texts), C.POINTER(C.c_char_p))
    source.n_settings = len(texts)
    source.tier_called, source.settings_called = b"profile", b"settings"
    return texts
