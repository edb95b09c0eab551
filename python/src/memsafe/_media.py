"""Files, by PyAV: videos as frames as the command decodes them, sound as speech."""

import errno
import gc
import os
import wave
from fractions import Fraction
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np
import numpy.typing as npt

from . import _errors
from ._cfr import Rate
from ._frames import Frame, FrameSource
from ._options import frame_at

Samples = npt.NDArray[np.float32]

BLOCK = 16  # frames that are read ahead of walking backwards
MISSING_S = 0.5
PQ, HLG = 16, 18
LAYOUTS = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 8: "7.1"}

# Those of the command: bicubic at equal sizes touches chroma only.
SCALE = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
# Codecs whose chroma lies between two pixels, not on the left one; PyAV does not say what a frame says of it.
CENTRED = frozenset({"mjpeg", "mjpegb", "mpeg1video"})
# The names that swscale has for colour matrices, by their numbers in FFmpeg; BT.601's two are the same.
MATRICES = {1: "bt709", 4: "fcc", 5: "bt470", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}


def av() -> Any:
    """PyAV; its messages are not printed."""
    try:
        import av as module
    except ImportError as e:
        raise _errors.Unsupported('files need PyAV: pip install "av>=15"') from e
    return module


def failed(path: str, e: BaseException) -> _errors.Error:
    """PyAV's exception as one of ours."""
    if isinstance(e, MemoryError):
        return _errors.OutOfMemory(f"{path}: {e}")
    if isinstance(e, OSError):
        return _errors.file_error(f"cannot read {path}: {e.strerror or e}", e.errno, path)
    return _errors.BadMedia(f"{path}: {getattr(e, 'strerror', None) or e}")


def opened(path: str) -> Any:
    module = av()
    if not os.path.exists(path):
        raise _errors.file_error(f"cannot read {path}: there is no such file", errno.ENOENT, path)
    try:
        return module.open(path)
    except (OSError, ValueError, module.error.FFmpegError) as e:
        raise failed(path, e) from e


# ---- sound


def _wave(path: str) -> Optional[Samples]:
    """A file that is speech as it is, which needs nobody's help: 16 kHz, one channel, 16 bits."""
    try:
        with wave.open(path, "rb") as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (16000, 1, 2):
                return None
            data = file.readframes(file.getnframes())
            samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2")  # one that is cut off may end within a sample
    except (wave.Error, EOFError):
        return None
    except OSError as e:
        raise _errors.file_error(f"cannot read {path}: {e.strerror or e}", e.errno, path) from e
    floats: Samples = samples.astype(np.float32) / np.float32(32768)
    return floats


class _Resampler:
    """To speech, rounded to 16 bits, as the reference hears it.

    swresample computes with 16 bits what has 16 bits, or did until its newer versions; to hear the same with all of
    them, it is told.
    """

    def __init__(self, frame: Any) -> None:
        graph = av().filter.Graph()
        bits = frame.format.bytes * 8
        inside = "s16p" if bits <= 16 else "fltp" if bits <= 32 else "dblp"
        source = graph.add_abuffer(
            format=frame.format, sample_rate=frame.sample_rate, layout=frame.layout, time_base=Fraction(1, frame.sample_rate)
        )
        resample = graph.add("aresample", f"16000:internal_sample_fmt={inside}:out_chlayout=mono:out_sample_fmt=s16")
        self._sink = graph.add("abuffersink")
        source.link_to(resample)
        resample.link_to(self._sink)
        graph.configure()
        self._graph = graph

    def resample(self, frame: Any) -> Iterator[Samples]:
        """What a frame makes ready; None: the rest."""
        module = av()
        self._graph.push(frame)
        while True:
            try:
                done = self._sink.pull()
            except (module.error.BlockingIOError, module.error.EOFError):
                return
            yield done.to_ndarray().reshape(-1).astype(np.float32) / np.float32(32768)


def _resampled(frames: Iterable[Any]) -> Iterator[Samples]:
    """A file may change its rate and channels under way."""
    kind: Any = None
    resampler: Optional[_Resampler] = None
    for frame in frames:
        frame.pts = None  # a late start or a gap is closed up, as the command does
        if (frame.format.name, frame.sample_rate, frame.layout.name) != kind:
            if resampler:
                yield from resampler.resample(None)
            resampler = _Resampler(frame)
            kind = (frame.format.name, frame.sample_rate, frame.layout.name)
        if resampler:
            yield from resampler.resample(frame)
    if resampler:
        yield from resampler.resample(None)


