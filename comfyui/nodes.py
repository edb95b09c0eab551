"""The nodes: what each takes and gives, and what it does. v3.py and legacy.py tell ComfyUI of them."""

import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch

import memsafe
from memsafe._models import MODEL_REPOS, comfyui_models, known_models

from . import draw, host

CATEGORY = "memsafe"
MODEL = "MEMSAFE_MODEL"
AUTO = "auto"
SHAPES = ("latentsync-1.5", "latentsync-1.6")
RATES = {"min": 0.01, "max": 1000.0, "step": 0.01}


@dataclass
class Input:
    """type: IMAGE, AUDIO, VIDEO, MODEL, INT, FLOAT, STRING, BOOLEAN, or a list of choices."""

    name: str
    type: Any
    tooltip: str
    default: Any = None
    optional: bool = False
    more: Dict[str, Any] = field(default_factory=dict)


@dataclass
class Node:
    id: str
    title: str
    description: str
    inputs: Callable[[], List[Input]]
    outputs: List[tuple]  # (type, name)
    run: Callable[..., tuple]
    shows_text: bool = False  # its first output is shown below it, and it runs without anyone behind it
    needs_video: bool = False


# ---- the model ----


class LoadedModel:
    """A model's parameters, and the model while it is the one in use: ComfyUI keeps outputs of nodes, and two models
    that are kept would each count in the other's budget."""

    _in_use: Optional["LoadedModel"] = None

    def __init__(self, name: str, device: str, budget: str, precision: str) -> None:
        self._model: Optional[memsafe.Model] = None
        self.name, self.device, self.budget, self.precision = name, device, budget, precision
        if name == AUTO:
            check_auto()
        self.path = None if name == AUTO else host.model_folders().get(name, name)

    def open(self) -> memsafe.Model:
        other = LoadedModel._in_use
        if other is not None and other is not self:
            other.close()
        if self.device != "cpu":
            host.make_room()  # each time: what ComfyUI loaded since then is in the way, too
        if self._model is None:
            self._model = memsafe.Model(self.path, self.device, self.budget or None, precision=self.precision)
            LoadedModel._in_use = self
        return self._model

    def close(self) -> None:
        if LoadedModel._in_use is self:
            LoadedModel._in_use = None
        if self._model is not None:
            self._model.close()
            self._model = None

    def __del__(self) -> None:
        self.close()


def check_auto() -> None:
    """Says in ComfyUI's words why "auto" is no model: there is none, or there are several."""
    found = known_models(comfyui_models())
    if os.environ.get("MEMSAFE_MODEL") or len(found) == 1:
        return
    if found:
        names = ", ".join(f"{known.name} ({known.folder})" for known in found)
        raise memsafe.InvalidArgument(f"there are {len(found)} models, choose one in the node: {names}")
    folder = host.models_folder()
    raise memsafe.InvalidArgument(
        f"there is no LatentSync model. It belongs into a folder of {folder}; memsafe's script downloads one there: "
        f'memsafe-fetch-models 1.6 -o "{os.path.join(folder, "1.6")}". The model "demo" knows drawn faces only'
    )


def model_names() -> List[str]:
    """ "auto" is the only one that is installed; then ComfyUI's folders, the Hugging Face cache, the demo model."""
    names = [AUTO, *host.model_folders()]
    for name in (*MODEL_REPOS, "demo"):
        try:
            memsafe.find_model(name)
        except memsafe.Error:
            continue
        names.append(name)
    return names


def load_inputs() -> List[Input]:
    return [
        Input(
            "model",
            model_names(),
            "A model in models/latentsync, in the Hugging Face cache, or the demo model",
            AUTO,
        ),
        Input("device", [AUTO, "cpu", "cuda"], "Where the networks run", AUTO),
        Input(
            "budget", "STRING", 'Memory that may be taken, like "8G"; empty: what is free less a margin', ""
        ),
        Input("precision", [AUTO, "fp32", "fp16", "bf16"], "How weights are kept", AUTO),
    ]


def load_model(model: str, device: str, budget: str, precision: str) -> tuple:
    loaded = LoadedModel(model, device, budget.strip(), precision)
    loaded.open()  # what is missing is said here
    return (loaded,)


# ---- lip sync ----


