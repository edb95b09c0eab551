"""Cases of memsafe-stage: safetensors files, read and written with numpy alone."""
import json

import numpy as np

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "U8": np.uint8, "I32": np.int32, "I64": np.int64}


def read_case(path):
    with open(path, "rb") as file:
        raw = file.read()
    n = int.from_bytes(raw[:8], "little")
    out = {}
    for name, t in json.loads(raw[8 : 8 + n]).items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        out[name] = np.frombuffer(raw[8 + n + a : 8 + n + b], TYPES[t["dtype"]]).reshape(t["shape"]).copy()
    return out


def write_case(path, tensors):
    names = {np.dtype(v): k for k, v in TYPES.items()}
    head, at = {}, 0
    for name, t in tensors.items():
        head[name] = {"dtype": names[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for t in tensors.values():
            file.write(np.ascontiguousarray(t).tobytes())
