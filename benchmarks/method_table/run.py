"""Run methods on scenes, a block at a time; what is done lies on disk and is not done again."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from apu_contacts.files import write_text
from apu_contacts.reading import read_json
from apu_losses.fitting import (
    FitResult,
    InitialBody,
    Preset,
    Scene,
    SceneFitter,
    Stage,
    scene_from_detections,
)
from apu_losses.fitting.start.from_detections import StartWithout
from apu_losses.synthetic.observation_noise import ObservationNoise
from apu_losses.synthetic.observe import Observation, observe
from apu_losses.synthetic.scene_truth import TruthScene
from method_table.contacts import contacts_of
from method_table.methods import Method
from method_table.scores import SceneScores, score

VERSION = 3
"""To be raised when a change of the code changes figures: what was kept before is then not used any more."""

_STANDING_STILL = Preset(
    "initial estimate", {"keypoints": {}}, (Stage("none", {"keypoints": 1.0}, ("transl",), 0.0, 0),)
)


class MethodRunner:
    """Fits the scenes of a split by any number of methods.

    The retargeted start and the detections are the same for all methods with the same observation dials, and
    computed once. The scores of a block of scenes are written to ``cache`` as soon as they are known; another
    run with the same scenes, settings and seed reads them back.

    Args:
        scenes: the truth.
        cache: folder of the results; None: nothing is kept.
        block: scenes fitted at once.
        seed: of the noise.
        device: where to compute.
    """

    def __init__(
        self,
        scenes: Sequence[TruthScene],
        cache: str | Path | None = None,
        *,
        block: int = 32,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if block < 1:
            raise ValueError(f"block must be at least 1, got {block}")
        self.scenes = tuple(scenes)
        self.cache = None if cache is None else Path(cache)
        self.block, self.seed, self.device = block, seed, device
        self._seen: dict[tuple[ObservationNoise, int, str], tuple[list[Observation], list[Scene]]] = {}
        self._body = SceneFitter(preset=_STANDING_STILL, batch_size=block, device=device)

    @property
    def blocks(self) -> list[range]:
        """Positions of the scenes of each block."""
        count = len(self.scenes)
        return [range(i, min(i + self.block, count)) for i in range(0, count, self.block)]

    def run(
        self, methods: Sequence[Method], *, jobs: int = 1, tell: Callable[[str], None] | None = None
    ) -> dict[str, list[SceneScores]]:
        """Scores of every scene by the key of each method.

        Args:
            jobs: processes that fit blocks at the same time, one thread each.
            tell: called with a line after each block that was fitted.
        """
        tasks = [(m, n) for m in methods for n in range(len(self.blocks)) if self._kept(m, n) is None]
        done: dict[tuple[str, int], list[SceneScores]] = {}
        if jobs > 1 and len(tasks) > 1:
            settings = (self.scenes, self.cache, self.block, self.seed, self.device)
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(jobs, context, _begin, settings) as pool:
                waiting = {pool.submit(_fit_block, *task): task for task in tasks}
                for future in as_completed(waiting):
                    method, number = waiting[future]
                    done[method.key, number] = self._told(future.result(), method, number, tell)
        for method in methods:
            for number in range(len(self.blocks)):
                if (method.key, number) in done:
                    continue
                kept = self._kept(method, number)
                done[method.key, number] = (
                    self._told(self.fit_and_keep(method, number), method, number, tell)
                    if kept is None
                    else kept
                )
        blocks = range(len(self.blocks))
        return {m.key: [s for number in blocks for s in done[m.key, number]] for m in methods}

    def _told(
        self, scores: list[SceneScores], method: Method, number: int, tell: Callable[[str], None] | None
    ) -> list[SceneScores]:
        if tell is not None:
            seconds = sum(s.seconds for s in scores)
            tell(f"{method.key}: block {number + 1} of {len(self.blocks)}, {seconds:.0f} s")
        return scores

    def observed(
        self, noise: ObservationNoise, number: int, start: StartWithout = "estimate"
    ) -> tuple[list[Observation], list[Scene]]:
        """Return what is seen of the scenes of a block, and the scenes that a fitter gets, without
        contacts.
        """
        key = noise, number, start
        if key not in self._seen:
            seen = [observe(self.scenes[i], noise, self.seed) for i in self.blocks[number]]
            scenes = [self._scene(o, start) for o in seen]
            begun = {name: value.cpu().double().numpy() for name, value in self._body.start(scenes).items()}
            self._seen = {key: (seen, [_started(s, begun, 2 * i) for i, s in enumerate(scenes)])}
        return self._seen[key]

    def _scene(self, seen: Observation, start: StartWithout) -> Scene:
        """Return what is seen, and where it starts; not what the estimator found, where keypoints stand
        alone.
        """
        found = seen.detections
        if start == "keypoints":
            found = tuple(replace(person, initial=None) for person in found)
        return scene_from_detections(
            found, seen.view.width, seen.view.height, name=seen.truth.name, body=self._body.body, start=start
        )

    def given(self, method: Method, number: int) -> list[Scene]:
        """Return what a fitter gets of a block: detections, the retargeted start, the method's contacts."""
        begun: StartWithout = "keypoints" if method.start == "keypoints" else "estimate"
        seen, scenes = self.observed(method.observed, number, begun)
        given = [
            replace(scene, contacts=contacts_of(o, method.contacts, self.seed))
            for scene, o in zip(scenes, seen, strict=True)
        ]
        return [_without_start(scene) for scene in given] if method.start == "contacts" else given

    def fitter(self, method: Method) -> SceneFitter:
        """Return a fitter with the preset of a method."""
        return SceneFitter(
            self._body.body,
            regions=self._body.regions,
            preset=method.preset or _STANDING_STILL,
            batch_size=self.block,
            device=self.device,
        )

    def fit(self, method: Method, number: int) -> list[FitResult]:
        """Fit one block by one method, whatever lies on disk."""
        return self.fitter(method).fit(self.given(method, number))

    def fit_and_keep(self, method: Method, number: int) -> list[SceneScores]:
        """Fit one block, whatever lies on disk, and write its scores there."""
        given = self.given(method, number)
        seen, _ = self.observed(
            method.observed, number, "keypoints" if method.start == "keypoints" else "estimate"
        )
        scores = score(self._body, seen, self.fitter(method).fit(given), given)
        file = self._file(method, number)
        if file is not None:
            record = {"method": method.label, "scores": [s.to_dict() for s in scores]}
            write_text(file, json.dumps(record))  # a run that is cut off leaves no half a file
        return scores

    def _kept(self, method: Method, number: int) -> list[SceneScores] | None:
        file = self._file(method, number)
        if file is None or not file.is_file():
            return None
        data = read_json(file, checked=False)
        return [SceneScores.from_dict(entry) for entry in data["scores"]]

    def _file(self, method: Method, number: int) -> Path | None:
        if self.cache is None:
            return None
        digest = hashlib.sha256()
        said = {"version": VERSION, "seed": self.seed, **method.settings()}
        digest.update(json.dumps(said, sort_keys=True).encode())
        for i in self.blocks[number]:
            scene = self.scenes[i]
            digest.update(scene.name.encode())
            digest.update(np.round(scene.joints.astype(np.float64), 3).tobytes())
        return self.cache / f"{method.key}_{number:02d}_{digest.hexdigest()[:16]}.json"