def option_inputs() -> List[Input]:
    return [
        Input(
            "seed",
            "INT",
            "Noise that the mouth is made of",
            1247,
            more={"min": 0, "max": (1 << 64) - 1, "control_after_generate": True},
        ),
        Input("steps", "INT", "Denoising steps; 20 to 50", 20, more={"min": 1, "max": 999}),
        Input(
            "guidance",
            "FLOAT",
            "How closely lips follow the speech; 1 to 3. More may distort",
            1.5,
            more={"min": 0.0, "max": 20.0, "step": 0.1},
        ),
        Input("paste", ["face", "mouth"], "What of the redrawn face goes back into the frame", "face", True),
        Input(
            "loop",
            [AUTO, "pingpong", "repeat", "hold", "none"],
            "When the speech is longer than the clip",
            AUTO,
            True,
        ),
        Input(
            "frames",
            "INT",
            "Frames of the output; 0: as many as the speech asks for",
            0,
            True,
            {"min": 0, "max": 1 << 30},
        ),
        Input("deepcache", "BOOLEAN", "Faster, and nearly the same picture", False, True),
        Input(
            "track", "STRING", "A file of the faces (memsafe detect); empty: they are looked for", "", True
        ),
    ]


def options_of(given: Dict[str, Any]) -> Dict[str, Any]:
    """As memsafe.Model.lipsync() has them; optional inputs of old workflows may be missing."""
    options = {
        name: given[name]
        for name in ("seed", "steps", "guidance", "paste", "frames", "deepcache")
        if name in given
    }
    if given.get("loop", AUTO) != AUTO:
        options["loop"] = given["loop"]
    if given.get("track", "").strip():
        options["track"] = given["track"].strip()
    return options


def speech_of(audio: Dict[str, Any]) -> tuple:
    """ComfyUI's sound: [batch][channels][samples] and a rate."""
    return audio["waveform"][0].detach().cpu().numpy(), int(audio["sample_rate"])


def images_inputs() -> List[Input]:
    return [
        Input("model", MODEL, "Of Load Lip Sync Model"),
        Input("images", "IMAGE", "Frames of a talking person"),
        Input("audio", "AUDIO", "What they should say"),
        Input("fps", "FLOAT", "Frames a second of the images", 25.0, more=RATES),
        *option_inputs(),
    ]


def lip_sync_images(
    model: LoadedModel, images: torch.Tensor, audio: Dict[str, Any], fps: float, **given: Any
) -> tuple:
    opened = model.open()
    result, count = None, 0
    with host.watched(opened.cancel, memsafe.Cancelled) as tell:
        # Views of the session's memory are copied once, into the batch that goes on.
        with opened.lipsync(
            images[..., :3], speech_of(audio), fps=fps, copy=False, progress=tell, **options_of(given)
        ) as frames:
            for frame in frames:
                if result is None:
                    result = torch.empty((frames.report.frames_wanted, *frame.shape), dtype=torch.float32)
                result.numpy()[count] = frame
                count += 1
    return result[:count], audio


def video_inputs() -> List[Input]:
    return [
        Input("model", MODEL, "Of Load Lip Sync Model"),
        Input("video", "VIDEO", "A talking person; it is read frame by frame and never held whole"),
        Input("audio", "AUDIO", "What they should say"),
        *option_inputs(),
        Input("codec", ["h264", "hevc", "ffv1"], "Of the output; ffv1 loses nothing", "h264", True),
        Input(
            "crf",
            "INT",
            "Quality of h264 and hevc: less is better and larger",
            18,
            True,
            {"min": 0, "max": 51},
        ),
        Input(
            "fps",
            "FLOAT",
            "Frames a second of the output; 0: as the video has",
            25.0,
            True,
            {**RATES, "min": 0.0},
        ),
    ]


def lip_sync_video(
    model: LoadedModel,
    video: Any,
    audio: Dict[str, Any],
    codec: str = "h264",
    crf: int = 18,
    fps: float = 25.0,
    **given: Any,
) -> tuple:
    from comfy_api.input_impl import VideoFromFile

    opened = model.open()
    speech, (start, duration) = speech_of(audio), trim_of(video)
    # A part of a file cannot be shown again where the speech is longer; that of a file of its own can.
    is_shown_again = given.get("loop") != "none" and 0 < duration < speech[0].shape[-1] / speech[1]
    file = video_file(video, is_cut=is_shown_again)
    part = {} if file.is_written else {"start": start or None, "duration": duration or None}
    name = ".mkv" if codec == "ffv1" else ".mp4"
    with file as path, host.temporary_file(name) as out:
        with host.watched(opened.cancel, memsafe.Cancelled) as tell:
            opened.lipsync(
                path,
                speech,
                out=out,
                codec=codec,
                crf=crf,
                fps=fps or "source",
                progress=tell,
                **part,
                **options_of(given),
            )
    return (VideoFromFile(out),)


def trim_of(video: Any) -> Tuple[float, float]:
    """Where a VIDEO begins in its file and how long it is, seconds; 0 = as the file. A ComfyUI that has no trimming has
    no such function."""
    window = getattr(video, "get_active_trim_window", None)
    return window() if window else (0.0, 0.0)


