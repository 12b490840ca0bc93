"""Valid files of every reader, and small damages of them from a seed."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import apu_contacts as ac
from apu_contacts.answers.explanation import explain_file
from apu_contacts.asking.batch_results import read_results
from apu_contacts.regions import RegionMap
from apu_contacts.sources import (
    read_bev,
    read_buddi,
    read_coco_results,
    read_flickr_signatures,
    read_hmr2,
    read_keypoint_arrays,
    read_mmpose,
    read_model_pickle,
    read_multihmr,
    read_nlf,
    read_numpy_pickle,
    read_openpose,
    read_parameters,
    read_sam3d_body,
    read_smplerx,
    read_smplifyx,
)

SIZE = (640, 480)
Reader = Callable[[Path], object]


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _packed(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _text(content: Any) -> bytes:
    return json.dumps(content).encode()


def _spread(rng: np.random.Generator, *shape: int) -> Any:
    return rng.uniform(-0.5, 0.5, shape)


def _contact_map(path: Path) -> object:
    return ac.ContactMap.from_json(path.read_bytes().decode("utf-8", "replace"))


def _people() -> dict[str, tuple[str, bytes, Reader]]:
    rng = np.random.default_rng(5)
    pixels = rng.uniform(50, 400, (2, 133, 2)).round(1)
    scores = rng.uniform(0.3, 1.0, (2, 133)).round(3)
    flat = np.concatenate([pixels, scores[..., None]], -1)
    pose = {
        "global_orient": np.tile([[3.1, 0, 0]], (2, 1)),
        "body_pose": np.zeros((2, 63)),
        "betas": np.zeros((2, 10)),
        "transl": np.tile([[0, 0.3, 3.0]], (2, 1)),
    }
    hmr = {
        "pred_smpl_params": {
            "global_orient": np.tile(np.eye(3), (2, 1, 1, 1)),
            "body_pose": np.tile(np.eye(3), (2, 23, 1, 1)),
            "betas": np.zeros((2, 10)),
        },
        "pred_cam_t_full": np.tile([0, 0, 20.0], (2, 1)),
        "pred_keypoints_3d": _spread(rng, 2, 44, 3),
        "box_center": np.tile([320.0, 240], (2, 1)),
        "box_size": np.full(2, 300.0),
        "img_size": np.tile([640.0, 480], (2, 1)),
    }
    bev = {
        "smpl_thetas": _spread(rng, 2, 72),
        "smpl_betas": _spread(rng, 2, 11),
        "cam_trans": np.tile([0, 0, 4.0], (2, 1)),
        "joints": _spread(rng, 2, 71, 3),
        "pj2d_org": rng.uniform(0, 400, (2, 71, 2)),
        "center_confs": np.ones(2),
    }
    keypoints = _spread(rng, 70, 3)
    sam = [
        {"pred_keypoints_3d": keypoints, "pred_cam_t": np.array([x, 0, 4.0]), "focal_length": 900.0}
        for x in (0, 1)
    ]
    person = {"rotvec": np.zeros((53, 3)), "shape": np.zeros(10), "transl_pelvis": np.array([[0, 0, 3.0]])}
    multihmr = [person, dict(person)]
    nlf = {
        "pose": np.zeros((2, 72)),
        "betas": np.zeros((2, 10)),
        "joints3d": _spread(rng, 2, 24, 3) * 1000 + [0, 0, 4e3],
    }
    nlf["trans"] = nlf["joints3d"][:, 0] - [0, -230, 30]
    smplerx = {
        f"smplx_{k}": np.zeros((1, n)) for k, n in (("root_pose", 3), ("body_pose", 63), ("shape", 10))
    }
    smplerx |= {"cam_trans": np.array([[0, 0, 5.0]]), "focal": [900.0, 900.0], "princpt": [320.0, 240.0]}
    smplify = {"camera_translation": np.array([[0, 0.0, 20]]), "camera_rotation": np.eye(3)[None]}
    smplify |= {"global_orient": np.zeros((1, 3)), "body_pose": np.zeros((1, 63)), "betas": np.zeros((1, 10))}
    signature = {
        "a": {
            "bbxes": [[0, 0, 100, 100], [50, 0, 150, 100]],
            "ci_sign": [
                {
                    "person_ids": [0, 1],
                    "smplx": {"region_id": [[1, 2]], "vertex_id": [[3, 4]], "face_id": [[5, 6]]},
                }
            ],
        }
    }
    regions = json.loads(json.dumps({"format": "apu-region-map/1", "topology": "t", "vertex_count": 75}))
    regions |= {"provenance": "made", "approximate": True, "regions": [[i] for i in range(75)]}
    coco = [{"image_id": 1, "keypoints": flat[0, :17].ravel().tolist(), "score": 0.9}]
    coco += [{"image_id": 2, "keypoints": flat[0].ravel().tolist(), "score": None}]
    line = {
        "custom_id": "0:a",
        "response": {"status_code": 200, "body": {"choices": [{"message": {"content": "x"}}]}},
    }
    contacts = ac.ContactMap([(1, 2), (3, 4)]).to_json()
    openpose = {
        "people": [
            {"pose_keypoints_2d": flat[i, :25].ravel().tolist(), "face_keypoints_2d": []} for i in (0, 1)
        ]
    }
    mmpose = [
        {"keypoints": pixels[i, :17].tolist(), "keypoint_scores": scores[i, :17].tolist()} for i in (0, 1)
    ]
    model = {"v_template": np.zeros((5, 3)), "f": np.zeros((2, 3), np.uint32), "weights": np.ones((5, 2))}
    arrays = {**hmr["pred_smpl_params"], **{key: value for key, value in hmr.items() if "params" not in key}}
    mixed = {"a": [np.arange(3)], "b": {1, 2}, "c": ("x", 1.5, None, True)}
    buddi = {"humans": {**pose, "scale": np.zeros((2, 1))}, "cam": {}}
    return {
        "openpose": ("json", _text(openpose), lambda p: read_openpose(p, hands_and_face=True)),
        "mmpose": ("json", _text(mmpose), read_mmpose),
        "mmpose pickle": ("pkl", pickle.dumps([{"keypoints": flat[0, :17]}], 2), read_mmpose),
        "coco": ("json", _text(coco), read_coco_results),
        "keypoints": ("npz", _npz(keypoints=pixels, scores=scores), read_keypoint_arrays),
        "keypoints packed": ("npz", _packed(keypoints=pixels, scores=scores), read_keypoint_arrays),
        "keypoints npy": ("npy", _npy(flat), read_keypoint_arrays),
        "bev": ("npz", _npz(results=np.array(bev, dtype=object)), read_bev),
        "hmr2": ("pkl", pickle.dumps(hmr, 4), read_hmr2),
        "hmr2 archive": (
            "npz",
            _npz(**arrays),
            read_hmr2,
        ),
        "multihmr": ("pkl", pickle.dumps(multihmr, 5), lambda p: read_multihmr(p, SIZE)),
        "nlf": ("npz", _npz(**nlf), lambda p: read_nlf(p, SIZE)),
        "sam3d": ("pkl", pickle.dumps(sam, 3), lambda p: read_sam3d_body(p, SIZE)),
        "sam3d npy": ("npy", _npy(np.array(sam, dtype=object)), lambda p: read_sam3d_body(p, SIZE)),
        "smplerx": ("pkl", pickle.dumps(smplerx, 2), read_smplerx),
        "smplifyx": ("pkl", pickle.dumps(smplify, 2), lambda p: read_smplifyx(p, SIZE)),
        "parameters": ("npz", _npz(**pose), read_parameters),
        "parameters json": ("json", _text({k: v.tolist() for k, v in pose.items()}), read_parameters),
        "parameters oldest": ("pkl", pickle.dumps(pose, 0), read_parameters),
        "buddi": (
            "pkl",
            pickle.dumps(buddi, 4),
            read_buddi,
        ),
        "pickle": (
            "pkl",
            pickle.dumps(mixed, 4),
            read_numpy_pickle,
        ),
        "model": ("pkl", pickle.dumps(model, 2), read_model_pickle),
        "flickr": ("json", _text(signature), read_flickr_signatures),
        "contact map": (
            "json",
            _text(contacts),
            _contact_map,
        ),
        "region map": ("json", _text(regions), RegionMap.load),
        "batch": ("jsonl", _text(line) + b"\n", lambda p: list(read_results(p))),
        "answers": ("jsonl", _text({"id": "a", "text": "{}"}) + b"\n", explain_file),
    }


FILES = _people()


def mutants(data: bytes, ending: str, seed: int, count: int) -> Iterator[bytes]:
    """Damaged forms of a file: cut, bits turned, pieces doubled, numbers grown, values nested or retyped."""
    rng = random.Random(seed)
    for _ in range(count):
        if ending in ("json", "jsonl") and rng.random() < 0.6:
            yield _changed(data, rng)
            continue
        yield rng.choice((_cut, _turned, _doubled, _filled))(data, rng)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _turned(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        # headers, opcodes and directories lie at both ends
        place = rng.choice((rng.randrange(len(data)), rng.randrange(min(300, len(data)))))
        changed[place if rng.random() < 0.7 else -1 - place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _doubled(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start : start + rng.randrange(1, 200)] + data[start:]


_WORDS = (b"\xff" * 4, b"\x00" * 8, struct.pack("<I", 1 << 28), b"r\x00\x00\x00\x10", b"9" * 20, b"(" * 9)


def _filled(data: bytes, rng: random.Random) -> bytes:
    word = rng.choice(
        (b"\xff" * 4, b"\x00" * 8, struct.pack("<I", 1 << 28), b"r\x00\x00\x00\x10", b"9" * 20, b"(" * 9)
    )
    start = rng.randrange(len(data))
    return data[:start] + word + data[start + len(word) :]


_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e300,
    10**30,
    float("nan"),
    float("inf"),
    "x",
    "\ud800",
    [],
    {},
    [[]],
    1e-320,
)


def _changed(data: bytes, rng: random.Random) -> bytes:
    content = json.loads(data)
    places: list[tuple[Any, Any]] = []
    stack = [content]
    while stack:
        value = stack.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value))
        places += [(value, key) for key in keys]
        stack += [value[key] for key in keys if isinstance(value[key], dict | list) and value[key]]
    for _ in range(rng.choice((1, 1, 3))):
        owner, key = rng.choice(places)
        if isinstance(owner, dict) and key not in owner:
            continue
        if rng.random() < 0.2:
            owner[key] = [owner[key]]
        elif rng.random() < 0.1:
            return data.replace(b": ", b": " + b"[" * 5000, 1)
        elif isinstance(owner, dict) and rng.random() < 0.2:
            owner.pop(key, None)
        else:
            owner[key] = rng.choice(_VALUES)
    return json.dumps(content).encode()
