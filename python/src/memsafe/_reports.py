"""What the library reports, as dicts that notebooks show as tables."""

import ctypes as C
import html
import math
from typing import Any, Callable, Dict, Iterable, Mapping, Optional

from . import _abi
from ._library import lib, text
from ._values import size_text


def _unit(key: str, inside: str) -> str:
    """Of a value by its key, or by the key of the table that it is in: "bytes", "bytes/s", "flop/s", "1/s", "s" or ""."""
    if inside == "rates":
        return "flop/s" if key.endswith("_flops") else "bytes/s" if key.endswith("_bytes") else "1/s"
    for name in (key, inside):
        if name.endswith("bytes_per_s"):
            return "bytes/s"
        if name.endswith("_bytes") or name == "bytes":
            return "bytes"
        if name == "seconds" or name.endswith("_s"):
            return "s"
    return ""


def _shown(key: str, value: Any, inside: str) -> str:
    unit = _unit(key, inside)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        if unit in ("bytes", "bytes/s"):
            return size_text(value) + unit[5:]
        if unit == "flop/s":
            return f"{value * 1e-9:.1f} GFLOP/s"
        if unit:
            return f"{value:.3g} {unit}" if unit == "s" else f"{value:.4g}/s"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _rows(mapping: Mapping[str, Any], inside: str) -> Iterable[str]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            cell = _table(value, key)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            cell = "".join(_table(v) for v in value)
        else:
            cell = html.escape(_shown(key, value, inside))
        yield f"<tr><th style='text-align:left'>{html.escape(key)}</th><td style='text-align:left'>{cell}</td></tr>"


def _table(mapping: Mapping[str, Any], inside: str = "") -> str:
    return "<table>" + "".join(_rows(mapping, inside)) + "</table>"


class Report(Dict[str, Any]):
    """A dict whose keys can be read as attributes and which a notebook shows as a table.

    Keys end with what they count: ``_bytes``, ``_s`` (seconds), ``_db``.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the report has no {name}; it has {', '.join(self)}") from None

    def _repr_html_(self) -> str:
        return _table(self)


class Plan(Report):
    """A Report with a drawing of the memory over a window, which a notebook shows above it.

    svg: the drawing, as text.
    """

    def __init__(self, values: Mapping[str, Any], svg: str = "") -> None:
        super().__init__(values)
        object.__setattr__(self, "svg", svg)

    svg: str

    def _repr_html_(self) -> str:
        return self.svg + super()._repr_html_()


# Enumerations by the names of their fields.
_NAMES: Dict[str, str] = {"rung": "ms_rung_name"}


def _name(function: str) -> Callable[[int], str]:
    return lambda number: text(getattr(lib(), function)(number))


def _value(name: str, value: Any) -> Any:
    if name in _NAMES:
        return _name(_NAMES[name])(value)
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, C.Structure):
        return report_of(value)
    if isinstance(value, C.Array):
        return list(value)
    return value


def _named(values: Any, count: int, function: str) -> Dict[str, Any]:
    return {text(getattr(lib(), function)(i)): values[i] for i in range(count)}


def report_of(struct: C.Structure, lists: Optional[Mapping[str, str]] = None) -> Report:
    """A struct as a Report. lists: array -> the field with how many of it there are."""
    lists = lists or {}
    found = Report()
    for field in struct._fields_:
        name, value = field[0], getattr(struct, field[0])
        if name in lists.values():
            continue
        if name in lists:
            found[name] = [_value("", v) for v in value[: getattr(struct, lists[name])]]
        elif name.startswith("stage_s") or name == "planned_s":
            found[name] = _named(value, _abi.MS_STAGE_COUNT, "ms_stage_name")
        elif name.startswith(("ledger_",)):
            found[name] = _named(value, _abi.MS_LEDGER_COUNT, "ms_ledger_name")
        elif name in ("psnr_db", "ssim"):
            found[name] = _named(value, _abi.MS_REGION_COUNT, "ms_region_name")
        else:
            found[name] = _value(name, value)
    return found
