"""What needs a process of its own: Ctrl-C, torch beside it, memory over a long video."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List

import pytest
from conftest import BUILD, DEMO, HEAD, environment, need

from memsafe._library import library_path


def hears_ctrl_c() -> None:
    """What a shell starts in the background ignores it, and so would whoever it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(code: str, python: str = sys.executable, before: str = "", **more: Any) -> Any:
    return subprocess.Popen([python, "-c", before + HEAD + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**environment(), **more}, preexec_fn=hears_ctrl_c)


def test_ctrl_c_ends_within_a_step() -> None:
    """In the midst of a window that would take minutes: the session ends, and the model can be used again."""
    code = f"""
model = memsafe.Model({str(DEMO)!r}, device="cpu", budget="1G")
frames = model.lipsync(clip, (speech, 16000), track=track, steps=900)
def say():
    while frames._run._session.progress().stage != b"denoise":
        time.sleep(0.01)
    print("denoising", flush=True)
threading.Thread(target=say, daemon=True).start()
try:
    next(frames)
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert list(frames) == []
del frames
gc.collect()
assert not any(t.name == "memsafe" for t in threading.enumerate())
print(len(list(model.lipsync(clip, (speech, 16000), track=track, steps=1, frames=2, resolution=64))))
model.close()
"""
    process = start(code)
    assert process.stdout.readline() == "denoising\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    assert time.monotonic() - began < 20  # a step takes a tenth of a second where nothing else runs
    out, err = process.communicate(timeout=100)
    assert (out, err, process.returncode) == ("2\n", "", 0)


@pytest.mark.parametrize("fault, said", [("wrong_kernel", True), ("sound_kernels", False)])
def test_why_it_is_not_the_card(fault: str, said: bool, tmp_path: Path) -> None:
    """One that is refused is not a reason to work for hours without a word."""
    plugins = need(BUILD / "faulty_plugins" / "cuda" / "memsafe-cuda.so").parent
    code = """
import logging
logging.basicConfig(format="%(name)s: %(message)s")
memsafe.plan(shape="tiny")
"""
    out, err = start(code, MEMSAFE_PLUGIN_DIR=str(plugins), MEMSAFE_FAULT=fault, XDG_CACHE_HOME=str(tmp_path)).communicate(timeout=100)
    assert out == "" and ("memsafe: the processor does the work: " in err and '"one operand"' in err) == said and bool(err) == said


def test_ctrl_c_of_a_file_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("av")
    code = f"""
model = memsafe.Model({str(DEMO)!r}, device="cpu", budget="1G")
def told(done, total):
    print("frame", flush=True)
    while True:
        time.sleep(0.1)
model.lipsync(clip, (speech, 16000), {str(tmp_path / "out.mp4")!r}, track=track, steps=1, resolution=64, progress=told)
"""
    process = start(code)
    assert process.stdout.readline() == "frame\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert "KeyboardInterrupt" in err and process.returncode in (130, -signal.SIGINT)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("begun", [False, True])
def test_what_was_left_open_ends_with_python(begun: bool) -> None:
    """Not when modules are torn down: no other thread runs then, and whoever waits for one waits for ever."""
    before = """
import atexit
atexit.register(lambda: print(frames, any(t.name == "memsafe" for t in threading.enumerate())))
"""
    code = f"""
model = memsafe.Model({str(DEMO)!r}, device="cpu", budget="1G")
frames = model.lipsync(clip, (speech, 16000), track=track, steps=1, resolution=64)
if {begun}:
    next(frames)
"""
    process = start(code, before=before)
    out, err = process.communicate(timeout=100)
    frames = "1 of 102 frames" if begun else "0 frames"
    assert (out, err, process.returncode) == (f"<memsafe.LipSync 240x208, {frames}, closed> False\n", "", 0)


def test_a_stream_that_was_left_open_ends_with_python() -> None:
    code = """
began = threading.Event()
def fn(frames):
    began.set()
    time.sleep(0.2)
    return frames
stream = memsafe.StreamingFrameProcessor(fn, 4, own_thread=True)
stream.push(1)
began.wait(100)
"""
    process = start(code)
    out, err = process.communicate(timeout=100)
    assert (out, err, process.returncode) == ("", "", 0)


