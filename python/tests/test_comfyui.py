"""The nodes of comfyui/ without ComfyUI: what they are called by is put in its place. tools/comfyui_check runs them in ComfyUI."""

import importlib
import importlib.util
import sys
import threading
import time
import types
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("PIL", reason="Pillow is not installed")

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

    paths = types.SimpleNamespace(
        models_dir=str(tmp_path / "models"),
        add_model_folder_path=lambda name, path, is_default=False: roots.setdefault(name, []).append(path),
        get_folder_paths=lambda name: roots[name],
        get_temp_directory=lambda: str(tmp_path / "temp"),
    )
    management = types.SimpleNamespace(
        processing_interrupted=lambda: state.interrupted,
        throw_exception_if_processing_interrupted=throw,
        unload_all_models=lambda: None,
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


def test_models_are_found_in_registered_folders(comfy, tmp_path):
    folder = tmp_path / "models/latentsync/mine"
    folder.mkdir(parents=True)
    assert comfy.host.model_folders() == {}
    (folder / "latentsync_unet.pt").write_bytes(b"")
    assert comfy.host.model_folders() == {"mine": str(folder)} and comfy.nodes.model_names()[:2] == [
        "auto",
        "mine",
    ]


def test_the_score_is_the_packages(comfy, monkeypatch):
    seen = {}

    def score(path, audio, **options):
        seen.update(path=path, audio=audio, **options)
        options["progress"](1, 2)
        return memsafe.Report(
            frames=2, sync_offset_frames=-3, sync_confidence=0.25, input=memsafe.Report(ssim=0.5)
        )

    monkeypatch.setattr(memsafe, "score", score)
    video = types.SimpleNamespace(get_stream_source=lambda: "clip.mp4")
    sound = {"waveform": torch.zeros(1, 2, 100), "sample_rate": 8000}
    text, offset, confidence = comfy.nodes.score_video(video, sound, track=" f.jsonl ")
    assert (offset, confidence) == (-3, 0.25) and "frames: 2" in text and "  ssim: 0.5" in text
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
