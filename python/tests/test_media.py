"""Files are decoded to the pixels that the command sees, whatever versions of FFmpeg both have."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from conftest import FAST, Breaking, Refused, failing

import memsafe
from memsafe import _media
from memsafe._cfr import Rate
from memsafe._media import Clip

av = pytest.importorskip("av")


def made(source: Path, target: Path, *words: str) -> Path:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg")
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", source, "-an", *words, target], check=True)
    return target


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("full.mp4", ["-vf", "scale=out_range=pc", "-colorspace", "bt709", "-color_range", "pc", "-bf", "2"]),
        ("deep.mov", ["-c:v", "prores_ks"]),
        ("photo.mov", ["-c:v", "mjpeg"]),  # its chroma lies elsewhere
        ("late.ts", ["-vf", "setpts=PTS+0.3/TB,fps=30000/1001", "-c:v", "mpeg2video"]),
        ("drawn.gif", []),
        ("turned.mp4", ["-c", "copy", "-metadata:s:v:0", "rotate=90"]),
    ],
)
def test_pixels_are_the_commands(model: Any, inputs: Any, command: Any, tmp_path: Path, name: str, words: List[str]) -> None:
    video = made(inputs.video, tmp_path / name, *words)
    options = dict(track=inputs.track, frames=3, loop="none")
    found = np.stack(list(model.lipsync(video, inputs.speech, **options, **FAST)))
    assert np.array_equal(found, command(video=video, **options))


def test_hdr_is_the_commands_part(inputs: Any, tmp_path: Path) -> None:
    # By a filter: from FFmpeg 7 on the encoder has the frames' colours, whatever its options say.
    words = ["-vf", "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"]
    video = made(inputs.video, tmp_path / "hdr.mkv", "-c:v", "ffv1", *words)
    with pytest.raises(memsafe.Unsupported, match="HDR"):
        Clip(str(video), None, 0, False)


def test_frames_are_found_again(inputs: Any) -> None:
    """In any order, far apart and twice, by seeking."""
    clip = Clip(str(inputs.video), (25, 1), 80000, False)
    frames = [frame.copy() for frame in clip.forward()]
    assert clip.start == 2 and len(frames) == 18
    order = [17, 16, 15, 3, 0, 0, 9, 17, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16]
    for number, frame in zip(order, clip.again(order)):
        assert np.array_equal(frame, frames[number])
    clip.close()


def test_frames_without_timestamps_are_found_again(inputs: Any, tmp_path: Path) -> None:
    video = made(inputs.video, tmp_path / "bare.h264", "-c:v", "libx264", "-bf", "0", "-g", "5")
    clip = Clip(str(video), (25, 1), 0, True)
    clip._frames = untimed(clip._frames)
    clip._ahead.pts = None
    frames = [frame.copy() for frame in clip.forward()]
    decode = clip._decode
    clip._decode = lambda: untimed(decode())  # type: ignore[method-assign]
    assert len(frames) >= 15
    order = [len(frames) - 1, 3, 3, 0, 7]
    for number, frame in zip(order, clip.again(order)):
        assert np.array_equal(frame, frames[number])
    clip.close()


def untimed(frames: Any) -> Any:
    for frame in frames:
        frame.pts = None
        yield frame


@pytest.fixture
def breaking(monkeypatch: Any) -> Any:
    """breaking(number, change): files are opened as Breaking from then on."""

    def begin(number: int, change: Any) -> None:
        opened = _media.opened
        monkeypatch.setattr(_media, "opened", lambda path: Breaking(opened(path), number, change))

    return begin


def test_a_file_whose_packets_are_no_longer_made_out(inputs: Any, breaking: Any) -> None:
    """It is cut off there, as it is for the command, and what was decoded comes out."""
    breaking(10, failing(av.error.InvalidDataError(1094995529, "Invalid data found")))
    with pytest.raises(memsafe.BadMedia, match="cut off or damaged.*allow_truncated=True"):
        list(Clip(str(inputs.video), None, 0, False).forward())
    assert len(list(Clip(str(inputs.video), None, 0, True).forward())) >= 10
    assert len(_media.read_speech(str(inputs.folder / "other.mp4"))) > 1000


def test_a_file_that_cannot_be_read_on(inputs: Any, breaking: Any) -> None:
    breaking(10, failing(av.error.OSError(5, "Input/output error")))
    for read in (lambda: list(Clip(str(inputs.video), None, 0, True).forward()), lambda: _media.read_speech(str(inputs.video))):
        with pytest.raises(memsafe.FileError, match="cannot read .*Input/output error") as caught:
            read()
        assert (caught.value.errno, caught.value.filename) == (5, str(inputs.video))


def test_packets_that_are_refused_are_counted(inputs: Any, breaking: Any) -> None:
    breaking(15, lambda packet: Refused(av.error.FFmpegError(22, "Invalid argument")))
    clip = Clip(str(inputs.video), None, 0, True)
    assert len(list(clip.forward())) >= 10 and clip.lost >= 5
    clip.close()


def test_a_wav_that_ends_within_a_sample(inputs: Any, tmp_path: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(inputs.speech.read_bytes()[:-1])
    whole = _media.read_speech(str(inputs.speech))
    assert np.array_equal(_media.read_speech(str(cut)), whole[:-1])


def test_a_range_behind_the_end(inputs: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument, match="before the range begins"):
        Clip(str(inputs.video), (25, 1), 5000000, False)


def test_rates() -> None:
    """As `ffmpeg -r` counts them: 30 to 25 drops every sixth, 10 to 25 repeats, a gap is filled."""
    from fractions import Fraction

    def shown(stamps: List[int], base: Fraction, rate: int, duration: int, source: int) -> List[int]:
        cfr = Rate(Fraction(rate), base, Fraction(source), False)
        counts = [0] * len(stamps)
        for i, stamp in enumerate(stamps):
            before, current = cfr.push(stamp, duration, i > 0)
            if i:
                counts[i - 1] += before
            counts[i] += current
        counts[-1] += cfr.flush()
        return counts

    thirtieths = shown(list(range(60)), Fraction(1, 30), 25, 1, 30)
    assert 50 <= sum(thirtieths) <= 52 and max(thirtieths) == 1
    tenths = shown(list(range(20)), Fraction(1, 10), 25, 1, 10)
    assert 50 <= sum(tenths) <= 52 and set(tenths) <= {1, 2, 3, 4}
    gap = shown([0, 1, 2, 10, 11], Fraction(1, 25), 25, 1, 25)
    assert gap == [1, 1, 7, 2, 1]
