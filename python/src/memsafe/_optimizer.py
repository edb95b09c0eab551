"""How many items to take at a time, for pipelines that are not memsafe's.

optimizer = AdaptiveMemoryOptimizer(device_memory="8G", resolution=(512, 512))
optimizer.get_optimal_batch_size("vae_decode")
"""

import contextlib
import ctypes as C
import json
import sys
import threading
import weakref
from functools import partial
from typing import Any, ContextManager, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from . import _abi
from ._errors import InvalidArgument
from ._library import Handle, call, encoded, lib, naming, sized, text
from ._reports import Report
from ._values import Size, budget_bytes, flag, index_of, size_bytes, whole

Resolution = Union[int, Tuple[int, int], Sequence[int], "np.ndarray[Any, Any]"]
#: bytes of a batch: fixed, for each item, for each pixel of an item
Cost = Union[Mapping[str, int], Sequence[int]]

_VAE_FACTOR = 8  # sides of the published VAE's pictures are multiples of it
MAX_ITEM_SIDE = 1 << 16
_BF16_CAPABILITY = 8  # of CUDA cards: Ampere, the first that computes in bf16


def task_names() -> List[str]:
    """The tasks that there are: "face_detection", "face_processing", "vae_encode", "vae_decode", "unet_inference",
    "latent_processing"."""
    return [text(lib().ms_task_name(n)) for n in range(_abi.MS_TASK_COUNT)]


def task_number(task: str, option: str = "task") -> int:
    """The library's number of a task. option: where it was named."""
    number = C.c_int()
    if not isinstance(task, str) or not lib().ms_task_find(task.encode(), C.byref(number)):
        raise InvalidArgument(f"{option} must be {', '.join(task_names())}, not {task!r}")
    return number.value


def height_width(option: str, value: Resolution) -> Tuple[int, int]:
    """(height, width) in pixels; a single number is a square."""
    side = index_of(value)
    try:
        sides = [side, side] if side is not None else [index_of(s) for s in value]  # type: ignore[union-attr]
    except TypeError:
        sides = []
    known = [s for s in sides if s is not None and 1 <= s <= MAX_ITEM_SIDE]
    if len(sides) != 2 or len(known) != 2:
        raise InvalidArgument(
            f"{option} must be (height, width) in pixels, 1 to {MAX_ITEM_SIDE}, not {value!r}"
        )
    return known[0], known[1]


def torch_if_loaded() -> Any:
    """The torch that this process uses, or None: nobody is made to load it."""
    return sys.modules.get("torch")


def cuda_of(device: str) -> Optional[str]:
    """The torch device for "auto", "cuda" or "cuda:1", if it is torch's and is here."""
    torch = torch_if_loaded()
    if torch is None or device.split(":")[0] not in ("auto", "cuda") or not torch.cuda.is_available():
        return None
    return f"cuda:{torch.cuda.current_device()}" if device in ("auto", "cuda") else device


def _costs_of(costs: Mapping[str, Cost]) -> Dict[int, Tuple[int, int, int]]:
    parts = ("fixed_bytes", "item_bytes", "pixel_bytes")
    table = {}
    for task, cost in costs.items():
        if isinstance(cost, Mapping):
            unknown = set(cost) - set(parts)
            if unknown:
                raise InvalidArgument(f"costs[{task!r}] has {', '.join(parts)}, not {min(unknown)}")
            given = [cost.get(part, 0) for part in parts]
        else:
            given = list(cost) if hasattr(cost, "__iter__") else []
        found = [n for n in map(index_of, given) if n is not None and n >= 0]
        if len(given) != 3 or len(found) != 3:
            raise InvalidArgument(f"costs[{task!r}] must be ({', '.join(parts)}) of 0 or more, not {cost!r}")
        table[task_number(task, "a task in costs")] = (found[0], found[1], found[2])
    return table


