"""What can be learned without a run: the memory plan, and what this machine has."""

import ctypes as C
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from . import _abi, _errors
from ._library import (
    call,
    choice,
    encoded,
    error_of,
    filled,
    has_feature,
    lib,
    library_path,
    naming,
    sized,
    text,
)
from ._model import Model, ModelLike
from ._models import PathLike, find_model, shape_of
from ._options import set_profile
from ._reports import Plan, Report, report_of
from ._values import Rate, Size, budget_bytes, flag, number, rate, size_bytes, whole

FEATURES = ("ffmpeg", "yaml", "onnx", "sqlite", "zstd", "plugins")
_NO_LIMIT = C.c_size_t(-1).value


def _name_model(params: _abi.ms_plan_params, model: Optional[ModelLike], shape: Optional[str], comfyui: Optional[PathLike]) -> None:
    """A folder, of which the configs are read; what is no whole folder is one of the published shapes."""
    if shape is None:
        found = model.files if isinstance(model, Model) else find_model(model, comfyui, frozenset({"vae", "faces"}))
        shape = shape_of(found["config"].stem) if "config" in found else None
        if shape is None and "model" not in found:
            raise _errors.InvalidArgument("the model has no folder, only files that were named: shape= says what it is")
        if shape is None and not (found["model"] / "vae" / "config.json").is_file():
            shape = shape_of(str(found["model"] if isinstance(model, Model) else model))
        if shape is None:
            params.model = encoded(found["model"])
            return
    elif model is not None:
        raise TypeError("plan() takes a model or a shape, not both")
    params.shape = encoded(shape)


def plan(
    model: Optional[ModelLike] = None,
    *,
    shape: Optional[str] = None,
    width: int = 1280,
    height: int = 720,
    frames: int = 250,
    fps: Rate = 25,
    looping: bool = False,
    steps: int = 20,
    guidance: float = 1.5,
    deepcache: bool = False,
    resolution: int = 0,
    paste: str = "face",
    max_gap: Optional[int] = None,
    track: Any = None,
    precision: str = "auto",
    threads: int = 0,
    device: str = "auto",
    device_memory: Optional[Size] = None,
    arch: Optional[str] = None,
    budget: Optional[Size] = None,
    host_budget: Optional[Size] = None,
    allow_downscale: bool = False,
    force_rung: str = "auto",
    codec: str = "h264",
    profile: Optional[str] = None,
    profile_file: Optional[PathLike] = None,
    settings: Optional[Mapping[str, Any]] = None,
    comfyui: Optional[PathLike] = None,
) -> Plan:
    """What a run would take, without running it: a Plan, a dict with ``peak_bytes``, ``least_bytes``, ``rung``, ``total_s`` ...

    model: as Model() has it, or a Model, of which only the configs are read; or shape: "latentsync-1.5", "latentsync-1.6", "tiny",
        of a model that is not here.
    width, height: of the video, pixels. frames, fps: of the output. looping: the speech is longer than the clip.
    track: anything but None: no nets find the faces.
    device_memory: of a device that is not here, device="dummy" or, with arch="sm_86", device="cuda".
    budget and the rest: as Model() and lipsync() have them.

    BudgetError: nothing fits; its ``needs_bytes`` is the smallest budget that would do, its ``plan`` the least plan.
    """
    p = filled(_abi.ms_plan_params, "ms_plan_params_init_sized")
    _name_model(p, model, shape, comfyui)
    p.width, p.height, p.turns = whole("width", width), whole("height", height), flag("looping", looping)
    p.frames = whole("frames", frames, -(1 << 63), (1 << 63) - 1)
    wanted = rate("fps", fps)
    if wanted is None:
        raise _errors.InvalidArgument('fps must be a number, not "source": there is no video that has one')
    p.fps = wanted[0] / wanted[1]
    p.steps, p.guidance, p.deepcache = whole("steps", steps), number("guidance", guidance), flag("deepcache", deepcache)
    p.resolution, p.threads = whole("resolution", resolution), whole("threads", threads)
    p.paste = choice("paste", paste, "ms_paste", "MS_PASTE_")
    p.precision = choice("precision", precision, "ms_precision", "MS_PRECISION_")
    p.rung = choice("force_rung", force_rung, "ms_rung", "MS_RUNG_")
    p.codec = choice("codec", codec, "ms_output_codec", "MS_OUTPUT_")
    if max_gap is not None:
        p.max_gap = whole("max_gap", max_gap)
    p.tracked = track is not None
    p.device, p.arch = encoded(None if arch and device == "auto" else device), encoded(arch)
    p.device_bytes = size_bytes("device_memory", device_memory)
    p.budget_bytes, p.host_budget_bytes = budget_bytes("budget", budget), budget_bytes("host_budget", host_budget)
    p.allow_downscale = flag("allow_downscale", allow_downscale)
    kept = set_profile(p.profile, profile, profile_file, settings)
    found, svg, err = _abi.ms_plan_report(), C.c_void_p(), _abi.ms_error()
    status = lib().ms_plan_run_sized(*sized(p), *sized(found), C.byref(svg), C.byref(err))
    del kept
    drawing = text(C.cast(svg, C.c_char_p).value) if svg else ""
    if svg:
        lib().ms_plan_free_svg(C.byref(svg))
    made = Plan(report_of(found, {"phase": "n_phases"}), drawing)
    made["phases"] = made.pop("phase")
    if status == _abi.MS_OK:
        return made
    error = error_of(status, err)
    if isinstance(error, _errors.BudgetError):
        error.needs_bytes = found.least_bytes or None
        error.plan = made
    with naming(profile_file):
        raise error


