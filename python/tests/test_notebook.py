"""examples/python.ipynb was executed with this version: its cells that take no time, and the fields of its reports."""

import ast
import json
import re
from typing import Any, Dict

from conftest import ROOT

import memsafe
from memsafe import _abi

CELLS = [c for c in json.loads((ROOT / "examples" / "python.ipynb").read_text())["cells"] if c["cell_type"] == "code"]
# Of a plan for a card that is not here; the rest depends on the machine that plans, and on the process.
OF_THE_CARD = ["rung", "tier", "precision", "resolution", "card", "arena_bytes", "resident_bytes", "device_own_bytes", "weight_bytes", "peak_bytes", "least_bytes"]


def cell(words: str) -> Any:
    return next(c for c in CELLS if words in "".join(c["source"]))


def shown(words: str) -> Any:
    """The value that the cell with these words ends in, as the notebook has it."""
    text = "".join(cell(words)["outputs"][0]["data"]["text/plain"])
    return ast.literal_eval(re.sub(r"\bnan\b", "None", re.sub(r"\binf\b", "1e999", text)))


def now(words: str) -> Any:
    *before, last = ast.parse("".join(cell(words)["source"])).body
    names: Dict[str, Any] = {"memsafe": memsafe}
    exec(compile(ast.Module(before, []), words, "exec"), names)
    return eval(compile(ast.Expression(last.value), words, "eval"), names)  # type: ignore[attr-defined]


def test_the_plan_is_todays() -> None:
    there, plan = shown("memsafe.plan(shape='latentsync-1.6', device='cuda'"), now("memsafe.plan(shape='latentsync-1.6', device='cuda'")
    assert there.keys() == plan.keys()
    assert {name: there[name] for name in OF_THE_CARD} == {name: plan[name] for name in OF_THE_CARD}


def test_batches_are_todays() -> None:
    for words in ("get_optimal_batch_size", "memsafe.adaptive(heavy"):
        assert shown(words) == now(words)


def test_reports_have_todays_fields() -> None:
    score = shown("memsafe.score(")
    names = {name for name, *_ in _abi.ms_score_report._fields_}
    assert {"enough_frames", "has_truth", "frames_lost"} <= score.keys() and names <= score.keys()
    assert {"wanted_resolution", "rung", "seconds"} <= shown("lips.report").keys()
