"""The nodes of comfyui/ without ComfyUI: what they are called by is put in its place. tools/comfyui_check runs them in ComfyUI."""

import importlib
import importlib.util
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("PIL", reason="Pillow is not installed")

from conftest import DEMO  # noqa: E402

import memsafe  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "comfyui"


class Interrupted(Exception):
    pass


@pytest.fixture
def comfy(monkeypatch, tmp_path):
    """The package, loaded as an old ComfyUI without VIDEO loads it."""
    roots = {}
    state = types.SimpleNamespace(interrupted=False, bars=[], unloaded=0)

    class ProgressBar:
        def __init__(self, total):
            state.bars.append(self)
            self.seen = []

        def update_absolute(self, value, total=None, preview=None):
            self.seen.append((value, total))

    def throw():
        if state.interrupted:
            raise Interrupted

    def unload():
        state.unloaded += 1

    paths = types.SimpleNamespace(
        models_dir=str(tmp_path / "models"),
        add_model_folder_path=lambda name, path, is_default=False: roots.setdefault(name, []).append(path),
        get_folder_paths=lambda name: roots[name],
        get_temp_directory=lambda: str(tmp_path / "temp"),
    )
    management = types.SimpleNamespace(
        processing_interrupted=lambda: state.interrupted,
        throw_exception_if_processing_interrupted=throw,
        unload_all_models=unload,
        soft_empty_cache=lambda: None,
    )
    utils = types.SimpleNamespace(ProgressBar=ProgressBar)
    whole = types.SimpleNamespace(model_management=management, utils=utils)
    for name, module in (
        ("folder_paths", paths), ("comfy", whole), ("comfy.model_management", management), ("comfy.utils", utils),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    for name in [n for n in sys.modules if n.split(".")[0] == "memsafe_pack"]:
        monkeypatch.delitem(sys.modules, name)
    spec = importlib.util.spec_from_file_location("memsafe_pack", PACK / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "memsafe_pack", pack)
    spec.loader.exec_module(pack)
    state.pack, state.roots, state.nodes = pack, roots, sys.modules["memsafe_pack.nodes"]
    state.host = sys.modules["memsafe_pack.host"]
    yield state
    for name in [n for n in sys.modules if n.startswith("memsafe_pack.")]:
        del sys.modules[name]


def test_an_old_comfyui_gets_what_it_can_use(comfy, tmp_path):
    assert comfy.roots == {"latentsync": [str(tmp_path / "models/latentsync")]}
    made = comfy.pack.NODE_CLASS_MAPPINGS
    assert (
        set(made)
        == {"MemsafeLoadModel", "MemsafeLipSync", "MemsafePlan"}
        == set(comfy.pack.NODE_DISPLAY_NAME_MAPPINGS)
    )
    for node in made.values():
        inputs = node.INPUT_TYPES()
        assert (
            set(inputs) == {"required", "optional"} and node.FUNCTION == "run" and node.CATEGORY == "memsafe"
        )
    sync = made["MemsafeLipSync"].INPUT_TYPES()
    assert sync["required"]["seed"] == ("INT", {**sync["required"]["seed"][1], "default": 1247})
    assert sync["required"]["steps"][1]["default"] == 20 and sync["required"]["guidance"][1]["default"] == 1.5
    assert made["MemsafeLipSync"].RETURN_TYPES == ("IMAGE", "AUDIO")


def test_every_option_is_one_of_lipsyncs(comfy):
    given = {i.name: i.default for i in comfy.nodes.option_inputs()}
    steps = next(i.more["max"] for i in comfy.nodes.option_inputs() if i.name == "steps")
    with pytest.raises(memsafe.InvalidArgument, match=f"steps must be 1 to {steps},"):
        memsafe.plan(shape="tiny", device="cpu", steps=steps + 1)
    options = comfy.nodes.options_of({**given, "loop": "hold", "track": " faces.jsonl "})
    from memsafe._options import NAMES

    assert set(options) <= NAMES and options["loop"] == "hold" and options["track"] == "faces.jsonl"
    assert set(given) == set(options)
    assert "loop" not in comfy.nodes.options_of(given) and "track" not in comfy.nodes.options_of(given)


def test_steps_are_those_that_a_plan_takes(comfy):
    for inputs in (comfy.nodes.plan_inputs(), comfy.nodes.option_inputs()):
        assert next(i.more["max"] for i in inputs if i.name == "steps") == 999
    node = comfy.pack.NODE_CLASS_MAPPINGS["MemsafePlan"]()
    assert "peak" in node.run(shape="latentsync-1.5", width=640, height=360, frames=50, budget="4G", steps=999)["result"][0]


def test_the_plan_is_text_and_a_picture(comfy):
    node = comfy.pack.NODE_CLASS_MAPPINGS["MemsafePlan"]()
    shown = node.run(shape="latentsync-1.5", width=640, height=360, frames=50, budget="4G")
    text, picture = shown["result"]
    assert "fits" in text and "peak" in text and "weights that stay" in text and shown["ui"]["text"] == [text]
    assert picture.shape == (1, 640, 960, 3) and picture.dtype == torch.float32
    assert 0 <= picture.min() < picture.max() <= 1
    parts = sys.modules["memsafe_pack.draw"].parts_of(
        memsafe.plan(shape="latentsync-1.5", device="cpu", budget="4G")
    )
    whole = memsafe.plan(shape="latentsync-1.5", device="cpu", budget="4G").peak_bytes
    assert abs(sum(parts.values()) - whole) < whole / 100  # nothing of the peak is left out
    small = node.run(shape="latentsync-1.6", width=640, height=360, frames=50, budget="100M")["result"][0]
    assert "too small" in small
    card = node.run(shape="latentsync-1.6", width=640, height=360, frames=50, budget="", device_memory="24G")[
        "result"
    ][0]
    assert "the device itself" in card


def test_a_plan_without_a_size_is_this_machines(comfy, monkeypatch):
    seen = []

    def plan(**options):
        seen.append(options)
        raise memsafe.Unsupported("enough")

    monkeypatch.setattr(memsafe, "plan", plan)
    with pytest.raises(memsafe.Unsupported):
        comfy.nodes.plan_memory("latentsync-1.5", 640, 360, 50, "")
    assert seen[0]["device"] == "auto"  # the card, where there is one


def test_an_interrupt_cancels_and_becomes_comfyuis(comfy):
    cancelled = threading.Event()
    with pytest.raises(Interrupted), comfy.host.watched(cancelled.set, memsafe.Cancelled) as tell:
        tell(3, 10)
        comfy.interrupted = True
        assert cancelled.wait(5)
        raise memsafe.Cancelled("as a lip sync ends then")
    assert comfy.bars[0].seen == [(3, 10)]
    comfy.interrupted = False
    with pytest.raises(memsafe.Cancelled), comfy.host.watched(cancelled.set, memsafe.Cancelled):
        raise memsafe.Cancelled("by somebody else")
    with pytest.raises(memsafe.NoFace), comfy.host.watched(cancelled.set, memsafe.Cancelled):
        raise memsafe.NoFace("no face")


def test_a_temporary_file_goes_with_its_failure(comfy, tmp_path):
    with comfy.host.temporary_file(".mp4") as path:
        Path(path).write_text("x")
    assert Path(path).exists() and Path(path).parent == tmp_path / "temp"
    with pytest.raises(ValueError), comfy.host.temporary_file(".mp4") as path:
        Path(path).write_text("x")
        raise ValueError
    assert not Path(path).exists()


def test_one_model_at_a_time(comfy, monkeypatch):
    opened = []

    class Model:
        def __init__(self, path, device, budget, precision):
            self.path, self.closed = path, False
            opened.append(self)

        def close(self):
            self.closed = True

    monkeypatch.setattr(memsafe, "Model", Model)
    (a,), (b,) = (comfy.nodes.load_model(name, "cpu", "", "auto") for name in ("one", "two"))
    assert [m.closed for m in opened] == [True, False] and b.open() is opened[1]
    assert a.open() is opened[2] and opened[1].closed
    a.close(), b.close()
    assert all(m.closed for m in opened)
    assert comfy.unloaded == 0  # the processor's memory is not what ComfyUI's models are in
    (c,) = comfy.nodes.load_model("three", "auto", "", "auto")
    assert comfy.unloaded == 1
    c.open()  # by now ComfyUI may have loaded others
    assert comfy.unloaded == 2
    c.close()


def scored(**values):
    """A report of memsafe.score() of which nothing is known but these."""
    names = ("sync_r_unshifted", "identity_drift", "outline_drift", "flicker_borders", "flicker_elsewhere", "flicker_ratio")
    counts = dict(frames=0, frames_with_face=0, frames_lost=0, fps=25.0, sync_offset_frames=0, sync_confidence=0.0)
    return memsafe.Report({**dict.fromkeys(names, float("nan")), **counts, **values})


class Trimmed:
    """A VIDEO as ComfyUI gives it: the whole file, and which part of it is meant."""

    def __init__(self, start, duration, is_cropped=False):
        self.window, self.saved, self.is_cropped = (start, duration), [], is_cropped

    def get_stream_source(self):
        return "clip.mp4"

    def get_active_trim_window(self):
        return self.window

    def has_pending_frame_edits(self):
        return self.is_cropped

    def save_to(self, path):
        self.saved.append(path)
        Path(path).write_text("cut")


def test_a_trimmed_video_is_its_part(comfy, monkeypatch):
    seen = []
    model = types.SimpleNamespace(
        cancel=lambda: None,
        lipsync=lambda video, audio, **options: seen.append((video, options, Path(video).exists())),
    )
    loaded = types.SimpleNamespace(open=lambda: model)
    monkeypatch.setitem(sys.modules, "comfy_api", types.ModuleType("comfy_api"))
    monkeypatch.setitem(sys.modules, "comfy_api.input_impl", types.SimpleNamespace(VideoFromFile=str))
    sound = {"waveform": torch.zeros(1, 1, 16000 * 2), "sample_rate": 16000}

    def part(video, **options):
        comfy.nodes.lip_sync_video(loaded, video, sound, **options)
        name, given, was_there = seen.pop()
        return name, given.get("start"), given.get("duration"), was_there

    assert part(Trimmed(0.0, 0.0)) == ("clip.mp4", None, None, False)
    assert part(Trimmed(1.5, 3.0)) == ("clip.mp4", 1.5, 3.0, False)  # lazily, of the file itself
    assert part(Trimmed(1.5, 0.0)) == ("clip.mp4", 1.5, None, False)
    assert part(Trimmed(1.5, 1.0), loop="none") == ("clip.mp4", 1.5, 1.0, False)
    short = Trimmed(1.5, 1.0)  # two seconds are said: it is shown again
    name, start, duration, was_there = part(short)
    assert [name] == short.saved and (start, duration) == (None, None) and was_there
    assert not Path(name).exists()
    cropped = Trimmed(1.5, 3.0, is_cropped=True)  # its own file has the whole picture
    name, start, duration, was_there = part(cropped, loop="none")
    assert [name] == cropped.saved and (start, duration) == (None, None) and was_there
    assert part(types.SimpleNamespace(get_stream_source=lambda: "old.mp4")) == ("old.mp4", None, None, False)


def test_the_score_of_a_trimmed_video_is_its_parts(comfy, monkeypatch):
    seen = []

    def score(path, audio, **options):
        seen.append((path, Path(path).exists()))
        return scored()

    monkeypatch.setattr(memsafe, "score", score)
    video = Trimmed(0.0, 2.0)
    comfy.nodes.score_video(video)
    assert seen == [(video.saved[0], True)] and not Path(video.saved[0]).exists()
    comfy.nodes.score_video(Trimmed(0.0, 0.0))
    assert seen[1][0] == "clip.mp4"
    cropped = Trimmed(0.0, 0.0, is_cropped=True)
    comfy.nodes.score_video(cropped)
    assert seen[2] == (cropped.saved[0], True)


def test_models_are_found_in_registered_folders(comfy, tmp_path):
    folder = tmp_path / "models/latentsync/mine"
    folder.mkdir(parents=True)
    assert comfy.host.model_folders() == {}
    (folder / "latentsync_unet.pt").write_bytes(b"")
    assert comfy.host.model_folders() == {"mine": str(folder)} and comfy.nodes.model_names()[:2] == [
        "auto",
        "mine",
    ]


@pytest.fixture
def nothing_installed(comfy, monkeypatch, tmp_path):
    """No model is anywhere, whatever this machine has."""
    from memsafe import _models

    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "COMFYUI_MODELS", "MEMSAFE_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(_models, "_data_folders", lambda: iter(()))
    return tmp_path / "models/latentsync"


def test_auto_is_the_only_model(comfy, nothing_installed):
    folder = nothing_installed
    with pytest.raises(memsafe.InvalidArgument, match="there is no LatentSync model. It belongs into a folder of") as caught:
        comfy.nodes.load_model("auto", "cpu", "1G", "auto")
    assert str(folder) in str(caught.value) and "memsafe-fetch-models 1.6 -o" in str(caught.value)
    folder.mkdir(parents=True)
    (folder / "demo2").symlink_to(ROOT / "models" / "demo")
    (loaded,) = comfy.nodes.load_model("auto", "cpu", "1G", "auto")
    assert loaded.open().files["model"] == folder / "demo2"
    loaded.close()
    extra = folder.parent.parent / "extra"
    comfy.roots["latentsync"].append(str(extra))
    (extra / "other").mkdir(parents=True)
    (extra / "other" / "latentsync_unet.pt").write_bytes(b"")
    with pytest.raises(memsafe.InvalidArgument, match="there are 2 models, choose one in the node: demo2 .*, other "):
        comfy.nodes.load_model("auto", "cpu", "1G", "auto")
    assert comfy.nodes.model_names()[:3] == ["auto", "demo2", "other"]


def test_the_score_is_the_commands_text(comfy, model, inputs):
    from conftest import COMMAND, need

    track = inputs.folder / "scored.jsonl"
    video = inputs.folder / "scored.mkv"
    draw = need(COMMAND.parent / "tools" / "draw_clip")
    subprocess.run([draw, "--seed", "8", "--size", "240x208", "--frames", "50", "-o", video, "--track", track], check=True)
    for frames in (50, 12, 1):
        words = ["--audio", inputs.speech, "--track", track, "--frames", str(frames), "-m", DEMO]
        told = subprocess.run([need(COMMAND), "score", "-q", video, *words], check=True, capture_output=True, text=True).stdout
        report = memsafe.score(video, inputs.speech, track=track, frames=frames, model=model)
        text = list(sys.modules["memsafe_pack.draw"].score_text(report))
        assert text == told.splitlines()
        assert not any("nan" in line or "False" in line or "_" in line for line in text)


def test_the_score_is_the_packages(comfy, monkeypatch):
    seen = {}

    def score(path, audio, **options):
        seen.update(path=path, audio=audio, **options)
        options["progress"](1, 2)
        return scored(frames=2, frames_with_face=1, sync_offset_frames=-3, sync_confidence=0.25)

    monkeypatch.setattr(memsafe, "score", score)
    video = types.SimpleNamespace(get_stream_source=lambda: "clip.mp4")
    sound = {"waveform": torch.zeros(1, 2, 100), "sample_rate": 8000}
    text, offset, confidence = comfy.nodes.score_video(video, sound, track=" f.jsonl ")
    assert (offset, confidence) == (-3, 0.25) and "Frames         2, 1 of them with a face, 25 a second" in text
    assert "not to be judged: 1 frame with a face is too few" in text and "Identity" not in text
    assert seen["path"] == "clip.mp4" and seen["track"] == "f.jsonl" and seen["audio"][1] == 8000
    assert seen["audio"][0].shape == (2, 100) and comfy.bars[0].seen == [(1, 2)]
    comfy.interrupted = True
    with pytest.raises(Interrupted):
        comfy.nodes.score_video(video)


def test_watching_takes_no_time(comfy):
    started = time.monotonic()
    for _ in range(3):
        with comfy.host.watched(lambda: None, memsafe.Cancelled):
            pass
    assert time.monotonic() - started < 2
