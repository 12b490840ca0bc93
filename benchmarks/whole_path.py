"""The whole path on real photographs, against a server on loopback that plays back answers written before.

    python benchmarks/whole_path.py --out /tmp/whole_path           # from keypoints alone, ten photographs
    python benchmarks/whole_path.py --out /tmp/whole_auto --start auto --only college_232334 girls_250416
    python benchmarks/whole_path.py --out /tmp/whole_detected --detector mediapipe    # pictures alone

Photographs, keypoints and answers lie in ../shared/real and are no part of the repository. Pairs that nobody
wrote an answer for are refused by the server, as a model may. The table says how each fit ended.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from short_form import REAL, add_check, require_photographs

from apu_contacts import parse_answer
from apu_contacts.asking.queries import PairQuery
from apu_contacts.keypoints import SKELETONS
from apu_contacts.sources import read_flickr_signatures
from apu_losses.fitting import Scene, read_scene_lines
from apu_losses.generate import scene_queries
from apu_losses.generate.config import RunConfig
from apu_losses.generate.page import largest, share_near
from apu_losses.generate.run import RunSummary, run

FOLDERS = ("college_232334", "girls_250416")
FILES = ("image.png", "openpose.json", "vitpose.json", "bev.npz")
Box = np.ndarray
Given = tuple[Box, Box, str]


class Playback(ThreadingHTTPServer):
    """Answers by the digest of the picture that is asked about; it counts what it is asked."""

    daemon_threads = True

    def __init__(self, texts: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.texts, self.asked = texts, [0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Playback

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked[0] += 1
        pictures = [p["image_url"]["url"] for p in body["messages"][0]["content"] if p["type"] == "image_url"]
        picture = base64.b64decode(pictures[-1].partition(",")[2])
        text = self.server.texts.get(hashlib.sha256(picture).hexdigest())
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if text is None:
            message |= {"content": None, "refusal": "nobody wrote an answer about these two"}
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 300, "total_tokens": 1300},
        }
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def playing(texts: dict[str, str]) -> Iterator[Playback]:
    server = Playback(texts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def lay_out(real: Path, folder: Path, only: Sequence[str], *, bare: bool = False) -> dict[str, list[Given]]:
    """Photographs with what lies beside them as `apu run` takes it, or bare; the answers to each, with
    boxes.
    """
    given: dict[str, list[Given]] = {}
    for name in FOLDERS:
        if only and name not in only:
            continue
        place = folder / name
        place.mkdir(parents=True)
        for file in FILES[: 1 if bare else None]:
            shutil.copy(real / name / file, place / file)
        signature = next(
            iter(read_flickr_signatures(real / name / "interaction_contact_signature.json").values())
        )
        given[name] = _answers(real / name, [np.asarray(box) for box in signature.boxes])
    for source in sorted((real / "photos").iterdir()):
        if not source.is_dir() or (only and source.name not in only):
            continue
        image = next(item for item in source.iterdir() if item.stem == "image")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, folder / f"{source.name}{image.suffix}")
        people = json.loads((source / "keypoints.json").read_text())["people"]
        names = SKELETONS["body25"].joint_names
        rows = np.array([[person.get(joint, [0.0, 0.0, 0.0]) for joint in names] for person in people])
        if not bare:
            np.savez(folder / f"{source.name}.keypoints.npz", keypoints=rows[..., :2], scores=rows[..., 2])
        boxes = [_box(each[:, :2][each[:, 2] >= 0.2]) for each in rows]
        given[source.name] = _answers(source, boxes)
    return given


def _box(points: np.ndarray) -> Box:
    return np.concatenate([points.min(0), points.max(0)])


def _answers(folder: Path, boxes: Sequence[Box]) -> list[Given]:
    rows = map(json.loads, (folder / "answers.jsonl").read_text().splitlines())
    return [(boxes[row["person_left"]], boxes[row["person_right"]], row["text"]) for row in rows]


def answers_by_picture(scenes: Sequence[Scene], given: dict[str, list[Given]]) -> dict[str, str]:
    """Return what is answered to each crop: the given answer about the two people who are nearest to it."""
    queries, _ = scene_queries(scenes)
    by_name = {scene.name: scene for scene in scenes}
    texts = {}
    for query in queries:
        scene = by_name[query.about["scene"]]
        text = _answer_to(scene, query, given.get(scene.name, []))
        if text is not None:
            picture = query.prompt(None).pieces[-1]
            assert isinstance(picture, bytes)
            texts[hashlib.sha256(picture).hexdigest()] = text
    return texts


def _answer_to(scene: Scene, query: PairQuery, given: Sequence[Given]) -> str | None:
    people = []
    for index in (query.person_left, query.person_right):
        keypoints = scene.people[index or 0].keypoints
        people.append(_box(keypoints.xy[keypoints.confidence >= 0.2]))
    for left, right, text in given:
        if min(_overlap(people[0], left), _overlap(people[1], right)) > 0.4:
            return text
        if min(_overlap(people[1], left), _overlap(people[0], right)) > 0.4:
            return json.dumps(parse_answer(text).transposed().to_document())
    return None


def _overlap(one: Box, other: Box) -> float:
    """Intersection over the smaller box: boxes of annotators are wider than keypoints reach."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float(np.prod((high - low).clip(0)))
    whole = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return common / max(*whole) if min(whole) > 0 else 0.0


