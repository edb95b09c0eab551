"""adaptive(): runs out of memory in every way, and gives each item's result once, in order."""

import gc
import sys
import types
import weakref

import numpy as np
import pytest

import memsafe

GIB = 1 << 30


class Card:
    """A device on which more than so many items do not fit."""

    def __init__(self, most, error=MemoryError):
        self.most, self.error, self.calls = most, error, []

    def __call__(self, items):
        self.calls.append(list(items))
        if len(items) > self.most:
            raise self.error(f"{len(items)} items")
        return [i * 10 for i in items]


def test_order_is_kept_and_each_item_comes_once():
    card = Card(3)
    state = memsafe.AdaptiveState()
    assert memsafe.adaptive(card, range(100), state=state, trim=lambda: None) == [i * 10 for i in range(100)]
    done = [i for call in card.calls if len(call) <= 3 for i in call]
    assert done == list(range(100))
    sizes = [len(c) for c in card.calls]
    assert sizes[:5] == [32, 16, 8, 4, 2]  # halves
    report = state.report()
    assert report["done"] == 100 and report["failures"] == report["halvings"] >= 4 and report["growths"] >= 1
    assert report["smallest_batch"] == 2 and report["largest_batch"] == 32


def test_a_state_that_is_kept_remembers():
    card, state = Card(4), memsafe.AdaptiveState()
    memsafe.adaptive(card, range(8), state=state, trim=lambda: None)
    memsafe.adaptive(card, range(8), state=state, grow_after=1000, trim=lambda: None)
    assert state.report()["failures"] == 1 and state.report()["done"] == 16
    assert [len(c) for c in card.calls] == [8, 4, 4, 4, 4]


def test_a_single_item_is_tried_twice_then_its_own_error_comes():
    card, trims = Card(0), []
    with pytest.raises(MemoryError, match="1 items"):
        memsafe.adaptive(card, range(4), max_batch=4, trim=lambda: trims.append(1))
    assert [len(c) for c in card.calls] == [4, 2, 1, 1]
    assert len(trims) == 4
    assert card.calls[-1] == [0]


def test_batches_of_the_optimizer():
    optimizer = memsafe.AdaptiveMemoryOptimizer(
        device_memory=16 * GIB, resolution=(512, 512), environment=False
    )
    card = Card(100)
    memsafe.adaptive(card, range(10), task="vae_decode", optimizer=optimizer)
    assert [len(c) for c in card.calls] == [3, 3, 3, 1]
    card = Card(100)
    memsafe.adaptive(card, range(10), task="vae_decode", optimizer=optimizer, max_batch=2)
    assert [len(c) for c in card.calls] == [2] * 5
    card = Card(100)
    memsafe.adaptive(card, range(40), task="face_processing", optimizer=optimizer)
    assert max(len(c) for c in card.calls) == 8
    card = Card(100)
    memsafe.adaptive(card, range(3), task="vae_encode")  # of this machine
    assert sum(card.calls, []) == [0, 1, 2]


def test_cleans_up_at_the_tiers_interval():
    optimizer = memsafe.AdaptiveMemoryOptimizer(device_memory=8 * GIB, environment=False)
    assert optimizer.clean_up_items == 8
    cleaned = []
    memsafe.adaptive(
        Card(99), range(40), task="face_processing", optimizer=optimizer, clean_up=lambda: cleaned.append(1)
    )
    assert len(cleaned) == 5
    cleaned.clear()
    memsafe.adaptive(
        Card(99),
        range(40),
        task="face_processing",
        optimizer=optimizer,
        clean_up=lambda: cleaned.append(1),
        clean_up_items=20,
    )
    assert len(cleaned) == 2


class OutOfMemoryError(RuntimeError):
    """As torch and cupy call theirs."""


