"""LatentSync lip sync that fits the memory it is given.

    import memsafe

    with memsafe.Model("ByteDance/LatentSync-1.6", budget="8G") as model:
        model.lipsync("talking.mp4", "speech.wav", out="said.mp4", progress=True)
"""

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
from ._lipsync import LipSync
from ._model import Model
from ._models import demo_model, find_model
from ._reports import Plan, Report
from ._version import __version__

__all__ = [
    "BadMedia",
    "BadModel",
    "BudgetError",
    "Cancelled",
    "Damaged",
    "DeviceLost",
    "Error",
    "FileError",
    "InternalError",
    "InvalidArgument",
    "LipSync",
    "Model",
    "NoFace",
    "OutOfMemory",
    "Plan",
    "Report",
    "Unsupported",
    "__version__",
    "demo_model",
    "find_model",
]
