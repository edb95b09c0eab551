"""Writes the nets as ONNX with the operators, names and output layout of insightface's files.

Batch norms are folded into the convolutions. Weights are stored as float16, each with a Cast to float32 behind it,
so the files are half as large and any ONNX runtime reads them.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import nets


class Writer:
    def __init__(self):
        self.nodes, self.constants, self.n = [], [], 0

    def name(self):
        self.n += 1
        return f"v{self.n}"

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, tensor):
        half = self.constant(tensor.detach().numpy().astype(np.float16))
        return self.op("Cast", [half], to=TensorProto.FLOAT)

    def op(self, kind, inputs, out=None, **attributes):
        out = out or self.name()
        self.nodes.append(helper.make_node(kind, inputs, [out], name=f"{kind}_{len(self.nodes)}", **attributes))
        return out

    def conv(self, x, weight, bias, stride):
        k = weight.shape[-1]
        return self.op(
            "Conv",
            [x, self.weight(weight), self.weight(bias)],
            kernel_shape=[k, k],
            strides=[stride, stride],
            pads=[k // 2] * 4,
            dilations=[1, 1],
            group=1,
        )

    def plain(self, x, conv):
        return self.conv(x, conv.weight, conv.bias, conv.stride[0])

    def unit(self, x, unit):
        n = unit.norm
        scale = n.weight / (n.running_var + n.eps).sqrt()
        y = self.conv(x, unit.conv.weight * scale[:, None, None, None], n.bias - n.running_mean * scale, unit.conv.stride[0])
        if unit.add:
            y = self.op("Add", [y, x])
        return self.op("Relu", [y]) if unit.act else y

    def save(self, path, inputs, outputs):
        graph = helper.make_graph(self.nodes, "memsafe-demo-faces", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6, producer_name="memsafe")
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(path))


def value(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def rows(w, x, columns, out, last=None):
    """[1, 2 * columns, h, w] -> [h * w * 2, columns]."""
    x = w.op("Transpose", [x], perm=[2, 3, 0, 1])
    x = w.op("Reshape", [x, w.constant(np.array([-1, columns], np.int64))], None if last else out)
    return w.op(last, [x], out) if last else x


def write_detector(net, path, margin=0.0):
    """margin: what is taken off the scores before the sigmoid, so that 0.5 asks for more."""
    net = net.eval()
    w = Writer()
    x = "input.1"
    for unit in net.stem:
        x = w.unit(x, unit)
    levels = []
    for down in net.down:
        for unit in down:
            x = w.unit(x, unit)
        levels.append(x)
    levels = [w.plain(v, lateral) for lateral, v in zip(net.lateral, levels)]
    for i in (1, 0):
        up = w.op(
            "Resize",
            [levels[i + 1], w.constant(np.zeros(0, np.float32)), w.constant(np.array([1, 1, 2, 2], np.float32))],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        levels[i] = w.op("Add", [levels[i], up])
    outputs = {"score": [], "bbox": [], "kps": []}
    for stride, head, v in zip(nets.STRIDES, net.heads, levels):
        v = w.unit(v, head.tower)
        score = w.conv(v, head.score.weight, head.score.bias - margin, 1)
        rows(w, score, 1, f"score_{stride}", "Sigmoid")
        rows(w, w.plain(v, head.box), 4, f"bbox_{stride}")
        rows(w, w.plain(v, head.points), 10, f"kps_{stride}")
        for kind, columns in (("score", 1), ("bbox", 4), ("kps", 10)):
            outputs[kind].append(value(f"{kind}_{stride}", [f"rows_{stride}", columns]))
    w.save(path, [value("input.1", [1, 3, "height", "width"])], sum(outputs.values(), []))
    net.train()


def write_landmarks(net, path):
    net = net.eval()
    w = Writer()
    x = w.op("Sub", ["data", w.constant(np.array(127.5, np.float32))])
    x = w.op("Mul", [x, w.constant(np.array(1 / 128, np.float32))])
    for unit in net.body:
        x = w.unit(x, unit)
    x = w.op("Flatten", [x], axis=1)
    x = w.op("Gemm", [x, w.weight(net.shape.weight), w.weight(net.shape.bias)], transB=1)
    w.op("Gemm", [x, w.weight(net.points.weight), w.weight(net.points.bias)], "fc1", transB=1)
    w.save(path, [value("data", ["batch", 3, 192, 192])], [value("fc1", ["batch", 212])])
    net.train()
