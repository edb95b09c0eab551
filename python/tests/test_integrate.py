"""integrate_adaptive_optimizer() on real diffusers pipelines on the CPU, small ones with random weights.

Their networks are made to run out of memory above a number of items. Outputs are then compared with those of an
undisturbed run: bit for bit where both take the same number of items at a time, else within rounding (a convolution over
more pictures may add up in another order).
"""

import copy
import dataclasses
import functools
import gc
import pickle
import warnings
import weakref
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")

import memsafe  # noqa: E402
from memsafe import _integrate  # noqa: E402

torch.set_num_threads(1)  # networks are tiny, and the machine may be busy

ITEMS = 6
ROUNDING = {"rtol": 0, "atol": 1e-4}
EXACT = {"precision": "fp32", "vae_tiling": "off"}


def make_vae(**options):
    torch.manual_seed(1)
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        sample_size=32,
        **options,
    ).eval()


def make_unet():
    torch.manual_seed(2)
    return diffusers.UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=8,
    ).eval()


def make_pipeline():
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear", clip_sample=False, steps_offset=1, set_alpha_to_one=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = diffusers.StableDiffusionPipeline(
            vae=make_vae(),
            unet=make_unet(),
            scheduler=scheduler,
            text_encoder=None,
            tokenizer=None,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def integrate(pipeline, size="40G", **options):
    options.setdefault("settings", EXACT)
    options.setdefault("resolution", (32, 32))
    return memsafe.integrate_adaptive_optimizer(
        pipeline, video_length=ITEMS, device_memory=size, environment=False, **options
    )


def run(pipeline):
    """[6][32][32][3], 0 to 1."""
    torch.manual_seed(3)
    text = torch.randn(ITEMS, 5, 16)
    out = pipeline(
        prompt_embeds=text,
        negative_prompt_embeds=torch.zeros_like(text),
        num_inference_steps=2,
        generator=[torch.Generator().manual_seed(i) for i in range(ITEMS)],
        output_type="np",
        height=32,
        width=32,
    )
    return torch.from_numpy(out.images)


class Limits:
    """Out of memory above so many items, in the middle of a network; counts what was tried."""

    def __init__(self, **most):
        self.most, self.tried = most, {name: [] for name in most}

    def on(self, pipeline):
        parts = {
            "unet": "unet.mid_block",
            "decode": "vae.decoder.mid_block",
            "encode": "vae.encoder.mid_block",
        }
        for name in self.most:
            at = pipeline
            for word in parts[name].split("."):
                at = getattr(at, word)
            at.register_forward_pre_hook(lambda _m, args, name=name: self.check(name, args[0].shape[0]))
        return pipeline

    def check(self, name, items):
        self.tried[name].append(items)
        if items > self.most[name]:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {items} items in {name}")


@pytest.fixture(scope="module")
def undisturbed():
    return run(make_pipeline())


def what(pipeline):
    return {(s.where, s.what) for s in pipeline.memsafe.set}


def why_not(pipeline, thing):
    return " ".join(n.why for n in pipeline.memsafe.not_set if n.what == thing)


# ---- out of memory ----


def test_a_pipeline_that_runs_out_of_memory_gives_the_same_pictures(undisturbed):
    limits = Limits(unet=3, decode=2)
    pipeline = limits.on(make_pipeline())
    with pytest.raises(torch.OutOfMemoryError):
        run(pipeline)
    assert integrate(pipeline) is pipeline
    torch.testing.assert_close(run(pipeline), undisturbed, **ROUNDING)
    calls = pipeline.memsafe.report().calls
    assert calls["unet.forward"].failures >= 2 and calls["unet.forward"].smallest_batch <= 3
    assert calls["vae.decode"].failures >= 1 and calls["vae.decode"].done == ITEMS
    assert max(limits.tried["unet"]) == 2 * ITEMS and 3 in limits.tried["unet"]


