"""AdaptiveMemoryOptimizer: the library's tiers and costs, asked for a device that is stated or here."""

import gc
import os
import sys
import threading
import types
import weakref

import numpy as np
import pytest

import memsafe
from memsafe._library import lib

GIB = 1 << 30
TASKS = [
    "face_detection",
    "face_processing",
    "vae_encode",
    "vae_decode",
    "unet_inference",
    "latent_processing",
]


def optimizer(size, **options):
    options.setdefault("resolution", (512, 512))
    return memsafe.AdaptiveMemoryOptimizer(device_memory=size, environment=False, **options)


@pytest.mark.parametrize(
    "size, tier, face, decode",
    [(8, "compact", 4, 1), (16, "standard", 8, 3), (24, "professional", 16, 8), (40, "datacenter", 32, 16)],
)
def test_tiers(size, tier, face, decode):
    with optimizer(size * GIB, video_length=250) as o:
        assert o.tier == tier and o.profile.tier == tier
        assert o.get_optimal_batch_size("face_processing") == face
        assert o.get_optimal_batch_size("vae_decode") == decode
        assert o.profile.face_processing_batch == face and o.profile.vae_decode_batch == decode
        assert o.memory() == {"free_bytes": size * GIB, "total_bytes": size * GIB, "source": "stated"}


def test_every_task_has_an_answer():
    with optimizer("24G", video_length=250) as o:
        for task in TASKS:
            assert 1 <= o.get_optimal_batch_size(task) <= 32
        with pytest.raises(memsafe.InvalidArgument, match="face_detection.*latent_processing.*'upscaling'"):
            o.get_optimal_batch_size("upscaling")


def test_free_memory_lowers_the_batch_and_says_so():
    with optimizer("40G", resolution=(1024, 1024)) as o:
        many = o.explain("vae_decode")
        few = o.explain("vae_decode", free_memory="8G")
        none = o.explain("vae_decode", free_memory="64M")
    assert many.limit == "cap" and many.batch == 16 and many.fits
    assert few.limit == "memory" and 1 < few.batch < 16 and few.needed_bytes <= few.usable_bytes
    assert none.batch == 1 and not none.fits and none.one_bytes > none.usable_bytes
    for free in (0, "0"):  # no memory at all, and not "as it is"
        with optimizer("40G") as o, optimizer("40G", free_memory=free) as own:
            for answer in (o.explain("vae_decode", free_memory=free), own.explain("vae_decode")):
                assert (answer.batch, answer.fits, answer.free_bytes, answer.usable_bytes) == (1, False, 0, 0)
            assert o.get_optimal_batch_size("vae_decode", free_memory=free) == 1
    with pytest.raises(memsafe.InvalidArgument, match="device_memory: 0 is no memory at all"):
        memsafe.AdaptiveMemoryOptimizer(device_memory=0)
    assert optimizer("40G", free_memory="64M").get_optimal_batch_size("vae_decode") == 1
    assert optimizer("40G", held_bytes=40 * GIB - (64 << 20)).get_optimal_batch_size("vae_decode") == 1


def test_frames_pressure_and_resolution():
    with optimizer("40G", video_length=5) as o:
        assert o.get_optimal_batch_size("vae_decode") == 5
        assert o.explain("vae_decode").limit == "frames"
        assert o.get_optimal_batch_size("vae_decode", frames=100) == 16
        assert o.get_optimal_batch_size("vae_decode", frames=100, pressure=1) == 8
        assert o.get_optimal_batch_size("vae_decode", frames=100, pressure=3) == 1
        # Sides that the VAE cannot divide are padded to those it can.
        odd, even = (o.explain("vae_decode", resolution=r).one_bytes for r in ((497, 505), (504, 512)))
        assert odd == even < o.explain("vae_decode").one_bytes
    assert optimizer("8G", resolution=None).resolution == (256, 256)  # the model's
    assert optimizer("8G", resolution=512).resolution == (512, 512)


