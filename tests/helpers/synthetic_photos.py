"""Rendered pictures of the bundled scenes, keypoints and an estimate beside each, and a server that answers.

A folder as a user has it: ``NAME.png``, ``NAME.keypoints.npz``, ``NAME.parameters.npz``.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from apu_losses.synthetic import annotate, load_truth_scenes, observe

SIDE = 320
"""Pixels of the longer side."""


def write_photos(folder: Path, count: int, *, draw: bool = True) -> dict[str, str]:
    """Write so many pictures; return name -> the answer of the simulated annotator.

    Scene after scene of the package, seen by one camera after the other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scenes = load_truth_scenes()
    answers = {}
    for number in range(count):
        truth, seed = scenes[number * 7 % len(scenes)], number // len(scenes)
        seen = observe(truth, seed=seed)
        name = f"{truth.name}-{seed:02d}"
        answers[name] = annotate(seen, seed=seed)
        write_one(folder, name, seen, draw=draw)
    return answers


def write_one(folder: Path, name: str, seen, *, draw: bool) -> None:
    view = seen.view
    scale = SIDE / max(view.width, view.height)
    size = round(view.width * scale), round(view.height * scale)
    picture = np.full((size[1], size[0], 3), 200, dtype=np.uint8)
    if draw:
        from apu_losses.bodies import load_body
        from apu_losses.viz import Mesh, render_meshes

        faces = np.asarray(load_body().faces)
        meshes = [
            Mesh(v, faces, np.broadcast_to(np.array(c), (len(v), 3)))
            for v, c in zip(seen.vertices, ((0.8, 0.5, 0.4), (0.4, 0.5, 0.8)), strict=True)
        ]
        camera = type(view.camera)(view.camera.focal * scale, tuple(c * scale for c in view.camera.center))
        picture = render_meshes(meshes, camera, size, supersample=1)
    # no two pictures are alike, whatever is drawn
    mark = np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint8)
    picture[:1, : len(mark) // 3] = mark[: len(mark) // 3 * 3].reshape(1, -1, 3)
    Image.fromarray(picture).save(folder / f"{name}.png")
    people = seen.detections
    np.savez(
        folder / f"{name}.keypoints.npz",
        keypoints=np.stack([p.keypoints.xy for p in people]) * scale,
        scores=np.stack([p.keypoints.confidence for p in people]),
    )
    estimates = [p.estimate if hasattr(p, "estimate") else p.initial for p in people]
    rows = {
        "global_orient": np.stack([e.parameters["global_orient"] for e in estimates]),
        "body_pose": np.stack([e.parameters["body_pose"] for e in estimates]),
        "transl": np.stack([e.joints[0] for e in estimates]) - REST_PELVIS,
    }
    np.savez(folder / f"{name}.parameters.npz", **rows)


REST_PELVIS = np.array([0.0031, -0.3514, 0.0120])
"""Where SMPL-X's pelvis lies at rest."""


class AnswerServer(ThreadingHTTPServer):
    """Answers with the texts of the simulated annotator.

    Args:
        answers: texts; which one is given hangs on the request alone, not on when it comes.
    """

    daemon_threads = True

    def __init__(self, answers: Sequence[str], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answers, self.asked = list(answers), 0
        self.status, self.blank = 200, False
        self.seen: dict[str, int] = {}
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed hang up."""


class Handler(BaseHTTPRequestHandler):
    server: AnswerServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = hashlib.sha256(body).hexdigest()
        with self.server.lock:
            self.server.asked += 1
            self.server.seen[name] = self.server.seen.get(name, 0) + 1
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        text = self.server.answers[int(name, 16) % len(self.server.answers)]
        self.reply("" if self.server.blank else text)

    def reply(self, text: str) -> None:
        message = {"role": "assistant", "content": text}
        document = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "simulated",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 900, "completion_tokens": 120, "total_tokens": 1020},
        }
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