def test_errors_of_any_framework_count():
    for error in (
        OutOfMemoryError,
        memsafe.OutOfMemory,
        lambda m: RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        lambda m: RuntimeError("CUDA error: out of memory"),
        lambda m: RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
        ),
        lambda m: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        lambda m: RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"),
    ):
        card = Card(2, error)
        assert memsafe.adaptive(card, range(9), trim=lambda: None) == [i * 10 for i in range(9)]
        assert memsafe.is_out_of_memory(error("x"))
    for error in (
        ValueError("out of memory"),
        RuntimeError("shape mismatch"),
        KeyboardInterrupt(),
        OSError("bad_alloc"),
    ):
        assert not memsafe.is_out_of_memory(error)


def test_what_counts_can_be_said():
    class Full(Exception):
        pass

    with pytest.raises(Full):
        memsafe.adaptive(Card(2, Full), range(9))
    assert (
        len(
            memsafe.adaptive(Card(2, Full), range(9), is_oom=lambda e: isinstance(e, Full), trim=lambda: None)
        )
        == 9
    )


def test_torchs_own_error():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert len(memsafe.adaptive(Card(2, torch.OutOfMemoryError), range(9))) == 9

    def impossible(items):
        if len(items) > 1:
            torch.empty(1 << 60, dtype=torch.uint8)
        return items

    assert memsafe.adaptive(impossible, range(5)) == list(range(5))


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_other_errors_end_it_as_they_are(error):
    def fn(items):
        if 7 in items:
            raise error
        return items

    with pytest.raises(type(error)) as raised:
        memsafe.adaptive(fn, range(20), max_batch=2)
    assert raised.value is error


def test_a_hook_that_fails_is_heard():
    def trim():
        raise ValueError("in trim")

    with pytest.raises(ValueError, match="in trim"):
        memsafe.adaptive(Card(1), range(4), trim=trim)


def test_a_question_that_fails_hides_nothing():
    """What is_oom= raises comes, and what it was asked about behind it."""
    calls = []

    def fn(items):
        calls.append(len(items))
        raise LookupError("of fn")

    def ask(error):
        raise AttributeError("of is_oom")

    with pytest.raises(AttributeError, match="of is_oom") as raised:
        memsafe.adaptive(fn, range(4), is_oom=ask)
    assert calls == [4] and str(raised.value.__context__) == "of fn"
    with memsafe.StreamingFrameProcessor(fn, 4, is_oom=ask) as stream, pytest.raises(AttributeError, match="of is_oom") as raised:
        list(stream(range(4)))
    assert str(raised.value.__context__) == "of fn"

    def again(error):
        raise error

    with pytest.raises(LookupError, match="of fn") as raised:
        memsafe.adaptive(fn, range(4), is_oom=again)
    assert raised.value.__context__ is None


def test_an_optimizer_without_a_task_is_refused():
    optimizer = memsafe.AdaptiveMemoryOptimizer(device_memory="8G")
    for name, given in (("optimizer", optimizer), ("resolution", "junk")):
        with pytest.raises(memsafe.InvalidArgument, match=f"{name}= does nothing without task="):
            memsafe.adaptive(Card(9), range(4), **{name: given})
        with pytest.raises(memsafe.InvalidArgument, match=f"{name}= does nothing without task="):
            memsafe.StreamingFrameProcessor(Card(9), **{name: given})


def test_an_optimizer_that_is_closed_under_a_loop():
    """It is freed when the loop has ended."""
    optimizer = memsafe.AdaptiveMemoryOptimizer(device_memory="8G", environment=False)

    def fn(items):
        optimizer.close()
        assert optimizer.owned.value  # the library's
        return items

    assert memsafe.adaptive(fn, range(20), task="face_processing", optimizer=optimizer) == list(range(20))
    assert not optimizer.owned.value


