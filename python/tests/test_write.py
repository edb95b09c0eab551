"""Files that are written."""

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO, FAST, Breaking, Refused, failing, full_disk, read_frames

import memsafe
from memsafe import _media, _write

av = pytest.importorskip("av")


def streams(path: Path) -> Any:
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        sound = file.streams.audio[0] if file.streams.audio else None
        seconds = float((sound.duration or 0) * sound.time_base) if sound else 0.0
        if sound and not seconds:
            seconds = sum(f.samples for f in file.decode(sound)) / sound.rate
        return video.codec_context.name, sound.codec_context.name if sound else None, seconds, dict(file.metadata)


@pytest.fixture(scope="module")
def options(inputs: Any) -> Any:
    return dict(track=inputs.track, frames=18, **FAST)


def test_a_lossless_file_has_the_frames(model: Any, inputs: Any, options: Any, command: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    report = model.lipsync(inputs.video, inputs.speech, out, codec="ffv1", **options)
    assert report.frames == 18 and report.output == str(out) and isinstance(report, memsafe.Report)
    assert np.array_equal(read_frames(out), command(track=inputs.track, frames=18))
    codec, sound, seconds, tags = streams(out)
    assert (codec, sound) == ("ffv1", "pcm_s16le") and abs(seconds - 0.72) < 0.1
    comment = {k.lower(): v for k, v in tags.items()}["comment"]
    assert comment.startswith("memsafe ") and "model demo, 64 px, float16; seed 1247, 1 steps" in comment
    assert os.listdir(tmp_path) == ["out.mkv"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize(
    ("name", "more", "codecs"),
    [
        ("a.mp4", {}, ("h264", "aac")),
        ("b.mov", {"codec": "hevc", "audio_out": "speech"}, ("hevc", "aac")),
        ("c.avi", {"codec": "ffv1", "audio_start": 0.5}, ("ffv1", "pcm_s16le")),
        ("d.mp4", {"audio_out": "none", "no_metadata": True, "crf": 30}, ("h264", None)),
    ],
)
def test_containers(model: Any, inputs: Any, options: Any, tmp_path: Path, name: str, more: Any, codecs: Any) -> None:
    out = tmp_path / name
    model.lipsync(inputs.video, inputs.speech, out, **options, **more)
    codec, sound, seconds, tags = streams(out)
    assert (codec, sound) == codecs and (sound is None or abs(seconds - 0.72) < 0.1)
    assert ("comment" in tags) == ("no_metadata" not in more)
    assert len(read_frames(out)) == 18


def test_sound_of_a_video_is_copied(model: Any, inputs: Any, options: Any, tmp_path: Path) -> None:
    out, source = tmp_path / "out.mp4", inputs.folder / "other.mp4"
    model.lipsync(inputs.video, source, out, **options)
    with av.open(str(out)) as a, av.open(str(source)) as b:
        made = [bytes(p) for p in a.demux(audio=0) if p.size]
        there = [bytes(p) for p in b.demux(audio=0) if p.size]
    assert len(made) > 5 and made == there[: len(made)]


def test_frames_and_samples_that_are_given(model: Any, clip: Any, speech: Any, options: Any, tmp_path: Path) -> None:
    for frames, name in ((clip[:, 1:], "odd.mp4"), (clip.astype(np.float32) / 255, "float.mp4")):
        model.lipsync(frames, speech, tmp_path / name, frames=3, fps=12.5, **{k: v for k, v in options.items() if k != "frames"})
        codec, sound, seconds, _ = streams(tmp_path / name)
        assert (codec, sound) == ("h264", "aac") and abs(seconds - 0.24) < 0.1
        assert read_frames(tmp_path / name).shape == (3, 208, 240, 3)  # an even number of rows


def loudness(path: Path) -> float:
    with av.open(str(path)) as file:
        return float(np.sqrt(np.mean(np.concatenate([f.to_ndarray() for f in file.decode(audio=0)], 1) ** 2)))


def test_no_channel_of_the_sound_is_lost(model: Any, clip: Any, options: Any, tmp_path: Path) -> None:
    """Of six the third is the middle one, where speech is."""
    tone = np.sin(np.arange(48000) / 20).astype(np.float32) / 2
    for channel in range(6):
        sound = np.zeros((6, 48000), np.float32)
        sound[channel] = tone
        out = tmp_path / f"{channel}.mp4"
        model.lipsync(clip, (sound, 48000), out, **options)
        assert loudness(out) > 0.05 or channel == 3  # which is for low tones alone


def test_sound_that_changes_under_way(model: Any, clip: Any, inputs: Any, options: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Its rate and its channels, as broadcasts do, and packets that the decoder refuses."""

    def changing(*_: Any) -> Any:
        for rate, channels in ((44100, 2), (22050, 1), (44100, 2)):
            samples = np.full((channels, rate // 5), 0.25, np.float32)
            yield from _media.sound_frames(samples, rate, 0)

    with monkeypatch.context() as patched:
        patched.setattr(_write, "decoded", changing)
        model.lipsync(clip, inputs.folder / "other.mp4", tmp_path / "a.mp4", audio_start=0.2, **options)
    _, codec, seconds, _ = streams(tmp_path / "a.mp4")
    assert codec == "aac" and abs(seconds - 0.6) < 0.1 and 0.2 < loudness(tmp_path / "a.mp4") < 0.3

    refused = Refused(av.error.InvalidDataError(1094995529, "Invalid data found"))
    numbers = iter(range(10**6))
    monkeypatch.setattr(
        _write, "opened", lambda path: Breaking(av.open(path), 5, lambda p: refused if next(numbers) < 2 else p)
    )
    model.lipsync(clip, inputs.folder / "other.mp4", tmp_path / "b.mp4", audio_start=0.1, **options)
    assert streams(tmp_path / "b.mp4")[1] == "aac"


def test_whose_fault_it_is(model: Any, inputs: Any, clip: Any, speech: Any, options: Any, tmp_path: Path, monkeypatch: Any) -> None:
    out = tmp_path / "out.mp4"

    def mine() -> Any:
        yield from clip[:3]
        raise FileNotFoundError("a frame of mine")

    with pytest.raises(FileNotFoundError, match="^a frame of mine$") as caught:
        model.lipsync(mine(), speech, out, **options)
    assert not isinstance(caught.value, memsafe.Error)
    sound = inputs.folder / "other.mp4"
    with monkeypatch.context() as patched:
        broken = failing(av.error.OSError(5, "Input/output error"))
        patched.setattr(_write, "opened", lambda path: Breaking(av.open(path), 1, broken))
        for start in (None, 0.1):  # copied, and encoded anew
            with pytest.raises(memsafe.FileError, match=f"cannot read {sound}") as caught:
                model.lipsync(clip, sound, out, audio_start=start, **options)
            assert (caught.value.errno, caught.value.filename) == (5, str(sound))
    with full_disk(1000), pytest.raises(memsafe.FileError, match=f"cannot write {out}: File too large") as caught:
        model.lipsync(clip, speech, out, **options)
    assert caught.value.filename == str(out) and os.listdir(tmp_path) == []


def test_what_is_there_stays(model: Any, inputs: Any, options: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("mine")
    with pytest.raises(memsafe.FileError, match="force=True") as caught:
        model.lipsync(inputs.video, inputs.speech, out, **options)
    assert caught.value.hints == ["replace"] and out.read_text() == "mine"
    with pytest.raises(memsafe.NoFace):
        model.lipsync(inputs.video, inputs.speech, out, force=True, **{**options, "track": [None] * 20})
    assert out.read_text() == "mine" and os.listdir(tmp_path) == ["out.mp4"]
    model.lipsync(inputs.video, inputs.speech, out, force=True, **options)
    assert streams(out)[0] == "h264"


def test_what_cannot_be_written(model: Any, inputs: Any, options: Any, clip: Any, speech: Any, tmp_path: Path) -> None:
    for name, more, kind in (
        ("x.gif", {}, memsafe.Unsupported),
        ("x.mp4", {"codec": "ffv1"}, memsafe.Unsupported),
        ("x.mp4", {"codec": "vp9"}, memsafe.InvalidArgument),
        ("x.mp4", {"crf": 52}, memsafe.InvalidArgument),
        ("x.mp4", {"audio_out": "loud"}, memsafe.InvalidArgument),
        ("none/x.mp4", {}, memsafe.FileError),
    ):
        with pytest.raises(kind):
            model.lipsync(clip, speech, tmp_path / name, **options, **more)
    with pytest.raises(memsafe.InvalidArgument, match="is an input"):
        model.lipsync(inputs.video, inputs.speech, inputs.video, force=True, **options)
    with pytest.raises(memsafe.InvalidArgument, match="a file of the model"):
        model.lipsync(clip, speech, DEMO / "latentsync_unet.pt", force=True, **options)
    assert os.listdir(tmp_path) == []