class _Costs:
    """What a batch of a task costs: as the caller says, else what memsafe's own networks take of that size."""

    def __init__(
        self, model: Optional[str], device_memory: int, table: Mapping[int, Tuple[int, int, int]]
    ) -> None:
        params = _abi.ms_batches_params()
        lib().ms_batches_params_init_sized(*sized(params))
        if model is not None:
            params.shape = model.encode() if "latentsync-" in model.lower() and "/" not in model else None
            params.model = None if params.shape else encoded(model)
        params.device = b"dummy"
        params.device_bytes = device_memory
        params.threads = 1
        params.profile.environment = False
        self.batches = C.c_void_p()
        call("ms_batches_create_sized", *sized(params), C.byref(self.batches))
        self._lock = threading.Lock()
        self._known: Dict[Tuple[int, int, int, int], int] = {}
        self._table = table

    def close(self) -> None:
        lib().ms_batches_destroy(C.byref(self.batches))

    def resolution(self) -> int:
        info = _abi.ms_batches_info()
        lib().ms_batches_get_info_sized(self.batches, *sized(info))
        return int(info.resolution)

    def ask(self, _arg: Any, task: int, request: Any, items: int, ret_bytes: Any, err: Any) -> int:
        height, width = request[0].height, request[0].width
        if task in self._table:
            fixed, item, pixel = self._table[task]
            ret_bytes[0].device_bytes = min(fixed + items * (item + pixel * height * width), (1 << 64) - 1)
            return int(_abi.MS_OK)
        key = (task, height, width, items)
        with self._lock:
            known = self._known.get(key)
        if known is None:
            status = lib().ms_batches_cost(self.batches, task, request, items, ret_bytes, err)
            if status != _abi.MS_OK:
                return int(status)
            # Buffers of the host are the device's, where it is not memsafe that computes.
            known = ret_bytes[0].device_bytes + ret_bytes[0].host_bytes
            with self._lock:
                if len(self._known) >= 4096:
                    self._known.clear()
                self._known[key] = known
        ret_bytes[0].device_bytes, ret_bytes[0].host_bytes = known, 0
        return int(_abi.MS_OK)


