"""Exceptions, one for each status of the library."""

import errno
import os
from typing import Any, Dict, List, Optional, Type


class Error(Exception):
    """What the library could not do.

    ``str()`` is a sentence that names the file, the field and the number, and what helps against it.
    """

    #: name of the library's status, like "BAD_MODEL"
    status = "INTERNAL"

    def __init__(
        self,
        message: str = "",
        *,
        stage: Optional[str] = None,
        frame: Optional[int] = None,
        hints: Optional[List[str]] = None,
    ) -> None:
        super().__init__(message)
        #: where it happened: "decode", "unet", "weights", ...; None where it does not apply
        self.stage = stage
        #: output frame, from 0; None where it does not apply
        self.frame = frame
        #: codes of what may help, for programs: "resume", "loop", ...
        self.hints: List[str] = hints or []


class InvalidArgument(Error, ValueError):
    """A parameter that cannot be: the message names it, the number and what is allowed."""

    status = "INVALID_ARGUMENT"


class BudgetError(Error):
    """It does not fit the memory budget."""

    status = "BUDGET"

    #: the smallest budget that would do, bytes; lipsync() and plan() know it, else it is None
    needs_bytes: Optional[int] = None

    #: of plan(): the least plan, as a memsafe.Plan
    plan: Any = None


class OutOfMemory(Error, MemoryError):
    """Memory of the host or the device that was not to be had, though it is within the budget.

    ``status`` is "HOST_MEMORY" or "DEVICE_MEMORY".
    """

    status = "HOST_MEMORY"


class DeviceLost(Error):
    """The device went away under way. A CUDA card is lost to the process then, and a new one may have it."""

    status = "DEVICE_LOST"


class BadMedia(Error):
    """A video or sound that is unreadable or unsuitable."""

    status = "BAD_MEDIA"


class NoFace(Error):
    """Not one usable face."""

    status = "NO_FACE"


class BadModel(Error):
    """A model that is unreadable or unsuitable."""

    status = "BAD_MODEL"


class Cancelled(Error):
    """It was cancelled."""

    status = "CANCELLED"


class FileError(Error, OSError):
    """A file that is missing, is not readable or not writable, or a disk that is full.

    ``errno`` and ``filename`` as OSError has them, where they are known. What is missing is a FileNotFoundError as well,
    what is there already a FileExistsError.
    """

    status = "IO"

    def __str__(self) -> str:  # OSError would write errno and filename in place of the sentence
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> Any:  # OSError's would lose them: to pickle and copy, as processes do
        known = {name: getattr(self, name) for name in ("errno", "strerror", "filename")}
        return type(self), self.args, {**vars(self), **known}


class FileMissing(FileError, FileNotFoundError):
    """A FileError of a file or folder that is not there."""


class FileThere(FileError, FileExistsError):
    """A FileError of a file that is there already."""


def file_error(message: str, number: Optional[int], path: Optional[str] = None, **details: Any) -> FileError:
    """A FileError, of the kind that the errno asks for."""
    kind: Type[FileError] = {errno.ENOENT: FileMissing, errno.EEXIST: FileThere}.get(number or 0, FileError)
    error = kind(message, **details)
    error.errno, error.filename = number, path
    error.strerror = os.strerror(number) if number else None
    return error


def errno_in(message: str, hints: List[str]) -> Optional[int]:
    """What the library's sentence says of errno."""
    if "replace" in hints:
        return errno.EEXIST
    if "there is no such file" in message:
        return errno.ENOENT
    known = (errno.ENOENT, errno.EEXIST, errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.ENOSPC, errno.EROFS, errno.EIO)
    return next((number for number in known if os.strerror(number) in message), None)


class Unsupported(Error):
    """Not supported by this build, this device or without a package that is missing."""

    status = "UNSUPPORTED"


class Damaged(Error):
    """A history that is damaged, or not as memsafe writes it."""

    status = "DAMAGED"


class InternalError(Error):
    """A fault of memsafe itself."""

    status = "INTERNAL"


BY_STATUS: Dict[str, Type[Error]] = {
    kind.status: kind
    for kind in (
        InvalidArgument,
        BudgetError,
        OutOfMemory,
        DeviceLost,
        BadMedia,
        NoFace,
        BadModel,
        Cancelled,
        FileError,
        Unsupported,
        Damaged,
        InternalError,
    )
}
BY_STATUS["DEVICE_MEMORY"] = OutOfMemory

# The library's hints in the words of this package, where its own would mislead.
HINTS: Dict[str, str] = {
    "allow_truncated": "allow_truncated=True takes what is there",
    "begin_anew": "force=True begins anew",
    "replace": "force=True replaces it",
    "model": "memsafe.Model(path) names one",
    "track": "track=, faces as a file or points, does without them",
    "speech": "audio= names the speech that it should say",
    "face": "face= counts from 0",
    "resolution": "resolution= names one that stays",
    "device_bytes": "device_memory= is for a device that is not here, and needed there",
    "frame_rate": 'fps="source" keeps them',
    "loop": "loop= says how",
    "loop_none": 'loop="none"',
    "device_auto": 'device="auto" takes what there is',
}