def _without_start(scene: Scene) -> Scene:
    """Return the scene with keypoints alone: its fitter starts it, from them and from its contacts."""
    return replace(scene, people=[replace(person, initial=InitialBody()) for person in scene.people])


def _started(scene: Scene, start: dict[str, np.ndarray], row: int) -> Scene:
    """Return the scene with the retargeted start in place of the estimate."""
    people = [
        replace(person, initial=InitialBody({name: value[row + i] for name, value in start.items()}))
        for i, person in enumerate(scene.people)
    ]
    return replace(scene, people=people)


def spread_over_types(scenes: Sequence[TruthScene], count: int | None = None) -> list[TruthScene]:
    """Scenes ordered so that any beginning of the list holds every type about equally often.

    Args:
        count: how many of them; all if None.
    """
    by_type: dict[str, list[TruthScene]] = {}
    for scene in scenes:
        by_type.setdefault(scene.interaction, []).append(scene)
    longest = max((len(same) for same in by_type.values()), default=0)
    ordered = [same[i] for i in range(longest) for same in by_type.values() if i < len(same)]
    return ordered[:count]


_worker: MethodRunner | None = None


def _begin(scenes: Sequence[TruthScene], cache: Path | None, block: int, seed: int, device: str) -> None:
    """Do what each process does first."""
    global _worker
    torch.set_num_threads(1)
    _worker = MethodRunner(scenes, cache, block=block, seed=seed, device=device)


def _fit_block(method: Method, number: int) -> list[SceneScores]:
    if _worker is None:
        raise RuntimeError("this process was not started by MethodRunner.run")
    return _worker.fit_and_keep(method, number)