class AdaptiveMemoryOptimizer:
    """How many items of a task to take at a time on a device.

    An answer is the tier's cap, lowered until the batch fits the free memory less the tier's margin, and lowered again
    under memory pressure; never below 1. The tiers, their caps and what else they say are the library's
    (docs/memory.md). Any number of threads may ask at once.

    device: "auto" (torch's CUDA device where torch is loaded and has one, else this machine), "cpu", "cuda", "cuda:1"
        or a torch.device.
    device_memory: bytes, or a size like "8G": stands for a device that is not here, and chooses the tier. Beside a
        device of torch's that is named it is what may be taken of it.
    free_memory: bytes that are free on it, 0 being none; by default what the device says, and of one that is not here
        what ``held_bytes`` leaves.
    held_bytes: that are taken anyway, like a pipeline's weights, of a device that is not here. One that is here says
        itself what is free, so there they change nothing.
    video_length: frames that there are to do; a batch is never larger.
    resolution: (height, width) of an item in pixels, or the side of a square; by default the model's.
    costs: {task: (fixed_bytes, item_bytes, pixel_bytes)}: a batch takes fixed + items x (item + pixel x height x
        width). For tasks that are not named it is what a batch of LatentSync takes of that size, whose VAE and UNet
        have the shapes of Stable Diffusion's: an estimate for other networks, which loops correct when memory runs out.
    model: whose costs these are: "latentsync-1.5", "latentsync-1.6", or a model's folder.
    profile, profile_file, settings: the tier by name, a file, and fields like {"vae_decode_batch": 2}.
    environment: whether MEMSAFE_* variables count.
    watch: follows what other programs leave of the machine's memory (docs/pressure.md).
    pressure_trace: a script in place of the machine, for tests.
    """

    def __init__(
        self,
        device: Any = "auto",
        device_memory: Optional[Size] = None,
        video_length: Optional[int] = None,
        resolution: Optional[Resolution] = None,
        *,
        free_memory: Optional[Size] = None,
        held_bytes: int = 0,
        costs: Optional[Mapping[str, Cost]] = None,
        model: Optional[str] = None,
        profile: Optional[str] = None,
        profile_file: Optional[str] = None,
        settings: Optional[Mapping[str, Any]] = None,
        environment: bool = True,
        watch: bool = False,
        pressure_trace: Optional[str] = None,
    ) -> None:
        self.video_length = None if video_length is None else whole("video_length", video_length)
        if self.video_length is not None and self.video_length < 1:
            raise InvalidArgument(f"video_length must be 1 or more frames, not {video_length}")
        self.device = str(device)
        self._stated = budget_bytes("device_memory", device_memory)
        self._stated_free = None if free_memory is None else size_bytes("free_memory", free_memory)
        self.held_bytes = whole("held_bytes", held_bytes, 0, (1 << 63) - 1)
        # A size that is stated stands for a device that is not here, unless torch's is named.
        self._cuda = None if self._stated and self.device == "auto" else cuda_of(self.device)
        if self._cuda is None and self.device.split(":")[0] not in ("auto", "cpu") and not self._stated:
            raise InvalidArgument(
                f"device {self.device!r} is not here: device_memory= says how much memory it has"
                + ("" if torch_if_loaded() else "; a device of torch's is found once torch is imported")
            )
        self._host = C.c_void_p()
        if self._cuda is None and not self._stated:
            call("ms_device_create_sized", None, C.sizeof(_abi.ms_device_options), C.byref(self._host))
        self._made: List[Tuple[str, C.c_void_p]] = [("ms_device_destroy", self._host)]
        #: of all that the library holds; whoever uses any of it has it
        self.owned = Handle("the optimizer", partial(_destroy, self._made))
        self._finalizer = weakref.finalize(self, self.owned.close)
        try:
            self._create(costs, model, profile, profile_file, settings, environment, watch, pressure_trace)
            self.resolution = height_width("resolution", self._costs.resolution() if resolution is None else resolution)
        except BaseException:
            self._finalizer()
            raise

    def _create(
        self,
        costs: Optional[Mapping[str, Cost]],
        model: Optional[str],
        profile: Optional[str],
        profile_file: Optional[str],
        settings: Optional[Mapping[str, Any]],
        environment: bool,
        watch: bool,
        pressure_trace: Optional[str],
    ) -> None:
        params = _abi.ms_optimizer_params()
        lib().ms_optimizer_params_init_sized(*sized(params))
        params.device_bytes = self._memory()["total_bytes"]
        params.device_has_bf16 = self._has_bf16()
        params.profile, params.profile_file = encoded(profile), encoded(profile_file)
        texts = [f"{field}={_setting(value)}".encode() for field, value in (settings or {}).items()]
        params.settings, params.n_settings = (C.c_char_p * len(texts))(*texts), len(texts)
        params.environment = flag("environment", environment)
        self._costs = _Costs(model, params.device_bytes, _costs_of(costs or {}))
        self._made.insert(0, ("ms_batches_destroy", self._costs.batches))
        # Kept: the library calls them as long as the optimizer lives. They must not keep the optimizer alive.
        self._cost_fn = _abi.ms_batch_cost_fn(self._costs.ask)
        me = weakref.ref(self)
        self._free_fn = type(params.ask_free)(lambda _arg: _free_of(me()))
        params.cost, params.ask_free = self._cost_fn, self._free_fn
        self.handle = self.owned.value
        self._made.insert(0, ("ms_optimizer_destroy", self.handle))
        with naming(profile_file):
            call("ms_optimizer_create_sized", *sized(params), C.byref(self.handle))
        self.watch_handle = C.c_void_p()
        if flag("watch", watch) or pressure_trace is not None:
            self._made.insert(0, ("ms_pressure_watch_destroy", self.watch_handle))
            with naming(pressure_trace):
                call("ms_pressure_watch_create", None, None, encoded(pressure_trace), C.byref(self.watch_handle))
        told = C.c_void_p()
        call("ms_profile_of_optimizer", self.handle, _abi.MS_PROFILE_JSON, C.byref(told))
        try:
            self._profile: Dict[str, Any] = json.loads(C.string_at(told).decode())
        finally:
            lib().ms_mem_free(told)

    def _has_bf16(self) -> bool:
        """Of a device that is only stated nothing is known but its size: what a card of the tier has is assumed."""
        torch = torch_if_loaded()
        if self._cuda is not None:
            # is_bf16_supported() is also true of cards that emulate it, slower than they compute in float32.
            is_rocm = getattr(getattr(torch, "version", None), "hip", None) is not None
            return is_rocm or bool(torch.cuda.get_device_capability(self._cuda)[0] >= _BF16_CAPABILITY)
        return bool(self._stated)

    def close(self) -> None:
        """Frees what the library holds; asking is an error afterwards."""
        self._finalizer()

    def __enter__(self) -> "AdaptiveMemoryOptimizer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"AdaptiveMemoryOptimizer({self.tier}, because {self._profile['tier_reason']})"

    @property
    def tier(self) -> str:
        """ "compact", "standard", "professional" or "datacenter"."""
        return str(self._profile["tier"])

    @property
    def profile(self) -> Report:
        """What the tier says, with what the caller changed of it.

        ``tier``, ``tier_reason``, and each field with its value; 0 and None stand for a field's word ("auto", "off",
        "on_pressure"). ``origins`` says where each is from.
        """
        fields = self._profile["fields"]
        values = {name: field["value"] for name, field in fields.items()}
        return Report(
            {
                "tier": self.tier,
                "tier_reason": self._profile["tier_reason"],
                **values,
                "origins": Report({name: field["from"] for name, field in fields.items()}),
            }
        )

    @property
    def clean_up_items(self) -> int:
        """Items from one clean-up of caches to the next; 0 = under memory pressure only."""
        with self.owned.use() as handle:
            return int(lib().ms_optimizer_clean_up_frames(handle))

    @property
    def pressure(self) -> str:
        """By other programs, now: "none", "low", "high" or "critical"."""
        return text(lib().ms_pressure_level_name(self._level()))

    def memory(self) -> Report:
        """``free_bytes`` and ``total_bytes`` of the device, and ``source``: "torch.cuda", "memsafe" or "stated".

        What torch's allocator has cached counts as free.
        """
        with self.owned.use():
            return self._memory()

    def _memory(self) -> Report:
        if self._cuda is not None:
            torch = torch_if_loaded()
            free, total = torch.cuda.mem_get_info(self._cuda)
            allocated = torch.cuda.memory_allocated(self._cuda)
            free += torch.cuda.memory_reserved(self._cuda) - allocated
            if self._stated:
                total = self._stated
                free = min(free, max(0, self._stated - allocated))
            source = "torch.cuda"
        elif self._stated:
            free, total, source = max(0, self._stated - self.held_bytes), self._stated, "stated"
        else:
            info = _abi.ms_device_info()
            lib().ms_device_get_info_sized(self._host, *sized(info))
            free, total, source = info.free_bytes, info.total_bytes, "memsafe"
        if self._stated_free is not None:
            free = self._stated_free
        return Report({"free_bytes": free, "total_bytes": total, "source": source})

    def get_optimal_batch_size(
        self,
        task: str,
        *,
        resolution: Optional[Resolution] = None,
        frames: Optional[int] = None,
        pressure: Optional[int] = None,
        free_memory: Optional[Size] = None,
    ) -> int:
        """How many items of ``task`` to take at a time; 1 also where not even one fits (``explain()`` tells).

        resolution: of an item, where it is not the optimizer's; frames: that there are to do; pressure: 0 to 3, where
        it is not what the watch says; free_memory: where it is not ``memory()``'s, 0 being none.
        """
        return int(
            self.explain(
                task, resolution=resolution, frames=frames, pressure=pressure, free_memory=free_memory
            )["batch"]
        )

    def explain(
        self,
        task: str,
        *,
        resolution: Optional[Resolution] = None,
        frames: Optional[int] = None,
        pressure: Optional[int] = None,
        free_memory: Optional[Size] = None,
    ) -> Report:
        """The same with its reasons: ``batch``, ``fits``, ``limit`` ("cap", "frames", "memory", "host_memory" or
        "pressure": what lowered it last), ``cap``, ``free_bytes``, ``usable_bytes``, ``one_bytes``, ``needed_bytes``."""
        number = task_number(task)
        request = _abi.ms_batch_request()
        request.height, request.width = self.item_size(
            number, height_width("resolution", self.resolution if resolution is None else resolution)
        )
        request.frames = self.video_length or 0 if frames is None else whole("frames", frames)
        free = size_bytes("free_memory", free_memory)
        request.free_bytes = max(free, 1) if free_memory is not None else 0  # the library asks itself for 0
        request.pressure = self._level() if pressure is None else whole("pressure", pressure)
        answer = _abi.ms_batch_answer()
        with self.owned.use() as handle:
            call("ms_optimizer_explain_sized", handle, number, *sized(request), *sized(answer))
        return Report(
            {
                "task": task,
                "batch": answer.batch,
                "fits": answer.fits,
                "limit": text(lib().ms_batch_limit_name(answer.limit)),
                "cap": answer.cap,
                "free_bytes": free if free_memory is not None else answer.free_bytes,
                "usable_bytes": answer.usable_bytes,
                "one_bytes": answer.one.device_bytes,
                "needed_bytes": answer.needed.device_bytes,
            }
        )

    @staticmethod
    def item_size(task: int, size: Tuple[int, int]) -> Tuple[int, int]:
        """A picture's sides as the networks have them: padded to what the VAE can divide."""
        if task in (_abi.MS_TASK_FACE_DETECTION, _abi.MS_TASK_FACE_PROCESSING):
            return size
        height, width = (-(-side // _VAE_FACTOR) * _VAE_FACTOR for side in size)
        return height, width

    def _level(self) -> int:
        with self.owned.use():
            return int(lib().ms_pressure_watch_level(self.watch_handle))


def _setting(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _free_of(optimizer: Optional[AdaptiveMemoryOptimizer]) -> int:
    """Asked by the library. What cannot be asked (a card that is lost) leaves one item at a time."""
    try:
        return 0 if optimizer is None else int(optimizer._memory()["free_bytes"])
    except Exception:
        return 0


def in_use(optimizer: Optional[AdaptiveMemoryOptimizer]) -> ContextManager[Any]:
    """As long as loop_params() of it are."""
    return contextlib.nullcontext() if optimizer is None else optimizer.owned.use()


def _destroy(made: List[Tuple[str, C.c_void_p]], _value: C.c_void_p) -> None:
    for function, handle in made:
        getattr(lib(), function)(C.byref(handle))
