#!/usr/bin/env python3
"""generate_abi.py [--check]: writes src/memsafe/_abi.py from the public headers, so that the two cannot drift apart.

Needs pycparser and a C compiler. --check writes nothing: 1 = the file is not what the headers say. tests/test_abi.py calls it, and holds
sizes and offsets against the compiler's.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pycparser import c_ast, c_parser

HERE = Path(__file__).resolve().parent
HEADERS = HERE.parent / "include"
OUTPUT = HERE / "src" / "memsafe" / "_abi.py"

# What the headers include of the system, in as few words as a parser needs.
SYSTEM = {
    "stdint.h": "".join(f"typedef {kind} {name};\n" for kind, name in (
        ("unsigned char", "uint8_t"), ("unsigned short", "uint16_t"), ("unsigned int", "uint32_t"), ("unsigned long", "uint64_t"),
        ("signed char", "int8_t"), ("short", "int16_t"), ("int", "int32_t"), ("long", "int64_t")))
    + "#define INT64_C(x) x##L\n#define UINT64_C(x) x##UL\n",
    "stddef.h": "typedef unsigned long size_t;\ntypedef long ptrdiff_t;\n#define NULL ((void *)0)\n",
    "stdbool.h": "#define bool _Bool\n#define true 1\n#define false 0\n",
    "stdarg.h": "typedef void *va_list;\n",
    "memsafe/version.h": "",
}

# The width of a long is that of a pointer on every system that there is a wheel for.
SCALARS = {
    "_Bool": "C.c_bool", "char": "C.c_char", "int": "C.c_int", "unsigned": "C.c_uint", "double": "C.c_double", "float": "C.c_float",
    "uint8_t": "C.c_uint8", "uint16_t": "C.c_uint16", "uint32_t": "C.c_uint32", "uint64_t": "C.c_uint64",
    "int64_t": "C.c_int64", "int32_t": "C.c_int32", "size_t": "C.c_size_t", "ptrdiff_t": "C.c_ssize_t", "va_list": "C.c_void_p",
}


def preprocessed(folder, *flags):
    for name, text in SYSTEM.items():
        file = Path(folder) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return subprocess.run(
        ["cc", "-E", "-P", "-nostdinc", *flags, "-I", folder, "-I", str(HEADERS), "-D__attribute__(x)=", "-x", "c", "-"],
        input="#include <memsafe/memsafe.h>\n", capture_output=True, text=True, check=True).stdout


class Headers:
    """What the headers declare, in their order."""

    def __init__(self):
        with tempfile.TemporaryDirectory() as folder:
            self.tree = c_parser.CParser().parse(preprocessed(folder), "memsafe.h")
            self.macros = dict(re.findall(r"^#define (MS_[A-Z0-9_]+) (.+)$", preprocessed(folder, "-dM"), re.M))
        self.enums, self.structs, self.functions, self.callbacks, self.constants = {}, {}, {}, {}, {}
        self.order, self.written = [], set()
        for node in self.tree.ext:
            if isinstance(node, c_ast.Typedef) and node.name.startswith("ms_"):
                self.typedef(node)
            elif isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl):
                self.functions[node.name] = node.type
        self.numbers()

    def typedef(self, node):
        kind = node.type.type if isinstance(node.type, c_ast.TypeDecl) else node.type
        if isinstance(kind, c_ast.Enum):
            self.enums[node.name] = self.enumerators(kind)
        elif isinstance(kind, c_ast.Struct) and kind.decls:
            self.structs[node.name] = kind.decls
            self.order.append(node.name)
        elif isinstance(kind, c_ast.PtrDecl) and isinstance(kind.type, c_ast.FuncDecl):
            self.callbacks[node.name] = kind.type
            self.order.append(node.name)

    def enumerators(self, node):
        values, next_value = {}, 0
        for e in node.values.enumerators:
            next_value = self.number(e.value) if e.value else next_value
            values[e.name] = self.constants[e.name] = next_value
            next_value += 1
        return values

    def numbers(self):
        """Macros that are plain numbers."""
        for name, text in sorted(self.macros.items()):
            match = re.fullmatch(r"\(?(?:\w*INT64_C\()?(-?\d+)\)?\)?", text.strip())
            if match:
                self.constants[name] = int(match.group(1))

    def number(self, node):
        if isinstance(node, c_ast.Constant):
            return int(node.value.rstrip("uUlL"), 0)
        if isinstance(node, c_ast.UnaryOp) and node.op == "-":
            return -self.number(node.expr)
        if isinstance(node, c_ast.ID):
            return self.constants[node.name]
        raise SystemExit(f"generate_abi: not understood as a number: {node}")

    def ctype(self, node):
        """A type as an expression of ctypes."""
        if isinstance(node, c_ast.TypeDecl):
            return self.named(node.type)
        if isinstance(node, c_ast.ArrayDecl):
            return f"{self.ctype(node.type)} * {self.number(node.dim)}"
        if isinstance(node, c_ast.PtrDecl):
            return self.pointer(node.type)
        raise SystemExit(f"generate_abi: not understood as a type: {node}")

    def named(self, kind):
        name = kind.name if isinstance(kind, (c_ast.Struct, c_ast.Enum)) else " ".join(kind.names)
        if isinstance(kind, c_ast.Enum) or name in self.enums:
            return "C.c_int"
        return SCALARS.get(name) or name

    def pointer(self, to):
        if isinstance(to, c_ast.FuncDecl):
            return self.function_type(to)
        if isinstance(to, c_ast.TypeDecl):
            name = self.named(to.type)
            # A struct that comes later in the headers is an address here.
            known = name in self.written or not name.startswith("ms_")
            if name == "void" or not known:
                return "C.c_void_p"
            # Text that the library gives to its caller is freed by an address, which c_char_p forgets.
            return "C.c_char_p" if name == "C.c_char" else f"C.POINTER({name})"
        if isinstance(to, c_ast.PtrDecl) and isinstance(to.type, c_ast.TypeDecl) and self.named(to.type.type) == "C.c_char":
            const = "const" in to.type.quals
            return "C.POINTER(C.c_char_p)" if const else "C.POINTER(C.c_void_p)"
        return f"C.POINTER({self.ctype(to)})"

    def function_type(self, node):
        return f"C.CFUNCTYPE({', '.join([self.result(node), *self.parameters(node)])})"

    def result(self, node):
        is_void = isinstance(node.type, c_ast.TypeDecl) and getattr(node.type.type, "names", None) == ["void"]
        return "None" if is_void else self.ctype(node.type)

    def parameters(self, node):
        return [self.parameter(p) for p in node.args.params if not self.is_void(p)] if node.args else []

    @staticmethod
    def is_void(p):
        return isinstance(p.type, c_ast.TypeDecl) and getattr(p.type.type, "names", None) == ["void"]

    def parameter(self, p):
        if isinstance(p.type, c_ast.ArrayDecl):
            return self.pointer(p.type.type)
        return self.ctype(p.type)


def text():
    h = Headers()
    lines = ['"""The public interface of libmemsafe for ctypes. Generated by generate_abi.py from include/memsafe: do not edit."""', "",
             "import ctypes as C", "from typing import Dict, List, Tuple, Type", "", "# Enumerations and numbers"]
    lines += [f"{name} = {value}" for name, value in sorted(h.constants.items())]
    lines += ["", "# name -> number, of each enumeration", "ENUMS: Dict[str, Dict[str, int]] = {"]
    lines += [f'    "{name}": {{' + ", ".join(f'"{n}": {v}' for n, v in values.items()) + "}," for name, values in h.enums.items()]
    lines += ["}"]
    for name in h.order:
        if name in h.callbacks:
            lines += ["", "", f"{name} = {h.function_type(h.callbacks[name])}"]
            continue
        lines += ["", "", f"class {name}(C.Structure):", "    _fields_ = ["]
        lines += [f'        ("{d.name}", {h.ctype(d.type)}),' for d in h.structs[name]]
        h.written.add(name)
        lines += ["    ]"]
    lines += ["", "", "STRUCTS: List[Type[C.Structure]] = ["]
    lines += [f"    {name}," for name in h.structs] + ["]", ""]
    lines += ["# name -> (what it returns, what it takes)", "FUNCTIONS: Dict[str, Tuple[object, List[object]]] = {"]
    lines += [f'    "{name}": ({h.result(f)}, [{", ".join(h.parameters(f))}]),' for name, f in sorted(h.functions.items())]
    return "\n".join(lines + ["}"]) + "\n"


def main():
    new = text()
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if OUTPUT.read_text() == new else f"{OUTPUT.name} is not what the headers say: run python/generate_abi.py")
    OUTPUT.write_text(new)


if __name__ == "__main__":
    main()