def _limits(report: Report) -> Report:
    """Where there is no limit it is None."""
    return Report({key: None if value == _NO_LIMIT else value for key, value in report.items()})


def _listed(function: str) -> List[str]:
    names: List[str] = []
    while True:
        name = getattr(lib(), function)(len(names))
        if name is None:
            return names
        names.append(text(name))


def _plugin_folders() -> List[str]:
    folders: List[str] = []
    room = C.create_string_buffer(4096)
    while lib().ms_plugin_folder(len(folders), C.cast(room, C.c_char_p), len(room)):
        folders.append(text(room.value))
    return folders


def probe(
    device: Optional[str] = "auto",
    *,
    threads: int = 0,
    device_memory: Optional[Size] = None,
    disk: Optional[PathLike] = None,
    upload: bool = False,
    rates: bool = False,
) -> Report:
    """This machine: memory that the process may use, the processor, the device, and what the library was built with.

    device: as Model() has it; None = the host alone. device_memory: of device="dummy".
    disk: a file whose reading is measured (half a second); upload: copies to the device are; rates: how fast kernels
        are (three seconds), and the disk with disk's file or, without one, the library's own. Each gives bytes or
        operations a second; upload and rates need a device.

    Limits that there are not are None. Unsupported: the device; InvalidArgument; FileError: disk.
    """
    p = _abi.ms_probe_params(device=encoded(device), threads=whole("threads", threads), memory_bytes=size_bytes("device_memory", device_memory))
    handle = C.c_void_p()
    call("ms_probe_create_sized", *sized(p), C.byref(handle))
    try:
        return _probed(handle, device is not None, disk, upload, rates)
    finally:
        lib().ms_probe_destroy(C.byref(handle))


def _probed(handle: C.c_void_p, has_device: bool, disk: Optional[PathLike], upload: bool, rates: bool) -> Report:
    found = Report(
        version=text(lib().ms_version()),
        features=[name for name in FEATURES if has_feature(name)],
        host=_limits(report_of(filled(_abi.ms_probe_host, "ms_probe_get_host_sized", handle))),
        cgroups=[],
        instruction_sets=_listed("ms_probe_instruction_set"),
        backends=_listed("ms_probe_backend"),
        plugin_folders=_plugin_folders(),
    )
    for level in range(found["host"]["cgroup_levels"]):
        found["cgroups"].append(_limits(report_of(filled(_abi.ms_probe_cgroup, "ms_probe_get_cgroup_sized", handle, level))))
    if has_device:
        found["device"] = report_of(filled(_abi.ms_probe_device, "ms_probe_get_device_sized", handle))
    bandwidth: Dict[str, Any] = {}
    if disk is not None:
        moved = _abi.ms_probe_bandwidth()
        with naming(disk):
            call("ms_probe_disk_sized", handle, encoded(Path(disk)), *sized(moved))
        bandwidth["disk"] = report_of(moved)
    if upload:
        moved = _abi.ms_probe_bandwidth()
        call("ms_probe_upload_sized", handle, *sized(moved))
        bandwidth["upload"] = report_of(moved)
    found.update(bandwidth)
    if rates:
        reached = _abi.ms_probe_rates()
        file = library_path() if disk is None else Path(disk)
        with naming(file):
            call("ms_probe_calibrate_sized", handle, encoded(file), None, *sized(reached))
        found["rates"] = report_of(reached)
    return found
