"""Where models are found."""

import json
import os
import re
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from conftest import DEMO, ROOT

import memsafe
from memsafe import _models

REPO, VAE = "ByteDance/LatentSync-1.6", "stabilityai/sd-vae-ft-mse"


def link(target: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def snapshot(hub: Path, repo: str, files: Any, commit: str = "0123abcd", ref: str = "main") -> Path:
    """A repository as huggingface_hub lays it out: blobs, and links to them."""
    root = hub / ("models--" + repo.replace("/", "--"))
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / ref).write_text(commit)
    for number, (name, source) in enumerate(files.items()):
        blob = root / "blobs" / str(number)
        link(source, blob)
        link(Path(os.path.relpath(blob, (root / "snapshots" / commit / name).parent)), root / "snapshots" / commit / name)
    return root / "snapshots" / commit


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: Any) -> Path:
    """No model is anywhere, whatever this machine has."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "COMFYUI_MODELS", "MEMSAFE_MODEL", "MEMSAFE_DEMO_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.delitem(sys.modules, "folder_paths", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


WEIGHTS = {"latentsync_unet.pt": DEMO / "latentsync_unet.pt", "whisper/tiny.pt": DEMO / "whisper" / "tiny.pt"}
VAE_FILES = {name: DEMO / "vae" / name for name in ("config.json", "diffusion_pytorch_model.safetensors")}


def test_the_hugging_face_cache(nowhere: Path, monkeypatch: Any) -> None:
    hub = nowhere / "hf" / "hub"
    with pytest.raises(memsafe.BadModel, match="hf download ByteDance/LatentSync-1.6") as caught:
        memsafe.find_model(REPO)
    assert str(hub) in str(caught.value)
    there = snapshot(hub, REPO, WEIGHTS)
    with pytest.raises(memsafe.BadModel, match=f"hf download {VAE}"):
        memsafe.find_model(REPO)
    vae = snapshot(hub, VAE, VAE_FILES, "77aa")
    found = memsafe.find_model(REPO)
    assert found["model"] == there and found["vae"] == vae and "faces" not in found
    config = json.loads(found["config"].read_text())
    assert config["data"]["resolution"] == 512 and memsafe.find_model(REPO + "@main")["model"] == there
    with pytest.raises(memsafe.BadModel):
        memsafe.find_model(REPO + "@v2")
    nets = nowhere / "home" / ".insightface" / "models" / "buffalo_l"
    for net in _models.FACE_NETS:
        link(DEMO / _models.FACES / net, nets / net)
    assert memsafe.find_model(REPO)["faces"] == nets
    monkeypatch.setenv("HF_HUB_CACHE", str(nowhere / "elsewhere"))
    with pytest.raises(memsafe.BadModel):
        memsafe.find_model(REPO)
    other = snapshot(nowhere / "elsewhere", "ByteDance/LatentSync-1.5", {**WEIGHTS, "unet.yaml": DEMO / "unet.yaml"})
    snapshot(nowhere / "elsewhere", VAE, VAE_FILES)
    assert "config" not in memsafe.find_model("ByteDance/LatentSync-1.5") and other.is_dir()
    # A model that is found so runs: here the demo's parts in the places of the published ones.
    with memsafe.Model("ByteDance/LatentSync-1.5", faces=nets, device="cpu") as model:
        assert model.info.resolution == 128 and model.info.has_faces


def test_the_shipped_configs_are_the_librarys() -> None:
    """The library writes the published configs into folders with random weights: by a macro whose words are JSON."""
    source = (ROOT / "src/models/synthesize/synthesize.c").read_text()
    match = re.search(r"#define UNET_CONFIG\(([^)]*)\)(.*?)\n\n", source, re.S)
    assert match
    for version, resolution in (("1.5", "256"), ("1.6", "512")):
        call = re.search(rf'UNET_CONFIG\("{resolution}", ([^;]*)\);', source)
        assert call
        values = [resolution, *json.loads(f"[{call.group(1)}]")]
        names = dict(zip(re.split(r",\s*", match.group(1)), values))
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"|\b([a-z]+)\b', match.group(2))
        text = "".join(names[name] if name else piece.replace('\\"', '"').replace("\\n", "") for piece, name in pieces)
        shipped = _models.shipped_config(f"LatentSync-{version}")
        assert shipped and json.loads(shipped.read_text()) == json.loads(text)


def test_comfyui(nowhere: Path, monkeypatch: Any) -> None:
    models = nowhere / "ComfyUI" / "models"
    folder = models / "latentsync" / "LatentSync-1.6"
    for name, source in WEIGHTS.items():
        link(source, folder / name)
    for name, source in VAE_FILES.items():
        link(source, models / "vae" / "sd-vae-ft-mse" / name)
    for net in _models.FACE_NETS:
        link(DEMO / _models.FACES / net, models / "insightface" / "models" / "buffalo_l" / net)
    with pytest.raises(memsafe.BadModel):
        memsafe.find_model(REPO)
    found = memsafe.find_model(REPO, comfyui=models)
    assert found["model"] == folder and found["vae"].parent == models / "vae" and found["config"].stem == "latentsync-1.6"
    assert found["faces"] == models / "insightface" / "models" / "buffalo_l"
    monkeypatch.setenv("COMFYUI_MODELS", str(models))
    assert memsafe.find_model("LatentSync-1.6") == found
    monkeypatch.delenv("COMFYUI_MODELS")
    comfyui: Any = types.ModuleType("folder_paths")
    comfyui.models_dir = str(models)
    monkeypatch.setitem(sys.modules, "folder_paths", comfyui)
    assert memsafe.find_model("LatentSync-1.6") == found


def test_folders(nowhere: Path) -> None:
    assert memsafe.find_model(DEMO) == {"model": DEMO}
    checkout = nowhere / "LatentSync-1.6"
    for name, source in WEIGHTS.items():
        link(source, checkout / "checkpoints" / name)
    snapshot(nowhere / "hf" / "hub", VAE, VAE_FILES)
    found = memsafe.find_model(checkout)
    assert found["model"] == checkout / "checkpoints" and found["config"].stem == "latentsync-1.6"
    unknown = nowhere / "mine"
    shutil.copytree(checkout / "checkpoints", unknown, symlinks=True)
    with pytest.raises(memsafe.BadModel, match="config= names one"):
        memsafe.find_model(unknown)
    with memsafe.Model(unknown, config=DEMO / "unet.yaml", face_nets=False, device="cpu") as model:
        assert model.info.resolution == 128 and not model.info.has_faces


def test_what_is_installed(nowhere: Path, monkeypatch: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument, match="none is installed"):
        memsafe.Model()
    link(DEMO, nowhere / "data" / "memsafe" / "models" / "one")
    assert memsafe.find_model()["model"].name == "one" and memsafe.find_model("one")["model"].name == "one"
    with memsafe.Model(device="cpu") as model:
        assert model.files["model"].name == "one"
    shutil.copytree(DEMO, nowhere / "models" / "two")
    with pytest.raises(memsafe.InvalidArgument, match="several"):
        memsafe.Model()
    for name in ("one", "demo", str(DEMO), REPO):
        monkeypatch.setenv("MEMSAFE_MODEL", name)
        if name == REPO:
            with pytest.raises(memsafe.BadModel, match=f"the model of MEMSAFE_MODEL, {REPO} is neither"):
                memsafe.find_model()
            snapshot(nowhere / "hf" / "hub", REPO, WEIGHTS)
            snapshot(nowhere / "hf" / "hub", VAE, VAE_FILES)
        assert memsafe.find_model() == memsafe.find_model(name)


def test_the_only_one_anywhere_is_taken(nowhere: Path, monkeypatch: Any) -> None:
    models = nowhere / "ComfyUI" / "models"
    monkeypatch.setenv("COMFYUI_MODELS", str(models))
    link(DEMO, models / "latentsync" / "demo")  # the demo model is nobody's default
    (models / "latentsync" / "vae").mkdir()
    with pytest.raises(memsafe.InvalidArgument, match="none is installed"):
        memsafe.find_model()
    link(DEMO, models / "latentsync" / "demo2")
    assert memsafe.find_model()["model"] == models / "latentsync" / "demo2" == memsafe.find_model("demo2")["model"]
    link(DEMO, nowhere / "data" / "memsafe" / "models" / "same")  # the same folder by another name
    assert memsafe.find_model()["model"].name == "same"
    there = snapshot(nowhere / "hf" / "hub", REPO, WEIGHTS)
    with pytest.raises(memsafe.InvalidArgument, match="several") as caught:
        memsafe.find_model()
    assert str(there) in str(caught.value) and "same" in str(caught.value)
    (nowhere / "data" / "memsafe" / "models" / "same").unlink()
    (models / "latentsync" / "demo2").unlink()
    snapshot(nowhere / "hf" / "hub", VAE, VAE_FILES)
    assert memsafe.find_model() == memsafe.find_model(REPO)  # its name says which config it needs
    paths: Any = types.ModuleType("folder_paths")
    paths.models_dir = str(models)
    paths.get_folder_paths = lambda name: {"latentsync": [str(nowhere / "extra")]}[name]
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    shutil.rmtree(nowhere / "hf")
    link(DEMO, nowhere / "extra" / "mine")
    assert memsafe.find_model()["model"] == nowhere / "extra" / "mine"


def test_whatever_is_known_may_be_named(nowhere: Path, monkeypatch: Any) -> None:
    models = nowhere / "ComfyUI" / "models"
    link(DEMO, models / "latentsync" / "mine")
    link(DEMO, nowhere / "extra" / "other-1.5")
    link(DEMO, nowhere / "roots" / "single")  # a folder that is registered, and a model itself
    link(DEMO, nowhere / "data" / "memsafe" / "models" / "one")
    snapshot(nowhere / "hf" / "hub", REPO, WEIGHTS)
    snapshot(nowhere / "hf" / "hub", VAE, VAE_FILES)
    paths: Any = types.ModuleType("folder_paths")
    paths.models_dir = str(models)
    paths.get_folder_paths = lambda name: {"latentsync": [str(nowhere / "extra"), str(nowhere / "roots" / "single")]}[name]
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    monkeypatch.setattr(Path, "samefile", lambda a, b: a == b)  # all of them are the demo model
    known = _models.known_models(models)
    assert [k.name for k in known] == ["one", "mine", "other-1.5", "single", REPO]
    for name, folder in known:
        assert memsafe.find_model(name)["model"] == folder
        assert memsafe.find_model(name, comfyui=models)["model"] == folder


def test_the_demo_model(nowhere: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_models, "_checkout", lambda: None)
    if not any((Path(p) / "share/memsafe/models/demo").exists() for p in ("/usr", "/usr/local")):
        with pytest.raises(memsafe.BadModel, match="MEMSAFE_DEMO_MODEL"):
            memsafe.demo_model()
    link(DEMO, nowhere / "models" / "demo")
    assert memsafe.demo_model() == Path("models/demo") and memsafe.find_model("demo") == {"model": Path("models/demo")}
    (nowhere / "demo").mkdir()  # as `make demo` does
    assert memsafe.find_model("demo") == {"model": Path("models/demo")}
    monkeypatch.setenv("MEMSAFE_DEMO_MODEL", str(DEMO))
    assert memsafe.demo_model() == DEMO
    monkeypatch.setenv("MEMSAFE_DEMO_MODEL", str(nowhere))
    with pytest.raises(memsafe.BadModel, match="no unet.yaml"):
        memsafe.demo_model()
