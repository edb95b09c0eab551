"""Speech as the model hears it: 16 kHz, one channel."""

import os
from typing import Any, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import _errors
from ._values import number

RATE = 16000
Samples = npt.NDArray[np.float32]
Audio = Union[str, "os.PathLike[str]", Tuple[Any, int]]


def as_channels(value: Any) -> npt.NDArray[Any]:
    """[channels][samples] of int16, or of float32 from -1 to 1, of whatever array it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    samples = np.asarray(value)
    if not samples.dtype.isnative:
        samples = samples.astype(samples.dtype.newbyteorder("="))
    if samples.dtype == np.int32:
        samples = (samples / 2147483648.0).astype(np.float32)
    elif samples.dtype.kind == "f":
        samples = samples.astype(np.float32, copy=False)
        peak = float(np.abs(samples).max()) if samples.size else 0.0
        if peak > 1.5:
            raise _errors.InvalidArgument(
                f"audio: floats are expected from -1 to 1, these reach {peak:.4g}: divide by 32768, or give int16"
            )
    elif samples.dtype != np.int16:
        raise _errors.InvalidArgument(f"audio has floats from -1 to 1, or int16 or int32, not {samples.dtype}")
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2 or samples.size == 0:
        raise _errors.InvalidArgument(f"audio is [samples] or [channels][samples], this is {list(samples.shape)}")
    if samples.shape[0] > 32 >= samples.shape[1]:  # [samples][channels], as soundfile has it
        samples = samples.T
    return _as_16_bits(np.ascontiguousarray(samples))


def _as_16_bits(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats that were 16 bits once are so again: then they are resampled as the file would be that they come from."""
    if samples.dtype == np.int16:
        return samples
    whole = samples * np.float32(32768)
    if np.isfinite(whole).all() and (np.rint(whole) == whole).all() and whole.min() >= -32768 and whole.max() <= 32767:
        found: npt.NDArray[Any] = whole.astype(np.int16)
        return found
    return samples


def as_floats(samples: npt.NDArray[Any]) -> Samples:
    """From -1 to 1."""
    if samples.dtype == np.int16:
        floats: Samples = samples.astype(np.float32) / np.float32(32768)
        return floats
    return samples


def rate_of(audio: Tuple[Any, int]) -> int:
    """Samples a second; 16000.0 is 16000."""
    given: Any = audio[1]
    found = number("audio's rate", given)
    if not 1000 <= found <= 1000000 or found != int(found):
        raise _errors.InvalidArgument(f"audio's rate must be 1000 to 1000000 samples a second, a whole number, not {given!r}")
    return int(found)


def speech_of(audio: Audio, start_us: int = 0) -> Samples:
    """A file's or array's sound as speech, from a time on.

    What is 16 kHz and one channel is taken as it is; all else is converted as the command converts it, by FFmpeg's
    resampler, which needs PyAV.
    """
    if isinstance(audio, (str, os.PathLike)):
        from . import _media

        samples = _media.read_speech(os.fspath(audio))
    elif isinstance(audio, tuple) and len(audio) == 2:
        channels, rate = as_channels(audio[0]), rate_of(audio)
        if rate == RATE and len(channels) == 1:
            samples = as_floats(channels[0])
        else:
            from . import _media

            samples = _media.convert_speech(channels, rate)
    else:
        raise TypeError(f"audio is a file's name or (samples, rate), not {type(audio).__name__}")
    return samples[start_us * RATE // 1000000 :]
