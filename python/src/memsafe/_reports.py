"""What the library reports, as dicts that notebooks show as tables."""

import ctypes as C
import html
from typing import Any, Callable, Dict, Iterable, Mapping, Optional

from . import _abi
from ._library import lib, text
from ._values import size_text


def _shown(key: str, value: Any) -> str:
    if key.endswith("_bytes") or key == "bytes":
        return size_text(value) if isinstance(value, (int, float)) else str(value)
    if key == "seconds" or key.endswith("_s"):
        return f"{value:.3g} s" if isinstance(value, (int, float)) else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _rows(mapping: Mapping[str, Any]) -> Iterable[str]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            cell = _table(value)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            cell = "".join(_table(v) for v in value)
        else:
            cell = html.escape(_shown(key, value))
        yield f"<tr><th style='text-align:left'>{html.escape(key)}</th><td style='text-align:left'>{cell}</td></tr>"


def _table(mapping: Mapping[str, Any]) -> str:
    return "<table>" + "".join(_rows(mapping)) + "</table>"


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


def _value(name: str, value: Any, stages: bool = False) -> Any:
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