def test_one_item_at_a_time_is_bit_for_bit_the_same(undisturbed):
    pipeline = Limits(decode=1, encode=1).on(make_pipeline())
    vae, whole = pipeline.vae, make_vae()
    z, x = torch.randn(ITEMS, 4, 16, 16), torch.randn(ITEMS, 3, 32, 32)
    integrate(pipeline)
    with torch.no_grad():
        singly = torch.cat([whole.decode(z[i : i + 1]).sample for i in range(ITEMS)])
        assert torch.equal(vae.decode(z).sample, singly)
        assert torch.equal(vae.decode(z, return_dict=False)[0], singly)
        posterior = vae.encode(x).latent_dist
        assert torch.equal(
            posterior.mean, torch.cat([whole.encode(x[i : i + 1]).latent_dist.mean for i in range(ITEMS)])
        )
        # A sample is drawn of all at once, with the random numbers of an undisturbed run.
        a = posterior.sample(torch.Generator().manual_seed(5))
        b = whole.encode(x).latent_dist.sample(torch.Generator().manual_seed(5))
        torch.testing.assert_close(a, b, **ROUNDING)
        torch.testing.assert_close(
            vae.encode(x, return_dict=False)[0].mode(), whole.encode(x).latent_dist.mode(), **ROUNDING
        )


def test_batches_are_the_optimizers():
    limits = Limits(unet=99, decode=99, encode=99)
    pipeline = integrate(
        limits.on(make_pipeline()),
        "16G",
        settings={**EXACT, "unet_inference_batch": 4, "vae_encode_batch": 5},
    )
    run(pipeline)
    with torch.no_grad():
        pipeline.vae.encode(torch.zeros(7, 3, 32, 32))
    assert limits.tried["decode"] == [3, 3]
    assert limits.tried["unet"] == [4, 4, 4] * 2
    assert limits.tried["encode"] == [5, 2]


def test_a_single_item_that_does_not_fit_is_an_error_and_frees_memory():
    pipeline = integrate(Limits(decode=0).on(make_pipeline()))
    held = []

    def remember(_module, args):
        held.append(weakref.ref(args[0]))

    pipeline.vae.decoder.mid_block.register_forward_pre_hook(remember, prepend=True)
    with pytest.raises(torch.OutOfMemoryError, match="1 items in decode"), torch.no_grad():
        pipeline.vae.decode(torch.zeros(4, 4, 16, 16))
    gc.collect()
    assert len(held) == 4 and all(h() is None for h in held)


def test_what_else_counts_as_out_of_memory(undisturbed):
    class Full(RuntimeError):
        pass

    pipeline = make_pipeline()

    def check(_module, args):
        if args[0].shape[0] > 2:
            raise Full

    pipeline.vae.decoder.register_forward_pre_hook(check)
    with pytest.raises(Full):
        run(integrate(pipeline))
    torch.testing.assert_close(
        run(integrate(pipeline, is_oom=lambda e: isinstance(e, Full))), undisturbed, **ROUNDING
    )


# ---- what the tier says ----


def test_compact():
    pipeline = integrate(make_pipeline(), "8G", settings=None)
    assert pipeline.memsafe.optimizer.tier == "compact"
    assert {
        ("unet", "attention slicing"),
        ("unet", "autocast of forward()"),
        ("unet", "batches of forward()"),
        ("vae", "VAE tiling"),
        ("vae", "VAE slicing"),
        ("vae", "autocast of decode()"),
        ("vae", "autocast of encode()"),
        ("vae", "batches of decode()"),
        ("vae", "batches of encode()"),
    } == what(pipeline)
    assert pipeline.vae.use_tiling and pipeline.vae.use_slicing
    kinds = {type(m.processor).__name__ for m in pipeline.unet.modules() if hasattr(m, "processor")}
    assert kinds == {"SlicedAttnProcessor"}
    assert "no accelerator" in why_not(pipeline, "CPU offload")
    told = str(pipeline.memsafe)
    assert (
        "compact" in told
        and "changes the result" in told
        and "no CPU offload: there is no accelerator" in told
    )
    assert "attention slicing" in pipeline.memsafe._repr_html_()


def test_datacenter_leaves_nearly_all_as_it_is():
    pipeline = integrate(make_pipeline(), "80G", settings=None)
    assert {w for _, w in what(pipeline)} == {
        "autocast of forward()", "autocast of decode()", "autocast of encode()",
        "batches of forward()", "batches of decode()", "batches of encode()",
    }  # fmt: skip
    assert not pipeline.vae.use_tiling and not pipeline.vae.use_slicing
    assert {s.value for s in pipeline.memsafe.set if s.what.startswith("autocast")} == {"bfloat16"}


