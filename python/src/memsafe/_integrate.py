"""The memory system under a diffusers pipeline, or one like it.

pipeline = integrate_adaptive_optimizer(pipeline, video_length=250, resolution=(512, 512))
print(pipeline.memsafe)          # what was set, and what could not be
... pipeline(...) ...
pipeline.memsafe.undo()          # as it was before
"""

import contextlib
import copy
import functools
import inspect
import math
import threading
import weakref
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, TypeVar

from ._adaptive import AdaptiveState, Guard, loop_params, run_loop
from ._divide import Divider, independent_items
from ._errors import InvalidArgument
from ._optimizer import MAX_ITEM_SIDE, AdaptiveMemoryOptimizer, Resolution, in_use, torch_if_loaded
from ._reports import Report
from ._values import size_text

P = TypeVar("P")

_DENOISERS = ("unet", "transformer", "denoiser")
_DTYPES = {"fp16": "float16", "bf16": "bfloat16"}
_ABSENT = object()

SAME = "the same numbers"
ROUNDING = "the same but for rounding"
CHANGES = "changes the result"


class _Part(NamedTuple):
    name: str
    module: Any


def _itself(value: Any) -> Any:
    return value


class _Wrapped:
    """A method of a network in the place of its own. A copy of the network has its own again, by copy or by pickle: what
    is around it knows the first network, and its locks and its optimizer can be in no file."""

    def __init__(self, original: Callable[..., Any], call: Callable[..., Any], before: Any) -> None:
        """before: what the network had in that place, or _ABSENT."""
        self.original, self._call, self.before = original, call, before
        self.is_undone = False
        functools.update_wrapper(self, original, updated=())  # its attributes may be another's original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def undo(self) -> None:
        """Another may be around it, and keeps it: there it does nothing from here on."""
        self._call, self.is_undone = self.original, True

    def __deepcopy__(self, memo: Any) -> Any:
        return copy.deepcopy(self.original, memo)

    def __reduce__(self) -> Any:
        return _itself, (self.original,)


def _parts(pipeline: Any) -> List[_Part]:
    """The networks of a pipeline by their names: diffusers' components, else its attributes."""
    components = getattr(pipeline, "components", None)
    found = components if isinstance(components, dict) else dict(getattr(pipeline, "__dict__", {}))
    children = getattr(pipeline, "named_children", None)
    if found is not components and callable(children):
        found.update(children())  # a module of torch's keeps its networks elsewhere than its other attributes
    return [
        _Part(name, module)
        for name, module in found.items()
        if module is not None
        and not name.startswith("_")
        and hasattr(module, "__dict__")
        and not isinstance(module, (type, Integration))
    ]


def _parameters(module: Any) -> Iterator[Any]:
    parameters = getattr(module, "parameters", None)
    return iter(parameters()) if callable(parameters) else iter(())


def _is_vae(part: _Part) -> bool:
    if not callable(getattr(part.module, "decode", None)):
        return False
    is_network = (
        callable(getattr(part.module, "encode", None)) and next(_parameters(part.module), None) is not None
    )
    return part.name.startswith("vae") or is_network


def weight_bytes(pipeline: Any) -> Dict[str, int]:
    """Bytes of each network's parameters and buffers."""
    sizes: Dict[str, int] = {}
    for part in _parts(pipeline):
        tensors = list(_parameters(part.module))
        buffers = getattr(part.module, "buffers", None)
        tensors += list(buffers()) if callable(buffers) else []
        size = sum(t.numel() * t.element_size() for t in tensors)
        if size:
            sizes[part.name] = size
    return sizes


def _batches(method: str) -> str:
    return f"batches of {method}()"


