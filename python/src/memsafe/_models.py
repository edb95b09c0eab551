"""Where models are: folders, the Hugging Face cache, ComfyUI's models folder, and where the command looks."""

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple, Union

from . import _errors

PathLike = Union[str, "os.PathLike[str]"]

CONFIGS = ("unet.yaml", "config.yaml", "unet.json")
WEIGHTS = ("latentsync_unet.pt", "latentsync_unet.safetensors")
VAE_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
FACE_NETS = ("det_10g.onnx", "2d106det.onnx")
FACES = "auxiliary/models/buffalo_l"
MODEL_REPOS = ("ByteDance/LatentSync-1.6", "ByteDance/LatentSync-1.5")
VAE_REPO = "stabilityai/sd-vae-ft-mse"


def _has(folder: Path, names: Tuple[str, ...]) -> bool:
    return any(os.path.isfile(folder / name) for name in names)  # False also where the folder may not be looked into


def _is_whole(folder: Path) -> bool:
    """A folder as memsafe-fetch-models makes it."""
    return _has(folder, CONFIGS) and _has(folder, WEIGHTS)


def _is_published(folder: Path) -> bool:
    """What the official repository on Hugging Face has, or `checkpoints/` of the source tree."""
    return _has(folder, WEIGHTS)


def _environment(name: str) -> Optional[Path]:
    value = os.environ.get(name)
    return Path(value).expanduser() if value else None


# ---- the Hugging Face cache, by its published layout


