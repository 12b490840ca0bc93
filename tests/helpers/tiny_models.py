"""Small ONNX networks of the detectors' form, whose answers can be read off the picture.

The finder of people boxes what is tinted: the first person yellow, the second magenta; cyan is a dog. The
finder of keypoints puts joint k on the reddest, greenest or bluest point, for k = 0, 1, 2 of each three.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

YELLOW, MAGENTA, CYAN = (60, 60, 0), (60, 0, 60), (0, 60, 60)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def write(path: Path, nodes, inputs, outputs, constants) -> Path:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def image_input(height, width):
    return helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 3, height, width])


def person_model(path: Path, size: int = 160, *, labels: tuple[int, ...] | None = None) -> Path:
    """Boxes ``(1, 2, 5)`` of the yellow and the magenta region, in BGR; score 0.9, or 0 if absent."""
    # sign of each of B, G, R: at least 45 where it is 1, at most 15 where it is not
    signs = np.array([[0, 1, 1], [1, 0, 1]], dtype=np.float32)
    # what is missing from the tint: 0 exactly where all three channels fit it
    lack = [
        helper.make_node("Sub", ["bright", "input_1"], ["short"]),  # 45 - v
        helper.make_node("Relu", ["short"], ["short_r"]),
        helper.make_node("Sub", ["input_1", "dark"], ["over"]),  # v - 15
        helper.make_node("Relu", ["over"], ["over_r"]),
        helper.make_node("Mul", ["short_r", "wanted"], ["lack_on"]),
        helper.make_node("Mul", ["over_r", "unwanted"], ["lack_off"]),
        helper.make_node("Add", ["lack_on", "lack_off"], ["lack_each"]),
        helper.make_node("ReduceSum", ["lack_each", "axis_2"], ["lack"], keepdims=0),  # (1, 2, H, W)
        helper.make_node("Less", ["lack", "half"], ["fits"]),
        helper.make_node("Cast", ["fits"], ["mask"], to=TensorProto.FLOAT),
    ]
    nodes = [helper.make_node("Unsqueeze", ["input", "axis_1"], ["input_1"]), *lack]
    for axis, other, first, last in (("x", 2, "x0", "x1"), ("y", 3, "y0", "y1")):
        nodes += [
            helper.make_node("ReduceMax", ["mask"], [f"any_{axis}"], axes=[other], keepdims=0),
            helper.make_node("Mul", [f"any_{axis}", "up"], [f"at_{axis}"]),
            helper.make_node("ReduceMax", [f"at_{axis}"], [last], axes=[2], keepdims=1),
            helper.make_node("Mul", [f"any_{axis}", "down"], [f"from_{axis}"]),
            helper.make_node("ReduceMax", [f"from_{axis}"], [f"low_{axis}"], axes=[2], keepdims=1),
            helper.make_node("Sub", ["size", f"low_{axis}"], [first]),
        ]
    nodes += [
        helper.make_node("ReduceMax", ["mask"], ["seen"], axes=[2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["seen", "axis_2"], ["seen_1"]),
        helper.make_node("Mul", ["seen_1", "sure"], ["score"]),
        helper.make_node("Concat", ["x0", "y0", "x1", "y1", "score"], ["dets"], axis=2),
    ]
    outputs = [helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, 2, 5])]
    constants = [
        constant("wanted", signs.reshape(1, 2, 3, 1, 1)),
        constant("unwanted", 1 - signs.reshape(1, 2, 3, 1, 1)),
        constant("bright", np.float32(45)),
        constant("dark", np.float32(15)),
        constant("half", np.float32(0.5)),
        constant("sure", np.float32(0.9)),
        constant("size", np.float32(size)),
        constant("up", np.arange(1, size + 1, dtype=np.float32)),  # one past the last pixel
        constant("down", (size - np.arange(size)).astype(np.float32)),
        constant("axis_1", np.array([1])),
        constant("axis_2", np.array([2])),
    ]
    if labels is not None:
        constants.append(constant("labels", np.array([labels], dtype=np.int64)))
        nodes.append(helper.make_node("Identity", ["labels"], ["classes"]))
        outputs.append(helper.make_tensor_value_info("classes", TensorProto.INT64, [1, 2]))
    return write(path, nodes, [image_input(size, size)], outputs, constants)


def raw_person_model(path: Path, boxes: list[tuple[float, ...]], size: int = 64, classes: int = 80) -> Path:
    """A YOLOX without its last step, ``(1, N, 5 + classes)``, that always says the same.

    Args:
        boxes: x, y of the centre, width, height in pixels of the input, objectness, class, its score.
    """
    cells = [(x, y, s) for s in (8, 16, 32) for y in range(size // s) for x in range(size // s)]
    out = np.zeros((1, len(cells), 5 + classes), dtype=np.float32)
    for row, (x, y, width, height, objectness, kind, score) in enumerate(boxes):
        column, line, stride = cells[row]
        out[0, row, :4] = (
            x / stride - column,
            y / stride - line,
            np.log(width / stride),
            np.log(height / stride),
        )
        out[0, row, 4], out[0, row, 5 + int(kind)] = objectness, score
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0, 1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["fixed", "nothing"], ["output"]),
    ]
    constants = [constant("fixed", out), constant("zero", np.float32(0))]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(out.shape))]
    return write(path, nodes, [image_input(size, size)], outputs, constants)


def pose_model(
    path: Path,
    joints: int = 133,
    width: int = 48,
    height: int = 64,
    *,
    bins: int = 2,
    open_size: bool = False,
) -> Path:
    """SimCC curves ``(N, J, 2 W)`` and ``(N, J, 2 H)``: how much of joint k's colour is there."""
    colours = np.array([(1, -0.5, -0.5), (-0.5, 1, -0.5), (-0.5, -0.5, 1)], dtype=np.float32)
    kernel = colours[np.arange(joints) % 3][..., None, None]
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["colour"]),
        helper.make_node("ReduceMax", ["colour"], ["columns"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["colour"], ["rows"], axes=[3], keepdims=0),
    ]
    for curve, out in (("columns", "simcc_x"), ("rows", "simcc_y")):
        # every pixel becomes `bins` bins, the first of them a little higher: its position is 2 x
        nodes += [
            helper.make_node("Unsqueeze", [curve, "last"], [f"{curve}_1"]),
            helper.make_node("Mul", [f"{curve}_1", "bins"], [f"{curve}_2"]),
            helper.make_node("Reshape", [f"{curve}_2", "flat"], [out]),
        ]
    constants = [
        constant("kernel", kernel),
        constant("last", np.array([3])),
        constant("bins", np.linspace(1, 0.9, bins, dtype=np.float32)),
        constant("flat", np.array([0, joints, -1])),
    ]
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [None, joints, None if open_size else bins * n]
        )
        for name, n in (("simcc_x", width), ("simcc_y", height))
    ]
    size = (None, None) if open_size else (height, width)
    return write(path, nodes, [image_input(*size)], outputs, constants)


def heat_map_model(path: Path) -> Path:
    """One output of heat maps, as ViTPose has it."""
    kernel = np.ones((17, 3, 1, 1), dtype=np.float32)
    nodes = [helper.make_node("Conv", ["input", "kernel"], ["maps"])]
    outputs = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [None, 17, 64, 48])]
    return write(path, nodes, [image_input(64, 48)], outputs, [constant("kernel", kernel)])


def picture(size, people, dots=(), background=(0, 0, 0)) -> np.ndarray:
    """``(H, W, 3)`` RGB.

    Args:
        size: width, height.
        people: tint and x0, y0, x1, y1 of each.
        dots: colour and x, y of soft dots of 3 pixels, each brightest at its middle.
    """
    width, height = size
    out = np.zeros((height, width, 3)) + background
    for tint, (x0, y0, x1, y1) in people:
        out[y0:y1, x0:x1] = tint
    yy, xx = np.mgrid[:height, :width]
    for colour, (x, y) in dots:
        share = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 3.0**2))[..., None]
        out = out * (1 - share) + np.array(colour) * share
    return out.round().astype(np.uint8)