def test_attention_in_slices_is_the_same_but_for_rounding(undisturbed):
    pipeline = integrate(make_pipeline(), "8G")
    assert ("unet", "attention slicing") in what(pipeline)
    torch.testing.assert_close(run(pipeline), undisturbed, **ROUNDING)


def test_autocast_computes_in_the_tiers_precision(undisturbed):
    pipeline = integrate(make_pipeline(), "24G", settings={"vae_tiling": "off"})
    seen = []
    pipeline.vae.decoder.conv_out.register_forward_hook(lambda _m, _a, out: seen.append(out.dtype))
    got = run(pipeline)
    assert seen and set(seen) == {torch.float16}
    difference = (got - undisturbed).abs().max()
    assert 1e-6 < difference < 0.05  # it changes the result, as it says, and not by much
    with torch.no_grad():  # who called gets the type that it gave
        assert pipeline.vae.decode(torch.zeros(2, 4, 16, 16)).sample.dtype == torch.float32
    half = make_pipeline()
    half.vae.half(), half.unet.half()
    integrate(half, "24G", settings=None)
    assert "float16 already" in why_not(half, "autocast")
    assert not [w for _, w in what(half) if w.startswith("autocast")]


def test_tiles_by_need():
    large = integrate(make_pipeline(), "16G", resolution=(8192, 8192), settings={"precision": "fp32"})
    assert large.vae.use_tiling and ("vae", "VAE tiling") in what(large)
    assert not integrate(make_pipeline(), "16G", settings={"precision": "fp32"}).vae.use_tiling


def test_gradient_checkpointing_where_it_trains():
    pipeline = make_pipeline()
    pipeline.unet.train(), pipeline.vae.eval()
    integrate(pipeline, "8G")
    assert pipeline.unet.is_gradient_checkpointing and not pipeline.vae.is_gradient_checkpointing
    x = torch.randn(2, 4, 16, 16, requires_grad=True)
    pipeline.unet(x, 3, torch.zeros(2, 5, 16)).sample.sum().backward()
    assert x.grad.abs().sum() > 0
    pipeline.memsafe.undo()
    assert not pipeline.unet.is_gradient_checkpointing
    pipeline.unet.train()
    assert not integrate(
        pipeline, "24G"
    ).unet.is_gradient_checkpointing  # the tier has memory for activations


class Offloaded:
    """As diffusers' pipelines do it, on a machine without an accelerator."""

    def __init__(self, **methods):
        self.vae, self.unet, self.calls = make_vae(), make_unet(), []
        self._all_hooks = []

    def enable_model_cpu_offload(self):
        self.calls.append("model")
        self._all_hooks = [1]

    def enable_sequential_cpu_offload(self):
        self.calls.append("sequential")

    def remove_all_hooks(self):
        self.calls.append("removed")


def test_offload_follows_the_tier(monkeypatch):
    monkeypatch.setattr(_integrate, "_accelerator", lambda: "cuda")
    always = integrate(Offloaded(), "8G")
    assert always.calls == ["model"] and ("pipeline", "CPU offload") in what(always)
    always.memsafe.undo()
    assert always.calls == ["model", "removed"] and always._all_hooks == []
    fits = integrate(Offloaded(), "16G")
    assert fits.calls == [] and "fit" in why_not(fits, "CPU offload")
    never = integrate(Offloaded(), "40G")
    assert never.calls == [] and not why_not(never, "CPU offload")
    monkeypatch.setattr(_integrate, "weight_bytes", lambda _p: {"unet": 9 << 30, "vae": 8 << 30})
    assert integrate(Offloaded(), "16G").calls == ["model"]  # 17 GiB in all, each network fits
    monkeypatch.setattr(_integrate, "weight_bytes", lambda _p: {"unet": 20 << 30})
    assert integrate(Offloaded(), "16G").calls == ["sequential"]
    twice = Offloaded()
    twice._all_hooks = [1]
    assert integrate(twice, "8G").calls == [] and "already" in why_not(twice, "CPU offload")
    broken = Offloaded()
    broken.enable_sequential_cpu_offload = lambda: (_ for _ in ()).throw(ImportError("accelerate is missing"))
    assert "accelerate is missing" in why_not(integrate(broken, "8G"), "CPU offload")


class Elsewhere:
    """A network whose weights move in place, as torch's do to and from a card."""

    def __init__(self):
        self.weight = torch.zeros(4)
        self.at = SimpleNamespace(device="cuda:0", dtype=torch.float16, numel=lambda: 4, element_size=lambda: 2)

    def parameters(self):
        return [self.at]

    def to(self, device):
        self.at.device = device