def test_numpys_numbers_are_numbers():
    two = np.int64(2)
    with optimizer("40G", resolution=np.array([512, 256]), video_length=np.int32(5), held_bytes=np.int64(GIB)) as o:
        assert o.resolution == (512, 256) and o.video_length == 5 and o.memory().free_bytes == 39 * GIB
        assert all(type(n) is int for n in (*o.resolution, o.video_length, o.held_bytes))
        for resolution in (np.int64(512), np.array(512), (np.int16(512), 512), np.array([512, 512])):
            assert o.explain("vae_decode", resolution=resolution) == o.explain("vae_decode", resolution=512)
        assert o.get_optimal_batch_size("vae_decode", frames=two) == 2
        assert o.explain("vae_decode", free_memory=np.int64(GIB)).free_bytes == GIB
        assert memsafe.adaptive(list, range(5), task="vae_decode", optimizer=o, max_batch=two, resolution=np.array([64, 64])) == list(range(5))
    with optimizer("40G", costs={"vae_decode": np.array([GIB, GIB, 0])}) as o:
        assert o.explain("vae_decode").one_bytes == 2 * GIB
    assert memsafe.LatentCompressor(rank=np.int64(50), window=np.int8(8)).rank == 50
    for wrong in (True, np.True_, 0, 512.0, "512", (512, True), np.array([512]), np.array([512.0, 512]), np.zeros((2, 2), int), (512, None)):
        with pytest.raises(memsafe.InvalidArgument, match="resolution must be"):
            optimizer("40G", resolution=wrong)
    for wrong in (np.array([5, 6]), np.True_, True):
        with pytest.raises(memsafe.InvalidArgument, match="video_length must be a whole number"):
            optimizer("40G", video_length=wrong)
        with pytest.raises(memsafe.InvalidArgument, match="free_memory must be a whole number"):
            optimizer("40G", free_memory=wrong)
        with pytest.raises(memsafe.InvalidArgument, match="rank must be"):
            memsafe.LatentCompressor(rank=wrong)


def test_held_bytes_are_of_a_device_that_is_not_here():
    """One that is here counts them itself."""
    one, other = (memsafe.AdaptiveMemoryOptimizer(device="cpu", held_bytes=held) for held in (0, 1 << 62))
    assert other.memory().free_bytes > one.memory().free_bytes / 2
    assert optimizer("8G", held_bytes=9 * GIB).memory().free_bytes == 0


def test_costs_of_the_caller():
    # 1 GiB + 2 GiB an item: 40 GiB less 10 % hold 17; the tier's cap is 16 and 32.
    with optimizer(
        "40G", costs={"vae_decode": (GIB, 2 * GIB, 0), "face_processing": {"pixel_bytes": 8192}}
    ) as o:
        assert o.explain("vae_decode").one_bytes == 3 * GIB
        assert o.get_optimal_batch_size("vae_decode") == 16
        assert o.get_optimal_batch_size("vae_decode", free_memory="30G") == 13
        assert o.explain("face_processing").one_bytes == 8192 * 512 * 512
        assert o.get_optimal_batch_size("face_processing") == 18
        assert o.get_optimal_batch_size("vae_encode") > 1  # still the library's
    for costs in (
        {"vae_decode": (1, 2)},
        {"vae_decode": (1, 2, -3)},
        {"paint": (1, 1, 1)},
        {"vae_decode": {"bytes": 1}},
        {"vae_decode": 5},
        {"vae_decode": ("x", 1, 1)},
        {"vae_decod": (1, 1, 1)},
    ):
        with pytest.raises(memsafe.InvalidArgument, match=f"costs.*{next(iter(costs))}"):
            optimizer("8G", costs=costs)
    for wrong in ({"video_length": "x"}, {"video_length": 0}, {"video_length": 2.5}, {"held_bytes": -1}, {"resolution": 5.5}, {"watch": "no"}):
        name, value = next(iter(wrong.items()))
        with pytest.raises(memsafe.InvalidArgument, match=f"{name} must be .*{value}"):
            memsafe.AdaptiveMemoryOptimizer(device_memory="8G", **wrong)