def _nothing() -> None:
    pass


def packets(path: str, container: Any, stream: Any, broken: Callable[[], None] = _nothing) -> Iterator[Any]:
    """Packets of a stream. A file that cannot be read is an error; one whose packets are no longer to be made out has
    ended, and broken() is called."""
    found = container.demux(stream)
    while True:
        try:
            packet = next(found, None)
        except (MemoryError, OSError) as e:
            raise failed(path, e) from e
        except av().error.EOFError:
            return
        except av().error.FFmpegError:
            broken()
            return
        if packet is None:
            return
        yield packet


def decoded(path: str, container: Any, stream: Any, lost: Callable[[], None] = _nothing) -> Iterator[Any]:
    """Frames of a stream. Packets that are refused are left out, and lost() is called for each, as the command does."""
    module, is_broken = av(), []

    def broken() -> None:
        is_broken.append(True)
        lost()

    def tried(decode: Callable[[], Any]) -> Any:
        try:
            return decode()
        except MemoryError as e:
            raise failed(path, e) from e
        except module.error.EOFError:
            return ()
        except module.error.FFmpegError:
            lost()
            return ()

    for packet in packets(path, container, stream, broken):
        yield from tried(packet.decode)
    if is_broken:  # no empty packet came that has the decoder give out what it holds
        yield from tried(lambda: stream.decode(None))


def read_speech(path: str) -> Samples:
    """A file's sound as speech: [samples], 16 kHz."""
    plain = _wave(path)
    if plain is not None:
        return plain
    with opened(path) as container:
        if not container.streams.audio:
            raise _errors.BadMedia(f"{path}: has no sound", hints=["speech"])
        stream = container.streams.best("audio")
        parts = list(_resampled(decoded(path, container, stream)))
    samples = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if not samples.size:
        raise _errors.BadMedia(f"{path}: there is not one sample of sound in it")
    return samples


def sound_frames(channels: npt.NDArray[Any], rate: int, skip: int) -> Iterator[Any]:
    """[channels][samples] of int16 or float32 as frames, without the first samples."""
    if len(channels) not in LAYOUTS:
        raise _errors.InvalidArgument(f"audio with {len(channels)} channels: 1, 2, 4, 6 and 8 are known")
    for first in range(skip, channels.shape[1], 65536):
        part = np.ascontiguousarray(channels[:, first : first + 65536])
        form = "s16p" if part.dtype == np.int16 else "fltp"
        frame = av().AudioFrame.from_ndarray(part, format=form, layout=LAYOUTS[len(channels)])
        frame.sample_rate = rate
        yield frame


def convert_speech(channels: npt.NDArray[Any], rate: int) -> Samples:
    """[channels][samples] of int16 or float32 at a rate as speech."""
    parts = list(_resampled(sound_frames(channels, rate, 0)))
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


# ---- video


class _ToRgb:
    """Decoded frames as RGB, by the conversion that the command uses."""

    def __init__(self) -> None:
        self._key: Any = None
        self._graph: Any = None
        self._sink: Any = None

    @staticmethod
    def colour(frame: Any) -> Tuple[int, bool]:
        """The matrix and whether the range is full, guessed as the command does where the frame does not say."""
        full = frame.format.name.startswith("yuvj") or int(frame.color_range) == 2
        matrix = int(frame.colorspace)
        if matrix not in MATRICES:
            matrix = 1 if frame.height >= 720 else 6
        return matrix, full

    def __call__(self, frame: Any, stream: Any) -> Frame:
        matrix, full = self.colour(frame)
        key = (frame.format.name, frame.width, frame.height, matrix, full)
        if key != self._key:
            self._make(frame, stream, matrix, full)
            self._key = key
        self._graph.push(frame)
        rgb: Frame = self._sink.pull().to_ndarray()
        turns = int(round((getattr(frame, "rotation", 0) or 0) / 90)) % 4
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb

    def _make(self, frame: Any, stream: Any, matrix: int, full: bool) -> None:
        wishes = SCALE + ":out_range=pc"
        if not frame.format.is_rgb:
            centred = stream.codec_context.name in CENTRED or not _is_subsampled(frame.format, 0)
            horizontal = -513 if centred else 0
            vertical = 128 if _is_subsampled(frame.format, 1) else -513
            wishes += f":in_color_matrix={MATRICES[matrix]}:in_range={'pc' if full else 'tv'}"
            wishes += f":in_h_chr_pos={horizontal}:in_v_chr_pos={vertical}"
        self._graph, self._sink = scaling(frame.width, frame.height, frame.format, stream.time_base, wishes, "rgb24")