def test_weights_go_back_where_they_were(monkeypatch):
    monkeypatch.setattr(_integrate, "_accelerator", lambda: "cuda")
    pipeline = SimpleNamespace(unet=Elsewhere(), remove_all_hooks=lambda: None, device="cpu")
    pipeline.enable_model_cpu_offload = lambda: pipeline.unet.to("cpu")
    integrate(pipeline, "8G")
    assert pipeline.unet.at.device == "cpu"
    pipeline.memsafe.undo()
    assert pipeline.unet.at.device == "cuda:0"


def add_hook(module, device="cuda"):
    """As accelerate does it: around what the module has, which it keeps."""
    module._hf_hook = device
    old = module._old_forward = vars(module).get("_old_forward") or module.forward

    def new_forward(*args, **kwargs):
        module.moved = getattr(module, "moved", 0) + 1
        return module._old_forward(*args, **kwargs)

    module.forward = functools.update_wrapper(new_forward, old)


def remove_hook(module):
    """Likewise: what it kept comes back, whatever is there now."""
    del module._hf_hook
    module.forward = module._old_forward
    del module._old_forward


@pytest.mark.parametrize("settings", [EXACT, {**EXACT, "precision": "fp16"}])
def test_an_offloaded_pipeline_keeps_what_was_set(settings):
    """diffusers takes the hooks away at the end of each call, and puts them on again at the beginning of the next."""
    pipeline = make_pipeline()
    x, text = torch.randn(6, 4, 16, 16), torch.randn(6, 5, 16)
    limits = Limits(unet=99)
    limits.on(pipeline)

    def call():
        limits.tried["unet"].clear()
        with torch.no_grad():
            return pipeline.unet(x, 7, text).sample

    own = call()
    add_hook(pipeline.unet)
    integrate(pipeline, settings={**settings, "unet_inference_batch": 2})
    for moved in (1, 2, 3):
        call()
        assert limits.tried["unet"] == [2, 2, 2] and pipeline.unet.moved == moved
        remove_hook(pipeline.unet)
        add_hook(pipeline.unet)
    remove_hook(pipeline.unet)
    call()
    assert limits.tried["unet"] == [2, 2, 2] and pipeline.unet.moved == 3
    pipeline.memsafe.undo()
    assert torch.equal(call(), own) and limits.tried["unet"] == [6]
    # What is offloaded after it was integrated stays offloaded when that is undone.
    integrate(pipeline, settings={**settings, "unet_inference_batch": 2})
    add_hook(pipeline.unet)
    pipeline.memsafe.undo()
    assert torch.equal(call(), own) and limits.tried["unet"] == [6] and pipeline.unet.moved == 4


def test_offload_by_accelerate_itself():
    hooks = pytest.importorskip("accelerate.hooks", reason="accelerate is not installed")
    pipeline, limits = make_pipeline(), Limits(unet=99)
    limits.on(pipeline)
    x, text = torch.randn(6, 4, 16, 16), torch.randn(6, 5, 16)
    hooks.add_hook_to_module(pipeline.unet, hooks.ModelHook())
    integrate(pipeline, settings={**EXACT, "unet_inference_batch": 3})
    for _ in range(2):
        with torch.no_grad():
            pipeline.unet(x, 7, text)
        hooks.remove_hook_from_module(pipeline.unet)
        hooks.add_hook_to_module(pipeline.unet, hooks.ModelHook())
    assert limits.tried["unet"] == [3, 3] * 2


def test_offload_goes_to_the_pipelines_device(monkeypatch):
    monkeypatch.setattr(_integrate, "_accelerator", lambda: "cuda")

    class Named(Offloaded):
        def enable_model_cpu_offload(self, device="cuda"):
            self.calls.append(device)

    pipeline = Named()
    pipeline.device = "cuda:1"
    assert integrate(pipeline, "8G").calls == ["cuda:1"]
    assert integrate(Named(), "8G").calls == ["cuda"]  # on the CPU, but stated to be for a card: diffusers' choice
    here = memsafe.integrate_adaptive_optimizer(Named(), resolution=(32, 32), environment=False, profile="compact")
    assert here.calls == [] and "is on the CPU" in why_not(here, "CPU offload")


# ---- copied and kept ----