def has_edits(video: Any) -> bool:
    """Whether a VIDEO was cropped, or its frames changed otherwise: its file does not have that. A ComfyUI without such
    changes has no such function."""
    edits = getattr(video, "has_pending_frame_edits", None)
    return bool(edits and edits())


class video_file:
    """The file of a VIDEO: its own, else one that is written for as long as it is read.

    is_cut: what was trimmed away is not in it. Nor is what was cropped away, ever.
    is_written: it is one of ComfyUI's making, which holds the part that is meant and no more.
    """

    def __init__(self, video: Any, is_cut: bool) -> None:
        self._video, self._written = video, None
        self.is_written = has_edits(video) or (is_cut and any(trim_of(video)))

    def __enter__(self) -> str:
        if self.is_written:
            with host.temporary_file(".mp4") as path:
                self._video.save_to(path)
            self._written = path
            return path
        source = self._video.get_stream_source()
        if isinstance(source, str):
            return source
        with host.temporary_file(".mp4") as path, open(path, "wb") as f:
            f.write(source.getbuffer())
        self._written = path
        return path

    def __exit__(self, *_: Any) -> None:
        if self._written:
            os.unlink(self._written)


# ---- plan and score ----


def plan_inputs() -> List[Input]:
    return [
        Input("shape", list(SHAPES), "A published model; only its shape is looked at", SHAPES[0]),
        Input("width", "INT", "Of the video, pixels", 1280, more={"min": 16, "max": 16384}),
        Input("height", "INT", "Of the video, pixels", 720, more={"min": 16, "max": 16384}),
        Input("frames", "INT", "Of the output", 250, more={"min": 1, "max": 1 << 30}),
        Input(
            "budget", "STRING", 'Memory that may be taken, like "8G"; empty: what is free less a margin', ""
        ),
        Input(
            "device_memory",
            "STRING",
            'Plan for a device with so much memory, like "24G"; empty: this machine',
            "",
            True,
        ),
        Input("steps", "INT", "Denoising steps", 20, True, {"min": 1, "max": 999}),
    ]


def plan_memory(
    shape: str, width: int, height: int, frames: int, budget: str, device_memory: str = "", steps: int = 20
) -> tuple:
    device = (
        {"device": "dummy", "device_memory": device_memory.strip()}
        if device_memory.strip()
        else {"device": "auto"}
    )
    try:
        plan = memsafe.plan(
            shape=shape,
            width=width,
            height=height,
            frames=frames,
            steps=steps,
            budget=budget.strip() or None,
            **device,
        )
        says = "fits"
    except memsafe.BudgetError as e:
        plan, says = e.plan, str(e)
    return draw.plan_text(plan, says), draw.plan_picture(plan)


def score_inputs() -> List[Input]:
    return [
        Input("video", "VIDEO", "A lip-synced video, to be judged"),
        Input("audio", "AUDIO", "What it should say; without it, its own sound", optional=True),
        Input("model", MODEL, "Whose face nets find the landmarks", optional=True),
        Input("track", "STRING", "A file of the faces; empty: they are looked for", "", True),
    ]


def score_video(
    video: Any, audio: Optional[Dict[str, Any]] = None, model: Optional[LoadedModel] = None, track: str = ""
) -> tuple:
    with video_file(video, is_cut=True) as path, host.watched(lambda: None, memsafe.Cancelled) as tell:
        report = memsafe.score(
            path,
            None if audio is None else speech_of(audio),
            model=model.path if model else None,
            track=track.strip() or None,
            progress=tell,
        )
    text = "\n".join(draw.score_text(report))
    return text, int(report.sync_offset_frames), float(report.sync_confidence)


NODES = [
    Node("MemsafeLoadModel", "Load Lip Sync Model", "Opens a LatentSync model under a memory budget.", load_inputs, [(MODEL, "model")], load_model),
    Node(
        "MemsafeLipSync", "Lip Sync (images)", "The mouth in the images follows the speech.", images_inputs,
        [("IMAGE", "images"), ("AUDIO", "audio")], lip_sync_images,
    ),
    Node(
        "MemsafeLipSyncVideo", "Lip Sync (video)", "The mouth in the video follows the speech. Memory does not grow with its length.",
        video_inputs, [("VIDEO", "video")], lip_sync_video, needs_video=True,
    ),
    Node(
        "MemsafePlan", "Lip Sync Memory Plan", "What a lip sync would take, without running it.", plan_inputs,
        [("STRING", "text"), ("IMAGE", "picture")], plan_memory, shows_text=True,
    ),
    Node(
        "MemsafeScore", "Lip Sync Score", "How good a lip-synced video is.", score_inputs,
        [("STRING", "text"), ("INT", "offset_frames"), ("FLOAT", "confidence")], score_video, shows_text=True, needs_video=True,
    ),
]  # fmt: skip
