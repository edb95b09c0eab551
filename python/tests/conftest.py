"""Drawn clips, the demo model, and what the command makes of them."""

import contextlib
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Iterator, List

import numpy as np
import pytest

import memsafe
from memsafe._library import lib, library_path

lib()  # before a test changes the folder
ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MEMSAFE_BUILD", ROOT / "build"))
DEMO = ROOT / "models" / "demo"
COMMAND = BUILD / "memsafe"
RESOLUTION = 64  # less than the demo model's own, for it takes as much less time
FAST = dict(steps=1, resolution=RESOLUTION)

# What a program of its own begins with.
HEAD = """
import gc, os, sys, threading, time
import numpy as np
import memsafe
from memsafe._models import demo_model
clip = np.full((16, 208, 240, 3), 90, np.uint8)
clip[:, 40:160, 60:180] = np.arange(120, dtype=np.uint8)[:, None]
track = [np.stack([np.linspace(70, 170, 106), 60 + 80 * np.sin(np.arange(106)) ** 2], 1)] * 100000
track = [t + i % 2 for i, t in enumerate(track[:2])] * 50000
speech = np.random.default_rng(1).normal(size=16000 * 4).astype(np.float32) * 0.1
"""


def environment() -> Any:
    return {**os.environ, "MEMSAFE_LIBRARY": str(library_path().resolve()), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def alone(code: str, *words: Any) -> List[int]:
    """The numbers that a program of its own says: in this process other tests have left memory and threads behind."""
    done = subprocess.run([sys.executable, "-c", HEAD + code, *map(str, words)], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def need(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not built: cmake --build build (MEMSAFE_BUILD names another folder)")
    return path


class Breaking:
    """A container of PyAV's whose stream of packets comes to something at the n-th one: packets as they are without, and
    what change(packet) gives from there on."""

    def __init__(self, container: Any, number: int, change: Callable[[Any], Any]) -> None:
        self.container, self.number, self.change = container, number, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self.container, name)

    def __enter__(self) -> "Breaking":
        return self

    def __exit__(self, *exception: object) -> None:
        self.container.close()

    def demux(self, stream: Any) -> Iterator[Any]:
        for number, packet in enumerate(self.container.demux(stream)):
            yield packet if number < self.number else self.change(packet)


class Refused:
    """A packet that the decoder does not take."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.dts = error, None

    def decode(self) -> Any:
        raise self.error


def failing(error: BaseException) -> Callable[[Any], Any]:
    def change(packet: Any) -> Any:
        raise error

    return change


@contextlib.contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file becomes larger than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def read_frames(path: Any) -> Any:
    """[frames][height][width][3] of a lossless file."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as file:
        return np.stack([f.reformat(format="rgb24").to_ndarray() for f in file.decode(video=0)])


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A clip of 20 frames with its faces, and a speech of two seconds."""
    folder = tmp_path_factory.mktemp("inputs")
    draw = need(BUILD / "tools" / "draw_clip")
    made = SimpleNamespace(folder=folder, video=folder / "in.mp4", track=folder / "in.jsonl", speech=folder / "said.wav")
    size = ["--size", "240x208"]
    subprocess.run([draw, "--seed", "7", *size, "--frames", "20", "-o", made.video, "--track", made.track], check=True)
    subprocess.run([draw, "--seed", "8", *size, "--frames", "50", "-o", folder / "other.mp4", "--speech", made.speech], check=True)
    return made


@pytest.fixture(scope="session")
def command(inputs: Any) -> Any:
    """Frames that `memsafe run` makes of the clip: command(["--loop", "none"], frames=10, ...)."""
    need(COMMAND)
    made: List[int] = []

    def run(*options: Any, video: Any = None, audio: Any = None, **named: Any) -> Any:
        out = inputs.folder / f"command{len(made)}.mkv"
        made.append(0)
        words = [f"--{name.replace('_', '-')}={value}" for name, value in {**FAST, **named}.items()]
        base = [COMMAND, "run", "-q", "-i", video or inputs.video, "-a", audio or inputs.speech, "-m", DEMO, "-c", "ffv1", out]
        environment = {**os.environ, "MEMSAFE_HISTORY": "off"}
        subprocess.run([*map(str, base), *words, *map(str, options)], check=True, env=environment)
        return read_frames(out)

    return run


@pytest.fixture(scope="session")
def model() -> Iterator[Any]:
    with memsafe.Model(DEMO, device="cpu", budget="1G", threads=2) as opened:
        yield opened


@pytest.fixture(scope="session")
def clip(inputs: Any) -> Any:
    """The clip's frames as files are read: [20][208][240][3]."""
    from memsafe._media import Clip

    source = Clip(str(inputs.video), None, 0, False)
    frames = np.stack([frame.copy() for frame in source.forward()])
    source.close()
    return frames


@pytest.fixture(scope="session")
def speech(inputs: Any) -> Any:
    """(samples, rate) of the speech."""
    from memsafe._speech import speech_of

    return speech_of(inputs.speech), 16000
