"""Files that have their name only when they are whole."""

import contextlib
import errno
import os
import secrets

from . import _errors


def check_free(path: str, force: bool) -> None:
    """FileThere, where the file is there already and is not to be replaced."""
    if os.path.lexists(path) and not force:
        raise _errors.file_error(f"{path} is there already; {_errors.HINTS['replace']}", errno.EEXIST, path, hints=["replace"])


class NewFile:
    """Until finish() it is ``part``, in the same folder. ``handle`` is the caller's, who closes it."""

    def __init__(self, path: str, suffix: str = "") -> None:
        folder, name = os.path.split(path)
        self.path, self.part = path, os.path.join(folder, f".{name}.{secrets.token_hex(4)}{suffix}")
        try:
            self.handle = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as e:
            raise _errors.file_error(f"cannot write {path}: {e.strerror}", e.errno, path) from e

    def finish(self) -> None:
        try:
            os.replace(self.part, self.path)
        except OSError as e:
            raise _errors.file_error(f"cannot write {self.path}: {e.strerror}", e.errno, self.path) from e

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.part)