class Integration:
    """What ``integrate_adaptive_optimizer()`` did to a pipeline: ``pipeline.memsafe``.

    ``optimizer`` answers for the pipeline's device. ``set`` and ``not_set`` say what was done and what could not be, each
    with its reason; ``str()`` tells both.
    """

    def __init__(self, pipeline: Any, optimizer: AdaptiveMemoryOptimizer) -> None:
        self.optimizer = optimizer
        #: each a Report with ``what``, ``where``, ``value`` and ``effect`` on the pipeline's output
        self.set: List[Report] = []
        #: each a Report with ``what``, ``where`` and ``why``
        self.not_set: List[Report] = []
        self._pipeline = pipeline
        self._undo: List[Callable[[], None]] = []
        self._states: Dict[str, AdaptiveState] = {}
        self._whole: Dict[str, str] = {}

    def report(self) -> Report:
        """``tier``, ``set``, ``not_set``, and ``calls``: what the wrapped calls learned and counted."""
        return Report(
            {
                "tier": self.optimizer.tier,
                "set": self.set,
                "not_set": self.not_set,
                "calls": Report({name: state.report() for name, state in self._states.items()}),
                "not_divided": Report(dict(self._whole)),
            }
        )

    def __repr__(self) -> str:
        return f"<memsafe.Integration {self.optimizer.tier}, {len(self.set)} set, {len(self.not_set)} not>"

    def __str__(self) -> str:
        lines = [f"{self.optimizer.tier}, because {self.optimizer.profile.tier_reason}"]
        lines += [f"  {s['where']}: {s['what']} = {self._value_now(s)} ({s['effect']})" for s in self.set]
        lines += [f"  {n['where']}: no {n['what']}: {n['why']}" for n in self.not_set]
        lines += [f"  {name}: not divided: {why}" for name, why in self._whole.items()]
        return "\n".join(lines)

    def _value_now(self, done: Report) -> str:
        """What was set; of batches what failures of memory have left of it."""
        for where, state in self._states.items():
            part, _, method = where.rpartition(".")
            is_it = done["where"] == part and done["what"] == _batches(method)
            if is_it and 0 < state.struct.batch < done["value"]:
                return f"{state.struct.batch}, less than {done['value']} since memory ran out"
        return str(done["value"])

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    def __reduce__(self) -> Any:
        """A copy of the pipeline has none."""
        return _itself, (None,)

    def undo(self) -> Any:
        """Everything as it was before; returns the pipeline. A second time does nothing.

        What another has put a function around since stays within that, and does nothing there (``not_set`` says so);
        another pipeline's integration of the same network takes it along when it is undone.
        """
        errors = []
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as e:
                errors.append(e)
        if errors:
            raise errors[0]
        return self._pipeline

    # ---- used by what follows ----

    def _attach(self) -> None:
        """``pipeline.memsafe``, in the place of what the pipeline has of that name."""
        pipeline = self._pipeline
        own = vars(pipeline).get("memsafe", _ABSENT) if hasattr(pipeline, "__dict__") else _ABSENT
        if hasattr(inspect.getattr_static(type(pipeline), "memsafe", None), "__set__"):  # in one of __slots__
            own = getattr(pipeline, "memsafe", _ABSENT)

        def undo() -> None:
            if getattr(pipeline, "memsafe", None) is not self:
                return
            if own is _ABSENT:
                del pipeline.memsafe
            else:
                pipeline.memsafe = own

        try:
            pipeline.memsafe = self
        except (AttributeError, TypeError) as e:
            kind = type(pipeline).__name__
            raise InvalidArgument(
                f"pipeline is of type {kind}, which takes no attribute memsafe, by which it is told and undone: {_because(e)}"
            ) from e
        self._undo.append(undo)

    def _did(self, where: str, what: str, value: Any, effect: str, undo: Callable[[], None]) -> None:
        self.set.append(Report({"what": what, "where": where, "value": value, "effect": effect}))
        self._undo.append(undo)

    def _could_not(self, where: str, what: str, why: str) -> None:
        self.not_set.append(Report({"what": what, "where": where, "why": why}))

    def _wrap(
        self, part: _Part, method: str, what: str, value: Any, effect: str, call: Callable[..., Any]
    ) -> None:
        """Puts a function around a method of a network; undoing leaves the network as it was.

        accelerate's hooks keep the method that they are around in an attribute. There it is replaced: they put that
        one back when they go, at the end of each call of an offloaded pipeline, and around whatever there is when they
        come again.
        """
        owner = part.module
        places = (method, f"_old_{method}")
        place = places[1] if places[1] in vars(owner) else places[0]
        new = _Wrapped(getattr(owner, place), call, vars(owner).get(place, _ABSENT))
        setattr(owner, place, new)

        def undo() -> None:
            new.undo()
            if all(vars(owner).get(at) is not new for at in places):
                self._could_not(part.name, f"removal of {what}", "something else is in its place since; if that calls it, it does nothing")
            for at in places:  # hooks that came or went have moved it
                _take_off(owner, at, method)

        self._did(part.name, what, value, effect, undo)


