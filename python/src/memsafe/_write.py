"""The video file that a lip sync writes, by PyAV. It has its name only when it is whole."""

import contextlib
import errno
import itertools
import os
from fractions import Fraction
from typing import Any, Callable, ContextManager, Iterable, Iterator, Optional

import numpy as np
import numpy.typing as npt

from . import _errors
from ._frames import Frame, FrameSource
from ._lipsync import LipSync
from ._media import MATRICES, SCALE, av, decoded, opened, packets, scaling, sound_frames
from ._new_file import NewFile, check_free
from ._options import Options
from ._reports import Report
from ._speech import Audio, as_channels, as_floats, rate_of
from ._values import flag, time_us, whole
from ._version import __version__

Samples = npt.NDArray[np.float32]

# codec -> (FFmpeg's encoder, how it stores pictures, extensions that hold it)
CODECS = {
    "h264": ("libx264", "yuv420p", (".mp4", ".m4v", ".mov", ".mkv")),
    "hevc": ("libx265", "yuv420p", (".mp4", ".m4v", ".mov", ".mkv")),
    "ffv1": ("ffv1", "bgr0", (".mkv", ".mov", ".avi")),
}
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
SOUNDS = ("original", "speech", "none")

Writing = Callable[[], ContextManager[None]]


class _Sound:
    """The sound of the output, a packet after the other beside the video."""

    def __init__(self, output: Any, audio: Audio, speech: Samples, options: Options, extension: str, writing: Writing) -> None:
        self._output, self._extension, self._writing = output, extension, writing
        self._input: Any = None
        self._packets: Iterator[Any] = iter(())
        self._ahead: Any = None
        skip = time_us("audio_start", options.audio_start)
        if options.audio_out == "none":
            return
        if options.audio_out == "speech":
            self._packets = self._encoded(sound_frames(speech[None], 16000, 0))
        elif isinstance(audio, tuple):
            rate = rate_of(audio)
            self._packets = self._encoded(sound_frames(as_floats(as_channels(audio[0])), rate, skip * rate // 1000000))
        else:
            self._path = os.fspath(audio)
            self._input = opened(self._path)
            stream = self._input.streams.best("audio")
            self._packets = self._copied(stream) if not skip and self._holds(stream) else self._encoded(self._decoded(stream, skip))
        self._ahead = next(self._packets, None)

    def _holds(self, stream: Any) -> bool:
        name = stream.codec_context.name
        if name.startswith("pcm_") and self._extension in (".mp4", ".m4v"):
            return False
        return name in self._output.supported_codecs

    def _copied(self, stream: Any) -> Iterator[Any]:
        with self._writing():
            target = self._output.add_stream_from_template(stream)
        self._base = target.time_base or stream.time_base
        first: Optional[int] = None

        def moved() -> Iterator[Any]:
            nonlocal first
            for packet in packets(self._path, self._input, stream):
                if packet.dts is None:
                    continue
                first = packet.dts if first is None else first
                packet.dts -= first
                packet.pts = packet.dts if packet.pts is None else packet.pts - first
                packet.stream = target
                yield packet

        return moved()

    def _decoded(self, stream: Any, skip_us: int) -> Iterator[Any]:
        left = skip_us * stream.rate // 1000000
        for frame in decoded(self._path, self._input, stream):
            if left >= frame.samples:
                left -= frame.samples
                continue
            frame.pts = None
            if left:
                rest = _cut(frame, left)
                left = 0
                yield rest
            else:
                yield frame

    def _encoded(self, frames: Iterator[Any]) -> Iterator[Any]:
        first = next(frames, None)
        if first is None:
            return iter(())
        rate = next((r for r in AAC_RATES if r <= first.sample_rate), AAC_RATES[-1])
        is_avi = self._extension == ".avi"
        layout = "mono" if first.layout.nb_channels == 1 else "stereo"
        with self._writing():
            stream = self._output.add_stream("pcm_s16le" if is_avi else "aac", rate=rate, layout=layout)

        alike = {"format": "s16" if is_avi else "fltp", "layout": layout, "rate": rate}

        def resampled() -> Iterator[Any]:
            """A file may change its rate and channels under way."""
            kind: Any = None
            resampler: Any = None
            for frame in _ended(itertools.chain([first], frames)):
                now = frame and (frame.format.name, frame.sample_rate, frame.layout.name)
                if now and now != kind:
                    yield from resampler.resample(None) if resampler else ()
                    resampler, kind = av().AudioResampler(**alike), now
                for done in resampler.resample(frame):
                    done.pts = None
                    yield done

        def made() -> Iterator[Any]:
            samples = 0
            sized = av().AudioResampler(**alike, frame_size=1024)  # as the encoder wants them
            for done in (part for one in _ended(resampled()) for part in sized.resample(one)):
                done.pts, done.time_base = samples, Fraction(1, rate)
                samples += done.samples
                with self._writing():
                    ready = stream.encode(done)
                yield from ready
            with self._writing():
                ready = stream.encode(None)
            yield from ready

        return made()

    def until(self, seconds: Fraction) -> None:
        """What begins before a moment goes out."""
        while self._ahead is not None and self._ahead.dts * self._ahead.time_base < seconds:
            packet, self._ahead = self._ahead, None
            with self._writing():
                self._output.mux(packet)
            self._ahead = next(self._packets, None)

    def close(self) -> None:
        if self._input is not None:
            self._input.close()


def _ended(frames: Iterable[Any]) -> Iterator[Any]:
    """None, which has what is left given out, behind the last."""
    yield from frames
    yield None


def _cut(frame: Any, samples: int) -> Any:
    """A frame without its first samples."""
    values = frame.to_ndarray()
    rest = values[:, samples:] if frame.format.is_planar else values[:, samples * frame.layout.nb_channels :]
    cut = av().AudioFrame.from_ndarray(np.ascontiguousarray(rest), format=frame.format.name, layout=frame.layout.name)
    cut.sample_rate = frame.sample_rate
    return cut


class _Picture:
    """RGB frames as the encoder stores them."""

    def __init__(self, width: int, height: int, form: str, matrix: int) -> None:
        even = form == "yuv420p"
        self.width, self.height = (width + width % 2, height + height % 2) if even else (width, height)
        chroma = f":out_color_matrix={MATRICES[matrix]}:out_range=tv:out_h_chr_pos=0:out_v_chr_pos=128" if even else ""
        self._graph, self._sink = scaling(self.width, self.height, "rgb24", Fraction(1, 1000), SCALE + chroma, form)

    def __call__(self, frame: Frame) -> Any:
        if frame.dtype != np.uint8:
            frame = np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8)
        more = ((0, self.height - frame.shape[0]), (0, self.width - frame.shape[1]), (0, 0))
        if more[0][1] or more[1][1]:
            frame = np.pad(frame, more, mode="edge")
        self._graph.push(av().VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
        return self._sink.pull()


class Output:
    """A file to write, checked before any work is done."""

    def __init__(self, path: str, options: Options) -> None:
        self._path, self._options = path, options
        self._extension = os.path.splitext(path)[1].lower()
        if options.codec not in CODECS:
            raise _errors.InvalidArgument(f"codec must be {', '.join(CODECS)}, not {options.codec!r}")
        if options.audio_out not in SOUNDS:
            raise _errors.InvalidArgument(f"audio_out must be {', '.join(SOUNDS)}, not {options.audio_out!r}")
        whole("crf", options.crf, 0, 51)
        flag("force", options.force)
        encoder, self._form, extensions = CODECS[options.codec]
        if self._extension not in extensions:
            raise _errors.Unsupported(f"{path}: {options.codec} goes into {', '.join(extensions)}")
        try:
            av().codec.Codec(encoder, "w")
        except (ValueError, av().error.FFmpegError) as e:
            raise _errors.Unsupported(f"this PyAV has no {options.codec} encoder ({encoder})") from e
        check_free(path, options.force)
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise _errors.file_error(f"cannot write {path}: there is no folder {folder}", errno.ENOENT, path)

    def check(self, source: FrameSource, video: Any, audio: Audio, speech: Samples) -> None:
        """That the output is none of the inputs."""
        for given in (video, audio):
            if isinstance(given, (str, os.PathLike)) and os.path.exists(self._path) and os.path.samefile(given, self._path):
                raise _errors.InvalidArgument(f"the output {self._path} is an input")
        self._source, self._audio = source, audio
        self._speech = speech if self._options.audio_out == "speech" else speech[:0]

    def write(self, frames: LipSync, comment: Callable[[int], str]) -> Report:
        """All frames; on failure nothing is left of the file. comment: for the face's resolution."""
        file = NewFile(self._path, ".part" + self._extension)
        os.close(file.handle)
        try:
            self._fill(file.part, frames, comment)
            file.finish()
        except BaseException:
            file.abort()
            raise
        return Report(frames.report, output=self._path)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What fails within is this file's fault, not that of what is read for it."""
        try:
            yield
        except _errors.Error:
            raise
        except MemoryError as e:
            raise _errors.OutOfMemory(f"{self._path}: {e}") from e
        except (OSError, ValueError, av().error.FFmpegError) as e:
            why = getattr(e, "strerror", None) or e
            raise _errors.file_error(f"cannot write {self._path}: {why}", getattr(e, "errno", None), self._path) from e

    def _fill(self, part: str, frames: LipSync, comment: Callable[[int], str]) -> None:
        encoder = CODECS[self._options.codec][0]
        matrix = getattr(self._source, "colour", 1 if frames.height >= 720 else 6)
        fps = Fraction(*frames.fps)
        options = {"movflags": "+faststart"} if self._extension in (".mp4", ".m4v", ".mov") else {}
        with self._writing():
            output = av().open(part, "w", options=options)
        try:
            with self._writing():
                picture = _Picture(frames.width, frames.height, self._form, matrix)
                stream = output.add_stream(encoder, rate=fps)
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, self._form
                if self._form == "yuv420p":
                    stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 1
                    stream.options = {"crf": str(self._options.crf)}
                    if encoder == "libx265":
                        stream.options = {**stream.options, "x265-params": "log-level=none"}
                else:
                    stream.options = {"level": "3", "slicecrc": "1"}
            sound = _Sound(output, self._audio, self._speech, self._options, self._extension, self._writing)
            try:
                count = self._write_frames(output, stream, sound, picture, frames, fps, comment)
                sound.until(count / fps)
            finally:
                sound.close()
        except BaseException:
            with contextlib.suppress(Exception):  # its end cannot be written either; why is told already
                output.close()
            raise
        with self._writing():
            output.close()

    def _write_frames(
        self, output: Any, stream: Any, sound: _Sound, picture: _Picture, frames: LipSync, fps: Fraction, comment: Callable[[int], str]
    ) -> int:
        count = 0
        for frame in frames:
            with self._writing():
                if count == 0 and not self._options.no_metadata:  # with the first packet the header is written
                    output.metadata["comment"] = comment(frames.report["resolution"])
                encoded = picture(frame)
                encoded.pts, encoded.time_base = count, 1 / fps
                output.mux(stream.encode(encoded))
            sound.until(count / fps)
            count += 1
        with self._writing():
            output.mux(stream.encode(None))
        return count


def comment_of(model: str, resolution: int, info: Report, options: Options) -> str:
    """What was done, for the file's metadata; as the command writes it."""
    text = (
        f"memsafe {__version__}; model {model}, {resolution} px, {info['precision']}; "
        f"seed {options.seed}, {options.steps} steps, guidance {options.guidance:.6g}"
    )
    text += ", deepcache" if options.deepcache else ""
    text += ", paste mouth" if options.paste == "mouth" else ""
    return text + f"; {options.codec}" + (f" crf {options.crf}" if options.codec != "ffv1" else "")
