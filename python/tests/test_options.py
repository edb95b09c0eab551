"""What is no option, and what its values may be."""

import re
import subprocess
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conftest import COMMAND, DEMO, ROOT, need

import memsafe
from memsafe._options import NAMES, OF_COMMAND, OF_MODEL
from memsafe._values import rate, size_bytes, size_text, time_us


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nonsense", "lipsync() has no option nonsense"),
        ("guidence", "lipsync() has no option guidence; did you mean guidance?"),
        ("budget", "budget is an option of memsafe.Model()"),
        ("resume", "resume is an option of the command"),
        ("part", "part is an option of the command"),
        ("verbose", "verbose is an option of the command"),
        ("rest", "rest is an option of the command"),
    ],
)
def test_unknown_options_are_named(model: Any, clip: Any, speech: Any, name: str, says: str) -> None:
    with pytest.raises(TypeError) as caught:
        model.lipsync(clip, speech, **{name: 1})
    assert says in str(caught.value)


def test_every_option_of_the_command_is_known() -> None:
    """As one of lipsync(), of Model(), or as one that only the command has."""
    help = subprocess.run([need(COMMAND), "run", "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
    names = {name.replace("-", "_") for name in re.findall(r"^ +(?:-\w+,)? +--([a-z-]+)", help, re.M)}
    assert len(names) >= 60
    assert names - {"video", "audio", "out"} <= NAMES | OF_MODEL | OF_COMMAND
    # What it has no more is named nowhere; the last are of the package alone, one of them as `--set` of the command.
    assert names | {"copy", "held_frames", "settings"} >= NAMES | OF_MODEL | OF_COMMAND
    assert not NAMES & OF_COMMAND and not OF_MODEL & OF_COMMAND and not NAMES & OF_MODEL
    page = (ROOT / "docs" / "python.md").read_text()
    alone = page[page.index("The command alone has") :].partition("\n\n")[0]
    for name in OF_COMMAND - {"quiet", "verbose"}:
        assert f"--{name.replace('_', '-')}" in alone, name
    for name in NAMES:
        assert f"`{name}`" in page, name


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 2.5}, {"guidance": -1.5}, {"seed": -1}, {"paste": "nose"}, {"fps": 0}, {"fps": "source"},
        {"loop": "circle"}, {"frames": -1}, {"max_gap": -1}, {"resolution": 7}, {"duration": 0},
        {"duration": 1, "to": 2}, {"start": 2, "to": 1}, {"start": "soon"}, {"force_rung": "attic"}, {"held_frames": 3},
        {"precision": "fp8"}, {"audio_start": 100}, {"guidance": "x"}, {"guidance": None}, {"steps": True}, {"resolution": "big"},
        {"deepcache": "no"}, {"copy": "x"}, {"allow_truncated": "x"}, {"allow_downscale": "x"}, {"deepcache": 1}, {"fps": "fast"}, {"fps": [25]},
        {"duration": [1]}, {"start": 100}, {"max_gap": 1001},
    ],
)  # fmt: skip
def test_values_that_cannot_be(model: Any, clip: Any, speech: Any, wrong: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument) as caught:
        list(model.lipsync(clip, speech, **wrong))
    assert isinstance(caught.value, ValueError) and caught.value.status == "INVALID_ARGUMENT"
    for name, value in wrong.items():
        assert name in str(caught.value) and str(value) in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("codec", "ffv1"), ("crf", 18), ("audio_out", "none"), ("force", True), ("no_metadata", False)])
def test_options_of_files_are_for_files(model: Any, clip: Any, speech: Any, name: str, value: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument, match=f"^{name} is for files: give out=$"):
        model.lipsync(clip, speech, **{name: value})


def test_options_of_a_file(model: Any, clip: Any, speech: Any, tmp_path: Any) -> None:
    pytest.importorskip("av")
    for wrong in ({"copy": False}, {"crf": 1.5}, {"crf": 52}, {"crf": True}, {"force": "yes"}, {"no_metadata": "yes"}, {"codec": "gif"}):
        with pytest.raises(memsafe.InvalidArgument, match=next(iter(wrong))):
            model.lipsync(clip, speech, out=tmp_path / "out.mp4", **wrong)
    assert not list(tmp_path.iterdir())


