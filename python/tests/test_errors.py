"""Every exception, with what it says."""

import copy
import errno
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO, FAST

import memsafe
from memsafe import _abi, _errors
from memsafe._library import error_of, lib


def test_every_status_has_an_exception() -> None:
    for name, number in _abi.ENUMS["ms_status"].items():
        if name == "MS_OK":
            continue
        err = _abi.ms_error(code=number, frame=3, stage=b"unet", message=b"it is so", hints=1 << _abi.MS_HINT_REPLACE)
        error = error_of(number, err)
        assert isinstance(error, memsafe.Error) and error.status == name[len("MS_") :]
        assert (error.stage, error.frame, error.hints) == ("unet", 3, ["replace"])
        assert str(error) == "it is so; force=True replaces it"
    assert type(error_of(4, _abi.ms_error(frame=-1))) is memsafe.OutOfMemory
    assert str(error_of(9, _abi.ms_error(frame=-1))) == "cancelled" and error_of(9, _abi.ms_error(frame=-1)).frame is None
    assert set(_errors.HINTS) <= {lib().ms_hint_code(n).decode() for n in range(1, _abi.MS_HINT_COUNT)}


def test_budget_error_says_what_would_do(clip: Any, speech: Any, inputs: Any) -> None:
    options = dict(track=inputs.track, frames=2, **FAST)
    with memsafe.Model(DEMO, device="cpu", budget="24M") as model, pytest.raises(memsafe.BudgetError) as caught:
        list(model.lipsync(clip, speech, **options))
    needs = caught.value.needs_bytes
    assert needs and needs % (1 << 20) == 0 and f"at least {needs >> 20} MiB" in str(caught.value)
    with memsafe.Model(DEMO, device="cpu", budget=needs + (8 << 20)) as model:  # Python grows, too
        assert len(list(model.lipsync(clip, speech, **options))) == 2


def test_out_of_memory(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    options = dict(track=inputs.track, frames=2, **FAST)
    frames = model.lipsync(clip, speech, **options)
    lib().ms_mem_fail_after(5, True)
    try:
        with pytest.raises(memsafe.OutOfMemory) as caught:
            list(frames)
    finally:
        lib().ms_mem_fail_after(0, False)
    assert isinstance(caught.value, MemoryError) and caught.value.status == "HOST_MEMORY"
    assert len(list(model.lipsync(clip, speech, **options))) == 2


def test_no_face(model: Any, speech: Any) -> None:
    grey = np.full((3, 64, 64, 3), 128, np.uint8)
    came = []
    with pytest.raises(memsafe.NoFace, match="the frames that were given: no usable face in 3 frames"):
        for frame in model.lipsync(grey, speech, loop="none", **FAST):
            came.append(frame)
    assert len(came) == 3  # all of them first


def test_bad_model(tmp_path: Path) -> None:
    (tmp_path / "latentsync-1.6").mkdir()
    (tmp_path / "latentsync-1.6" / "unet.yaml").write_text("data: 5\n")
    (tmp_path / "latentsync-1.6" / "vae").mkdir()
    with pytest.raises(memsafe.BadModel, match=r"unet\.yaml"):
        memsafe.Model(tmp_path / "latentsync-1.6")
    with pytest.raises(memsafe.BadModel, match='neither a folder nor downloaded.*"hf download nobody/nothing"'):
        memsafe.Model("nobody/nothing")
    with pytest.raises(memsafe.BadModel, match="neither a folder nor downloaded") as caught:
        memsafe.Model(tmp_path / "nothing")
    assert "hf download" not in str(caught.value) and "memsafe-fetch-models" in str(caught.value)


def test_bad_media(model: Any, inputs: Any, tmp_path: Path) -> None:
    pytest.importorskip("av")
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"no video" * 100)
    with pytest.raises(memsafe.BadMedia, match="junk"):
        model.lipsync(junk, inputs.speech)
    with pytest.raises(memsafe.BadMedia, match="has no video"):
        model.lipsync(inputs.speech, inputs.speech)
    with pytest.raises(memsafe.BadMedia, match="has no sound"):
        model.lipsync(inputs.video, _silent(inputs.video, tmp_path))
    with pytest.raises(memsafe.FileError, match="no such file") as caught:
        model.lipsync(tmp_path / "none.mp4", inputs.speech)
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "none.mp4"))


