"""Faces and scores are the command's."""

import itertools
import json
import math
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from conftest import COMMAND, DEMO, FAST, full_disk, need

import memsafe
from memsafe import _judge, _worker
from memsafe._library import lib
from memsafe._models import FACES
from memsafe._track import Faces


def test_detect_finds_what_the_command_finds(model: Any, inputs: Any, clip: Any, tmp_path: Path) -> None:
    need(COMMAND)
    expected = tmp_path / "command.jsonl"
    subprocess.run([COMMAND, "detect", "-q", "-i", inputs.video, "-o", expected, "-m", DEMO], check=True)
    faces = [json.loads(line) for line in expected.read_text().splitlines()]
    found = memsafe.detect(clip, model)
    assert found.frames == 20 and found.frames_with_face == len(faces) > 10 and found.frames_lost == 0
    assert [f["frame"] for f in found.faces if f] == [f["frame"] for f in faces]
    for face, there in zip([f for f in found.faces if f], faces):
        assert face["landmarks106"].dtype == np.float32 and face["landmarks106"].shape == (106, 2)
        assert np.array_equal(face["landmarks106"], np.array(there["landmarks106"], np.float32))
        assert face["bbox"] == there["bbox"]
    out = tmp_path / "track.jsonl"
    told = []
    report = memsafe.detect(inputs.video, DEMO, out, device="cpu", progress=lambda *a: told.append(a))
    assert "faces" not in report and report.output == str(out) and told[-1] == (20, 20)
    assert out.read_bytes() == expected.read_bytes()


def test_what_is_detected_is_a_track(model: Any, clip: Any, speech: Any, tmp_path: Path) -> None:
    found = memsafe.detect(clip, model, frames=5)
    assert found.frames == 5 and len(found.faces) == 5
    same = dict(frames=3, **FAST)
    expected = list(model.lipsync(clip, speech, **same))
    for track in (found, found.faces):
        assert np.array_equal(list(model.lipsync(clip, speech, track=track, **same)), expected)
    with pytest.raises(memsafe.InvalidArgument, match="track ends before frame 5"):
        list(model.lipsync(clip, speech, track=found, **FAST))
    with pytest.raises(TypeError, match="without faces"):
        model.lipsync(clip, speech, track=memsafe.detect(clip, model, tmp_path / "t", frames=3))


def test_detect_refuses(clip: Any, inputs: Any, tmp_path: Path) -> None:
    grey = np.full((3, 64, 64, 3), 128, np.uint8)
    out = tmp_path / "track.jsonl"
    with pytest.raises(memsafe.NoFace, match="no usable face in 3 frames"):
        memsafe.detect(grey, DEMO, out)
    assert os.listdir(tmp_path) == []
    out.write_text("mine")
    with pytest.raises(memsafe.FileError, match="force=True"):
        memsafe.detect(clip, DEMO, out)
    with pytest.raises(memsafe.InvalidArgument, match="max.gap"):
        memsafe.detect(clip, DEMO, max_gap=-1)
    with pytest.raises(memsafe.BudgetError):
        memsafe.detect(clip, DEMO, budget="1M")
    with pytest.raises(memsafe.BadModel):
        memsafe.detect(clip, faces=tmp_path)
    with pytest.raises(memsafe.InvalidArgument, match="force is for a file that is there: give out="):
        memsafe.detect(clip, DEMO, force=True)
    memsafe.detect(clip, DEMO, out, force=True, frames=3)
    assert out.read_text().startswith('{"frame":0,"bbox":[')


def test_a_full_disk_leaves_nothing(clip: Any, tmp_path: Path) -> None:
    out = tmp_path / "track.jsonl"
    for room in (0, 10000):  # at the end, and under way
        with full_disk(room), pytest.raises(memsafe.FileError, match="cannot write .*track.jsonl: File too large") as caught:
            memsafe.detect(clip, DEMO, out)
        assert caught.value.filename == str(out) and os.listdir(tmp_path) == []


def test_face_nets_are_all_that_is_wanted_of_a_model(clip: Any, speech: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "latentsync_unet.pt").touch()
    (folder / "auxiliary").symlink_to(DEMO / "auxiliary")
    assert memsafe.detect(clip, folder, frames=3).frames == 3  # neither a config nor a VAE
    assert memsafe.score(clip, speech, model=folder, frames=3).frames == 3
    assert memsafe.detect(clip, tmp_path / "nothing", faces=DEMO / FACES, frames=3).frames == 3