def test_a_copy_has_its_own_methods():
    pipeline = integrate(make_pipeline(), settings={**EXACT, "unet_inference_batch": 2, "precision": "fp16"})
    x, text = torch.randn(4, 4, 16, 16), torch.randn(4, 5, 16)
    for other in (copy.deepcopy(pipeline.unet), pickle.loads(pickle.dumps(pipeline.unet))):
        seen = []
        other.mid_block.register_forward_pre_hook(lambda _m, args, seen=seen: seen.append(args[0].shape[0]))
        with torch.no_grad():
            for weight in other.parameters():
                weight.zero_()
            assert other(x, 7, text).sample.abs().max() == 0  # not the first one's weights
        assert seen == [4]
    with torch.no_grad():
        assert pipeline.unet(x, 7, text).sample.abs().max() > 0
    assert copy.deepcopy(pipeline.memsafe) is None


# ---- undone ----


def snapshot(pipeline):
    state = {"pipeline": sorted(vars(pipeline))}
    for name in ("vae", "unet"):
        module = getattr(pipeline, name)
        state[name] = sorted(vars(module))
        state[name + " flags"] = [
            getattr(module, f, None) for f in ("use_tiling", "use_slicing", "is_gradient_checkpointing")
        ]
        state[name + " processors"] = [m.processor for m in module.modules() if hasattr(m, "processor")]
    return state


@pytest.mark.parametrize("size", ["8G", "16G", "24G", "80G"])
def test_undone_everything_is_as_before(size, undisturbed):
    pipeline = make_pipeline()
    pipeline.vae.enable_slicing()  # somebody else's choice
    run(pipeline)  # a call leaves attributes of its own
    before = snapshot(pipeline)
    integrate(pipeline, size, settings=None)
    run(pipeline)
    assert snapshot(pipeline) != before
    memory = pipeline.memsafe
    assert memory.undo() is pipeline and memory.undo() is pipeline
    after = snapshot(pipeline)
    assert all(a is b for a, b in zip(after["unet processors"], before["unet processors"]))
    assert after == before and not hasattr(pipeline, "memsafe")
    pipeline.vae.disable_slicing()
    assert torch.equal(run(pipeline), undisturbed)


def test_a_second_time_takes_the_place_of_the_first(undisturbed):
    pipeline = integrate(integrate(make_pipeline(), "8G", settings=None), "80G")
    assert not pipeline.vae.use_tiling and pipeline.memsafe.optimizer.tier == "datacenter"
    torch.testing.assert_close(run(pipeline), undisturbed, **ROUNDING)
    pipeline.memsafe.undo()
    assert "forward" not in vars(pipeline.unet) and torch.equal(run(pipeline), undisturbed)


@pytest.mark.parametrize("wrong", [{"device_memory": "8Q"}, {"video_length": "x"}, {"resolution": (0, 1)}, {"nonsense": 1}, {"costs": {"paint": 1}}])
def test_a_second_time_that_is_refused_leaves_the_first(wrong):
    pipeline = integrate(make_pipeline(), "8G", settings=None)
    first, before = pipeline.memsafe, snapshot(pipeline)
    with pytest.raises((memsafe.InvalidArgument, TypeError)):
        memsafe.integrate_adaptive_optimizer(pipeline, **wrong)
    with pytest.raises(memsafe.InvalidArgument):
        memsafe.integrate_adaptive_optimizer(pipeline, optimizer=first.optimizer, video_length=3)
    assert pipeline.memsafe is first and snapshot(pipeline) == before


def test_a_batch_that_shrank_is_told():
    pipeline = integrate(Limits(decode=2).on(make_pipeline()), settings={**EXACT, "vae_decode_batch": 6})
    assert "vae: batches of decode() = 6 (" in str(pipeline.memsafe)
    pipeline.vae.decode(torch.zeros(ITEMS, 4, 16, 16))
    now = pipeline.memsafe.report().calls["vae.decode"].batch
    assert 1 <= now < 6
    assert f"vae: batches of decode() = {now}, less than 6 since memory ran out (" in str(pipeline.memsafe)


def test_a_failure_on_the_way_leaves_nothing(monkeypatch):
    pipeline = make_pipeline()
    before = snapshot(pipeline)

    def fail(*_):
        raise RuntimeError("here")

    monkeypatch.setattr(_integrate, "_offload", fail)
    with pytest.raises(RuntimeError, match="here"):
        integrate(pipeline, "8G", settings=None)
    assert snapshot(pipeline) == before