def test_costs_of_another_model():
    own = [optimizer("24G", model=f"latentsync-1.{n}", resolution=None) for n in (5, 6)]
    small, large = (o.explain("unet_inference").one_bytes for o in own)
    assert 0 < small < large  # of their own sizes
    assert optimizer("24G", model="latentsync-1.6", resolution=None).resolution == (512, 512)
    assert optimizer("24G", model="latentsync-1.5", resolution=None).resolution == (256, 256)


def test_profile_names_values_and_origins():
    with optimizer("8G", settings={"vae_decode_batch": 2, "gradient_checkpointing": False}) as o:
        profile = o.profile
    assert (
        profile.attention_slices == 4 and profile.vae_tiling == "on" and profile.weight_offload == "allowed"
    )
    assert profile.vae_decode_batch == 2 and profile.gradient_checkpointing is False
    assert profile.precision == "fp16" and "tier compact" in profile.origins.attention_slices
    assert "<table>" in profile._repr_html_()
    assert optimizer("80G").profile.precision == "bf16"
    assert optimizer("40G", profile="compact").tier == "compact"
    with pytest.raises(memsafe.InvalidArgument, match="vae_tilting"):
        optimizer("8G", settings={"vae_tilting": "on"})


def test_environment_counts_where_it_may(monkeypatch):
    monkeypatch.setenv("MEMSAFE_VAE_DECODE_BATCH", "2")
    assert memsafe.AdaptiveMemoryOptimizer(device_memory="24G").get_optimal_batch_size("vae_decode") == 2
    assert optimizer("24G").get_optimal_batch_size("vae_decode") == 8


def test_this_machine():
    with memsafe.AdaptiveMemoryOptimizer(device="cpu", environment=False) as o:
        memory = o.memory()
        assert memory.source == "memsafe" and 0 < memory.free_bytes <= memory.total_bytes
        assert memory.total_bytes <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert o.pressure == "none"


def test_a_device_that_is_not_here_wants_its_size():
    for device in ("cuda:7", "tpu"):
        with pytest.raises(memsafe.InvalidArgument, match="device_memory="):
            memsafe.AdaptiveMemoryOptimizer(device=device)
    assert memsafe.AdaptiveMemoryOptimizer(device="cuda:7", device_memory="8G").tier == "compact"
    for wrong in (
        {"video_length": 0},
        {"resolution": (0, 512)},
        {"resolution": (1, 2, 3)},
        {"model": "latentsync-9"},
    ):
        with pytest.raises(memsafe.Error):
            memsafe.AdaptiveMemoryOptimizer(device_memory="8G", **wrong)


def test_torch_is_asked_where_it_has_a_card(monkeypatch):
    """A card of torch's: its sizes, and what the allocator has cached counts as free. No card is needed to ask."""
    cuda = types.SimpleNamespace(
        is_available=lambda: True,
        current_device=lambda: 1,
        mem_get_info=lambda device: (2 * GIB, 24 * GIB) if device == "cuda:1" else None,
        memory_allocated=lambda device: 5 * GIB,
        memory_reserved=lambda device: 8 * GIB,
        is_bf16_supported=lambda: True,
        get_device_capability=lambda device: (7, 5),
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    o = memsafe.AdaptiveMemoryOptimizer(environment=False)
    assert o.memory() == {"free_bytes": 5 * GIB, "total_bytes": 24 * GIB, "source": "torch.cuda"}
    assert o.tier == "professional" and o.explain("vae_decode").free_bytes == 5 * GIB
    stated = memsafe.AdaptiveMemoryOptimizer(device="cuda", device_memory="8G", environment=False)
    assert stated.tier == "compact" and stated.memory().free_bytes == 3 * GIB
    # What is stated and is not torch's by name stands for a device that is not here.
    elsewhere = memsafe.AdaptiveMemoryOptimizer(device_memory="40G", environment=False)
    assert elsewhere.memory() == {"free_bytes": 40 * GIB, "total_bytes": 40 * GIB, "source": "stated"}
    assert elsewhere.tier == "datacenter" and elsewhere.get_optimal_batch_size("face_processing") == 32


def test_bf16_is_of_cards_that_compute_in_it(monkeypatch):
    """A T4 emulates it: torch calls that supported, and it is slower than float32."""

    def tiers_precision(capability, hip=None):
        cuda = types.SimpleNamespace(
            is_available=lambda: True,
            current_device=lambda: 0,
            mem_get_info=lambda device: (80 * GIB, 80 * GIB),
            memory_allocated=lambda device: 0,
            memory_reserved=lambda device: 0,
            is_bf16_supported=lambda: True,
            get_device_capability=lambda device: capability,
        )
        version = types.SimpleNamespace(hip=hip)
        monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda, version=version))
        return memsafe.AdaptiveMemoryOptimizer(environment=False).profile.precision

    assert tiers_precision((7, 5)) == "fp16" and tiers_precision((8, 0)) == "bf16"
    assert tiers_precision((9, 0), hip="6.2") == "bf16" and tiers_precision((7, 0), hip="6.2") == "bf16"


