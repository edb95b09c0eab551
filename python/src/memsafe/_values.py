"""Sizes, times and rates as the command's options write them."""

import math
import re
from fractions import Fraction
from typing import Optional, Tuple, Union

from . import _errors

Size = Union[int, str]
Time = Union[int, float, str]
Rate = Union[int, float, str, Fraction]

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def size_bytes(option: str, value: Optional[Size]) -> int:
    """Bytes of 8 << 30 or "8G" (1024 each); None and 0 = not set, 0."""
    if value is None:
        return 0
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)(\.\d+)? *([KMGTkmgt]?)i?[Bb]?", value)
        if not match:
            raise _errors.InvalidArgument(f'{option}: "{value}" is no size like 2G, 512M or a number of bytes')
        shift = 1 << _UNITS[match.group(3).upper()]
        number = int(match.group(1)) * shift + int(float(match.group(2) or 0) * shift + 1e-6)
    else:
        number = int(value)
    if not 0 <= number < 1 << 63:
        raise _errors.InvalidArgument(f"{option} must be 0 or more bytes, not {value!r}")
    return number


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
        number = seconds * 1000000 + int((match.group(4) or "0")[:6].ljust(6, "0"))
        number = {"ms": number // 1000, "us": number // 1000000}.get(match.group(5) or "", number)
    else:
        if not math.isfinite(value):
            raise _errors.InvalidArgument(f"{option} must be a time in seconds, not {value!r}")
        number = round(value * 1000000)
    if not 0 <= number <= 3600000000 * 1000000:
        raise _errors.InvalidArgument(f"{option} must be 0 to a million hours, not {value!r}")
    return number


def rate(option: str, value: Rate) -> Optional[Tuple[int, int]]:
    """Frames a second as a fraction; None for "source". 29.97 means 30000/1001, as it does for the command."""
    if isinstance(value, str):
        if value == "source":
            return None
        match = re.fullmatch(r"(\d+)/(\d+)", value)
        if match and int(match.group(1)) and int(match.group(2)):
            return int(match.group(1)), int(match.group(2))
        try:
            value = float(value)
        except ValueError:
            value = math.nan
    if isinstance(value, Fraction):
        return value.numerator, value.denominator
    number = float(value)
    if not 0.01 <= number <= 1000:
        raise _errors.InvalidArgument(f'{option} must be 0.01 to 1000 frames a second, a fraction like "30000/1001" or "source"')
    ntsc = number * 1.001
    if abs(number - round(number)) > 1e-9 and abs(ntsc - round(ntsc)) < 0.001:
        return round(ntsc) * 1000, 1001
    thousandths = Fraction(round(number * 1000), 1000)
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
