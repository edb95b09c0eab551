"""The plan and the machine."""

import re
from typing import Any

import pytest
from conftest import DEMO

import memsafe
from memsafe._library import library_path


def test_plan(model: Any, clip: Any, speech: Any, inputs: Any) -> None:
    plan = memsafe.plan(DEMO, width=240, height=208, frames=20, steps=2, budget="1G", device="cpu")
    assert isinstance(plan, dict) and plan.rung == "full" and plan["resolution"] == 128 and plan.tier == "compact"
    assert 0 < plan.peak_bytes <= plan.budget_bytes == 1 << 30 and plan.least_bytes < plan.peak_bytes
    assert [phase["name"] for phase in plan.phases] and set(plan.stage_s) >= {"load", "denoise", "decode"} and plan.total_s > 0
    assert plan.svg.startswith("<svg") and plan._repr_html_().startswith("<svg") and "<table>" in plan._repr_html_()
    with pytest.raises(AttributeError, match="no nonsense"):
        _ = plan.nonsense


def test_a_plan_that_does_not_fit() -> None:
    with pytest.raises(memsafe.BudgetError) as caught:
        memsafe.plan(shape="latentsync-1.6", budget="100M", device="cpu")
    needs = caught.value.needs_bytes
    assert needs and caught.value.plan["least_bytes"] == needs and isinstance(caught.value.plan, memsafe.Plan)
    fits = memsafe.plan(shape="latentsync-1.6", budget=needs + (1 << 20), device="cpu")
    assert fits.peak_bytes <= needs + (1 << 20) and fits.rung != "full"


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": 1.5}, {"width": "a"}, {"height": None}, {"guidance": "x"}, {"steps": 1000}, {"max_gap": -1}, {"threads": 1.5},
        {"deepcache": "no"}, {"looping": "x"}, {"budget": 0}, {"budget": float("nan")}, {"fps": "source"}, {"resolution": "x"},
    ],
)  # fmt: skip
def test_what_cannot_be_planned(wrong: Any) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(memsafe.InvalidArgument, match=f"{name}\\b.*{value}"):
        memsafe.plan(shape="tiny", device="cpu", **wrong)


def test_plans_of_devices_that_are_not_here() -> None:
    small = memsafe.plan(shape="latentsync-1.6", device="dummy", device_memory="8G")
    large = memsafe.plan(shape="latentsync-1.6", device="dummy", device_memory="40G")
    assert (small.tier, large.tier) == ("compact", "datacenter") and small.host_bytes > 0 and small.total_s == 0
    with pytest.raises(TypeError, match="not both"):
        memsafe.plan(DEMO, shape="tiny")
    with pytest.raises(memsafe.InvalidArgument, match="latentsync-1.5"):
        memsafe.plan(shape="latentsync-9")


def test_probe(monkeypatch: Any) -> None:
    monkeypatch.delenv("MEMSAFE_PLUGIN_DIR", raising=False)
    found = memsafe.probe("cpu", upload=True)
    assert found.version == memsafe.__version__ and {"yaml", "onnx"} <= set(found.features)
    assert found.host["cpus"] >= 1 and 0 < found.host["free_bytes"] <= found.host["total_bytes"]
    assert found.host["data_limit_bytes"] is None or found.host["data_limit_bytes"] > 0
    assert found.device["backend"] == "cpu" and found.device["computes"] and "c" in found.instruction_sets
    assert found.backends == ["cpu", "dummy"] and found.upload["bytes_per_s"] > 1e8 and "<table>" in found._repr_html_()
    beside = str(library_path().resolve().parent)
    assert found.plugin_folders[-1] == "/usr/local/lib/memsafe"
    assert any(folder.startswith(beside) for folder in found.plugin_folders)
    monkeypatch.setenv("MEMSAFE_PLUGIN_DIR", "/some/where")
    assert memsafe.probe(None).plugin_folders == ["/some/where", *found.plugin_folders]
    assert "device" not in memsafe.probe(None)
    assert memsafe.probe("dummy", device_memory="8G").device["nominal_bytes"] == 8 << 30
    assert memsafe.probe("cpu", disk=DEMO / "latentsync_unet.pt").disk["bytes"] > 0
    with pytest.raises(memsafe.FileError):
        memsafe.probe("cpu", disk="/nowhere/at/all")


def test_rates_without_a_disk() -> None:
    found = memsafe.probe("cpu", rates=True)
    assert found.rates.disk_bytes > 0 and found.rates.conv_flops > 0 and "disk" not in found
    shown = found._repr_html_()
    row = shown[shown.index("moved_bytes") :].split("</tr>")[0]
    assert re.search(r"[KMG]iB/s<", row) and "GFLOP/s<" in shown


def test_tables_have_units() -> None:
    table = memsafe.Report(stage_s={"load": 2.5}, upload={"bytes_per_s": 3 << 20, "bytes": 3 << 20}, many_bytes={"weights": 1 << 20}, on=True)
    shown = table._repr_html_()
    for cell in ("2.5 s<", "3.00 MiB/s<", "3.00 MiB<", "1.00 MiB<", "True<"):
        assert cell in shown


def test_a_plan_of_a_model(model: Any) -> None:
    options = dict(width=240, height=208, frames=20, budget="1G", device="cpu")
    plans = [memsafe.plan(given, **options) for given in (model, DEMO)]
    assert plans[0].weight_bytes == plans[1].weight_bytes > 0 and plans[0].phases == plans[1].phases
