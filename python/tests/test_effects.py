"""Options that would not be missed by the other tests if they did nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO, FAST, alone

import memsafe
from memsafe._library import lib
from memsafe._track import Faces


@pytest.fixture(scope="module")
def pair(clip: Any) -> Any:
    """Two faces: [3][208][480][3]."""
    return np.concatenate([clip[:3], clip[:3, :, ::-1]], 2)


def test_the_face_that_is_followed(model: Any, pair: Any, speech: Any, command: Any, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "pair.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=25, width=480, height=208, pix_fmt="bgr0")
        for frame in pair:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
        file.mux(stream.encode(None))
    changed = []
    for face in (0, 1):
        same = dict(face=face, loop="none", **FAST)
        found = np.stack(list(model.lipsync(pair, speech, **same)))
        assert np.array_equal(found, command(video=path, **same))
        changed += [bool((found[:, :, half] != pair[:, :, half]).any()) for half in (slice(0, 240), slice(240, 480))]
    assert changed in ([False, True, True, False], [True, False, False, True])


def test_the_face_that_is_detected(pair: Any) -> None:
    left = [memsafe.detect(pair, DEMO, face=face).faces[0]["bbox"][0] for face in (0, 1)]
    assert (left[0] < 240) != (left[1] < 240)


def test_gaps_that_are_bridged(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    faces = Faces(inputs.track, 0)
    track = [None if 3 <= i < 6 else points for i, points in enumerate(faces.next() for _ in range(20))]
    for max_gap in (2, 3):
        found = np.stack(list(model.lipsync(clip, speech, track=track, max_gap=max_gap, frames=8, **FAST)))
        same = [np.array_equal(a, b) for a, b in zip(found, clip)]
        assert same[3:6] == [max_gap < 3] * 3 and not any(same[:3] + same[6:])


def test_frames_that_are_held_are_planned_for() -> None:
    code = """
with memsafe.Model(sys.argv[1], device="cpu", budget="1G", threads=2) as model:
    same = dict(track=track, frames=1, steps=1, resolution=64)
    with model.lipsync(clip, (speech, 16000), held_frames=int(sys.argv[2]), **same) as frames:
        next(frames)
        print(frames.report.planned_bytes)
"""
    few, many = (alone(code, DEMO, held)[0] for held in (30, 130))
    assert many - few >= 90 * 208 * 240 * 3  # what two processes are of themselves differs by little


def test_parts_of_a_model_are_those_that_are_named(clip: Any, speech: Any, inputs: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"nothing of the kind" * 100)
    (tmp_path / "config.json").write_bytes((DEMO / "vae" / "config.json").read_bytes())  # of the VAE, beside its weights
    for part in ("vae", "whisper", "unet"):
        with pytest.raises(memsafe.BadModel, match=r"broken\.pt"), memsafe.Model(DEMO, "cpu", **{part: broken}) as model:
            list(model.lipsync(clip, speech, track=inputs.track, frames=1, **FAST))


def test_the_hosts_budget_holds() -> None:
    """On the CPU it is the same memory, and the lesser of the two holds."""
    with memsafe.Model(DEMO, "cpu", "1G", host_budget="300M") as model:
        assert model.info.budget_bytes == 300 << 20


def test_so_many_threads_work() -> None:
    code = """
with memsafe.Model(sys.argv[1], "cpu", "1G", threads=int(sys.argv[2])):
    print(len(os.listdir("/proc/self/task")))
"""
    few, many = (alone(code, DEMO, count)[0] for count in (1, 4))
    assert many - few == 3


@pytest.mark.parametrize(("name", "text"), [("own.json", '{"profile": "professional"}'), ("own.yaml", "profile: professional\n")])
def test_a_profile_file_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with memsafe.Model(DEMO, "cpu", "1G", profile_file=tmp_path / name) as model:
        assert model.info.tier == "professional"
    assert memsafe.plan(shape="tiny", device="cpu", profile_file=tmp_path / name).tier == "professional"
    with memsafe.AdaptiveMemoryOptimizer(device_memory="8G", profile_file=tmp_path / name) as optimizer:
        assert optimizer.tier == "professional"


def test_the_machine_is_watched(monkeypatch: Any) -> None:
    monkeypatch.setattr(lib(), "ms_pressure_watch_level", lambda handle: 3 if handle else 0)
    for watch in (False, True):
        with memsafe.AdaptiveMemoryOptimizer(device_memory="40G", resolution=512, environment=False, watch=watch) as o:
            assert o.pressure == ("critical" if watch else "none")
            assert o.get_optimal_batch_size("vae_decode") == (1 if watch else 16)


def test_a_stream_cleans_up_at_the_tiers_interval() -> None:
    done = []
    optimizer = memsafe.AdaptiveMemoryOptimizer(device_memory="40G", environment=False, settings={"clean_up_frames": 4})
    how = dict(task="vae_decode", optimizer=optimizer, clean_up=lambda: done.append(1))
    with memsafe.StreamingFrameProcessor(list, 4, window=2, **how) as s:
        assert list(s(range(12))) == list(range(12))
        assert len(done) == 3


LOWERED = """
options = dict(track=track, frames=1, steps=1, resolution=256)
given = clip, (speech, 16000)
if sys.argv[2:]:
    import av  # before it is measured what the process holds
def needs(budget):
    try:
        with memsafe.Model(sys.argv[1], "cpu", budget) as model:
            list(model.lipsync(*given, **options))
    except memsafe.BudgetError as e:
        return e.needs_bytes
budget = needs("24M") - (4 << 20)
assert needs(budget)
with memsafe.Model(sys.argv[1], "cpu", budget) as model:
    if sys.argv[2:]:
        report = model.lipsync(*given, sys.argv[2], codec="ffv1", audio_out="none", allow_downscale=True, **options)
    else:
        with model.lipsync(*given, allow_downscale=True, **options) as frames:
            next(frames)
            report = frames.report
    print(report.wanted_resolution, report.resolution)
"""


@pytest.mark.parametrize("to_file", [False, True])
def test_a_resolution_that_does_not_fit_is_lowered_where_it_may_be(tmp_path: Path, to_file: bool) -> None:
    av = pytest.importorskip("av") if to_file else None
    wanted, got = alone(LOWERED, DEMO, *([tmp_path / "out.mkv"] if to_file else []))
    assert wanted == 256 and got in (128, 192)
    if av:
        with av.open(str(tmp_path / "out.mkv")) as file:
            tags = {name.lower(): value for name, value in file.metadata.items()}
        assert f" {got} px, " in tags["comment"]
