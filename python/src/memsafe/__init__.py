"""LatentSync lip sync that fits the memory it is given.

import memsafe

with memsafe.Model("ByteDance/LatentSync-1.6", budget="8G") as model:
    model.lipsync("talking.mp4", "speech.wav", out="said.mp4", progress=True)
"""

from ._adaptive import AdaptiveState, adaptive, is_out_of_memory, trim_memory
from ._errors import (
    BadMedia,
    BadModel,
    BudgetError,
    Cancelled,
    Damaged,
    DeviceLost,
    Error,
    FileError,
    InternalError,
    InvalidArgument,
    NoFace,
    OutOfMemory,
    Unsupported,
)
from ._inspect import plan, probe
from ._integrate import Integration, integrate_adaptive_optimizer
from ._judge import detect, score
from ._latents import LatentCompressor, Latents
from ._lipsync import LipSync
from ._model import Model
from ._models import demo_model, find_model
from ._optimizer import AdaptiveMemoryOptimizer
from ._reports import Plan, Report
from ._streaming import StreamingFrameProcessor
from ._version import __version__

__all__ = [
    "AdaptiveMemoryOptimizer",
    "AdaptiveState",
    "BadMedia",
    "BadModel",
    "BudgetError",
    "Cancelled",
    "Damaged",
    "DeviceLost",
    "Error",
    "FileError",
    "Integration",
    "InternalError",
    "InvalidArgument",
    "LatentCompressor",
    "Latents",
    "LipSync",
    "Model",
    "NoFace",
    "OutOfMemory",
    "Plan",
    "Report",
    "StreamingFrameProcessor",
    "Unsupported",
    "__version__",
    "adaptive",
    "demo_model",
    "detect",
    "find_model",
    "integrate_adaptive_optimizer",
    "is_out_of_memory",
    "plan",
    "probe",
    "score",
    "trim_memory",
]
