"""StreamingFrameProcessor: in order, bounded, out at once; out of memory, errors and endings."""

import gc
import threading
import time

import pytest

import memsafe
from memsafe import _abi
from memsafe._adaptive import Guard, loop_params, run_loop
from memsafe._library import lib


def doubled(frames):
    return [f * 2 for f in frames]


@pytest.mark.parametrize("own_thread", [False, True])
@pytest.mark.parametrize("buffer, window", [(1, 1), (5, 2), (16, 16)])
def test_order_and_bounds(buffer, window, own_thread):
    taken, held = [0], []

    def frames():
        for i in range(203):
            taken[0] += 1
            yield i

    with memsafe.StreamingFrameProcessor(doubled, buffer, window=window, own_thread=own_thread) as stream:
        got = []
        for result in stream(frames()):
            held.append(taken[0] - len(got))
            got.append(result)
        stats = stream.stats()
    assert got == [i * 2 for i in range(203)]
    assert stats.pushed == stats.processed == stats.pulled == 203 and stats.held == 0
    assert stats.most_held <= buffer and max(held) <= buffer + 1  # and the one in the generator's hand


def test_results_come_as_soon_as_their_window_is_full():
    events = []

    def frames():
        for i in range(6):
            events.append(f"in {i}")
            yield i

    with memsafe.StreamingFrameProcessor(doubled, 8, window=2) as stream:
        for result in stream(frames()):
            events.append(f"out {result // 2}")
    assert events == [
        "in 0",
        "in 1",
        "out 0",
        "out 1",
        "in 2",
        "in 3",
        "out 2",
        "out 3",
        "in 4",
        "in 5",
        "out 4",
        "out 5",
    ]


@pytest.mark.parametrize("own_thread", [False, True])
def test_out_of_memory_halves_the_window(own_thread):
    calls = []

    def fn(frames):
        calls.append(list(frames))
        if len(frames) > 3:
            raise MemoryError
        return [f * 2 for f in frames]

    trims = []
    with memsafe.StreamingFrameProcessor(
        fn, 16, window=8, own_thread=own_thread, trim=lambda: trims.append(1)
    ) as stream:
        assert list(stream(range(50))) == [i * 2 for i in range(50)]
        assert stream.stats().failures >= 2 and stream.stats().smallest_batch == 2
    assert trims and [f for c in calls if len(c) <= 3 for f in c] == list(range(50))


@pytest.mark.parametrize("own_thread", [False, True])
def test_an_error_comes_behind_the_results_before_it(own_thread):
    def fn(frames):
        if 9 in frames:
            raise ValueError("frame 9")
        return doubled(frames)

    got = []
    with memsafe.StreamingFrameProcessor(fn, 8, window=2, own_thread=own_thread) as stream:
        with pytest.raises(ValueError, match="frame 9"):
            for result in stream(range(50)):
                got.append(result)
        with pytest.raises(ValueError, match="frame 9"):
            stream.pull()
    assert got == [i * 2 for i in range(8)]


@pytest.mark.parametrize("own_thread", [False, True])
def test_a_hook_that_fails_is_heard(own_thread):
    def full(frames):
        if len(frames) > 1:
            raise MemoryError
        return frames

    def fail():
        raise ValueError("in a hook")

    with memsafe.StreamingFrameProcessor(full, 8, window=4, own_thread=own_thread, trim=fail) as stream:
        with pytest.raises(ValueError, match="in a hook"):
            list(stream(range(5)))
        stream.cancel()
        with pytest.raises(memsafe.Cancelled):  # what the user did himself he knows
            stream.pull()


@pytest.mark.parametrize("own_thread", [False, True])
def test_whoever_is_inside_cannot_destroy_it(own_thread):
    """It would wait for itself."""

    def fn(frames):
        stream.destroy()
        return frames

    def trim():
        stream.destroy()

    def full(frames):
        raise MemoryError

    for function in (fn, full):
        stream = memsafe.StreamingFrameProcessor(function, 4, window=2, own_thread=own_thread, trim=trim)
        with stream, pytest.raises(memsafe.InvalidArgument, match="from within: cancel"):
            list(stream(range(4)))


def test_a_stream_that_becomes_garbage_on_its_own_thread(monkeypatch):
    """That thread cannot wait for its own end."""
    ended, destroy, done = [], lib().ms_frame_stream_destroy, threading.Event()

    def destroyed(handle):
        ended.append(threading.get_ident())
        destroy(handle)
        done.set()

    monkeypatch.setattr(lib(), "ms_frame_stream_destroy", destroyed)
    stream = memsafe.StreamingFrameProcessor(doubled, 4, own_thread=True)
    stream.push(1)
    assert stream.pull() == 2 and stream._own not in (None, threading.get_ident())
    stream._own = threading.get_ident()
    del stream
    gc.collect()
    assert done.wait(100) and len(ended) == 1 and threading.get_ident() not in ended


def test_an_optimizer_stays_as_long_as_its_stream():
    optimizer = memsafe.AdaptiveMemoryOptimizer(device_memory="16G", environment=False)
    with memsafe.StreamingFrameProcessor(doubled, 4, task="vae_decode", optimizer=optimizer) as stream:
        optimizer.close()
        with pytest.raises(memsafe.InvalidArgument, match="the optimizer is closed"):
            optimizer.explain("vae_decode")
        assert list(stream(range(8))) == [i * 2 for i in range(8)] and optimizer.owned.value
    assert not optimizer.owned.value