def scaling(width: int, height: int, form: Any, time_base: Any, wishes: str, to: str) -> Tuple[Any, Any]:
    """Pictures in another form, by libav's scale filter: frames are pushed into the first and pulled from the second."""
    graph = av().filter.Graph()
    parts = [
        graph.add_buffer(width=width, height=height, format=form, time_base=time_base),
        graph.add("scale", wishes),
        graph.add("format", f"pix_fmts={to}"),
        graph.add("buffersink"),
    ]
    for part, following in zip(parts, parts[1:]):
        part.link_to(following)
    graph.configure()
    return graph, parts[-1]


def _is_subsampled(form: Any, axis: int) -> bool:
    chroma = form.chroma_width(64) if axis == 0 else form.chroma_height(64)
    return bool(chroma < 64)


class Stamp(NamedTuple):
    """Which source frame it is: by its timestamp, and where a file has none, by how many came before it."""

    pts: Optional[int]
    number: int


class Clip(FrameSource):
    """A video file at the output's rate, from a time on."""

    rewinds = True
    floats = False

    def __init__(self, path: str, fps: Optional[Tuple[int, int]], start_us: int, allow_truncated: bool) -> None:
        self._path, self._allow_truncated = path, allow_truncated
        self._stream: Any = None
        self._rgb: Any = None
        self._ahead: Any = None
        self._frames: Iterator[Any] = iter(())
        self._container: Any = opened(path)
        try:
            self._open(fps, start_us)
        except BaseException:
            self.close()
            raise

    def _open(self, fps: Optional[Tuple[int, int]], start_us: int) -> None:
        container = self._container
        if not container.streams.video:
            raise _errors.BadMedia(f"{self._path}: has no video")
        self._stream = stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        guessed = stream.guessed_rate or stream.average_rate
        rate = Fraction(*fps) if fps else Fraction(guessed or 25)
        self.fps = (rate.numerator, rate.denominator)
        #: the file's frame that is the first here
        self.start = frame_at(start_us, self.fps)
        self._rate = Rate(rate, stream.time_base, Fraction(guessed) if guessed else None, len(container.streams) == 1)
        begins = container.start_time  # in microseconds: the file's start is zero
        self._offset = -round(Fraction(begins or 0, 1000000) / stream.time_base)
        self._lost = 0
        self._rgb = _ToRgb()
        self._stamps: List[Stamp] = []  # of the source frame that each output frame shows
        self._frames = self._decode()
        self._ahead = next(self._frames, None)
        if self._ahead is None:
            raise _errors.BadMedia(f"{self._path}: not one frame of it can be decoded")
        first = self._ahead
        # PyAV's frames say it since version 16; before, the decoder does.
        transfer = first.color_trc if hasattr(first, "color_trc") else getattr(stream.codec_context, "color_trc", 0)
        if int(transfer) in (PQ, HLG):
            raise _errors.Unsupported(f"{self._path}: is HDR, which the command `memsafe run` keeps or tonemaps")
        shape = self._rgb(first, stream).shape
        self.height, self.width = shape[0], shape[1]
        self.colour = self._rgb.colour(first)[0]
        length = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, 1000000)
        self._length = length
        self.count = max(round(length * rate) - self.start, 0) or None
        if length and start_us > (length + 1) * 1000000:
            raise _errors.InvalidArgument(
                f"{self._path} ends after {float(length):.3f} s, before the range begins (start: {start_us / 1e6:.3f} s)"
            )

    def _decode(self) -> Iterator[Any]:
        def lost() -> None:
            self._lost += 1

        return decoded(self._path, self._container, self._stream, lost)

    @property
    def lost(self) -> int:
        return self._lost

    def close(self) -> None:
        """The decoder's memory goes at once, whoever still holds the clip."""
        self._frames = iter(())
        if self._container is None:
            return
        self._container.close()
        self._container = self._stream = self._ahead = self._rgb = None
        # PyAV's container and its streams hold one another, and with them the decoder's memory and threads. A fork that
        # came to free these would wait for threads that it does not have.
        gc.collect()

    def _shown(self) -> Iterator[Tuple[Any, Stamp, int]]:
        """Source frames with how often each is shown next."""
        before: Any = None
        expected = number = 0
        frames = self._frames
        frame, self._ahead = self._ahead, None
        while frame is not None:
            stamp = expected if frame.pts is None else frame.pts + self._offset
            duration = getattr(frame, "duration", 0) or 0
            expected = stamp + duration
            repeats, count = self._rate.push(stamp, duration, before is not None)
            if repeats:
                yield before, Stamp(before.pts, number - 1), repeats
            if count:
                yield frame, Stamp(frame.pts, number), count
            before, frame, number = frame, next(frames, None), number + 1
        if not self._allow_truncated:
            self._check_whole(expected)
        repeats = self._rate.flush()
        if before is not None and repeats:
            yield before, Stamp(before.pts, number - 1), repeats

    def _check_whole(self, end: int) -> None:
        seconds = float(end * self._stream.time_base)
        if self._lost or (self._length and float(self._length) - seconds > MISSING_S):
            raise _errors.BadMedia(
                f"{self._path} is cut off or damaged: it should have {float(self._length):.1f} s of video and has {seconds:.1f}; "
                + _errors.HINTS["allow_truncated"],
                hints=["allow_truncated"],
            )

    def forward(self) -> Iterator[Frame]:
        number = 0
        for frame, stamp, count in self._shown():
            rgb: Optional[Frame] = None
            for _ in range(count):
                if number >= self.start:
                    if rgb is None:
                        rgb = self._converted(frame)
                    self._stamps.append(stamp)
                    yield rgb
                number += 1

    def _converted(self, frame: Any) -> Frame:
        rgb: Frame = self._rgb(frame, self._stream)
        if rgb.shape[:2] != (self.height, self.width):
            raise _errors.BadMedia(
                f"{self._path}: a frame has {rgb.shape[1]}x{rgb.shape[0]} pixels, the ones before {self.width}x{self.height}"
            )
        return rgb

    # ---- backwards

    def again(self, order: Iterable[int]) -> Iterator[Frame]:
        block: List[int] = []
        for number in order:
            if len({self._stamps[n] for n in [*block, number]}) > BLOCK:
                yield from self._block(block)
                block = []
            block.append(number)
        yield from self._block(block)

    def _block(self, numbers: List[int]) -> Iterator[Frame]:
        wanted = {self._stamps[n] for n in numbers}
        found = self._find(wanted)
        for number in numbers:
            yield found[self._stamps[number]]

    def _find(self, wanted: Set[Stamp]) -> Dict[Stamp, Frame]:
        """Frames by their timestamps: from the key frame before them on, and where that does not lead there, or where
        they have none, from the beginning."""
        stamps = {stamp.pts: stamp for stamp in wanted if stamp.pts is not None}
        if len(stamps) == len(wanted):
            first, last = min(stamps), max(stamps)
            for seconds in (0, 2, 10):
                self._seek(first, seconds)
                found: Dict[Stamp, Frame] = {}
                for frame in self._frames:
                    if frame.pts in stamps:
                        found[stamps[frame.pts]] = self._converted(frame)
                    if frame.pts is not None and frame.pts >= last:
                        break
                if len(found) == len(wanted):
                    return found
        self._reopen()
        found, numbers = {}, {stamp.number: stamp for stamp in wanted}
        for number, frame in enumerate(self._frames):
            if number in numbers:
                found[numbers[number]] = self._converted(frame)
            if len(found) == len(wanted):
                return found
        raise _errors.BadMedia(f"{self._path}: a frame of the video can no longer be read")

    def _seek(self, stamp: int, seconds: int) -> None:
        self._frames = iter(())
        try:
            self._container.seek(stamp - int(seconds / self._stream.time_base), stream=self._stream, backward=True)
        except (ValueError, av().error.FFmpegError):
            self._reopen()
        else:
            self._frames = self._decode()

    def _reopen(self) -> None:
        """At its beginning."""
        self._frames = iter(())
        self._container.close()
        self._container = opened(self._path)
        self._stream = self._container.streams.best("video")
        self._stream.thread_type = "AUTO"
        self._frames = self._decode()
