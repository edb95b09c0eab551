"""What is no option, and what its values may be."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conftest import DEMO

import memsafe
from memsafe._values import rate, size_bytes, size_text, time_us


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nonsense", "lipsync() has no option nonsense"),
        ("guidence", "lipsync() has no option guidence; did you mean guidance?"),
        ("budget", "budget is an option of memsafe.Model()"),
        ("resume", "resume is an option of the command"),
        ("rest", "rest is an option of the command"),
    ],
)
def test_unknown_options_are_named(model: Any, clip: Any, speech: Any, name: str, says: str) -> None:
    with pytest.raises(TypeError) as caught:
        model.lipsync(clip, speech, **{name: 1})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 2.5}, {"guidance": -1.0}, {"seed": -1}, {"paste": "nose"}, {"fps": 0}, {"fps": "source"},
        {"loop": "circle"}, {"frames": -1}, {"max_gap": -1}, {"resolution": 7}, {"duration": 0},
        {"duration": 1, "to": 2}, {"start": 2, "to": 1}, {"start": "soon"}, {"force_rung": "attic"}, {"held_frames": 3},
        {"precision": "fp8"}, {"audio_start": 100},
    ],
)  # fmt: skip
def test_values_that_cannot_be(model: Any, clip: Any, speech: Any, wrong: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument) as caught:
        list(model.lipsync(clip, speech, **wrong))
    assert isinstance(caught.value, ValueError) and caught.value.status == "INVALID_ARGUMENT"
    assert next(iter(wrong)) in str(caught.value).replace("-", "_")


def test_inputs_that_cannot_be(model: Any, clip: Any, speech: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument, match=r"\[height\]\[width\]\[3\]"):
        model.lipsync(clip[..., :2], speech)
    with pytest.raises(memsafe.InvalidArgument, match="from 0 to 1, these are .* to .*: divide by 255"):
        model.lipsync(clip.astype(np.float32), speech)
    with pytest.raises(memsafe.InvalidArgument, match="from -1 to 1, these reach.*divide by 32768"):
        model.lipsync(clip, (speech[0] * 32768, 16000))
    for nothing in (None, 5):
        with pytest.raises(TypeError, match="video is a file's name or frames"):
            model.lipsync(nothing, speech)
    with pytest.raises(memsafe.InvalidArgument, match="uint8"):
        model.lipsync(clip.astype(np.int32), speech)
    with pytest.raises(memsafe.BadMedia, match="not one frame"):
        model.lipsync([], speech)
    with pytest.raises(TypeError, match="audio is a file"):
        model.lipsync(clip, 5)
    with pytest.raises(memsafe.InvalidArgument, match="rate"):
        model.lipsync(clip, (speech[0], 5))
    with pytest.raises(memsafe.BadMedia):
        list(model.lipsync(clip, (speech[0][:100], 16000)))  # shorter than a hop


def test_sizes() -> None:
    assert size_bytes("budget", "8G") == 8 << 30 and size_bytes("budget", "1.5 MiB") == 3 << 19
    assert size_bytes("budget", 7) == 7 and size_bytes("budget", None) == 0
    for wrong in ("8X", "-1", "G", -1, 1 << 63):
        with pytest.raises(memsafe.InvalidArgument, match="budget"):
            size_bytes("budget", wrong)
    assert size_text(8 << 30) == "8.00 GiB" and size_text(1) == "1 byte" and size_text(3000) == "2.93 KiB"


def test_times_and_rates() -> None:
    assert time_us("start", "1:02.5") == 62500000 and time_us("start", 2.5) == 2500000
    assert time_us("start", "90ms") == 90000 and time_us("start", "1:00:00") == 3600000000
    assert rate("fps", 25) == (25, 1) and rate("fps", 12.5) == (25, 2) and rate("fps", 29.97) == (30000, 1001)
    assert rate("fps", Fraction(24000, 1001)) == (24000, 1001) and rate("fps", "source") is None
    for wrong in ("fast", 0, 2000, "1/0", float("nan")):
        with pytest.raises(memsafe.InvalidArgument, match="fps"):
            rate("fps", wrong)


@pytest.mark.parametrize(
    "wrong", [{"budget": "lots"}, {"precision": "fp8"}, {"threads": -1}, {"profile": "huge"}, {"settings": {"no_such": 1}}]
)
def test_models_options(wrong: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument):
        memsafe.Model(DEMO, **wrong)


def test_settings_hold() -> None:
    with memsafe.Model(DEMO, device="cpu", profile="professional", settings={"precision": "fp32"}) as model:
        assert model.info.tier == "professional" and model.info.precision == "float32"