def test_a_single_frame_that_does_not_fit():
    def fn(frames):
        raise MemoryError("too large")

    stream = memsafe.StreamingFrameProcessor(fn, 4, window=4, trim=lambda: None)
    with stream, pytest.raises(MemoryError, match="too large"):
        list(stream(range(4)))


def test_an_interrupt_is_raised_at_once():
    def fn(frames):
        raise KeyboardInterrupt

    with memsafe.StreamingFrameProcessor(fn, 4, window=2) as stream, pytest.raises(KeyboardInterrupt):
        list(stream(range(4)))


@pytest.mark.parametrize("own_thread", [False, True])
def test_threads(own_thread):
    def fn(frames):
        time.sleep(0.0005)
        return doubled(frames)

    with memsafe.StreamingFrameProcessor(fn, 6, window=3, own_thread=own_thread) as stream:

        def produce():
            for i in range(120):
                assert stream.push(i)
            stream.close()

        producer = threading.Thread(target=produce)
        producer.start()
        assert list(stream) == [i * 2 for i in range(120)]
        producer.join()
        assert stream.stats().most_held <= 6
        with pytest.raises(EOFError):
            stream.pull()
        with pytest.raises(memsafe.InvalidArgument):
            stream.push(1)


def test_without_waiting():
    with memsafe.StreamingFrameProcessor(doubled, 2, window=2) as stream:
        assert stream.pull(wait=False) is None
        assert stream.push(1, wait=False) and stream.push(2, wait=False) and not stream.push(3, wait=False)
        assert (
            stream.pull(wait=False) == 2 and stream.pull(wait=False) == 4 and stream.pull(wait=False) is None
        )


def test_cancel_and_leaving_wake_everyone():
    stream = memsafe.StreamingFrameProcessor(doubled, 1, own_thread=True)
    ended = []

    def pull():
        try:
            stream.pull()
        except (memsafe.Cancelled, memsafe.InvalidArgument) as e:
            ended.append(type(e))

    threads = [threading.Thread(target=pull) for _ in range(3)]
    for t in threads:
        t.start()
    time.sleep(0.05)
    stream.destroy()
    for t in threads:
        t.join(5)
    assert len(ended) == 3
    with pytest.raises(memsafe.InvalidArgument, match="gone"):
        stream.push(1)


def test_a_generator_that_is_left_ends_the_stream():
    with memsafe.StreamingFrameProcessor(doubled, 4) as stream:
        for _ in stream(range(100)):
            break
        gc.collect()
        with pytest.raises(memsafe.Cancelled):
            stream.push(1)


def test_a_generator_may_outlive_its_stream():
    with memsafe.StreamingFrameProcessor(doubled, 4, window=1) as stream:
        results = stream(range(100))
        assert next(results) == 0
    results.close()  # the stream has gone before


def interrupted(make, at):
    """The at-th call from C ends before its first line, as Ctrl-C can end it: Python can only print that, and what C
    then gets may be 0, success."""
    calls = iter(range(1000))

    def made(function):
        def called(*arguments):
            if next(calls) == at:
                return 0
            return function(*arguments)

        return make(called)

    return made


def test_a_frame_that_was_never_processed_is_no_result(monkeypatch):
    monkeypatch.setattr(_abi, "ms_frame_process_fn", interrupted(_abi.ms_frame_process_fn, 1))
    got = []
    stream = memsafe.StreamingFrameProcessor(doubled, 4, window=2)
    with stream, pytest.raises(memsafe.InternalError, match="frame 2 was not processed"):
        for result in stream(range(10)):
            got.append(result)
    assert got == [0, 2]


def test_a_loop_that_was_never_entered_is_not_done(monkeypatch):
    monkeypatch.setattr(_abi, "ms_process_fn", interrupted(_abi.ms_process_fn, 1))
    done = []
    with pytest.raises(memsafe.InternalError, match="2 of 4 items were not processed"):
        run_loop(lambda first, n: done.append(n), 4, loop_params(None, None, None, 2), Guard(None, None, None))
    assert done == [2]


def test_the_window_is_the_optimizers():
    seen = []
    optimizer = memsafe.AdaptiveMemoryOptimizer(device_memory="16G", resolution=512, environment=False)
    with memsafe.StreamingFrameProcessor(
        lambda f: seen.append(len(f)) or f, 16, task="vae_decode", optimizer=optimizer
    ) as stream:
        assert list(stream(range(7))) == list(range(7))
    assert seen == [3, 3, 1]


def test_numbers_that_are_none():
    for buffer, window in ((0, None), (4, 5), (4, 0), ("x", None), (4, 2.5), (4, "x"), (True, None)):
        with pytest.raises(memsafe.InvalidArgument, match=f"(buffer|window) must be .* not {buffer if window is None else window!r}"):
            memsafe.StreamingFrameProcessor(doubled, buffer, window=window)
    with (
        memsafe.StreamingFrameProcessor(lambda f: [1], 4, window=2) as stream,
        pytest.raises(ValueError, match="1 results"),
    ):
        list(stream(range(4)))
