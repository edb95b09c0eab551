"""Frames are the command's, to the last bit, however they are given."""

import functools
import gc
import re
import shutil
import subprocess
import sys
import threading
import time
import weakref
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import numpy as np
import pytest
from conftest import DEMO, FAST, ROOT

import memsafe
from memsafe._library import lib
from memsafe._session import Session


def made(model: Any, *arguments: Any, **options: Any) -> Any:
    return np.stack(list(model.lipsync(*arguments, **{**FAST, **options})))


@pytest.fixture(scope="module")
def first_window(command: Any, inputs: Any) -> Any:
    """18 frames: a window and a short one."""
    return command(track=inputs.track, frames=18)


@pytest.fixture(scope="module")
def first_frames(command: Any, inputs: Any) -> Any:
    return command(track=inputs.track, frames=4)


def test_a_list_of_frames(model: Any, clip: Any, speech: Any, inputs: Any, first_window: Any) -> None:
    before = clip.copy()
    assert np.array_equal(made(model, list(clip), speech, track=inputs.track, frames=18), first_window)
    assert np.array_equal(clip, before)
    assert not np.array_equal(first_window, clip[:18])


def test_files(model: Any, inputs: Any, first_window: Any) -> None:
    assert np.array_equal(made(model, inputs.video, inputs.speech, track=inputs.track, frames=18), first_window)


def test_faces_that_are_found(model: Any, inputs: Any, command: Any) -> None:
    assert np.array_equal(made(model, inputs.video, inputs.speech, frames=4), command(frames=4))


