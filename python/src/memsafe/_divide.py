"""Calls of torch's networks, divided into parts of their batch and put together again."""

import copy
import dataclasses
import inspect
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

# The processors of diffusers in which an item's attention sees that item alone; slicing changes none of that.
_INDEPENDENT = {
    "AttnProcessor",
    "AttnProcessor2_0",
    "SlicedAttnProcessor",
    "AttnAddedKVProcessor",
    "AttnAddedKVProcessor2_0",
    "SlicedAttnAddedKVProcessor",
    "XFormersAttnProcessor",
    "FusedAttnProcessor2_0",
}


def independent_items(torch: Any, module: Any, task: str, args: Any, kwargs: Any) -> Optional[str]:
    """Why items of a batch cannot go one without the other; None = they can.

    A VAE's pictures always can. A denoiser's frames can where it knows no time (four dimensions), and where every layer of
    attention is one of diffusers' own.
    """
    if task != "unet_inference":
        return None
    sample = next((a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)), None)
    if sample is not None and sample.dim() != 4:
        return f"an input of {sample.dim()} dimensions: its frames see each other"
    for part in module.modules() if hasattr(module, "modules") else ():
        processor = getattr(part, "processor", None)
        if processor is not None and type(processor).__name__ not in _INDEPENDENT:
            return f"attention by {type(processor).__name__}, whose items may see each other"
        if getattr(part, "training", False) and type(part).__name__.startswith("BatchNorm"):
            return "it trains with BatchNorm, which sees the whole batch"
    return None


class Divider:
    """What of a call's arguments belongs to each item: tensors whose first dimension is the batch, and lists of as many
    (one random generator for each picture). What is one for all (no dimension, or a first one of 1) stays whole."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch

    def first(self, args: Any, kwargs: Mapping[str, Any]) -> Any:
        """The tensor whose items are counted: the first argument."""
        return next((a for a in (*args, *kwargs.values()) if isinstance(a, self._torch.Tensor)), None)

    def count(self, args: Any, kwargs: Mapping[str, Any]) -> int:
        """Items of a call; 0 = not known."""
        first = self.first(args, kwargs)
        return int(first.shape[0]) if first is not None and first.dim() >= 3 else 0

    def divides(self, args: Any, kwargs: Mapping[str, Any], items: int) -> bool:
        """Whether each tensor is each item's or everyone's."""
        return all(self._fits(a, items) for a in (*args, *kwargs.values()))

    def _fits(self, value: Any, items: int) -> bool:
        if isinstance(value, self._torch.Tensor):
            return value.dim() == 0 or value.shape[0] in (1, items)
        if isinstance(value, dict):
            return all(self._fits(v, items) for v in value.values())
        if isinstance(value, (list, tuple)):
            return all(self._fits(v, items) for v in value)
        return True

    def part(
        self, args: Any, kwargs: Mapping[str, Any], items: int, first: int, count: int
    ) -> Tuple[List[Any], Dict[str, Any]]:
        """The arguments for items first .. first+count-1; lists and dicts are copies, since networks take from them."""

        def cut(value: Any) -> Any:
            if isinstance(value, self._torch.Tensor):
                whole = value.dim() == 0 or value.shape[0] != items
                return value if whole else value[first : first + count]
            if isinstance(value, dict):
                return {k: cut(v) for k, v in value.items()}
            if isinstance(value, (list, tuple)):
                if value and len(value) == items and isinstance(value[0], self._torch.Generator):
                    return value[first : first + count]
                return type(value)(cut(v) for v in value) if type(value) in (list, tuple) else value
            return value

        return [cut(a) for a in args], {k: cut(v) for k, v in kwargs.items()}

    def whole(self, args: Any, kwargs: Mapping[str, Any]) -> Tuple[List[Any], Dict[str, Any]]:
        """The arguments as they are, for a call that may come again: lists and dicts are copies."""
        return self.part(args, kwargs, -1, 0, 0)

    def each(self, value: Any, change: Callable[[Any], Any]) -> Any:
        """A result with each of its tensors changed; what is unknown stays as it is."""
        return self._built([value], lambda tensors: change(tensors[0]), lambda one: one)

    def joined(self, results: List[Any], counts: List[int]) -> Any:
        """Results of parts as that of the whole: tensors one behind the other."""
        return self._built(results, lambda tensors: self._cat(tensors, counts), self._refuse)

    @staticmethod
    def _refuse(one: Any) -> Any:
        raise TypeError(f"a result of type {type(one).__name__} cannot be put together")

    def _cat(self, tensors: List[Any], counts: List[int]) -> Any:
        for tensor, count in zip(tensors, counts):
            if tensor.dim() == 0 or tensor.shape[0] != count:
                raise TypeError(
                    f"a result of shape {tuple(tensor.shape)} for {count} items cannot be put together"
                )
        return self._torch.cat(tensors)

    def _built(
        self, results: List[Any], make: Callable[[List[Any]], Any], other: Callable[[Any], Any]
    ) -> Any:
        one = results[0]
        if isinstance(one, self._torch.Tensor):
            return make(results)
        if one is None or isinstance(one, (bool, int, float, str)):
            return one
        if isinstance(one, dict):  # diffusers' outputs are dicts, too
            fields = {k: self._built([r[k] for r in results], make, other) for k in one}
            return type(one)(**fields) if type(one) is not dict else fields
        if type(one) in (list, tuple):
            return type(one)(self._built(list(values), make, other) for values in zip(*results))
        if isinstance(one, tuple) and hasattr(one, "_make"):  # a NamedTuple
            return one._make(self._built(list(values), make, other) for values in zip(*results))
        if isinstance(getattr(one, "parameters", None), self._torch.Tensor):  # a distribution of latents
            parameters = make([r.parameters for r in results])
            known = inspect.signature(type(one)).parameters
            extra = {"deterministic": one.deterministic} if "deterministic" in known else {}
            return type(one)(parameters, **extra)
        if dataclasses.is_dataclass(one):
            made = copy.copy(one)
            for name in (field.name for field in dataclasses.fields(one)):
                value = self._built([getattr(r, name) for r in results], make, other)
                object.__setattr__(made, name, value)  # it may be frozen
            return made
        return other(one)


__all__ = ["Divider", "independent_items"]