def _take_off(owner: Any, place: str, method: str) -> None:
    """What was undone, from the top on: a network may be part of two pipelines, of which the first is undone first."""
    while True:
        top = vars(owner).get(place)
        if not isinstance(top, _Wrapped) or not top.is_undone:
            return
        if place == method and top.before is _ABSENT:
            del vars(owner)[place]
        else:
            setattr(owner, place, top.original)


def _own_method(module: Any, method: str) -> Any:
    """What _wrap() goes around."""
    return vars(module).get(f"_old_{method}") or getattr(module, method, None)


def _because(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# ---- attention ----

# Networks whose layers are another pipeline's integration's: their own would not be what undoing restores.
_sliced: "weakref.WeakValueDictionary[int, Any]" = weakref.WeakValueDictionary()


def _processors(module: Any) -> List[Tuple[Any, Any]]:
    modules = module.modules() if callable(getattr(module, "modules", None)) else ()
    return [
        (m, m.processor)
        for m in modules
        if hasattr(m, "processor") and callable(getattr(m, "set_processor", None))
    ]


def _slice_sizes(module: Any, parts: int) -> List[int]:
    """A size for each layer that can be sliced, in the order in which the module gives them out: heads in so many parts."""
    sizes: List[int] = []

    def look(at: Any) -> None:
        for child in at.children():
            if hasattr(child, "set_attention_slice"):
                sizes.append(max(1, math.ceil(child.sliceable_head_dim / parts)))
            look(child)

    look(module)
    return sizes


def _slice_attention(it: Integration, part: _Part, slices: int) -> None:
    name, module = part
    if not callable(getattr(module, "set_attention_slice", None)):
        it._could_not(name, "attention slicing", "its networks have no set_attention_slice()")
        return
    if _sliced.get(id(module)) is module:
        it._could_not(name, "attention slicing", "another pipeline that has it was integrated, and slices it already")
        return
    before = _processors(module)

    def undo() -> None:
        _sliced.pop(id(module), None)
        if not before:
            module.set_attention_slice(None)
        for owner, processor in before:
            owner.set_processor(processor)

    try:
        sizes = _slice_sizes(module, slices) if callable(getattr(module, "children", None)) else []
    except Exception as e:  # a layer of another make
        it._could_not(name, "attention slicing", _because(e))
        return
    try:
        module.set_attention_slice(sizes if sizes else "auto")
    except Exception as e:
        with contextlib.suppress(Exception):  # some layers may have it already
            undo()
        it._could_not(name, "attention slicing", _because(e))
        return
    with contextlib.suppress(TypeError):  # an object of a kind that cannot be known so
        _sliced[id(module)] = module
    it._did(name, "attention slicing", f"{slices} parts", ROUNDING, undo)


# ---- the VAE ----


def _switch(it: Integration, pipeline: Any, part: _Part, what: str, effect: str) -> None:
    """ "tiling" or "slicing" of a VAE, by its own method or the pipeline's."""
    name, module = part
    flag = f"use_{what}"
    before = getattr(module, flag, None)
    if before is True:
        it._could_not(name, f"VAE {what}", "it is on already")
        return
    for owner, suffix in ((module, what), (pipeline, f"vae_{what}")):
        enable, disable = getattr(owner, f"enable_{suffix}", None), getattr(owner, f"disable_{suffix}", None)
        if not callable(enable):
            continue
        try:
            enable()
        except Exception as e:
            it._could_not(name, f"VAE {what}", _because(e))
            return

        def undo(disable: Any = disable) -> None:
            if before is not None:
                setattr(module, flag, before)
            elif callable(disable):
                disable()

        it._did(name, f"VAE {what}", "on", effect, undo)
        return
    it._could_not(name, f"VAE {what}", f"it has no enable_{what}()")


def _spare_vae(it: Integration, pipeline: Any, part: _Part) -> None:
    tiling = it.optimizer.profile.vae_tiling
    one = it.optimizer.explain("vae_decode")
    if tiling == "on" or (tiling != "off" and not one["fits"]):
        _switch(it, pipeline, part, "tiling", f"{CHANGES} where pictures are larger than a tile")
    if one["batch"] == 1:
        _switch(it, pipeline, part, "slicing", ROUNDING)


# ---- weights ----


def _accelerator() -> Optional[str]:
    torch = torch_if_loaded()
    if torch is None:
        return None
    for kind in ("cuda", "xpu", "mps"):
        there = getattr(torch, kind, None) if kind != "mps" else torch.backends.mps
        if there is not None and there.is_available():
            return kind
    return None


def _offload(it: Integration, pipeline: Any, sizes: Dict[str, int]) -> None:
    policy = it.optimizer.profile.weight_offload
    if policy == "off":
        return
    total, largest = sum(sizes.values()), max(sizes.values(), default=0)
    usable = it.optimizer.memory()["total_bytes"] * (100 - it.optimizer.profile.safety_margin) // 100
    if policy == "under_pressure" and total <= usable:
        it._could_not("pipeline", "CPU offload", f"its weights ({size_text(total)}) fit")
        return
    what, method = "model", "enable_model_cpu_offload"
    if largest > usable:
        what, method = "sequential", "enable_sequential_cpu_offload"
    enable = getattr(pipeline, method, None)
    if not callable(enable):
        it._could_not("pipeline", "CPU offload", f"it has no {method}()")
        return
    if getattr(pipeline, "_all_hooks", None):
        it._could_not("pipeline", "CPU offload", "it is offloaded already")
        return
    if _accelerator() is None:
        it._could_not("pipeline", "CPU offload", "there is no accelerator here that weights could leave")
        return
    device = it.optimizer.device
    if device == "cpu" and it.optimizer.memory()["source"] == "memsafe":
        it._could_not("pipeline", "CPU offload", "the pipeline is on the CPU: device= names where it is to compute")
        return
    named = {} if device in ("auto", "cpu") else {"device": device}  # else it goes to the first card there is
    weights = [(part.module, next(_parameters(part.module), None)) for part in _parts(pipeline)]
    places = [(module, first.device) for module, first in weights if first is not None]
    try:
        enable(**named)
    except Exception as e:
        it._could_not("pipeline", "CPU offload", _because(e))
        return

    def undo() -> None:
        if callable(getattr(pipeline, "remove_all_hooks", None)):
            pipeline.remove_all_hooks()
        if hasattr(pipeline, "_all_hooks"):
            pipeline._all_hooks = []
        for module, device in places:
            if callable(getattr(module, "to", None)):
                module.to(device)

    it._did("pipeline", "CPU offload", what, SAME, undo)


# ---- precision and training ----


def _autocast(it: Integration, part: _Part, methods: Tuple[str, ...]) -> None:
    precision = it.optimizer.profile.precision
    if precision not in _DTYPES:
        return
    torch, first = torch_if_loaded(), next(_parameters(part.module), None)
    if torch is None or first is None:
        it._could_not(part.name, "autocast", "it is no network of torch's")
        return
    if first.dtype != torch.float32:
        it._could_not(
            part.name, "autocast", f"its weights are {str(first.dtype).replace('torch.', '')} already"
        )
        return
    dtype = getattr(torch, _DTYPES[precision])
    for method in methods:
        original = _own_method(part.module, method)
        if callable(original):
            new = _in_autocast(torch, part.module, original, dtype)
            effect = f"{CHANGES}: computed in {_DTYPES[precision]}"
            it._wrap(part, method, f"autocast of {method}()", _DTYPES[precision], effect, new)


def _in_autocast(torch: Any, module: Any, original: Callable[..., Any], dtype: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        first = next(iter(module.parameters()))
        given = next(
            (a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor) and a.is_floating_point()),
            first,
        )
        with torch.autocast(given.device.type, dtype=dtype):
            result = original(*args, **kwargs)
        # Who called gets the type that it gave: schedulers and samplers go on in it.
        return Divider(torch).each(result, lambda t: t.to(given.dtype) if t.is_floating_point() else t)

    return call


def _checkpoint(it: Integration, part: _Part) -> None:
    module = part.module
    if not it.optimizer.profile.gradient_checkpointing or not getattr(module, "training", False):
        return
    if not callable(getattr(module, "enable_gradient_checkpointing", None)):
        it._could_not(part.name, "gradient checkpointing", "it has no enable_gradient_checkpointing()")
        return
    if getattr(module, "is_gradient_checkpointing", False):
        it._could_not(part.name, "gradient checkpointing", "it is on already")
        return
    disable = getattr(module, "disable_gradient_checkpointing", None)
    if not callable(disable):
        it._could_not(part.name, "gradient checkpointing", "it has no disable_gradient_checkpointing(), which undoes it")
        return
    try:
        module.enable_gradient_checkpointing()
    except Exception as e:
        it._could_not(part.name, "gradient checkpointing", _because(e))
        return
    it._did(part.name, "gradient checkpointing", "on", SAME, disable)


# ---- calls that go by the batch ----


def _scale(pipeline: Any, module: Any) -> int:
    """Pixels of a picture for each of its latents, along a side."""
    scale = getattr(pipeline, "vae_scale_factor", None)
    if isinstance(scale, int) and scale > 0:
        return scale
    blocks = getattr(getattr(module, "config", None), "block_out_channels", None)
    return int(2 ** (len(blocks) - 1)) if blocks else 8


def _picture_size(sample: Any, scale: int) -> Optional[Tuple[int, int]]:
    """(height, width) of what a call is about, where its sides are those of pictures or videos: tokens of a transformer
    and latents of sound have others, and the optimizer's own resolution then stands for them."""
    if sample is None or sample.dim() not in (4, 5):
        return None
    height, width = (int(side) * scale for side in sample.shape[-2:])
    return (height, width) if min(height, width) >= 1 and max(height, width) <= MAX_ITEM_SIDE else None


def _by_batch(
    it: Integration,
    part: _Part,
    method: str,
    task: str,
    scale: int,
    is_oom: Optional[Callable[[BaseException], bool]],
) -> None:
    torch = torch_if_loaded()
    original = _own_method(part.module, method)
    if not callable(original):
        it._could_not(part.name, _batches(method), "it has no such method")
        return
    if torch is None:
        it._could_not(part.name, _batches(method), "it is no network of torch's")
        return
    where = f"{part.name}.{method}"
    state = it._states.setdefault(where, AdaptiveState())
    busy = threading.Lock()  # a state is one thread's at a time; another's call learns for itself
    divider = Divider(torch)

    def call(*args: Any, **kwargs: Any) -> Any:
        items, sample = divider.count(args, kwargs), divider.first(args, kwargs)
        why = independent_items(torch, part.module, task, args, kwargs)
        if not why and not divider.divides(args, kwargs, items):
            why = f"an argument belongs neither to each of {items} items nor to all of them"
        if why and items > 1:
            it._whole[where] = why
        resolution = _picture_size(sample, scale)
        results: List[Any] = []
        counts: List[int] = []

        def process(first: int, count: int) -> None:
            cut = divider.whole(args, kwargs) if why else divider.part(args, kwargs, items, first, count)
            results.append(original(*cut[0], **cut[1]))
            counts.append(count)

        mine = busy.acquire(blocking=False)
        try:
            # What cannot be divided is one item: it is tried again once memory was trimmed.
            count = 1 if why or not items else items
            with in_use(it.optimizer):
                params = loop_params(it.optimizer, task, resolution, 1 if why else None)
                run_loop(process, count, params, Guard(is_oom, None, None), state if mine and not why else None)
        finally:
            if mine:
                busy.release()
        return results[0] if len(results) == 1 else divider.joined(results, counts)

    batch = it.optimizer.get_optimal_batch_size(task, frames=0)
    it._wrap(part, method, _batches(method), batch, ROUNDING, call)


def integrate_adaptive_optimizer(
    pipeline: P,
    video_length: Optional[int] = None,
    resolution: Optional[Resolution] = None,
    *,
    optimizer: Optional[AdaptiveMemoryOptimizer] = None,
    is_oom: Optional[Callable[[BaseException], bool]] = None,
    **options: Any,
) -> P:
    """Does to a diffusers-like pipeline what the tier of its device says and the pipeline supports, and returns it with
    ``.memsafe`` attached.

    - Attention in slices, the VAE in tiles and picture by picture, weights on the CPU while they are not used, autocast
      to the tier's precision, gradient checkpointing of networks that train.
    - ``vae.decode()``, ``vae.encode()`` and the denoiser's forward take as many items at a time as the optimizer says, and
      fewer when memory runs out, as ``adaptive()`` does. What is one for all items (a text, a timestep) stays whole.

    ``print(pipeline.memsafe)`` tells what was set, what it does to the output, and what could not be set and why.
    ``pipeline.memsafe.undo()`` leaves everything as it was. Integrating a second time undoes the first.

    pipeline: networks as attributes or in ``components``, as diffusers has it: ``vae``, ``unet`` or ``transformer``, ...
    video_length: frames that there are to do. resolution: (height, width) in pixels.
    optimizer: by default one for the pipeline's device, made with ``options`` (``device_memory="8G"`` stands for a device
        that is not here; ``settings={"precision": "fp32"}`` leaves the precision alone).
    is_oom: what else counts as out of memory, beside ``is_out_of_memory()``.
    """
    if pipeline is None or isinstance(pipeline, (str, bytes, int, float)):
        raise TypeError(f"pipeline is an object with networks, like a pipeline of diffusers, not {type(pipeline).__name__}")
    parts = _parts(pipeline)
    if not parts:
        raise InvalidArgument(
            f"pipeline is of type {type(pipeline).__name__}, which has no networks: neither components nor attributes"
        )
    sizes = weight_bytes(pipeline)
    if optimizer is None:
        options.setdefault("device", _device_of(pipeline))
        options.setdefault("watch", True)
        options.setdefault("held_bytes", sum(sizes.values()))
        optimizer = AdaptiveMemoryOptimizer(video_length=video_length, resolution=resolution, **options)
    elif options or video_length is not None or resolution is not None:
        raise InvalidArgument("optimizer= has its own video_length, resolution and options")
    before = getattr(pipeline, "memsafe", None)
    if isinstance(before, Integration):  # not before all that was given is known to be right
        before.undo()
        parts = _parts(pipeline)
    it = Integration(pipeline, optimizer)
    try:
        it._attach()  # first: whoever cannot be undone is left alone
        _integrate(it, pipeline, parts, sizes, is_oom)
    except BaseException:
        it.undo()
        raise
    return pipeline


def _integrate(
    it: Integration,
    pipeline: Any,
    parts: List[_Part],
    sizes: Dict[str, int],
    is_oom: Optional[Callable[[BaseException], bool]],
) -> None:
    vaes = [part for part in parts if _is_vae(part)]
    denoisers = [part for part in parts if part.name in _DENOISERS]
    for missing, what in ((not vaes, "vae"), (not denoisers, "unet")):
        if missing:
            it._could_not("pipeline", what, f"it has no network that is its {what}")
    slices = it.optimizer.profile.attention_slices
    for part in denoisers:
        if slices:
            _slice_attention(it, part, slices)
        _autocast(it, part, ("forward",))
        scale = _scale(pipeline, vaes[0].module if vaes else None)
        _by_batch(it, part, "forward", "unet_inference", scale, is_oom)
    for part in vaes:
        _spare_vae(it, pipeline, part)
        _autocast(it, part, ("decode", "encode"))
        _by_batch(it, part, "decode", "vae_decode", _scale(pipeline, part.module), is_oom)
        _by_batch(it, part, "encode", "vae_encode", 1, is_oom)
    for part in parts:
        _checkpoint(it, part)
    _offload(it, pipeline, sizes)


def _device_of(pipeline: Any) -> str:
    """Where it computes: diffusers' own word, else where its weights are."""
    for word in ("_execution_device", "device"):
        try:
            device = getattr(pipeline, word, None)
        except Exception:
            device = None
        if device is not None and str(device) != "meta":
            return str(device)
    for part in _parts(pipeline):
        first = next(_parameters(part.module), None)
        if first is not None:
            return str(first.device)
    return "auto"


__all__ = ["Integration", "integrate_adaptive_optimizer", "weight_bytes"]