def test_a_generator_of_views(model: Any, clip: Any, speech: Any, inputs: Any, first_frames: Any) -> None:
    wide = np.zeros((20, 208, 300, 3), np.uint8)
    wide[:, :, 30:270] = clip
    upside = np.ascontiguousarray(clip[:, ::-1])[:, ::-1]
    assert np.array_equal(made(model, (f[:, 30:270] for f in wide), speech, track=inputs.track, frames=4), first_frames)
    assert np.array_equal(made(model, upside, speech, track=inputs.track, frames=4), first_frames)
    transposed = np.ascontiguousarray(clip.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert np.array_equal(made(model, transposed, speech, track=inputs.track, frames=4), first_frames)


def test_floats(model: Any, clip: Any, speech: Any, inputs: Any, first_frames: Any) -> None:
    for kind in (np.float32, np.float64):
        found = made(model, clip.astype(kind) / 255, speech, track=inputs.track, frames=4)
        assert found.dtype == np.float32
        assert np.array_equal(np.rint(found * 255).astype(np.uint8), first_frames)


@pytest.mark.parametrize("loop", ["pingpong", "repeat", "hold"])
def test_loops(model: Any, inputs: Any, clip: Any, speech: Any, command: Any, loop: str) -> None:
    frames = 0 if loop == "pingpong" else 30
    expected = command(track=inputs.track, loop=loop, frames=frames)
    assert len(expected) == (frames or 52)
    assert np.array_equal(made(model, inputs.video, inputs.speech, track=inputs.track, loop=loop, frames=frames), expected)
    if loop == "pingpong":
        assert np.array_equal(made(model, clip, speech, track=inputs.track), expected)  # the default


def test_without_a_loop(model: Any, inputs: Any, clip: Any, speech: Any) -> None:
    assert len(made(model, inputs.video, inputs.speech, track=inputs.track, loop="none")) == 20
    assert len(made(model, iter(clip), speech, track=inputs.track)) == 20  # what comes once cannot be shown again
    with pytest.raises(memsafe.InvalidArgument, match="gone back to"):
        model.lipsync(iter(clip), speech, loop="pingpong")


def test_a_range(model: Any, inputs: Any, clip: Any, speech: Any, command: Any) -> None:
    expected = command(track=inputs.track, start="0.2", duration="0.5")
    assert len(expected) == 13
    assert np.array_equal(made(model, inputs.video, inputs.speech, track=inputs.track, start=0.2, duration=0.5), expected)
    assert np.array_equal(made(model, inputs.video, inputs.speech, track=inputs.track, start="0.2", to="0:00.7"), expected)
    assert np.array_equal(made(model, clip, speech, track=inputs.track, start="200ms", duration=0.5), expected)


def test_other_options(model: Any, inputs: Any, command: Any) -> None:
    same = dict(track=inputs.track, frames=5, guidance=1.0, seed=5, paste="mouth", audio_start="0.4")
    assert np.array_equal(made(model, inputs.video, inputs.speech, **same), command(**same))
    assert np.array_equal(
        made(model, inputs.video, inputs.speech, track=inputs.track, frames=17, deepcache=True, steps=4),
        command("--deepcache", track=inputs.track, frames=17, steps=4),
    )


def test_another_rate(model: Any, inputs: Any, command: Any) -> None:
    for rate in ("30000/1001", "10"):
        same = dict(track=inputs.track, frames=4, fps=rate, loop="none")
        assert np.array_equal(made(model, inputs.video, inputs.speech, **same), command(**same))


def test_precision(inputs: Any, command: Any) -> None:
    with memsafe.Model(DEMO, device="cpu", precision="fp32", budget="1G") as model:
        assert model.info.precision == "float32"
        expected = command(track=inputs.track, frames=3, precision="fp32")
        assert np.array_equal(made(model, inputs.video, inputs.speech, track=inputs.track, frames=3), expected)
        other = made(model, inputs.video, inputs.speech, track=inputs.track, frames=3, precision="fp16")
        assert model.info.precision == "float16"
        assert np.array_equal(other, command(track=inputs.track, frames=3, precision="fp16"))


def test_a_precision_is_that_lip_syncs_alone(inputs: Any, monkeypatch: Any) -> None:
    with memsafe.Model(DEMO, device="cpu", precision="fp32", budget="1G") as model:
        model.lipsync(inputs.video, inputs.speech, track=inputs.track, precision="fp16", **FAST).close()
        assert model.info.precision == "float16"
        model.lipsync(inputs.video, inputs.speech, track=inputs.track, **FAST).close()
        assert model.info.precision == "float32"
        once, opens = [memsafe.OutOfMemory("not now")], memsafe.Model._open

        def fail(self: Any) -> None:
            if once:
                raise once.pop()
            opens(self)

        monkeypatch.setattr(memsafe.Model, "_open", fail)
        with pytest.raises(memsafe.OutOfMemory, match="not now"):
            model.lipsync(inputs.video, inputs.speech, track=inputs.track, precision="fp16", **FAST)
        assert model.info.precision == "float32"  # open as it was
        model.lipsync(inputs.video, inputs.speech, track=inputs.track, **FAST).close()


def test_a_second_lip_sync_is_told_to_close_the_first(model: Any, inputs: Any) -> None:
    """In `it = model.lipsync()` the first one is still there when the second begins."""
    first = model.lipsync(inputs.video, inputs.speech, track=inputs.track, **FAST)
    with pytest.raises(memsafe.InvalidArgument, match=r"close\(\) the first, or drop it"):
        first = model.lipsync(inputs.video, inputs.speech, track=inputs.track, **FAST)
    first.close()


def test_cancelling_while_it_is_freed(model: Any, inputs: Any, monkeypatch: Any) -> None:
    """Whoever cancels has the session, or it is gone: never one that is being freed."""
    frames = model.lipsync(inputs.video, inputs.speech, track=inputs.track, **FAST)
    next(frames)
    session, destroy, within = frames._run._session, lib().ms_session_destroy, threading.Event()
    seen: List[Any] = []

    def slowly(handle: Any) -> None:
        within.set()
        time.sleep(0.2)
        destroy(handle)
        seen.append("destroyed")

    monkeypatch.setattr(lib(), "ms_session_destroy", slowly)
    monkeypatch.setattr(lib(), "ms_session_cancel", lambda handle: seen.append(bool(handle)))
    closer = threading.Thread(target=frames.close)
    closer.start()
    within.wait(100)
    session.cancel()
    closer.join()
    assert seen == [True, "destroyed"]  # close()'s own, and then there was nothing to cancel


def test_tracks(model: Any, clip: Any, speech: Any, inputs: Any, first_window: Any) -> None:
    from memsafe._track import Faces

    faces = Faces(inputs.track, 0)
    points = [faces.next() for _ in range(20)]
    assert np.array_equal(made(model, clip, speech, track=points, frames=18), first_window)
    gap = [None if i >= 3 else p for i, p in enumerate(points)]
    found = made(model, clip, speech, track=gap, frames=8)
    assert np.array_equal(found[3:], clip[3:8]) and not np.array_equal(found[:3], clip[:3])
    with pytest.raises(memsafe.BadMedia, match="106 points"):
        made(model, clip, speech, track=[np.zeros((5, 2))])


def test_speech_in_other_forms(model: Any, clip: Any, speech: Any, inputs: Any, first_frames: Any) -> None:
    samples, rate = speech
    whole = (samples * 32768).astype(np.int16)
    swapped = whole.astype(">i2"), (whole.astype(np.int32) << 16).astype(">i4"), samples.astype(">f4")
    for audio in ((whole, rate), *((other, rate) for other in swapped), (samples[None], rate), (samples.astype(np.float64), rate)):
        assert np.array_equal(made(model, clip, audio, track=inputs.track, frames=4), first_frames)


def test_sound_is_heard_as_the_command_hears_it(model: Any, inputs: Any, command: Any) -> None:
    """A rate and channels that have to be converted."""
    av = pytest.importorskip("av")
    same = dict(track=inputs.track, frames=5)
    stereo = inputs.folder / "stereo.wav"
    time = np.arange(44100 * 2) / 44100
    tones = np.stack([np.sin(time * 900) * np.sin(time * 7), np.sin(time * 1300)], 1) * 20000
    with av.open(str(stereo), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=44100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(tones.astype(np.int16).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = 44100
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    expected = command(audio=stereo, **same)
    assert np.array_equal(made(model, inputs.video, stereo, **same), expected)
    assert np.array_equal(made(model, inputs.video, (tones.astype(np.int16).T, 44100), **same), expected)
    floats = tones.astype(np.int16).astype(np.float32) / 32768  # as loaders of sound give them
    assert np.array_equal(made(model, inputs.video, (floats, 44100), **same), expected)


def test_aac_is_heard(inputs: Any) -> None:
    """Versions of FFmpeg decode AAC to samples that differ by a step of 16 bits, here and there; newer ones leave out its padding."""
    from memsafe._speech import speech_of

    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg")
    aac = inputs.folder / "other.mp4"
    words = ["ffmpeg", "-v", "error", "-i", str(aac), "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    expected = np.frombuffer(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout, "<i2").astype(int)
    found = np.rint(speech_of(aac) * 32768).astype(int)
    assert 0 <= len(expected) - len(found) < 1024 and np.abs(found - expected[: len(found)]).max() <= 1


def test_views_are_not_copied(model: Any, clip: Any, speech: Any, inputs: Any, first_window: Any) -> None:
    with model.lipsync(clip, speech, track=inputs.track, frames=18, copy=False, **FAST) as frames:
        for expected, frame in zip(first_window, frames):
            assert not frame.flags.owndata and not frame.flags.writeable
            assert np.array_equal(frame, expected)
    kept = list(model.lipsync(clip, speech, track=inputs.track, frames=3, **FAST))
    assert all(frame.flags.owndata or frame.base is None for frame in kept) and kept[0].flags.writeable


def test_progress_and_report(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    told: List[Any] = []
    frames = model.lipsync(clip, speech, track=inputs.track, frames=5, progress=lambda *a: told.append(a), **FAST)
    assert repr(frames) == "<memsafe.LipSync 240x208, 0 frames>"
    assert frames.fps == (25, 1) and (frames.width, frames.height) == (240, 208)
    assert len(list(frames)) == 5
    assert told == [(n, 5) for n in range(1, 6)]
    assert repr(frames) == "<memsafe.LipSync 240x208, 5 of 5 frames, closed>"
    report = frames.report
    assert report.frames == report.frames_redrawn == 5 and report["rung"] == "full" and report.resolution == 64
    assert 0 < report.planned_bytes <= report.budget_bytes == 1 << 30 and report.seconds > 0
    assert "<table>" in report._repr_html_() and "1.00 GiB" in report._repr_html_()

    class Bar:
        total, done = None, 0

        def update(self, count: int) -> None:
            self.done += count

    bar = Bar()
    list(model.lipsync(clip, speech, track=inputs.track, frames=5, progress=bar, **FAST))
    assert bar.done == bar.total == 5
    with pytest.raises(TypeError, match="progress"):
        model.lipsync(clip, speech, progress=5)


def test_a_bar_of_tqdm(model: Any, clip: Any, speech: Any, inputs: Any, capsys: Any, monkeypatch: Any) -> None:
    pytest.importorskip("tqdm")
    list(model.lipsync(clip, speech, track=inputs.track, frames=3, progress=True, **FAST))
    assert "3/3" in capsys.readouterr().err
    made: List[Any] = []
    monkeypatch.setattr("tqdm.auto.tqdm", lambda **_: made.append(1))
    with pytest.raises(memsafe.InvalidArgument, match="steps"):
        model.lipsync(clip, speech, steps=0, progress=True)
    assert made == []  # none is left behind that nobody closes
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(memsafe.Unsupported, match="needs the package tqdm"):
        model.lipsync(clip, speech, progress=True)


def test_the_extra_files_brings_what_the_manual_uses() -> None:
    """progress=True, as the first example has it."""
    extras = [words for words in metadata.requires("memsafe") or [] if "files" in words]
    assert {"av", "tqdm"} == {re.match(r"\w+", words).group() for words in extras}  # type: ignore[union-attr]


def test_the_licence_comes_along() -> None:
    """Where tools look for it, beside the package's metadata."""
    licences = [file for file in metadata.files("memsafe") or [] if file.name == "LICENSE"]
    (licence,) = [file for file in licences if ".dist-info" in str(file)]
    assert licence.read_text() == (ROOT / "LICENSE").read_text()


def test_the_first_example_of_the_manual(tmp_path: Path, inputs: Any, monkeypatch: Any) -> None:
    """The code of docs/python.md, with other names of files."""
    pytest.importorskip("av")
    text = (ROOT / "docs" / "python.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) < 10
    for old, new in (
        ('"ByteDance/LatentSync-1.6"', repr(str(DEMO))), ("8G", "1G"), ("talking.mp4", str(inputs.video)), ("speech.wav", str(inputs.speech)),
        ("said.mp4", str(tmp_path / "said.mp4")), ("progress=True", "steps=1, frames=2, resolution=64"),
    ):  # fmt: skip
        assert old in code
        code = code.replace(old, new)
    shown: List[Any] = []
    code = code.replace(f'"{inputs.speech}"):', f'"{inputs.speech}", steps=1, frames=2, resolution=64):')
    exec(code, {"show": shown.append})
    assert len(shown) == 2 and (tmp_path / "said.mp4").exists()


def test_leaving_early_frees_the_model(model: Any, clip: Any, speech: Any, inputs: Any, first_window: Any) -> None:
    options = dict(track=inputs.track, frames=18, **FAST)
    frames = model.lipsync(clip, speech, **options)
    assert np.array_equal(next(frames), first_window[0])
    with pytest.raises(memsafe.InvalidArgument, match="in use"):
        model.lipsync(clip, speech, **options)
    frames.close()
    frames.close()
    assert list(frames) == []
    assert np.array_equal(made(model, clip, speech, track=inputs.track, frames=18), first_window)


def test_dropping_it_frees_the_model_at_once(model: Any, inputs: Any, clip: Any, speech: Any) -> None:
    """By counting references: nothing waits until garbage is collected."""
    options = dict(track=inputs.track, frames=18, **FAST)
    gc.collect()
    gc.disable()
    try:
        for video, audio in ((clip, speech), (inputs.video, inputs.speech)):
            frames: Any = model.lipsync(video, audio, **options)  # never begun
            frames = None
            frames = model.lipsync(video, audio, **options)
            next(frames)
            frames = None
            assert frames is None
            for _ in model.lipsync(video, audio, **options):
                break
            with pytest.raises(ZeroDivisionError):
                for _ in model.lipsync(video, audio, **options):
                    raise ZeroDivisionError
            with pytest.raises(memsafe.InvalidArgument, match="steps"):
                model.lipsync(video, audio, steps=0)
            model.evict()  # which is refused while a lip sync runs
            assert not any(thread.name == "memsafe" for thread in threading.enumerate())
    finally:
        gc.enable()


def test_a_failed_run_holds_nothing(inputs: Any, speech: Any) -> None:
    """Neither its exception nor a cycle keeps the source, the speech or the session."""
    held = []

    class Frames(list):  # type: ignore[type-arg]
        pass

    gc.collect()
    gc.disable()
    try:
        with memsafe.Model(DEMO, device="cpu", budget="24M") as small:
            video = Frames(np.zeros((2, 208, 240, 3), np.uint8))
            held.append(weakref.ref(video))
            try:
                list(small.lipsync(video, speech, track=inputs.track, **FAST))
            except memsafe.BudgetError as e:
                del video
                assert e.needs_bytes and held[0]() is None
    finally:
        gc.enable()


def test_after_a_failed_run(model: Any, clip: Any, speech: Any, inputs: Any, first_window: Any) -> None:
    def broken() -> Any:
        yield from clip[:17]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(model.lipsync(broken(), speech, track=inputs.track, **FAST))
    with pytest.raises(memsafe.InvalidArgument, match="frame 3 is"):
        list(model.lipsync([*clip[:3], clip[3, :100]], speech, track=inputs.track, **FAST))
    with pytest.raises(memsafe.NoFace):
        list(model.lipsync(clip, speech, track=[None] * 20, frames=18, **FAST))
    assert np.array_equal(made(model, clip, speech, track=inputs.track, frames=18), first_window)


def test_a_closed_model(clip: Any, speech: Any, inputs: Any) -> None:
    model = memsafe.Model(DEMO, device="cpu", budget="1G")
    frames = model.lipsync(clip, speech, track=inputs.track, **FAST)
    next(frames)
    model.close()
    model.close()
    for _ in range(2):  # these are not all frames, and nobody is to take them for it
        with pytest.raises(memsafe.Cancelled, match="the model was closed"):
            next(frames)
    with pytest.raises(memsafe.InvalidArgument, match="closed"):
        model.lipsync(clip, speech)
    assert "closed" in repr(model)


def test_closing_a_model_says_it_to_who_has_not_begun_and_not_to_who_is_done(clip: Any, speech: Any, inputs: Any) -> None:
    with memsafe.Model(DEMO, device="cpu", budget="1G") as model:
        done = model.lipsync(clip, speech, track=inputs.track, frames=1, **FAST)
        assert len(list(done)) == 1
        never_begun = model.lipsync(clip, speech, track=inputs.track, **FAST)
    assert next(done, None) is None
    with pytest.raises(memsafe.Cancelled):
        next(never_begun)


@pytest.mark.parametrize("track", ["faces", "none"])
def test_closing_a_model_takes_nothing_from_who_has_all_frames(clip: Any, speech: Any, inputs: Any, track: str) -> None:
    with memsafe.Model(DEMO, device="cpu", budget="1G") as model:
        frames = model.lipsync(clip, speech, track=inputs.track if track == "faces" else [None] * 20, frames=2, **FAST)
        assert len([next(frames), next(frames)]) == 2
    for _ in range(2):
        with pytest.raises(StopIteration if track == "faces" else memsafe.NoFace):
            next(frames)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_close_leaves_nothing_open(model: Any, clip: Any, speech: Any, inputs: Any, monkeypatch: Any, error: Any) -> None:
    close, closed = Session.close, []

    def interrupted(session: Session) -> None:
        close(session)
        raise error("while it closed")

    options = dict(track=inputs.track, frames=2, **FAST)
    frames = model.lipsync(clip, speech, **options)
    next(frames)
    for name in ("source", "bar"):
        monkeypatch.setattr(getattr(frames._run._job, name), "close", lambda name=name: closed.append(name))
    with monkeypatch.context() as patched:
        patched.setattr(Session, "close", interrupted)
        with pytest.raises(error, match="while it closed"):
            frames.close()
    assert closed == ["source", "bar"] and list(frames) == []
    model.lipsync(clip, speech, **options).close()


def test_a_lip_sync_that_is_freed_late_ends_no_other(model: Any, clip: Any, speech: Any, inputs: Any, monkeypatch: Any) -> None:
    """A new one begins while the old one, of which the model knows nothing any more, is being freed."""
    options = dict(track=inputs.track, frames=2, **FAST)
    close, begun = Session.close, []

    def closing(session: Session) -> None:
        close(session)
        if not begun:
            begun.append(None)
            model._last = None  # as it is when the collector of garbage frees the old one
            begun[0] = model.lipsync(clip, speech, **options)

    old = model.lipsync(clip, speech, **options)
    next(old)
    monkeypatch.setattr(Session, "close", closing)
    old.close()
    with pytest.raises(memsafe.InvalidArgument, match=r"in use by another lip sync: one at a time\. close"):
        model.lipsync(clip, speech, **options)
    model.cancel()
    with pytest.raises(memsafe.Cancelled):
        next(begun[0])


def test_closing_what_another_thread_has_just_left_is_refused_in_our_words(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    """Python refused since it was executing, and by now it is not."""
    frames = model.lipsync(clip, speech, track=inputs.track, frames=2, **FAST)
    refuses = functools.partial(int, "generator already executing")
    own, frames._frames = frames._frames, SimpleNamespace(gi_running=False, gi_suspended=False, gi_frame=None, close=refuses)
    with pytest.raises(memsafe.InvalidArgument, match="another thread waits for a frame"):
        frames.close()
    frames._frames = own
    frames.close()


def test_closing_waits_for_who_is_inside(monkeypatch: Any) -> None:
    """Another thread asks the model meanwhile: it is freed when that one has its answer."""
    seen: List[Any] = []
    inside, go = threading.Event(), threading.Event()
    close, functions = lib().ms_model_close, ("ms_model_get_info_sized", "ms_model_evict")

    def slow(name: str) -> Any:
        function = getattr(lib(), name)

        def slowly(*arguments: Any) -> Any:
            inside.set()
            go.wait(100)
            seen.append(name)
            return function(*arguments)

        return slowly

    def closed(handle: Any) -> None:
        seen.append("closed")
        close(handle)

    for name in functions:
        monkeypatch.setattr(lib(), name, slow(name))
    monkeypatch.setattr(lib(), "ms_model_close", closed)
    for name, ask in zip(functions, (lambda model: model.info, lambda model: model.evict())):
        model = memsafe.Model(DEMO, device="cpu", budget="1G")
        asks = threading.Thread(target=ask, args=(model,))
        asks.start()
        inside.wait(100)
        model.close()
        model.close()
        assert seen == []
        with pytest.raises(memsafe.InvalidArgument, match="the model is closed"):
            ask(model)
        go.set()
        asks.join()
        assert seen == [name, "closed"]
        seen.clear(), inside.clear(), go.clear()


def test_a_model_stays_as_long_as_its_session(clip: Any, speech: Any, inputs: Any, monkeypatch: Any) -> None:
    """Of a lip sync that is garbage the model knows nothing, before its session has gone."""
    seen: List[str] = []
    for name in ("ms_session_destroy", "ms_model_close"):
        function = getattr(lib(), name)
        monkeypatch.setattr(lib(), name, lambda handle, name=name, function=function: seen.append(name) or function(handle))
    model = memsafe.Model(DEMO, device="cpu", budget="1G")
    frames = model.lipsync(clip, speech, track=inputs.track, **FAST)
    next(frames)
    model._last = None
    model.close()
    assert seen == []
    frames.close()
    assert seen == ["ms_session_destroy", "ms_model_close"]


def test_a_lip_sync_that_begins_within_another_is_refused(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    """The first frame of a generator is asked for while the lip sync begins."""
    options = dict(track=inputs.track, **FAST)

    def nested() -> Any:
        yield from model.lipsync(clip, speech, **options)

    def from_elsewhere() -> Any:
        refused: List[Any] = []

        def begin() -> None:
            with pytest.raises(memsafe.InvalidArgument, match="in use by another lip sync, which is beginning"):
                model.lipsync(clip, speech, **options)
            refused.append(model.info.loaded)  # anything else may be asked

        thread = threading.Thread(target=begin)
        thread.start()
        thread.join(100)
        assert refused
        yield from clip

    with pytest.raises(memsafe.InvalidArgument, match="in use by another lip sync, which is beginning"):
        model.lipsync(nested(), speech, **options)
    assert len(list(model.lipsync(from_elsewhere(), speech, frames=2, **options))) == 2

    def closing(other: Any) -> Any:
        other.close()
        yield from clip

    other = memsafe.Model(DEMO, device="cpu", budget="1G")
    with pytest.raises(memsafe.InvalidArgument, match="the model is closed"):
        other.lipsync(closing(other), speech, **options)


def test_closing_while_another_thread_waits_is_refused(clip: Any, speech: Any, inputs: Any) -> None:
    inside, go = threading.Event(), threading.Event()

    def slowly() -> Any:
        inside.set()
        go.wait(100)
        yield from clip

    def work() -> None:
        found.extend(frames)

    found: List[Any] = []
    with memsafe.Model(DEMO, device="cpu", budget="1G") as model:
        given = slowly()
        first = iter([clip[0]])

        def source() -> Any:
            yield from first
            yield from given

        frames = model.lipsync(source(), speech, track=inputs.track, frames=2, **FAST)
        thread = threading.Thread(target=work)
        thread.start()
        inside.wait(100)
        with pytest.raises(memsafe.InvalidArgument, match="another thread waits"):
            model.close()
        go.set()
        thread.join()
    assert len(found) == 2


def test_a_script_of_pressure(model: Any, clip: Any, speech: Any, inputs: Any, first_window: Any, tmp_path: Path) -> None:
    """Its name is the library's to read when the work begins, long after lipsync() has returned."""
    trace = tmp_path / "a-folder-with-a-long-name" / "levels.jsonl"
    trace.parent.mkdir()
    trace.write_text('{"at":0,"level":"critical"}\n{"at":1,"level":"none"}\n')
    frames = model.lipsync(clip, speech, track=inputs.track, frames=18, pressure_trace=trace, **FAST)
    gc.collect()
    others = [b"x" * n for n in range(200)]  # whoever has the memory of a string that is gone
    assert np.array_equal(np.stack(list(frames)), first_window) and others
    assert frames.report.changes > 0


def test_floats_out_of_range(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    floats = clip.astype(np.float32) / 255
    for wrong, says in ((np.nan, "is no number"), (2.0, "is 2: scale those from -1 to 1"), (-0.5, r"is -0.5: scale")):
        video = floats.copy()
        video[3, 7, 5, 1] = wrong
        with pytest.raises(memsafe.InvalidArgument, match=f"frame 3: .*x 5, y 7 {says}"):
            made(model, video, speech, track=inputs.track, frames=5)
    for video in (floats * 2 - 1, floats - 0.5, np.full_like(floats, np.nan), floats + 1):
        with pytest.raises(memsafe.InvalidArgument, match="frame 0: "):
            model.lipsync(video, speech, track=inputs.track)
        for of in (lambda v: memsafe.detect(v, model), lambda v: memsafe.score(v, speech, model=model)):
            with pytest.raises(memsafe.InvalidArgument, match="frame 0: "):
                of(video)
    over = floats.copy()
    over[:, 0, 0], over[:, 0, 1] = 1.25, -0.25
    exact = floats.copy()
    exact[:, 0, 0], exact[:, 0, 1] = 1, 0
    assert np.array_equal(made(model, over, speech, track=inputs.track, frames=2), made(model, exact, speech, track=inputs.track, frames=2))


def test_evict(model: Any, clip: Any, speech: Any, inputs: Any, first_frames: Any) -> None:
    made(model, clip, speech, track=inputs.track, frames=1)
    assert model.info.loaded
    model.evict()
    assert not model.info.loaded
    assert np.array_equal(made(model, clip, speech, track=inputs.track, frames=4), first_frames)


def test_two_threads_two_models(clip: Any, speech: Any, inputs: Any, first_window: Any) -> None:
    """A budget is the whole process's: whoever begins second names a larger one."""
    models = [memsafe.Model(DEMO, device="cpu", budget=budget, threads=1) for budget in ("1G", "3G")]
    found: List[Any] = [[], []]
    begun = [threading.Event(), threading.Event()]

    def work(i: int) -> None:
        for frame in models[i].lipsync(clip, speech, track=inputs.track, frames=18, **FAST):
            found[i].append(frame)
            begun[i].set()
            begun[1 - i].wait(100)  # both are under way

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    threads[0].start()
    begun[0].wait(100)
    with pytest.raises(memsafe.BudgetError, match="whole process"), memsafe.Model(DEMO, device="cpu", budget="512M") as third:
        made(third, clip, speech)
    threads[1].start()
    for thread in threads:
        thread.join()
    for model in models:
        model.close()
    assert all(np.array_equal(f, first_window) for f in found)


def test_python_goes_on_meanwhile(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    """The library lets go of the GIL: another thread counts while a window is redrawn."""
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.wait(0.002):
            counted[0] += 1

    counter = threading.Thread(target=count)
    frames = model.lipsync(clip, speech, track=inputs.track, steps=6, resolution=128)
    counter.start()
    try:
        worker = threading.Thread(target=lambda: next(frames))  # not the main thread, which waits anyway
        worker.start()
        worker.join()
        assert counted[0] > 20
    finally:
        stop.set()
        counter.join()
        frames.close()
