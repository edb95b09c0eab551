"""Sizes, times and rates as the command's options write them."""

import contextlib
import math
import operator
import re
from fractions import Fraction
from typing import Any, Optional, Tuple, Union

from . import _errors

Size = Union[int, str]
Time = Union[int, float, str]
Rate = Union[int, float, str, Fraction]

MAX_RATE_PART = 1000000  # of a fraction, as the library takes it

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def index_of(value: Any) -> Optional[int]:
    """A whole number of Python, numpy or torch; None: it is none, as True, 2.0 and "2" are."""
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):  # an array of several; numpy's own True
            return operator.index(value)
    return None


def whole(option: str, value: Any, least: int = -(1 << 31), most: int = (1 << 31) - 1) -> int:
    """A whole number; True, 2.0 and "2" are none."""
    found = index_of(value)
    if found is None:
        raise _errors.InvalidArgument(f"{option} must be a whole number, not {value!r}")
    if not least <= found <= most:
        raise _errors.InvalidArgument(f"{option} must be {least} to {most}, not {found}")
    return found


def number(option: str, value: Any) -> float:
    """Its range is for others to look at."""
    if isinstance(value, (bool, str)) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise _errors.InvalidArgument(f"{option} must be a number, not {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):  # an array of several
        raise _errors.InvalidArgument(f"{option} must be a number, not {value!r}") from None


def flag(option: str, value: Any) -> bool:
    """True or False; "no" is neither."""
    if type(value).__name__ not in ("bool", "bool_"):  # numpy's has two names
        raise _errors.InvalidArgument(f"{option} must be True or False, not {value!r}")
    return bool(value)


def budget_bytes(option: str, value: Optional[Size]) -> int:
    """As size_bytes(), but 0 is refused, as the command does: who computed it wants no default in its place."""
    found = size_bytes(option, value)
    if value is not None and not found:
        raise _errors.InvalidArgument(f"{option}: {value!r} is no memory at all; with None the default holds")
    return found


def size_bytes(option: str, value: Optional[Size]) -> int:
    """Bytes of 8 << 30 or "8G" (1024 each); None = not set, 0."""
    if value is None:
        return 0
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)(\.\d+)? *([KMGTkmgt]?)i?[Bb]?", value)
        if not match:
            raise _errors.InvalidArgument(f'{option}: "{value}" is no size like 2G, 512M or a number of bytes')
        shift = 1 << _UNITS[match.group(3).upper()]
        found = int(match.group(1)) * shift + int(float(match.group(2) or 0) * shift + 1e-6)
    else:
        count = int(value) if isinstance(value, float) and value % 1 == 0 else index_of(value)
        if count is None:
            raise _errors.InvalidArgument(f'{option} must be a whole number of bytes or a size like "8G", not {value!r}')
        found = count
    if not 0 <= found < 1 << 63:
        raise _errors.InvalidArgument(f"{option} must be 0 or more bytes, not {value!r}")
    return found


def time_us(option: str, value: Optional[Time]) -> int:
    """Microseconds of 2.5 (seconds), "2.5", "1:02.5" or "90ms"; None = 0."""
    if value is None:
        return 0
    if isinstance(value, str):
        match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d*)(?:\.(\d*))?(ms|us|s)?", value)
        parts = match and [match.group(1), match.group(2), match.group(3)]
        if not match or not parts or not (match.group(3) or match.group(4)) or (match.group(5) and match.group(2)):
            raise _errors.InvalidArgument(f'{option}: "{value}" is no time: seconds or [HH:]MM:SS[.m]')
        seconds = 0
        for part in parts:
            seconds = seconds * 60 + int(part or 0)
        us = seconds * 1000000 + int((match.group(4) or "0")[:6].ljust(6, "0"))
        us = {"ms": us // 1000, "us": us // 1000000}.get(match.group(5) or "", us)
    else:
        seconds_given = number(option, value)
        if not math.isfinite(seconds_given):
            raise _errors.InvalidArgument(f"{option} must be a time in seconds, not {value!r}")
        us = round(value * 1000000)
    if not 0 <= us <= 3600000000 * 1000000:
        raise _errors.InvalidArgument(f"{option} must be 0 to a million hours, not {value!r}")
    return us


def rate(option: str, value: Rate) -> Optional[Tuple[int, int]]:
    """Frames a second as a fraction; None for "source". 29.97 means 30000/1001, as it does for the command."""
    given: Any = value
    pair: Optional[Tuple[int, int]] = None
    if isinstance(value, str):
        if value == "source":
            return None
        match = re.fullmatch(r"(\d+)/(\d+)", value)
        try:
            given = float(value) if not match else math.nan
        except ValueError:
            given = math.nan
        if match and int(match.group(2)):
            pair = int(match.group(1)), int(match.group(2))
    elif isinstance(value, Fraction):
        pair = value.numerator, value.denominator
    fps = pair[0] / pair[1] if pair else number(option, given)
    if not 0.01 <= fps <= 1000 or (pair and max(pair) > MAX_RATE_PART):
        raise _errors.InvalidArgument(
            f'{option} must be 0.01 to 1000 frames a second, a fraction like "30000/1001" of numbers up to {MAX_RATE_PART} or "source", not {value!r}'
        )
    if pair:
        return pair
    ntsc = fps * 1.001
    if abs(fps - round(fps)) > 1e-9 and abs(ntsc - round(ntsc)) < 0.001:
        return round(ntsc) * 1000, 1001
    thousandths = Fraction(round(fps * 1000), 1000)
    return thousandths.numerator, thousandths.denominator


def size_text(count: float) -> str:
    """"4.20 GiB", as the command writes it."""
    value, unit = float(count), ""
    for unit in ("", "K", "M", "G", "T"):
        if value < (1024 if not unit else 1023.5) or unit == "T":
            break
        value /= 1024
    if not unit:
        return f"{int(value)} byte{'' if value == 1 else 's'}"
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}iB"