# ---- what cannot be divided ----


def test_frames_that_see_each_other_stay_together():
    class Denoiser(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []

        def forward(self, sample, timestep):
            self.seen.append(sample.shape[0])
            if len(self.seen) == 1:
                raise torch.OutOfMemoryError("the first time")
            return sample * timestep

    class Pipeline:
        def __init__(self):
            self.unet, self.vae = Denoiser(), make_vae()

    pipeline = integrate(Pipeline(), settings={**EXACT, "unet_inference_batch": 2})
    video = torch.ones(4, 4, 8, 16, 16)
    assert torch.equal(pipeline.unet(video, torch.tensor(3.0)), video * 3)
    assert pipeline.unet.seen == [4, 4]  # undivided, and once more after memory was trimmed
    assert "5 dimensions" in pipeline.memsafe.report().not_divided["unet.forward"]
    assert "not divided" in str(pipeline.memsafe)
    pipeline.unet.seen = [0]
    assert torch.equal(
        pipeline.unet(torch.ones(4, 4, 16, 16), torch.arange(4.0).reshape(4, 1, 1, 1)).amax((1, 2, 3)),
        torch.arange(4.0),
    )
    assert pipeline.unet.seen == [0, 2, 2]


def test_tokens_have_no_picture_size():
    """A transformer's sequence is no picture of its last two sides, nor is a latent of sound."""

    class Transformer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(2.0))

        def forward(self, hidden_states, timestep=None):
            return hidden_states * self.scale

    class Pipeline:
        def __init__(self):
            self.transformer, self.vae = Transformer(), make_vae()

    pipeline = integrate(Pipeline())
    with torch.no_grad():
        for shape in ((2, 40000, 64), (1, 64, 40000), (2, 4, 8, 40000)):
            tokens = torch.ones(shape)
            assert torch.equal(pipeline.transformer(tokens), tokens * 2)


class Pair(NamedTuple):
    sample: Any
    kind: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    sample: Any
    kind: Any


def test_results_of_any_kind():
    class Codec(torch.nn.Module):
        made: Any = Pair

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(2.0))

        def encode(self, x):
            return x

        def decode(self, z):
            return self.made(torch.nn.functional.conv2d(z, self.scale.expand(1, 3, 1, 1)), "kind")

    class Pipeline:
        def __init__(self):
            self.codec = Codec()

    class Own:
        def __init__(self, sample, kind):
            self.sample = sample

    pipeline = integrate(Pipeline(), settings={**EXACT, "precision": "bf16", "vae_decode_batch": 2})
    z = torch.ones(5, 3, 4, 4)
    with torch.no_grad():
        for kind in (Pair, Frozen):
            pipeline.codec.made = kind
            got = pipeline.codec.decode(z)
            assert type(got) is kind and got.kind == "kind"
            assert got.sample.dtype == torch.float32 and torch.equal(got.sample, torch.full((5, 1, 4, 4), 6.0))
        pipeline.codec.made = Own
        assert torch.equal(pipeline.codec.decode(z[:2]).sample.float(), torch.full((2, 1, 4, 4), 6.0))
        with pytest.raises(TypeError, match="Own cannot be put together"):
            pipeline.codec.decode(z)


def test_attention_of_others_keeps_the_batch_whole():
    class CrossFrameAttnProcessor:
        def __call__(self, attn, hidden_states, **_):
            return hidden_states + hidden_states.mean(0, keepdim=True)

    pipeline = make_pipeline()
    for module in pipeline.unet.modules():
        if hasattr(module, "set_processor"):
            module.set_processor(CrossFrameAttnProcessor())
    x, text = torch.randn(4, 4, 16, 16), torch.zeros(4, 5, 16)
    with torch.no_grad():
        whole = pipeline.unet(x, 5, text).sample
        integrate(pipeline, settings={**EXACT, "unet_inference_batch": 1})
        assert torch.equal(pipeline.unet(x, 5, text).sample, whole)
    assert "CrossFrameAttnProcessor" in pipeline.memsafe.report().not_divided["unet.forward"]