def test_as_many_results_as_items():
    with pytest.raises(ValueError, match="1 results for 4 items"):
        memsafe.adaptive(lambda items: [1], range(4))
    for nothing in (None, 5):
        with pytest.raises(memsafe.InvalidArgument, match=f"fn returned {nothing} for 4 items"):
            memsafe.adaptive(lambda items, nothing=nothing: nothing, range(4))
    for one in (np.array(3), np.float32(3)):  # an array without a dimension is not many
        with pytest.raises(memsafe.InvalidArgument, match=r"fn returned .*3.* for 4 items: it must return a list"):
            memsafe.adaptive(lambda items, one=one: one, range(4))
    assert memsafe.adaptive(lambda items: np.array(items) * 2, range(4)) == [0, 2, 4, 6]
    assert memsafe.adaptive(lambda items: items, []) == []
    assert memsafe.adaptive(lambda items: (i for i in items), iter("abc")) == ["a", "b", "c"]


def test_memory_of_a_failed_batch_is_let_go_before_the_next():
    """An exception holds the frames that it passed through, and they hold what did not fit."""

    class Block:
        pass

    blocks = []

    def fn(items):
        assert all(block() is None for block in blocks)
        work = [Block() for _ in items]
        blocks.extend(weakref.ref(w) for w in work)

        def allocate():
            inner = Block()
            blocks.append(weakref.ref(inner))
            raise MemoryError

        if len(items) > 2:
            try:
                allocate()
            except MemoryError as e:
                raise RuntimeError("CUDA out of memory") from e
        return items

    gc.disable()
    try:
        assert memsafe.adaptive(fn, range(16), trim=lambda: None) == list(range(16))
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", [MemoryError, LookupError])
def test_memory_of_what_failed_for_good_is_let_go_with_the_error(kind):
    """By counting references: nothing waits until garbage is collected."""

    class Block:
        pass

    blocks = []

    def fn(items):
        work = Block()
        blocks.append(weakref.ref(work))
        raise kind("no")

    def given():
        for _ in range(4):
            item = Block()
            blocks.append(weakref.ref(item))
            yield item

    def streamed():
        with memsafe.StreamingFrameProcessor(fn, 4, window=2, trim=lambda: None) as stream:
            list(stream(given()))

    gc.collect()
    gc.disable()
    try:
        for use in (lambda: memsafe.adaptive(fn, given(), trim=lambda: None), streamed):
            error = None
            try:
                use()
            except kind as e:
                error = str(e)
            assert error == "no" and len(blocks) > 2 and all(block() is None for block in blocks)
            blocks.clear()
    finally:
        gc.enable()


def test_trim_memory_gives_back(monkeypatch):
    """Garbage, freed pages, and what torch has cached."""

    class Node:
        pass

    node, emptied = Node(), []
    node.itself = node
    gone = weakref.ref(node)
    cuda = types.SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, empty_cache=lambda: emptied.append("cuda")
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    # Freed pieces below one that stays are the C library's until it is asked for them.
    pieces = [bytearray(64 << 10) for _ in range(1024)]
    kept = bytearray(64 << 10)
    gc.disable()
    try:
        del node, pieces
        before = resident()
        memsafe.trim_memory()
    finally:
        gc.enable()
    assert gone() is None and emptied == ["cuda"] and kept is not None
    assert before - resident() > 32 << 20


def test_numbers_that_are_none():
    for wrong in ({"max_batch": -1}, {"grow_after": -1}, {"task": "paint"}, {"max_batch": 2.5}, {"clean_up_items": "x"}):
        with pytest.raises(memsafe.InvalidArgument, match=next(iter(wrong))):
            memsafe.adaptive(Card(9), range(4), **wrong)


def test_states_tell_what_they_are() -> None:
    assert repr(memsafe.AdaptiveState()) == "<memsafe.AdaptiveState 0 items in 0 batches, 0 failures of memory>"
    assert "buffer=4, window=1" in repr(memsafe.StreamingFrameProcessor(list, 4))
    for nothing in (None, "x", 5):
        with pytest.raises(TypeError, match="pipeline is an object"):
            memsafe.integrate_adaptive_optimizer(nothing)
