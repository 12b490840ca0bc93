"""Records of pairs that satisfy the schema, with drawn numbers: for tests of files, not of fits."""

from __future__ import annotations

from typing import Any

import numpy as np

from apu_losses.dataset.record import SCHEMA_VERSION, single
from apu_losses.dataset.rules import body_findings, finding, verdict

SIZES = {"global_orient": 3, "body_pose": 63, "betas": 10, "age": 1, "transl": 3}
SIZES |= {"left_hand_pose": 45, "right_hand_pose": 45}
INTERACTIONS = ("hug", "handshake", "high five")


def record(
    number: int, *, source: str = "photos", kept: bool = True, image: str | None = None
) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    pairs = [[3, 10], [3, 13]] if number % 3 else []
    people = [person(rng) for _ in range(2)]
    status = "contacts" if pairs else "nothing touches"
    hug = {
        "part_left": "hand",
        "side_left": "left",
        "part_right": "back",
        "side_right": "none",
        "confidence": 0.9,
    }
    contact = {"part_a": "hand", "side_a": "right", "part_b": "back", "side_b": "none"}
    contact |= {"stated_a": "left", "stated_b": "none", "confidence": 0.9, "weight": 0.5, "margin": 0.2}
    contact |= {"probability": 0.7, "votes": 1, "samples": 1}
    measures = measured(rng, len(pairs))
    made: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "id": f"image-{number:03d}:0-1",
        "source": source,
        "action": "",
        "interaction": INTERACTIONS[number % 3],
        "image": {
            "name": f"image-{number:03d}",
            "path": image,
            "digest": f"{number:064x}",
            "width": 640,
            "height": 480,
            "phash": f"{rng.integers(0, 2**63):016x}",
        },
        "camera": {"focal": 554.25, "center": [320.0, 240.0]},
        "scene": {"people": 2, "pairs": 1, "person_a": 0, "person_b": 1},
        "person_a": people[0],
        "person_b": people[1],
        "answers": [answer(number, [hug] if pairs else [])],
        "evidence": {
            "status": status,
            "answers": 1,
            "stating": int(bool(pairs)),
            "denying": int(not pairs),
            "refused": 0,
            "unreadable": 0,
            "partly_read": 0,
            "left": "a",
            "attributes": told("a", "b") if number % 2 else None,
        },
        "order": {"value": "given", "exchanged": False, "margin": 0.8},
        "contacts": [contact] if pairs else [],
        "region_map": {
            "pairs": pairs,
            "weights": [0.5] * len(pairs),
            "group": [0] * len(pairs) if pairs else None,
            "group_names": ["right hand - back"] if pairs else None,
        },
        "stages": [
            {
                "name": "one",
                "iterations": 7,
                "reason": "converged",
                "loss": 1.5,
                "terms": [{"term": "contact", "value": 0.5}, {"term": "keypoints", "value": None}],
            }
        ],
        "before": measures,
        "after": measures,
        "provenance": {
            "apu_losses": "0.1.0",
            "torch": "2.13.0",
            "numpy": "2.0.0",
            "preset": "best",
            "preset_digest": "0" * 32,
            "body": "free",
            "body_model": "free",
            "body_identity": "1" * 32,
            "region_map": "derived",
            "policy": "2" * 32,
            "seed": 0,
            "inputs": [{"kind": "keypoints", "digest": "3" * 32}],
            "notes": [],
        },
    }
    found = [
        finding("contacts stated", 1.0, 1, True),
        finding("paper pixels", 5.0 if kept else 25.0, 20, kept),
    ]
    made["verdict"] = verdict([*found, *body_findings(made)], "said")
    return made


def told(first: str, second: str) -> dict[str, Any]:
    """What an answer says of two people whom it calls so; of some things nothing."""
    child = {"age_group": {"value": "child", "confidence": 0.75}, "sex": None, "build": None}
    adult = dict.fromkeys(child) | {"build": {"value": "slim", "confidence": 0.5}}
    return {
        first: child,
        second: adult,
        "taller": {"value": second, "confidence": 1.0},
        "in_front": None,
    }


def person(rng: np.random.Generator) -> dict[str, Any]:
    parameters = {name: single(rng.normal(0, 0.3, size)) for name, size in sorted(SIZES.items())}
    parameters |= {"age": single(rng.uniform(0, 1, 1)), "transl": single([*rng.normal(0, 0.3, 2), 3.0])}
    return {
        "label": "somebody",
        "age_group": "child" if rng.uniform() < 0.5 else "",
        "stature": float(rng.uniform(0.8, 2.0)) if rng.uniform() < 0.5 else None,
        "keypoints": {
            "skeleton": "coco17",
            "xy": single(rng.uniform(0, 480, (17, 2))),
            "confidence": single(rng.uniform(0.3, 1, 17)),
        },
        "box": [10.0, 20.0, 200.0, 400.0],
        "parameters": parameters,
        "start": parameters,
    }


def answer(number: int, contacts: list[dict[str, Any]]) -> dict[str, Any]:
    reading = {
        "interaction": "hug",
        "person_left": "one | two",
        "person_right": "",
        "orientation": "front to front",
    }
    reading |= {"truncated": False, "conforms": True, "unknown_words": ["flipper"], "contacts": contacts}
    reading["attributes"] = told("person_left", "person_right") if number % 2 else None
    texts = (
        "asked_of",
        "server",
        "prompt_version",
        "prompt_hash",
        "wording",
        "image_hash",
        "reasoning",
        "repair_of",
    )
    return {
        **dict.fromkeys(texts, ""),
        "question": f"{number:064x}",
        "model": "m-1",
        "asked_model": "m",
        "temperature": 0.0,
        "sample": 0,
        "crop": [1.0, 2.0, 3.0, 4.0],
        "person_left": 0,
        "person_right": 1,
        "text": '{"interaction": "hug \u2028 \U0001f917"}',
        "refusal": None,
        "finish_reason": "stop",
        "status": "answer",
        "error": None,
        "prompt_tokens": 900,
        "completion_tokens": None,
        "reading": reading,
        "repairs": [{"kind": "trailing comma", "start": 3, "end": 4, "meaning": "left out"}],
    }


def measured(rng: np.random.Generator, pairs: int) -> dict[str, Any]:
    names = (
        "keypoint_error",
        "robust_keypoint_error",
        "pose_change_rms",
        "pose_change_max",
        "spine_change_max",
    )
    names = (*names, "stature_change", "volume_change", "thickness_change")
    found: dict[str, Any] = {name: rng.uniform(0, 5, 2).tolist() for name in names}
    found["volume_change"] = [None, None]
    found |= {"part_distance": [0.01] * min(pairs, 1), "contact_distance": [0.01] * pairs}
    return found | {"inside_vertices": 3, "depth_p95": 0.01, "depth_max": None, "depth_order_wrong": 0.0}


def write_set(folder: Any, numbers: Any, per_shard: int = 4, **options: Any) -> list[dict[str, Any]]:
    """Write records as a data set of several shards; return them."""
    from pathlib import Path

    from apu_losses.dataset.shard import ShardIndex, write_shard

    Path(folder).mkdir(parents=True, exist_ok=True)
    rows = [record(number, **options) for number in numbers]
    for place in range(0, len(rows), per_shard):
        part = rows[place : place + per_shard]
        images = [
            {"name": r["image"]["name"], "source": r["source"], "pairs": 1, "problem": ""} for r in part
        ]
        write_shard(folder, ShardIndex(place // per_shard, images=images), part)
    return rows