def test_comfyuis_models_are_found(clip: Any, speech: Any, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "latentsync"
    folder.mkdir(parents=True)
    (folder / "mine-of-this-test").symlink_to(DEMO)
    with pytest.raises(memsafe.BadModel):
        memsafe.detect(clip, "mine-of-this-test")
    assert memsafe.detect(clip, "mine-of-this-test", comfyui=tmp_path / "models", frames=3).frames == 3
    assert memsafe.score(clip, speech, model="mine-of-this-test", comfyui=tmp_path / "models", frames=3).frames == 3


@pytest.mark.parametrize("kind", ["finder", "scorer"])
@pytest.mark.parametrize("moment", ["created", "under way"])
def test_an_interrupt_frees_what_was_made(clip: Any, speech: Any, monkeypatch: Any, kind: str, moment: str) -> None:
    """When it comes as a call has just been handed over, that call ends before what it works on goes."""
    destroy, events = getattr(lib(), f"ms_{kind}_destroy"), []
    calls = iter(range(100))

    class Interrupted(_worker.Worker):
        def run(self, work: Any) -> Any:
            if next(calls) < (moment == "under way"):
                return super().run(work)

            def late() -> None:
                work()
                events.append("worked")

            started = _worker._Job(late)
            super().run(lambda: None)
            self._jobs.put(started)
            raise KeyboardInterrupt

    def told(handle: Any) -> None:
        events.append("freed" if handle._obj else "nothing to free")
        destroy(handle)

    monkeypatch.setattr(_judge, "Worker", Interrupted)
    monkeypatch.setattr(lib(), f"ms_{kind}_destroy", told)
    with pytest.raises(KeyboardInterrupt):
        if kind == "finder":
            memsafe.detect(clip, DEMO, frames=3)
        else:
            memsafe.score(clip, speech, model=DEMO, frames=3)
    assert events == ["worked", "freed"]


def command_score(*words: Any) -> Any:
    need(COMMAND)
    done = subprocess.run([COMMAND, "score", "--json", "--progress", "none", "-m", DEMO, *words], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def same(a: Any, b: Any) -> bool:
    return bool(a is None and not math.isfinite(b)) or a == b or math.isclose(a, b, rel_tol=1e-6)


def test_score_is_the_commands(model: Any, inputs: Any, speech: Any) -> None:
    other = inputs.folder / "other.mp4"
    track = inputs.folder / "other.jsonl"
    words = ["--seed", "8", "--size", "240x208", "--frames", "50", "-o", other, "--track", track]
    subprocess.run([COMMAND.parent / "tools" / "draw_clip", *words], check=True)
    expected = command_score(other, "--audio", inputs.speech, "--truth", track)
    report = memsafe.score(other, inputs.speech, truth=track, model=model)
    assert report.enough_frames is expected["sync"]["enough_frames"] is True
    assert report.frames == expected["frames"] == 50 and report.has_truth and not report.truth_is_video
    for name in ("sync_r", "sync_confidence", "mouth_r", "mouth_rmse_px", "flicker_ratio"):
        there = expected
        for part in SCORE_NAMES[name]:
            there = there[part]
        assert same(there, report[name]), name
    assert "<table>" in report._repr_html_()


SCORE_NAMES = {
    "sync_r": ("sync", "correlation"), "sync_confidence": ("sync", "confidence"), "mouth_r": ("mouth", "correlation_truth"),
    "mouth_rmse_px": ("mouth", "rmse_truth_px"), "flicker_ratio": ("flicker", "ratio"),
}  # fmt: skip


def test_score_of_frames(model: Any, clip: Any, speech: Any, inputs: Any, tmp_path: Path) -> None:
    changed = clip.copy()
    changed[:, :20, :20] ^= 64
    report = memsafe.score(changed, speech, input=clip, truth=list(clip), model=DEMO, frames=6)
    assert report.frames == 6 and report.has_input and report.truth_is_video
    assert report.input["psnr_db"]["mouth"] == math.inf and 10 < report.input["psnr_outside_db"] < 60
    assert set(report.truth["ssim"]) == {"mouth", "face", "around"}
    late = memsafe.score(clip[5:], speech, input=clip, track=inputs.track, start=0.2, model=model, frames=4)
    assert late.input["psnr_db"]["face"] == math.inf and late.frames_with_face == 4
    found = memsafe.detect(clip, model, tmp_path / "track.jsonl")
    report = memsafe.detect(clip, model)
    expected = memsafe.score(clip, speech, track=found.output, model=model)
    for track in (report, report.faces):
        judged = memsafe.score(clip, speech, track=track, model=model)
        assert str({**judged, "seconds": 0}) == str({**expected, "seconds": 0})  # NaN is not NaN
    points = [None, *(face and face["landmarks106"] for face in report.faces[1:])]
    assert memsafe.score(clip, speech, track=points, model=model).frames_with_face == expected.frames_with_face - 1
    for wrong, says in (({**report.faces[0], "bbox": [1, 2]}, "bbox is .left"), (np.zeros((5, 2)), "106 points")):
        with pytest.raises(memsafe.BadMedia, match=f"track: frame 0: .*{says}"):
            memsafe.score(clip, speech, track=[wrong], model=model)
    with pytest.raises(TypeError, match="without faces"):
        memsafe.score(clip, speech, track=found, model=model)
    with pytest.raises(TypeError, match="track is a file's name, detect"):
        memsafe.score(clip, speech, track=5, model=model)
    with pytest.raises(memsafe.InvalidArgument, match="cannot be compared"):
        memsafe.score(clip, speech, input=clip[:, :100], model=model)
    with pytest.raises(memsafe.InvalidArgument, match="no sound"):
        memsafe.score(clip, model=model)
    with pytest.raises(memsafe.BadMedia, match="mouth_opening"):
        bare = inputs.folder / "bare.jsonl"
        bare.write_text('{"frame":0,"landmarks106":[]}\n')
        memsafe.score(clip, speech, truth=bare, model=model)
    with pytest.raises(memsafe.NoFace):
        memsafe.score(np.full((3, 64, 64, 3), 128, np.uint8), speech, model=model)


def test_a_track_is_judged_as_a_lip_sync_takes_it(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    """One that is too short is refused, one without an end is not, and of it no more is taken than is looked at."""
    faces = Faces(inputs.track, 0)
    points = [faces.next() for _ in range(20)]
    for what in (lambda: list(model.lipsync(clip, speech, track=points[:5], **FAST)), lambda: memsafe.score(clip, speech, track=points[:5], model=model)):
        with pytest.raises(memsafe.InvalidArgument, match="track ends before frame 5: it has points or None for each frame"):
            what()
    with pytest.raises(memsafe.InvalidArgument, match="track ends before frame 7"):
        memsafe.score(clip[4:], speech, input=clip, start=0.16, track=iter(points[:7]), model=model)
    assert memsafe.score(clip, speech, track=points[:5], model=model, frames=5).frames_with_face == 5
    taken: List[int] = []

    def endless() -> Any:
        for number in itertools.count():
            assert number < 100
            taken.append(number)
            yield points[number % 20]

    for video, more, most in ((clip, dict(frames=3), 3), (inputs.video, {}, 40), (iter(clip), dict(frames=4, start=0.2), 9)):
        taken.clear()
        report = memsafe.score(video, speech, track=endless(), model=model, **more)
        assert report.frames_with_face == report.frames == more.get("frames", 20) and len(taken) <= most


def test_a_track_that_finds_no_room_is_a_files_error(model: Any, clip: Any, speech: Any, inputs: Any, tmp_path: Path, monkeypatch: Any) -> None:
    faces = Faces(inputs.track, 0)
    points = [faces.next() for _ in range(20)]
    with full_disk(1 << 10), pytest.raises(memsafe.FileError, match="cannot write the track to a temporary file: File too large"):
        memsafe.score(clip, speech, track=points, model=model)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(memsafe.FileError, match="cannot write the track to a temporary file: No such file") as caught:
        memsafe.score(clip, speech, track=points, model=model)
    assert isinstance(caught.value, FileNotFoundError) and str(tmp_path) in caught.value.filename


def test_a_score_of_too_few_frames_says_so(model: Any, clip: Any, speech: Any) -> None:
    assert memsafe.score(clip, speech, model=model, frames=12).enough_frames is False