def test_inputs_that_cannot_be(model: Any, clip: Any, speech: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument, match=r"\[height\]\[width\]\[3\]"):
        model.lipsync(clip[..., :2], speech)
    with pytest.raises(memsafe.InvalidArgument, match=r"frame 0: floats are from 0 to 1 .*, these are .* to .*: scale those from -1 to 1 .*v / 255"):
        model.lipsync(clip.astype(np.float32), speech)
    with pytest.raises(memsafe.InvalidArgument, match=r"video is one picture, \[208, 240, 3\]"):
        model.lipsync(clip[0], speech)
    with pytest.raises(memsafe.InvalidArgument, match="frame 0 is 'a.png'"):
        model.lipsync(["a.png"], speech)
    with pytest.raises(TypeError, match="video is a file's name or frames: .* not bytes"):
        model.lipsync(b"abc", speech)
    for video, there in ((clip, "the last of 20 at 25 a second"), (iter(clip), "all that were given")):
        with pytest.raises(memsafe.InvalidArgument, match=f"start=100 is frame 2500, behind {there}"):
            model.lipsync(video, speech, start=100)
    for wrong in ("16k", None, 16000.5, float("nan")):
        with pytest.raises(memsafe.InvalidArgument, match=f"audio's rate must be .* not {wrong!r}"):
            model.lipsync(clip, (speech[0], wrong))
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
    assert size_bytes("budget", 8e9) == 8000000000 and size_bytes("budget", 0) == 0
    for wrong in ("8X", "-1", "G", -1, 1 << 63, 1.5, True, float("nan"), float("inf"), [1], b"8G", {}):
        with pytest.raises(memsafe.InvalidArgument, match="budget"):
            size_bytes("budget", wrong)
    assert size_text(8 << 30) == "8.00 GiB" and size_text(1) == "1 byte" and size_text(3000) == "2.93 KiB"


def test_times_and_rates() -> None:
    assert time_us("start", "1:02.5") == 62500000 and time_us("start", 2.5) == 2500000
    assert time_us("start", "90ms") == 90000 and time_us("start", "1:00:00") == 3600000000
    assert rate("fps", 25) == (25, 1) and rate("fps", 12.5) == (25, 2) and rate("fps", 29.97) == (30000, 1001)
    assert rate("fps", Fraction(24000, 1001)) == (24000, 1001) and rate("fps", "source") is None
    assert rate("fps", "30000/1001") == (30000, 1001) and rate("fps", "12.5") == (25, 2)
    for wrong in ("fast", 0, 2000, "1/0", float("nan"), "2000/1", "1/2147483647", "30000000/1000001", Fraction(1, 1000), "0/1"):
        with pytest.raises(memsafe.InvalidArgument, match="fps must be .*, not ") as caught:
            rate("fps", wrong)
        assert str(caught.value).endswith(repr(wrong))


@pytest.mark.parametrize(
    "wrong", [{"budget": "lots"}, {"precision": "fp8"}, {"threads": -1}, {"threads": "x"}, {"profile": "huge"}, {"settings": {"no_such": 1}},
              {"budget": 1.5}, {"budget": True}, {"budget": float("nan")}, {"budget": [1]}, {"budget": 0}, {"budget": "0"},
              {"host_budget": 0}, {"face_nets": "no"}]
)  # fmt: skip
def test_models_options(wrong: Any) -> None:
    with pytest.raises(memsafe.InvalidArgument) as caught:
        memsafe.Model(DEMO, **wrong)
    if "settings" not in wrong:
        name, value = next(iter(wrong.items()))
        assert name in str(caught.value) and str(value) in str(caught.value)


def test_settings_hold() -> None:
    with memsafe.Model(DEMO, device="cpu", profile="professional", settings={"precision": "fp32"}) as model:
        assert model.info.tier == "professional" and model.info.precision == "float32"
