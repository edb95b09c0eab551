"""The binding is what the headers say."""

import ctypes as C
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import BUILD, ROOT

import memsafe
from memsafe import _abi
from memsafe._library import lib, text


def test_structs_are_generated_from_the_headers() -> None:
    pytest.importorskip("pycparser")
    done = subprocess.run([sys.executable, ROOT / "python" / "generate_abi.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_offset_is_the_compilers(tmp_path: Path) -> None:
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    lines = ["#include <stddef.h>", "#include <stdio.h>", "#include <memsafe/memsafe.h>", "int main(void) {"]
    expected = []
    for struct in _abi.STRUCTS:
        name = struct.__name__
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        expected.append(f"{name} {C.sizeof(struct)}")
        for field in struct._fields_:
            lines.append(
                f'printf("{name}.{field[0]} %zu %zu\\n", offsetof({name}, {field[0]}), sizeof((({name} *)0)->{field[0]}));'
            )
            place = getattr(struct, field[0])
            expected.append(f"{name}.{field[0]} {place.offset} {place.size}")
    source, program = tmp_path / "offsets.c", tmp_path / "offsets"
    source.write_text("\n".join([*lines, "}"]))
    version = tmp_path / "memsafe"
    version.mkdir()
    (version / "version.h").write_text("")
    subprocess.run(["cc", "-I", ROOT / "include", "-I", tmp_path, "-o", program, source], check=True)
    found = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(found) > 400
    assert found == expected


def test_every_function_of_the_headers_is_there() -> None:
    """With what it takes: a number in the place of a pointer, or too much of it, is refused before the call."""
    headers = "".join(path.read_text() for path in sorted((ROOT / "include" / "memsafe").glob("*.h")))
    declared = set(re.findall(r"^MS_API\b[^;{]*?\b(ms_\w+)\(", headers, re.M))
    assert declared == set(_abi.FUNCTIONS) and len(declared) > 100
    with pytest.raises(C.ArgumentError):
        lib().ms_status_text("a word")
    with pytest.raises(TypeError):
        lib().ms_status_text()
    assert text(lib().ms_status_text(_abi.MS_CANCELLED)) == "cancelled"  # not a pointer cut to an int


def test_versions_agree() -> None:
    assert text(lib().ms_version()) == memsafe.__version__
    project = re.search(r"project\(memsafe VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert project and project.group(1) == memsafe.__version__


def test_a_library_without_a_function_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    code = "import memsafe; memsafe.Model('nowhere')"
    foreign = next(iter(sorted(Path("/lib").rglob("libm.so.6"))), None) or pytest.skip("no libm")
    done = subprocess.run([sys.executable, "-c", code.replace("Model('nowhere')", "probe()")], capture_output=True, text=True,
                          env={"MEMSAFE_LIBRARY": str(foreign), "PYTHONPATH": ":".join(sys.path)})
    assert "is older than this package" in done.stderr
    done = subprocess.run([sys.executable, "-c", "import memsafe; memsafe.probe()"], capture_output=True, text=True,
                          env={"MEMSAFE_LIBRARY": str(tmp_path / "none.so"), "PYTHONPATH": ":".join(sys.path)})
    assert "memsafe's library cannot be loaded" in done.stderr


def test_the_build_is_there() -> None:
    """What is compared with the command is not silently left out where the tests of this project run."""
    if "MEMSAFE_BUILD" in __import__("os").environ:
        assert (BUILD / "memsafe").exists() and (BUILD / "tools" / "draw_clip").exists()