def hub_cache() -> Path:
    """HF_HUB_CACHE, HF_HOME/hub, or the default below the user's cache folder."""
    hub = _environment("HF_HUB_CACHE") or _environment("HUGGINGFACE_HUB_CACHE")
    if hub:
        return hub
    cache = _environment("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (_environment("HF_HOME") or cache / "huggingface") / "hub"


def hub_snapshot(repo: str, revision: str = "main") -> Optional[Path]:
    """The folder of a repository that was downloaded: a branch's, a tag's or a commit's; None where it is not there."""
    root = hub_cache() / ("models--" + repo.replace("/", "--"))
    ref = root / "refs" / revision
    commit = ref.read_text().strip() if ref.is_file() else revision
    snapshot = root / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() else None


# ---- ComfyUI


def comfyui_models() -> Optional[Path]:
    """ComfyUI's models folder: COMFYUI_MODELS, or that of the ComfyUI that this process is."""
    named = _environment("COMFYUI_MODELS")
    if named:
        return named
    paths: Any = sys.modules.get("folder_paths")
    folder = getattr(paths, "models_dir", None)
    return Path(folder) if folder else None


# ---- where the command looks


def _data_folders() -> Iterator[Path]:
    yield Path("models")
    yield (_environment("XDG_DATA_HOME") or Path.home() / ".local/share") / "memsafe" / "models"
    for prefix in (Path(sys.prefix), Path("/usr/local"), Path("/usr")):
        yield prefix / "share" / "memsafe" / "models"


def installed_models() -> List[Path]:
    """Whole models in the folders where ``memsafe run`` looks for one, the demo model left out."""
    found: List[Path] = []
    for folder in _data_folders():
        if folder.is_dir():
            for entry in sorted(folder.iterdir()):
                wanted = entry.name != "demo" and not entry.name.startswith(".") and _is_whole(entry)
                if wanted and not any(entry.samefile(other) for other in found):
                    found.append(entry)
    return found


def _checkout() -> Optional[Path]:
    """The source tree that this package was installed from in place."""
    for parent in Path(__file__).resolve().parents:
        if (parent / "models" / "demo" / "unet.yaml").is_file():
            return parent
    return None


def demo_model() -> Path:
    """The folder of the small model that comes with memsafe and knows drawn faces only.

    It is not in the wheel, which it would make ten times as large. It is looked for in ``MEMSAFE_DEMO_MODEL``, in
    ``models/demo`` of the current folder (a checkout) and where ``make install`` and the Debian package put it.
    BadModel: it is in none of them.
    """
    named = _environment("MEMSAFE_DEMO_MODEL")
    if named:
        if not _has(named, CONFIGS):
            raise _errors.BadModel(f"MEMSAFE_DEMO_MODEL is {named}, where there is no unet.yaml")
        return named
    checkout = _checkout()
    folders = [folder / "demo" for folder in _data_folders()] + ([checkout / "models/demo"] if checkout else [])
    for folder in folders:
        if _has(folder, CONFIGS):
            return folder
    raise _errors.BadModel(
        "the demo model is not installed: it is models/demo of memsafe's source tree; MEMSAFE_DEMO_MODEL says where it is"
    )


# ---- a model, whatever it is named by


def shape_of(name: str) -> Optional[str]:
    """The published model that a repository's or folder's name speaks of, the last part of a path first."""
    versions = re.findall(r"(?<![0-9.])1[._]([56])(?![0-9])", name)
    return f"latentsync-1.{versions[-1]}" if versions else None


def shipped_config(name: str) -> Optional[Path]:
    """The UNet's config of a published model, which its repository on Hugging Face does not have."""
    shape = shape_of(name)
    return Path(__file__).resolve().parent / "configs" / f"{shape}.json" if shape else None


def _vae(folder: Path, comfyui: Optional[Path]) -> Optional[Path]:
    places = [folder / "vae", hub_snapshot(VAE_REPO)]
    if comfyui:
        places += [comfyui / "latentsync" / "vae", comfyui / "vae" / "sd-vae-ft-mse", comfyui / "diffusers" / "sd-vae-ft-mse"]
    return next((p for p in places if p and _has(p, VAE_WEIGHTS) and (p / "config.json").is_file()), None)


def _faces(folder: Path, comfyui: Optional[Path]) -> Optional[Path]:
    """insightface keeps its models in a folder of its own, as do ComfyUI's nodes that use it."""
    places = [folder / FACES, Path.home() / ".insightface" / "models" / "buffalo_l"]
    if comfyui:
        places += [comfyui / "insightface" / "models" / "buffalo_l", comfyui / "latentsync" / FACES]
    return next((p for p in places if all((p / net).is_file() for net in FACE_NETS)), None)


def _parts(folder: Path, name: str, comfyui: Optional[Path], named: FrozenSet[str]) -> Dict[str, Path]:
    """A folder, and what it lacks from elsewhere."""
    parts: Dict[str, Path] = {"model": folder}
    if "config" not in named and not _has(folder, CONFIGS):
        config = shipped_config(name)
        if not config:
            raise _errors.BadModel(
                f"{folder}: has no {CONFIGS[0]}, and its name does not say whether it is LatentSync 1.5 or 1.6; config= names one"
            )
        parts["config"] = config
    faces = None if "faces" in named else _faces(folder, comfyui)
    vae = None if "vae" in named else _vae(folder, comfyui)
    if vae and vae != folder / "vae":
        parts["vae"] = vae
    elif not vae and "vae" not in named and not (folder / "vae").exists():
        raise _errors.BadModel(
            f"{folder}: has no VAE, and {VAE_REPO} is not in the Hugging Face cache ({hub_cache()}); "
            f'"hf download {VAE_REPO}" gets it, vae= names one'
        )
    if faces and faces != folder / FACES:
        parts["faces"] = faces
    return parts


def _comfyui_folder(name: str, comfyui: Optional[Path]) -> Optional[Path]:
    if not comfyui:
        return None
    short = name.rsplit("/", 1)[-1]
    roots = _comfyui_roots(comfyui)
    places = [comfyui / "latentsync" / short, comfyui / short, comfyui / "latentsync" / short.lower()]
    places += [root / part for root in roots for part in (short, short.lower())]
    places += [root for root in roots if root.name == name or (root.name == "latentsync" and shape_of(name))]
    return next((folder for folder in places if folder.is_dir() and _is_published(folder)), None)


class Known(NamedTuple):
    """A model that may be named, or be the only one. name: what find_model() finds it by."""

    name: str
    folder: Path


def _comfyui_roots(comfyui: Optional[Path]) -> List[Path]:
    """Folders of folders of models: models/latentsync, and what extra_model_paths.yaml of the ComfyUI that this process
    is calls so."""
    roots = [comfyui / "latentsync"] if comfyui else []
    paths: Any = sys.modules.get("folder_paths")
    if comfyui and str(getattr(paths, "models_dir", None)) == str(comfyui):
        with contextlib.suppress(AttributeError, KeyError):  # nobody has registered it
            roots += [Path(folder) for folder in paths.get_folder_paths("latentsync")]
    return roots


def models_in(root: Path) -> List[Known]:
    """The folders of a folder that have weights."""
    entries = sorted(root.iterdir()) if os.path.isdir(root) and os.access(root, os.R_OK | os.X_OK) else []
    return [Known(entry.name, entry) for entry in entries if _is_published(entry)]


def known_models(comfyui: Optional[Path]) -> List[Known]:
    """All models that are anywhere where find_model() looks, the demo model left out, each once."""
    found = [Known(folder.name, folder) for folder in installed_models()]
    for root in _comfyui_roots(comfyui):
        found += [Known(root.name, root)] if _is_published(root) else []
        found += [known for known in models_in(root) if known.name != "demo"]
    for repo in MODEL_REPOS:
        snapshot = hub_snapshot(repo)
        if snapshot and _is_published(snapshot):
            found.append(Known(repo, snapshot))
    once: List[Known] = []
    for known in found:
        if not any(known.folder.samefile(other.folder) for other in once):
            once.append(known)
    return once


def only_model(comfyui: Optional[Path]) -> Known:
    """The only one that is installed."""
    found = known_models(comfyui)
    if len(found) == 1:
        return found[0]
    if found:
        raise _errors.InvalidArgument("several models are installed, name one: " + ", ".join(str(known.folder) for known in found))
    raise _errors.InvalidArgument(
        'no model was named and none is installed: "memsafe-fetch-models 1.5" downloads the official weights, '
        "memsafe.demo_model() is the small one that knows drawn faces only"
    )


def find_model(
    path_or_repo: Optional[PathLike] = None, comfyui: Optional[PathLike] = None, named: FrozenSet[str] = frozenset()
) -> Dict[str, Path]:
    """The files of a model: "model", a folder, and where it lacks them "config", "vae" and "faces".

    path_or_repo: a folder; "ORG/NAME" or "ORG/NAME@REVISION" in the Hugging Face cache; NAME below
    ``models/latentsync`` of ComfyUI's folder or in one where ``memsafe run`` looks; "demo"; None = what MEMSAFE_MODEL
    names in any of these ways, else the only one that is in any of these places. Nothing is downloaded.
    comfyui: ComfyUI's models folder, None = as comfyui_models() finds it.
    named: of "config", "vae" and "faces", what is not looked for because the caller has it.
    BadModel: it is nowhere, and where it was looked for; InvalidArgument: none is named, and not exactly one installed.
    """
    models = Path(comfyui) if comfyui is not None else comfyui_models()
    meant = "the model "
    if path_or_repo is None:
        path_or_repo = os.environ.get("MEMSAFE_MODEL")
        if not path_or_repo:
            only = only_model(models)
            return _parts(only.folder, only.name, models, named)
        meant = "the model of MEMSAFE_MODEL, "
    name = os.fspath(path_or_repo)
    folder = Path(name).expanduser()
    if name == "demo":  # `make demo` leaves a folder of that name in the checkout: "./demo" names it
        return {"model": demo_model()}
    if folder.is_dir():
        if not _is_published(folder) and _is_published(folder / "checkpoints"):
            folder = folder / "checkpoints"
        return _parts(folder, str(folder.resolve()), models, named)
    repo, _, revision = name.partition("@")
    looked = [str(folder)]
    is_repo = re.fullmatch(r"\w[\w.-]*/[\w.-]+", repo) is not None
    if is_repo:
        snapshot = hub_snapshot(repo, revision or "main")
        if snapshot:
            return _parts(snapshot, repo, models, named)
        looked.append(str(hub_cache()))
    if models:
        there = _comfyui_folder(repo, models)
        if there:
            return _parts(there, repo, models, named)
        looked.append(str(models))
    if "/" not in name:
        for data in _data_folders():
            if _is_whole(data / name):
                return _parts(data / name, name, models, named)
            looked.append(str(data / name))
    raise _errors.BadModel(
        f"{meant}{name} is neither a folder nor downloaded (looked in {', '.join(looked)}); "
        + (f'"hf download {repo}" gets one from Hugging Face, ' if is_repo else "")
        + '"memsafe-fetch-models 1.6" gets all that a model needs'
    )
