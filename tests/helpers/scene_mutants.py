"""Valid files of the fitter, to be damaged as `mutants` does."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from apu_losses.bodies.smplx_format import age_direction, read_body_file
from apu_losses.fitting import load_preset, load_scene, read_scene_lines
from apu_losses.fitting.propose.scenes import find_images
from apu_losses.fitting.result.record import load_parameters


def _archive(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _array(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _body() -> bytes:
    count, rng = 60, np.random.default_rng(1)
    template = rng.uniform(-0.8, 0.8, (count, 3))
    weights = np.zeros((count, 24))
    weights[:, 0] = 1
    tree = np.array([[0, *range(23)], list(range(24))])
    return _archive(
        v_template=template,
        f=rng.integers(0, count, (40, 3)),
        weights=weights,
        shapedirs=np.zeros((count, 3, 10)),
        J_regressor=np.full((24, count), 1 / count),
        kintree_table=tree,
    )


def _files() -> dict[str, tuple[str, bytes, Any]]:
    keypoints = {"skeleton": "coco17", "xy": [[100.0, 50.0]] * 17, "confidence": [0.9] * 17}
    person = {"keypoints": keypoints, "initial": {"parameters": {"transl": [0.0, 0.1, 3.0]}}}
    contacts = {"schema": "apu-contact-map/1", "pairs": [[1, 2]], "weights": [1.0]}
    scene = {
        "schema_version": 1,
        "name": "two",
        "image": {"width": 640, "height": 480},
        "people": [person, person],
        "contacts": [{"person_a": 0, "person_b": 1, "map": contacts}],
    }
    text = json.dumps(scene).encode()
    preset = json.dumps(load_preset("paper").to_dict()).encode()
    manifest = json.dumps(
        {"name": "a", "width": 9, "height": 9, "bev": "b.npz", "score_scale": {"mmpose": 6}}
    )
    template = np.random.default_rng(2).uniform(-0.8, 0.8, (60, 3))
    fit = _archive(body_pose=np.zeros((2, 63)), transl=np.zeros((2, 3)))
    return {
        "scene": ("json", text, load_scene),
        "scene lines": ("jsonl", text + b"\n", read_scene_lines),
        "preset": ("json", preset, load_preset),
        "manifest": ("jsonl", manifest.encode(), find_images),
        "parameters of a fit": ("npz", fit, load_parameters),
        "body": ("npz", _body(), read_body_file),
        "infant": ("npy", _array(template), lambda path: age_direction(Path(path), template)),
    }


FILES = _files()