@pytest.mark.parametrize("waits", ["stream.pull()", "[stream.push(1) for _ in range(9)]"])
def test_a_handler_of_signals_may_destroy_the_stream_that_its_thread_waits_in(waits: str) -> None:
    code = f"""
import signal
signal.signal(signal.SIGUSR1, lambda *_: stream.destroy())
stream = memsafe.StreamingFrameProcessor(list, 2, window=2)
def send():
    while not stream._owned.is_used or "push" in {waits!r} and stream._next < 3:
        time.sleep(0.01)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
threading.Thread(target=send, daemon=True).start()
try:
    {waits}
except memsafe.Cancelled:
    print(bool(stream._owned.value), stream, stream._held)
"""
    process = start(code)
    try:
        out, err = process.communicate(timeout=100)
    finally:
        process.kill()
    assert (out, err, process.returncode) == ("False <memsafe.StreamingFrameProcessor buffer=2, window=2, closed> {}\n", "", 0)


FORK = """
def refused(use):
    try:
        use()
    except memsafe.InvalidArgument as e:
        print(f"belongs to process {os.getppid()}, of which this one is a fork" in str(e), flush=True)

def forked(*uses):
    pid = os.fork()
    if not pid:
        for use in uses:
            refused(use)
        sys.exit(0)  # as a program ends: what is left open is looked for, and dropped
    until = time.monotonic() + 100
    ended = status = 0
    while not ended:
        if time.monotonic() > until:
            os.kill(pid, 9)
            sys.exit("the child does not end")
        time.sleep(0.01)
        ended, status = os.waitpid(pid, os.WNOHANG)
    if status:
        sys.exit(f"the child's status is {status}")
"""


def left_by_a_fork(code: str, uses: int) -> None:
    """The child may not use what the parent has, it ends, and the parent goes on."""
    process = start(FORK + code + "\nprint('parent', flush=True)")
    out, err = process.communicate(timeout=200)
    assert (out, process.returncode) == ("True\n" * uses + "parent\n", 0), err


@pytest.mark.parametrize("video", ["frames", "file"])
def test_a_fork_leaves_a_lip_sync_alone(video: str, inputs: Any) -> None:
    if video == "file":  # whose decoder has threads of its own
        pytest.importorskip("av")
    given = f"{str(inputs.video)!r}, {str(inputs.speech)!r}" if video == "file" else "clip, (speech, 16000)"
    left_by_a_fork(f"""
same = dict(track=track, steps=1, frames=4, resolution=64)
model = memsafe.Model({str(DEMO)!r}, device="cpu", budget="1G")
frames = model.lipsync({given}, **same)
next(frames)
forked(lambda: next(frames), lambda: frames.cancel(), lambda: frames.close() or model.cancel())
def dropped():
    global model, frames
    refused(lambda: model.info)
    refused(lambda: model.lipsync(clip, (speech, 16000), **same))
    model.close()
    assert "closed" in repr(model)
    del model, frames
    gc.collect()
    with memsafe.Model({str(DEMO)!r}, device="cpu", budget="1G") as another:
        assert len(list(another.lipsync(clip, (speech, 16000), **same))) == 4
forked(dropped)  # what the parent's lip sync holds is not held there
assert len(list(frames)) == 3
forked(dropped)
assert len(list(model.lipsync(clip, (speech, 16000), **same))) == 4
""", 7)


@pytest.mark.parametrize(("ends", "status"), [("os.kill(os.getpid(), 9)", "9"), ("assert False", "256")])
def test_a_child_that_fails_is_seen(ends: str, status: str) -> None:
    process = start(FORK + f"def use():\n    {ends}\nforked(use)")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1 and f"the child's status is {status}" in err


def test_a_fork_leaves_an_optimizer_and_a_stream_alone() -> None:
    left_by_a_fork("""
optimizer = memsafe.AdaptiveMemoryOptimizer(device="cpu", watch=True)
memsafe.adaptive(list, range(9), task="vae_decode")
stream = memsafe.StreamingFrameProcessor(list, 4, own_thread=True)
stream.push(1)
def dropped():
    global optimizer, stream
    refused(lambda: optimizer.explain("vae_decode"))
    refused(lambda: stream.pull())
    assert memsafe.adaptive(list, range(9), task="vae_decode") == list(range(9))  # by an optimizer of its own
    optimizer.close()
    stream.destroy()
    del optimizer, stream
    gc.collect()
forked(dropped)
forked(lambda: optimizer.pressure)
assert stream.pull() == 1 and optimizer.get_optimal_batch_size("vae_decode") >= 1
""", 3)


