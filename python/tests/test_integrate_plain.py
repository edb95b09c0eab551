"""integrate_adaptive_optimizer() on pipelines that are plain PyTorch, or of an unusual make. Whoever cannot be undone is left
alone, and what was there is there again afterwards."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import memsafe  # noqa: E402
from memsafe import _integrate  # noqa: E402

EXACT = {"precision": "fp32", "vae_tiling": "off"}


def integrate(pipeline, size="40G", settings=EXACT):
    return memsafe.integrate_adaptive_optimizer(
        pipeline, resolution=(32, 32), device_memory=size, environment=False, settings=settings
    )


def what(pipeline):
    return {(s.where, s.what) for s in pipeline.memsafe.set}


def why_not(pipeline, thing):
    return " ".join(n.why for n in pipeline.memsafe.not_set if n.what == thing)


@pytest.mark.parametrize("is_module", [False, True])
def test_plain_torch(is_module):
    class Codec(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(2.0))
            self.most = []

        def encode(self, x):
            self.most.append(len(x))
            return {"latent": x * self.scale, "kind": "plain"}

        def decode(self, z):
            if len(z) > 2:
                raise MemoryError
            return [z / self.scale, None]

    class Plain:
        def __init__(self):
            self.codec = Codec()

    class Module(torch.nn.Module):  # which keeps its networks apart from its other attributes
        def __init__(self):
            super().__init__()
            self.codec = Codec()

    pipeline = integrate((Module if is_module else Plain)(), "40G", settings={**EXACT, "vae_encode_batch": 4})
    x = torch.randn(10, 3, 8, 8)
    with torch.no_grad():
        coded = pipeline.codec.encode(x)
        assert (
            coded["kind"] == "plain"
            and torch.equal(coded["latent"], x * 2)
            and pipeline.codec.most == [4, 4, 2]
        )
        assert torch.equal(pipeline.codec.decode(coded["latent"])[0], x)
    assert "unet" in [n.what for n in pipeline.memsafe.not_set]
    assert _integrate.weight_bytes(pipeline) == {"codec": 4}
    pipeline.memsafe.undo()
    assert not hasattr(pipeline, "memsafe") and "encode" not in vars(pipeline.codec)


class CodecOfTorch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(4, 3, 1)

    def encode(self, x):
        return x

    def decode(self, z):
        return self.layer(z)


class DenoiserOfTorch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(4, 4, 1)

    def forward(self, x, t=None):
        return self.layer(x)


@dataclasses.dataclass(frozen=True)
class FrozenPipeline:
    unet: Any
    vae: Any


class SlottedPipeline:
    __slots__ = ("unet", "vae")

    def __init__(self, unet, vae):
        self.unet, self.vae = unet, vae

    @property
    def components(self):
        return {"unet": self.unet, "vae": self.vae}


class ModulePipeline(torch.nn.Module):
    def __init__(self, unet, vae):
        super().__init__()
        self.unet, self.vae, self.memsafe = unet, vae, torch.nn.Identity()


@pytest.mark.parametrize("kind", [FrozenPipeline, SlottedPipeline, ModulePipeline])
def test_a_pipeline_that_takes_no_attribute_is_left_as_it_is(kind):
    pipeline = kind(DenoiserOfTorch(), CodecOfTorch())
    with pytest.raises(memsafe.InvalidArgument, match=f"{kind.__name__}, which takes no attribute memsafe"):
        integrate(pipeline, "8G", settings=None)
    assert "forward" not in vars(pipeline.unet) and not {"decode", "encode"} & vars(pipeline.vae).keys()


class SlottedForIt(SlottedPipeline):
    __slots__ = ("memsafe",)


def test_an_attribute_of_the_pipelines_own_comes_back():
    parts = DenoiserOfTorch(), CodecOfTorch()
    for pipeline in (SimpleNamespace(unet=parts[0], vae=parts[1]), SlottedForIt(*parts)):
        pipeline.memsafe = "its own"
        first = integrate(pipeline).memsafe
        assert integrate(pipeline).memsafe is not first
        pipeline.memsafe.undo()
        assert pipeline.memsafe == "its own"
        integrate(pipeline)
        integration, pipeline.memsafe = pipeline.memsafe, "another's"
        integration.undo()
        assert pipeline.memsafe == "another's" and "forward" not in vars(parts[0])
    empty = SlottedForIt(*parts)
    integrate(empty).memsafe.undo()
    assert not hasattr(empty, "memsafe")


class SlicedDenoiser(DenoiserOfTorch):
    """As diffusers has it."""

    sliceable_head_dim = 4

    def __init__(self):
        super().__init__()
        self.processor = self.own = object()

    def set_processor(self, processor):
        self.processor = processor

    def set_attention_slice(self, size):
        self.processor = object()


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_pipelines_that_share_networks(order):
    """Whichever is undone first, its part does nothing from then on, and in the end all is as before."""
    unet, vae = SlicedDenoiser(), CodecOfTorch()
    pipelines = [integrate(SimpleNamespace(unet=unet, vae=vae), "8G", settings=None) for _ in range(3)]
    mine = [pipeline.memsafe for pipeline in pipelines]
    assert all(("vae", "batches of decode()") in what(pipeline) for pipeline in pipelines)
    x = torch.randn(3, 4, 8, 8)
    for at in order:
        vae.decode(x)
        done = [dict(i.report().calls["vae.decode"]) for i in mine]
        assert mine[at].undo() is pipelines[at] and not hasattr(pipelines[at], "memsafe")
        vae.decode(x)
        assert mine[at].report().calls["vae.decode"] == done[at]
    assert not {"decode", "encode"} & vars(vae).keys() and "forward" not in vars(unet) and unet.processor is unet.own
    again = integrate(pipelines[0], "8G", settings=None)
    assert ("unet", "attention slicing") in what(again)


def test_a_function_that_a_user_has_put_around_stays():
    vae = CodecOfTorch()
    pipeline = integrate(SimpleNamespace(unet=DenoiserOfTorch(), vae=vae), "40G")
    integration, ours, seen = pipeline.memsafe, vae.decode, []

    def around(z):
        seen.append(len(z))
        return ours(z)

    vae.decode = around
    integration.undo()
    assert vae.decode is around and "encode" not in vars(vae)
    assert "vae: no removal of batches of decode(): something else is in its place" in str(integration)
    x = torch.randn(3, 4, 8, 8)
    assert torch.equal(vae.decode(x), CodecOfTorch.decode(vae, x)) and seen == [3]
    assert integration.report().calls["vae.decode"].done == 0


def test_checkpointing_that_cannot_be_undone_is_not_set():
    unet = DenoiserOfTorch().train()
    unet.enable_gradient_checkpointing = lambda: setattr(unet, "is_gradient_checkpointing", True)
    pipeline = integrate(SimpleNamespace(unet=unet, vae=CodecOfTorch()), "8G")
    assert not hasattr(unet, "is_gradient_checkpointing")
    assert "no disable_gradient_checkpointing()" in why_not(pipeline, "gradient checkpointing")


def test_a_layer_that_says_no_number_of_heads():
    class Layer(torch.nn.Module):
        def set_attention_slice(self, size):
            self.size = size

    unet = DenoiserOfTorch()
    unet.layer_of_another_make, unet.set_attention_slice = Layer(), lambda sizes: None
    pipeline = integrate(SimpleNamespace(unet=unet, vae=CodecOfTorch()), "8G")
    assert "sliceable_head_dim" in why_not(pipeline, "attention slicing")
    assert ("unet", "batches of forward()") in what(pipeline)


def test_slicing_that_fails_half_way_leaves_the_layers_as_they_were():
    class Layer(torch.nn.Module):
        processor, sliceable_head_dim = "own", 4

        def set_processor(self, processor):
            self.processor = processor

        def set_attention_slice(self, size):
            self.processor = "sliced"

    def fail(sizes):
        assert sizes == [1, 1]
        unet.first.set_attention_slice(sizes[0])
        raise RuntimeError("half way")

    unet = DenoiserOfTorch()
    unet.first, unet.second, unet.set_attention_slice = Layer(), Layer(), fail
    pipeline = integrate(SimpleNamespace(unet=unet, vae=CodecOfTorch()), "8G")
    assert "half way" in why_not(pipeline, "attention slicing")
    assert unet.first.processor == unet.second.processor == "own"