def table(done: RunSummary) -> str:
    """How each fit ended, as Markdown."""
    head = (
        "photograph | people | pairs | answered | contacts | keypoint error, px | parts within 2 cm | "
        "depth p95, cm | largest shape change | verdict"
    )
    lines = [f"| {head} |", "|" + " --- |" * (head.count("|") + 1)]
    for scene in done.scenes:
        record = done.records.get(scene.name)
        if record is None:
            lines.append(f"| {scene.name} |" + " - |" * 9)
            continue
        before, after = record["before"], record["after"]
        known = [c.evidence.status for c in scene.contacts if c.evidence is not None]
        cells = [
            scene.name,
            len(scene.people),
            len(scene.contacts),
            sum(status in ("contacts", "nothing touches") for status in known),
            sum(len(c.contacts.groups()) for c in scene.contacts),
            f"{largest(before['keypoint_error'])} to {largest(after['keypoint_error'])}",
            f"{share_near(before['part_distance'])} to {share_near(after['part_distance'])}",
            f"{_cm(before['depth_p95'])} to {_cm(after['depth_p95'])}",
            largest(after["shape_change"]),
            f"{'kept' if record['verdict']['kept'] else 'rejected'}: {record['verdict']['reason']}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _cm(metres: float | None) -> str:
    return "-" if metres is None else f"{100 * metres:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=REAL)
    parser.add_argument("--out", type=Path, help="folder for the run; a temporary one if left out")
    parser.add_argument("--start", default="keypoints", help="auto, keypoints or estimate")
    parser.add_argument("--preset", default="best")
    parser.add_argument(
        "--detector", help="find the people by 'pose' or 'mediapipe' instead of by what is given"
    )
    parser.add_argument("--only", nargs="*", default=[], help="names of photographs")
    add_check(parser)
    options = parser.parse_args()
    require_photographs(options.data)
    torch.set_num_threads(1)
    only = options.only or (["handshake_f30"] if options.check else [])
    with tempfile.TemporaryDirectory() as work:
        out = options.out or Path(work) / "out"
        laid = (options.out or Path(work)).with_name(f"{(options.out or Path(work)).name}_photographs")
        if laid.exists():
            shutil.rmtree(laid)
        given = lay_out(options.data, laid, only, bare=options.detector is not None)
        config = RunConfig().changed(
            {
                "ask": {"model": "written before", "example": False},
                "detect": {"detector": options.detector or "auto"},
                "propose": {"start": options.start},
                "fit": {"preset": "no_contact" if options.check else options.preset, "batch_size": 2},
            }
        )
        run([laid], out, config, dry_run=True)
        texts = answers_by_picture(read_scene_lines(out / "scenes.jsonl"), given)
        with playing(texts) as server:
            done = run(
                [laid],
                out,
                config.changed({"ask": {"base_url": server.url}}),
                progress=lambda share, doing: print(f"{100 * share:5.1f} %  {doing}", flush=True),
            )
            print(f"\n{server.asked[0]} questions, {len(texts)} of them with an answer written before\n")
        print(table(done))
        for note in done.notes:
            print(f"- {note}")
        if options.out is None or options.check:
            shutil.rmtree(laid, ignore_errors=True)


if __name__ == "__main__":
    main()