def test_the_default_optimizer_is_of_what_auto_means_now(monkeypatch):
    from memsafe._adaptive import _default_optimizer

    class Cuda(types.SimpleNamespace):
        at = 0

    cuda = Cuda(
        is_available=lambda: True,
        current_device=lambda: Cuda.at,
        mem_get_info=lambda device: ((8, 24)[int(device[-1])] * GIB,) * 2,
        memory_allocated=lambda device: 0,
        memory_reserved=lambda device: 0,
        get_device_capability=lambda device: (8, 0),
    )
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    before = _default_optimizer()
    assert before.memory().source == "memsafe" and _default_optimizer() is before
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    assert _default_optimizer().memory().total_bytes == 8 * GIB  # torch was loaded meanwhile
    Cuda.at = 1
    assert _default_optimizer().memory().total_bytes == 24 * GIB
    monkeypatch.delitem(sys.modules, "torch")
    assert _default_optimizer() is before
    monkeypatch.setattr("memsafe._adaptive._defaults", {})


def test_pressure_of_a_script_lowers_a_loops_batches(tmp_path):
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"at":1,"level":"low"}\n{"at":2,"level":"critical"}\n{"at":4,"level":"none"}\n')
    o = optimizer("24G", pressure_trace=str(trace))
    sizes = []
    memsafe.adaptive(
        lambda items: sizes.append(len(items)) or items, range(60), task="face_processing", optimizer=o
    )
    assert sizes[0] == 16 and 8 in sizes and 1 in sizes and sum(sizes) == 60
    with pytest.raises(memsafe.Error, match="nowhere.jsonl"):
        optimizer("24G", pressure_trace="nowhere.jsonl")


def test_threads_ask_at_once():
    o = optimizer("40G")
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append([o.get_optimal_batch_size(t) for t in TASKS * 20]))
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 4 and all(a == answers[0][:6] * 20 for a in answers)


def test_closing_waits_for_who_is_inside(monkeypatch):
    """Another thread asks meanwhile: it is freed when that one has its answer."""
    o, seen, inside, go = optimizer("8G"), [], threading.Event(), threading.Event()
    explain, destroy = lib().ms_optimizer_explain_sized, lib().ms_optimizer_destroy

    def slowly(*arguments):
        inside.set()
        go.wait(100)
        seen.append("answered")
        return explain(*arguments)

    def destroyed(handle):
        seen.append("destroyed")
        destroy(handle)

    monkeypatch.setattr(lib(), "ms_optimizer_explain_sized", slowly)
    monkeypatch.setattr(lib(), "ms_optimizer_destroy", destroyed)
    asks = threading.Thread(target=lambda: seen.append(o.get_optimal_batch_size("vae_decode")))
    asks.start()
    inside.wait(100)
    o.close()
    assert seen == []
    with pytest.raises(memsafe.InvalidArgument, match="closed"):
        o.memory()
    go.set()
    asks.join()
    assert seen == ["answered", "destroyed", 1]


def test_closed_is_an_error_and_nothing_is_kept_alive():
    o = optimizer("8G")
    o.close()
    o.close()
    with pytest.raises(memsafe.InvalidArgument, match="closed"):
        o.get_optimal_batch_size("vae_decode")
    gone = []
    o = optimizer("8G")
    weakref.finalize(o, gone.append, True)
    del o
    gc.collect()
    assert gone == [True]
