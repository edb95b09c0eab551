"""The build of the package: scikit-build-core, which is told where the C sources are.

In a checkout they are the folder above. A source distribution has its own copy in core/, which is made from what the checkout's git knows.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from scikit_build_core import build as _skbuild

get_requires_for_build_wheel = _skbuild.get_requires_for_build_wheel
get_requires_for_build_editable = _skbuild.get_requires_for_build_editable
get_requires_for_build_sdist = _skbuild.get_requires_for_build_sdist

# What the library is built from: no tests, models and documents.
PARTS = ("CMakeLists.txt", "LICENSE", "README.md", "CHANGELOG.md", "cmake", "src", "include", "cli", "serve", "bench", "tools", "scripts")


def _with_sources(settings):
    settings = dict(settings or {})
    settings.setdefault("cmake.source-dir", "core" if os.path.exists("core/CMakeLists.txt") else "..")
    return settings


@contextlib.contextmanager
def _licensed():
    """The licence lies beside pyproject.toml, where it is looked for, while something is built."""
    if os.path.exists("LICENSE"):
        yield
        return
    shutil.copy2("core/LICENSE" if os.path.exists("core/LICENSE") else "../LICENSE", "LICENSE")
    try:
        yield
    finally:
        os.unlink("LICENSE")


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    with _licensed():
        return _skbuild.prepare_metadata_for_build_wheel(metadata_directory, _with_sources(config_settings))


def prepare_metadata_for_build_editable(metadata_directory, config_settings=None):
    with _licensed():
        return _skbuild.prepare_metadata_for_build_editable(metadata_directory, _with_sources(config_settings))


@contextlib.contextmanager
def _copied():
    """core/ while a source distribution is made."""
    if os.path.exists("core"):
        yield
        return
    listed = subprocess.run(["git", "ls-files", "-z", "--", *PARTS], cwd="..", capture_output=True, check=True).stdout
    try:
        for name in filter(None, listed.decode().split("\0")):
            target = Path("core", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path("..", name), target)
        yield
    finally:
        shutil.rmtree("core", ignore_errors=True)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with _licensed():
        return _skbuild.build_wheel(wheel_directory, _with_sources(config_settings), metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    with _licensed():
        return _skbuild.build_editable(wheel_directory, _with_sources(config_settings), metadata_directory)


def build_sdist(sdist_directory, config_settings=None):
    with _copied(), _licensed():
        return _skbuild.build_sdist(sdist_directory, config_settings)