def test_arguments_are_divided_with_the_items():
    pipeline = make_pipeline()
    x, text = torch.randn(4, 4, 16, 16), torch.randn(4, 5, 16)
    mask, times = torch.ones(4, 5), torch.tensor([1, 20, 300, 4])
    mask[1, 3:] = 0
    with torch.no_grad():
        whole = pipeline.unet(x, times, text, encoder_attention_mask=mask).sample
        shared = pipeline.unet(x, 7, text[:1].expand(4, -1, -1)).sample
        integrate(pipeline, settings={**EXACT, "unet_inference_batch": 3})
        torch.testing.assert_close(
            pipeline.unet(x, times, text, encoder_attention_mask=mask).sample, whole, **ROUNDING
        )
        torch.testing.assert_close(
            pipeline.unet(x, torch.tensor([7]), text[:1].expand(4, -1, -1))[0], shared, **ROUNDING
        )
        with pytest.raises(RuntimeError):
            pipeline.unet(x, 7, text[:2])  # as it would without us
    assert "belongs neither" in pipeline.memsafe.report().not_divided["unet.forward"]


def test_lists_that_a_network_takes_from_are_whole_when_it_is_tried_again():
    pipeline = make_pipeline()
    x, text = torch.randn(4, 4, 16, 16), torch.randn(4, 5, 16)
    residuals = [torch.randn(4, 16, 16, 16), torch.randn(4, 32, 8, 8)]
    with torch.no_grad():
        whole = pipeline.unet(x, 7, text, down_intrablock_additional_residuals=list(residuals)).sample
        plain = pipeline.unet(x, 7, text).sample
        Limits(unet=2).on(integrate(pipeline))
        got = pipeline.unet(x, 7, text, down_intrablock_additional_residuals=residuals).sample
    assert (whole - plain).abs().max() > 0.1 and len(residuals) == 2
    torch.testing.assert_close(got, whole, **ROUNDING)


# ---- pipelines that are like diffusers' ----


def test_old_pipelines_switch_their_vae_themselves():
    class Vae:
        def decode(self, z):
            return z

    class Pipeline:
        def __init__(self):
            self.vae, self.calls = Vae(), []

        def __getattr__(self, name):
            if name in (
                "enable_vae_tiling",
                "enable_vae_slicing",
                "disable_vae_tiling",
                "disable_vae_slicing",
            ):
                return lambda: self.calls.append(name)
            raise AttributeError(name)

    pipeline = integrate(Pipeline(), "8G", settings=None)
    assert pipeline.calls == ["enable_vae_tiling", "enable_vae_slicing"]
    pipeline.memsafe.undo()
    assert pipeline.calls[2:] == ["disable_vae_slicing", "disable_vae_tiling"]


def test_what_is_no_pipeline():
    with pytest.raises(memsafe.InvalidArgument, match="no networks"):
        memsafe.integrate_adaptive_optimizer(type("Empty", (), {})(), device_memory="8G")
    with pytest.raises(memsafe.InvalidArgument, match="pipeline is of type object, which has no networks"):
        memsafe.integrate_adaptive_optimizer(object(), device_memory="8G")
    with pytest.raises(memsafe.InvalidArgument, match="optimizer="):
        o = memsafe.AdaptiveMemoryOptimizer(device_memory="8G")
        memsafe.integrate_adaptive_optimizer(make_pipeline(), video_length=3, optimizer=o)
    for given in ({"video_length": 0}, {"resolution": 0}, {"resolution": torch.tensor([512, 512])}, {"resolution": ()}):
        with pytest.raises(memsafe.InvalidArgument, match="optimizer= has its own"):
            memsafe.integrate_adaptive_optimizer(make_pipeline(), optimizer=o, **given)


def test_an_optimizer_of_ones_own_and_the_pipelines_device():
    o = memsafe.AdaptiveMemoryOptimizer(device_memory="8G", resolution=(32, 32), environment=False)
    assert memsafe.integrate_adaptive_optimizer(make_pipeline(), optimizer=o).memsafe.optimizer is o
    here = memsafe.integrate_adaptive_optimizer(
        make_pipeline(), resolution=(32, 32), environment=False, settings=EXACT
    )
    assert here.memsafe.optimizer.device == "cpu" and here.memsafe.optimizer.memory().source == "memsafe"
    stated = integrate(make_pipeline(), "8G")
    weights = sum(_integrate.weight_bytes(stated).values())
    assert weights > 100000 and stated.memsafe.optimizer.memory().free_bytes == (8 << 30) - weights