def test_beside_torch() -> None:
    """No symbol and no OpenMP of theirs meets ours: the same frames before and after torch has computed."""
    python = os.environ.get("MEMSAFE_TORCH_PYTHON", sys.executable)
    has = subprocess.run([python, "-c", "import torch, numpy"], capture_output=True)
    if has.returncode:
        pytest.skip("no torch here (MEMSAFE_TORCH_PYTHON names a Python that has it)")
    code = f"""
import torch
a = torch.randn(300, 300, generator=torch.Generator().manual_seed(1))
before = torch.nn.functional.conv2d(a[None, None], a[None, None, :5, :5])
model = memsafe.Model({str(DEMO)!r}, device="cpu", budget="4G")
same = dict(track=track, steps=1, frames=4, resolution=64)
plain = list(model.lipsync(clip, (speech, 16000), **same))
tensors = list(model.lipsync(torch.from_numpy(clip), (torch.from_numpy(speech), 16000), **same))
assert all((x == y).all() for x, y in zip(plain, tensors)) and len(tensors) == 4
after = torch.nn.functional.conv2d(a[None, None], a[None, None, :5, :5])
assert torch.equal(before, after)
libraries = {{line.split()[-1] for line in open("/proc/self/maps") if "/" in line}}
ours = [l for l in libraries if os.path.basename(l).startswith("libmemsafe")]
print(len(ours), sum("gomp" in l or "iomp" in l for l in libraries))
"""
    process = start(code, python=python)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    ours, openmp = out.split()
    assert ours == "1" and int(openmp) <= 1  # torch's own


def test_the_library_brings_no_openmp_and_shows_its_own_functions_alone() -> None:
    needed = subprocess.run(["ldd", library_path()], capture_output=True, text=True)
    names = subprocess.run(["nm", "-D", "--defined-only", library_path()], capture_output=True, text=True)
    if needed.returncode or names.returncode:
        pytest.skip("no ldd or nm")
    assert "omp" not in needed.stdout and "libav" not in needed.stdout
    shown = [line.split()[-1] for line in names.stdout.splitlines()]
    assert shown and all(name.startswith("ms_") for name in shown)


PYTHON_GROWS = 4 << 20  # by what it imports and keeps, after the plan was made
MEASURE = HEAD + """
count = int(sys.argv[1])
def resident(what):
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(what))
own = resident("VmRSS")  # Python, numpy and this program
sound = np.random.default_rng(1).normal(size=16000 * 21).astype(np.float32) * 0.1
budget = int(sys.argv[-1])
model = memsafe.Model(sys.argv[2], device="cpu", budget=budget, threads=2)
frames = model.lipsync((clip[i % 16] for i in range(count)), (sound, 16000), track=track, steps=1, resolution=64, frames=count)
got = sum(1 for _ in frames)
print(got, resident("VmHWM"), own, budget)
"""


def measured(code: str, *words: object) -> List[int]:
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True, env=environment())
    return [int(word) for word in done.stdout.split()]


# The least budget that would do, which a program of the same size is told.
NEEDS = MEASURE.split("got = ")[0] + """
try:
    next(frames)
except memsafe.BudgetError as e:
    print(e.needs_bytes)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video() -> None:
    """500 frames peak within 3 % of 50, and within the least budget with what the program itself comes to hold."""
    budget = measured(NEEDS, 50, DEMO, 24 << 20)[0] + (2 << 20)
    peaks = {}
    for count in (50, 500):
        got, peaks[count], own, _ = measured(MEASURE, count, DEMO, budget)
        print(budget, own, peaks)
        assert got == count and own < budget and peaks[count] <= budget + PYTHON_GROWS
    assert peaks[500] <= peaks[50] * 1.03, peaks


@pytest.mark.slow
def test_memory_of_files_does_not_grow_with_the_video(tmp_path: Path) -> None:
    """The same of a file that is walked backwards again and again."""
    pytest.importorskip("av")
    draw = need(BUILD / "tools" / "draw_clip")
    for count in (50, 500):
        words = [draw, "--frames", str(count), "--size", "240x208", "-o", tmp_path / f"{count}.mp4", "--track", tmp_path / f"{count}.jsonl"]
        subprocess.run(words, check=True)
    code = MEASURE.split("frames = model")[0] + """
folder = sys.argv[3]
frames = model.lipsync(f"{folder}/{count}.mp4", (np.tile(sound, 2), 16000), track=f"{folder}/{count}.jsonl", steps=1, resolution=64, frames=count * 5 // 4)
got = sum(1 for _ in frames)
print(got, resident("VmHWM"), own, budget)
"""
    peaks = {}
    for count in (50, 500):
        got, peaks[count], _, _ = measured(code, count, DEMO, tmp_path, 420 << 20)
        assert got == count * 5 // 4
    print(peaks)
    assert peaks[500] <= peaks[50] * 1.05, peaks
