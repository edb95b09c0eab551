"""The score of a video, by the command `memsafe score`: judging reads whole videos, which the command's library does."""

import json
import shutil
import subprocess
import wave

import numpy as np

import memsafe

from . import host


class ScoreError(RuntimeError):
    """What the command said."""


def _write_speech(path, audio):
    """16 bits, all channels, as ComfyUI has it: [batch][channels][samples]."""
    samples = audio["waveform"][0].detach().cpu().numpy()
    with wave.open(path, "wb") as f:
        f.setnchannels(samples.shape[0])
        f.setsampwidth(2)
        f.setframerate(int(audio["sample_rate"]))
        f.writeframes((np.clip(samples.T, -1, 1) * 32767).round().astype("<i2").tobytes())


def _run(arguments):
    command = shutil.which("memsafe")
    if command is None:
        raise ScoreError(
            "the score is made by the command memsafe, which is not installed here (README.md, Score)"
        )
    process = subprocess.Popen(
        [command, "score", *arguments, "--json", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with host.watched(process.terminate, ()):
        out, err = process.communicate()
    if process.returncode:
        raise ScoreError(err.strip() or f"memsafe score ended with {process.returncode}")
    return json.loads(out)


def judged(video, audio, model, track):
    """(report as text, frames that the mouth is later than the sound, confidence)."""
    with video as path, host.temporary_file(".wav") as speech:
        arguments = [path]
        if audio is not None:
            _write_speech(speech, audio)
            arguments += ["--audio", speech]
        arguments += ["--model", str(memsafe.find_model(model)["model"])] if model else []
        arguments += ["--track", track] if track else []
        report = _run(arguments)
    sync = report["sync"]
    return json.dumps(report, indent=1), int(sync["offset_frames"]), float(sync["confidence"])
