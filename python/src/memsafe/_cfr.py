"""Constant frame rate as the command makes it (src/media/read/cfr.h): which source frame each output frame shows."""

import math
import struct
from fractions import Fraction
from typing import Optional, Tuple

MOST_REPEATS = 3600 * 30 * 30


def _float(value: float) -> float:
    """Rounded to single precision, where the rules do so."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _nearest(value: Fraction) -> int:
    """To the nearest, halves away from zero, as av_rescale_q() does."""
    sign = -1 if value < 0 else 1
    return sign * math.floor(abs(value) + Fraction(1, 2))


class Rate:
    """Frames with timestamps come in; each is shown zero or more times."""

    def __init__(self, rate: Fraction, time_base: Fraction, source_rate: Optional[Fraction], single_stream: bool) -> None:
        self._rate, self._time_base, self._source_rate = rate, time_base, source_rate
        self._single = single_stream
        self._next_tick = 0
        self._frames = 0
        self._previous = [0, 0, 0]

    def _ticks(self, timestamp: int) -> float:
        tick = 1 / self._rate
        extra = min(max(29 - (tick.denominator.bit_length() - 1), 0), 16)
        fine = Fraction(tick.numerator, tick.denominator << extra)
        at = _nearest(timestamp * self._time_base / fine) / (1 << extra)
        return at + (at > 0) / (1 << 17) - (at < 0) / (1 << 17)

    def _duration(self, duration: int) -> float:
        tick = float(1 / self._rate)
        length = 1 / (float(self._source_rate) * tick) if self._source_rate else 0.0
        whole = round(_float(duration * float(self._time_base) / tick))
        return float(whole) if whole > 0 else min(length, 1.0)

    def _remember(self, before: int) -> None:
        self._previous = [before, *self._previous[:2]]

    def push(self, timestamp: int, duration: int, have_previous: bool) -> Tuple[int, int]:
        """How often the frame before is still shown, and how often this one."""
        at, length = self._ticks(timestamp), self._duration(duration)
        start = at - self._next_tick
        end = start + length
        count, before = 1, 0
        if start < 0 < end:
            at = float(self._next_tick)
            length += start
            start = 0.0
        if self._single and self._frames == 0 and start >= 0.5:
            end = length
            start = 0.0
            self._next_tick = round(at)
        if end < -1.1:
            count = 0
        elif end > 1.1:
            count = round(_float(end))
            if start > 1.1:
                before = round(_float(start - 0.6))
        before = min(before, count)
        self._remember(before)
        if count > MOST_REPEATS:
            return 0, 0
        self._next_tick += count
        self._frames += count
        return (before, count - before) if have_previous else (0, count)

    def flush(self) -> int:
        """How often the last frame is shown again at the end."""
        count = sorted(self._previous)[1]
        self._remember(count)
        return count