def _silent(video: Path, folder: Path) -> Path:
    import av

    path = folder / "silent.mkv"
    with av.open(str(video)) as source, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    return path


def test_a_video_that_is_cut_off(model: Any, inputs: Any, tmp_path: Path) -> None:
    """Of what is left frames come out; then it is said, or not where that is allowed."""
    pytest.importorskip("av")
    whole = _silent(inputs.folder / "other.mp4", tmp_path).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    options = dict(track=inputs.track, loop="none", **FAST)
    with pytest.raises(memsafe.BadMedia, match="allow_truncated=True") as caught:
        list(model.lipsync(cut, inputs.speech, **options))
    assert caught.value.hints == ["allow_truncated"]
    left = list(model.lipsync(cut, inputs.speech, allow_truncated=True, **options))
    assert 0 < len(left) < 38


def test_cancelled(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    frames = model.lipsync(clip, speech, track=inputs.track, frames=18, **FAST)
    next(frames)
    frames.cancel()
    with pytest.raises(memsafe.Cancelled):
        list(frames)


def test_unsupported() -> None:
    with pytest.raises(memsafe.Unsupported, match="no plug-in memsafe-abacus"):
        memsafe.Model(DEMO, device="abacus")


def test_files_that_are_missing_or_there(inputs: Any, clip: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        memsafe.score(clip, inputs.speech, truth=tmp_path / "none")
    assert isinstance(missing.value, memsafe.FileError) and missing.value.filename == str(tmp_path / "none")
    assert str(missing.value).startswith("cannot read ")  # the sentence, not OSError's
    with pytest.raises(FileExistsError) as there:
        memsafe.detect(clip, DEMO, inputs.video)
    assert isinstance(there.value, memsafe.FileError) and there.value.errno == errno.EEXIST
    nowhere = "/nowhere/at/all"
    for ask in (  # from the library, which gives a sentence alone
        lambda: memsafe.probe("cpu", disk=nowhere),
        lambda: memsafe.probe("cpu", disk=nowhere, rates=True),
        lambda: memsafe.plan(shape="tiny", device="cpu", profile_file=nowhere),
        lambda: memsafe.Model(DEMO, device="cpu", profile_file=nowhere),
        lambda: memsafe.Model(DEMO, device="cpu", unet=nowhere),
        lambda: memsafe.AdaptiveMemoryOptimizer(device_memory="8G", profile_file=nowhere),
        lambda: memsafe.AdaptiveMemoryOptimizer(device_memory="8G", pressure_trace=nowhere),
        lambda: memsafe.score(clip, inputs.speech, track=nowhere, model=DEMO),
    ):
        with pytest.raises(FileNotFoundError) as library:
            ask()
        assert isinstance(library.value, memsafe.FileError)
        assert (library.value.errno, library.value.filename) == (errno.ENOENT, nowhere)


def test_errors_go_from_process_to_process() -> None:
    for number in (errno.ENOENT, errno.EEXIST, errno.EACCES, None):
        error = _errors.file_error("cannot read in.mp4", number, "in.mp4", stage="decode", frame=3, hints=["replace"])
        for made in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(made) is type(error) and str(made) == "cannot read in.mp4"
            for name in ("errno", "strerror", "filename", "stage", "frame", "hints", "status"):
                assert getattr(made, name) == getattr(error, name), name
    budget = memsafe.BudgetError("too small")
    budget.needs_bytes = 5
    assert pickle.loads(pickle.dumps(budget)).needs_bytes == 5


def test_what_a_budget_error_asks_for_does(inputs: Any) -> None:
    """Given back while the errors are still handled, and without a collection of garbage: a failed try holds nothing."""
    code = f"""
import gc, memsafe
gc.disable()
def attempt(budget, tries):
    try:
        with memsafe.Model({str(DEMO)!r}, "cpu", budget, threads=1) as model:
            print(len(list(model.lipsync({str(inputs.video)!r}, {str(inputs.speech)!r}, steps=1, resolution=64, frames=2))))
    except memsafe.BudgetError as e:
        if tries < 0:
            raise
        print(e.needs_bytes >> 20)
        attempt(e.needs_bytes if tries == 0 else "24M", tries - 1)
attempt("24M", 4)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    *needs, frames = map(int, done.stdout.split())
    # Python itself grows by what it imports and keeps of a try that failed: 3 MiB with 3.13.
    assert frames == 2 and len(needs) == 5 and max(needs) - needs[0] <= 5
