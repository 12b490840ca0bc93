"""`SceneFitter`: many scenes of any number of people, fitted in batches by a preset of stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from apu_contacts.regions import RegionMap
from apu_losses.bodies import AnnyBody, LinearBlendBody, load_body
from apu_losses.bodies.identity import body_identity
from apu_losses.bodies.posed_mesh import PosedMeshBody
from apu_losses.bodies.protocol import BodyModel
from apu_losses.bodies.region_map import region_map_for
from apu_losses.fitting.depth_choice import briefly, choose_depths
from apu_losses.fitting.objective.batch import SKELETON, SceneBatch, make_batch
from apu_losses.fitting.objective.state import FitState
from apu_losses.fitting.objective.term import Term
from apu_losses.fitting.result.findings import look_at
from apu_losses.fitting.result.measures import SceneMetrics, evaluate
from apu_losses.fitting.result.record import FitResult
from apu_losses.fitting.result.verdict import judge
from apu_losses.fitting.scene.types import Scene
from apu_losses.fitting.solve.loop import run_stage
from apu_losses.fitting.solve.presets import load_preset
from apu_losses.fitting.solve.progress import Audience, Callback, FitProgress, Params, StageReport
from apu_losses.fitting.solve.registry import build_terms, with_all_options
from apu_losses.fitting.solve.stage import Preset
from apu_losses.fitting.start.complete import started
from apu_losses.fitting.start.from_detections import model_of
from apu_losses.fitting.start.retarget import RetargetOptions, initial_parameters
from apu_losses.fitting.start.said import as_said
from apu_losses.geometry import MeshTopology, RegionIndex


@dataclass(frozen=True)
class Geometry:
    """What is fixed about the body's mesh, laid out once for the geometry operators."""

    regions: RegionIndex
    topology: MeshTopology


class SceneFitter:
    """Fits bodies to scenes.

    Args:
        body: a body model, or a name or path for `apu_losses.load_body`.
        regions: the 75 regions of that body. By default the map that ships with the free body; for a body
            file and for Anny one that is made for it (`region_map_for`), with a warning that it is
            approximate. Posed meshes need theirs given.
        preset: a preset by name (``"paper"``, ``"best"``, ...; see `PRESET_NAMES`) or of your own.
        terms: more terms by name, functions ``state -> (S,)``; give them weights with
            ``preset.weighted(name=...)``.
        retarget: how the start is put on an estimator's 3D joints.
        batch_size: scenes fitted at once; more is faster and takes more memory.
        device: where to compute; by default where the body is. In what precision is the body's to say (its
            ``dtype``, float32 without one).

    Raises:
        ValueError: an unknown preset, term or free parameter, or a region map of another mesh.
        TypeError: given meshes of another topology than the free body's, without ``regions``.

    Example:
        >>> from dataclasses import replace
        >>> from apu_losses import SceneFitter, load_preset
        >>> from apu_losses.app.demo import demo_scene
        >>> preset = load_preset("no_contact")
        >>> short = replace(preset, stages=(replace(preset.stages[0], max_iterations=2),))
        >>> (result,) = SceneFitter(preset=short).fit([demo_scene()])  # two steps
        >>> before, after = max(result.before.keypoint_error), max(result.after.keypoint_error)
        >>> result.parameters["transl"].shape, bool(after < before)
        ((2, 3), True)
    """

    def __init__(
        self,
        body: BodyModel | str = "free",
        *,
        regions: RegionMap | None = None,
        preset: Preset | str = "best",
        terms: Mapping[str, Term] | None = None,
        retarget: RetargetOptions | None = None,
        batch_size: int = 32,
        device: torch.device | str | None = None,
    ) -> None:
        self.body = load_body(body, device=device or "cpu") if isinstance(body, str) else body
        self.device = self.body.faces.device if device is None else torch.device(device)
        self.dtype: torch.dtype = getattr(self.body, "dtype", torch.float32)
        self.regions = _default_regions(self.body) if regions is None else regions
        if self.regions.vertex_count != self.body.num_vertices:
            raise ValueError(
                f"regions: the map {self.regions.topology!r} is for {self.regions.vertex_count} vertices, "
                f"but the body {self.body.name!r} has {self.body.num_vertices}; apu_contacts.RegionMap makes "
                "maps of other bodies"
            )
        self.preset = load_preset(preset) if isinstance(preset, str) else preset
        self.preset, self.notes = self.preset.for_parameters(self.body.parameter_specs)
        self.terms = build_terms(self.preset, terms or {})
        self.retarget = retarget or RetargetOptions()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.batch_size = batch_size
        with torch.no_grad():
            template = self.body.pose(
                {"transl": torch.zeros(1, 3, device=self.device, dtype=self.dtype)}
            ).vertices()[0]
        self.geometry = Geometry(
            RegionIndex.build(self.regions, self.body.num_vertices, template).to(self.device),
            MeshTopology.build(self.body.faces, self.body.num_vertices, template).to(self.device),
        )

    def fit(
        self,
        scenes: Sequence[Scene],
        *,
        callback: Callback | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[FitResult]:
        """Fit every scene.

        Args:
            scenes: any number, of any number of people each. On posed meshes person after person takes mesh
                after mesh, unless their initial parameter ``mesh`` says which.
            callback: called after each iteration with the live state (`FitProgress`).
            progress: called with the share of the work that is done, 0 to 1, never falling.

        Returns:
            one result a scene, in order. A scene that cannot be fitted has a result that says why. The
            others have the very bits that they have without it: their batch is fitted again, without it.
        """
        results: dict[int, FitResult] = {}
        for ended in self.fit_batches(scenes, callback=callback, progress=progress):
            results |= ended
        return [results[i] for i in range(len(scenes))]

    def fit_batches(
        self,
        scenes: Sequence[Scene],
        *,
        done: Collection[int] = (),
        callback: Callback | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[dict[int, FitResult]]:
        """Fit every scene as `fit` does, and give the results of each batch as soon as it has ended.

        Which scenes share a batch hangs on their places only, so that a run that goes on where another was
        stopped fits the same batches.

        Args:
            scenes: as for `fit`.
            done: places of scenes whose results are there; a batch of nothing else is passed over. One that
                holds others, too, is fitted whole.
            callback, progress: as for `fit`; the share is that of the batches that are fitted.

        Yields:
            the results of one batch, by the places of its scenes.
        """
        scenes = _numbered(scenes, self.body)
        places = range(len(scenes))
        batches = [list(places[i : i + self.batch_size]) for i in places[:: self.batch_size]]
        batches = [batch for batch in batches if not set(batch) <= set(done)]
        total = sum(map(len, batches))
        # what is tried beside the start takes about as long as one more fit for each
        plain = 1 / self.preset.hypotheses
        behind = 0
        reached = 0.0

        def tell(share: float) -> None:
            nonlocal reached
            reached = max(reached, share)
            if progress is not None:
                progress(reached)

        for batch in batches:
            results: dict[int, FitResult] = {}
            attempt = 0
            while waiting := [place for place in batch if place not in results]:
                attempt += 1
                begin = (behind + plain * len(results)) / total
                meter = _Meter(tell, self.preset, begin, plain * len(waiting) / total)
                numbers = torch.tensor(waiting, device=self.device, dtype=torch.int64)
                audience = Audience(_both(callback, meter), numbers, attempt)
                ended = self._fit_batch([scenes[i] for i in waiting], audience)
                results |= {waiting[place]: result for place, result in ended.items()}
            if self.preset.hypotheses > 1:
                results |= self._explored(scenes, results, callback, attempt + 1)
            behind += len(batch)
            tell(behind / total)
            yield {place: results[place] for place in batch}
        tell(1.0)

    def _explored(
        self,
        scenes: Sequence[Scene],
        results: Mapping[int, FitResult],
        callback: Callback | None,
        attempt: int,
    ) -> dict[int, FitResult]:
        """Return the better ends of fits of which the picture leaves depths open, by place.

        Who listens hears of the starts as they were given first, and then of those that were kept instead.
        """
        alone = self._with(replace(self.preset, hypotheses=1))
        brief = self._with(briefly(self.preset))
        places = sorted(results)
        chosen = choose_depths(
            self.body,
            [scenes[place] for place in places],
            [results[place] for place in places],
            self.preset.hypotheses,
            brief.fit,
            alone.fit,
        )
        changed = {place: one.scene for place, one in zip(places, chosen, strict=True) if one.changed}
        if callback is not None and changed:
            numbers = torch.tensor(list(changed), device=self.device, dtype=torch.int64)
            alone._fit_batch(list(changed.values()), Audience(callback, numbers, attempt))
        recorded = with_all_options(self.preset, self.terms)
        return {
            place: replace(one.result, preset=recorded, notes=results[place].notes)
            for place, one in zip(places, chosen, strict=True)
        }

    def _with(self, preset: Preset) -> SceneFitter:
        """Return the same fitter with another preset of the same terms."""
        other = copy(self)
        other.preset = preset
        return other

    def start(self, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the retargeted start of every person, rows in the order of the scenes: ``(N, size)`` by
        name.

        Somebody who came without any is started from their keypoints (`start_from_keypoints`); somebody of
        whom it was said how large they are has that size (`apu_losses.fitting.start.said`).
        """
        return self._laid(_numbered(scenes, self.body))[0]

    def _laid(self, scenes: Sequence[Scene]) -> tuple[dict[str, Tensor], list[tuple[str, ...]]]:
        """Return the start of every person, and for each scene what was done or is doubtful, in words."""
        ready, begun = started(scenes, self.body, self.regions)
        people = [person.initial for scene in ready for person in scene.people]
        laid, _ = initial_parameters(self.body, people, self.retarget, device=self.device, dtype=self.dtype)
        laid, sized = as_said(self.body, ready, laid)
        return laid, [(*one, *other) for one, other in zip(begun, sized, strict=True)]

    def measure(
        self, scene: Scene, parameters: Mapping[str, ArrayLike], start: Mapping[str, ArrayLike] | None = None
    ) -> SceneMetrics:
        """Measure parameters ``(P, size)`` on a scene; changes are counted from ``start`` (or are 0)."""
        params = self.tensors(parameters)
        batch = make_batch([scene], self.device, self.dtype, self.body)
        return self._evaluate(batch, params, params if start is None else self.tensors(start))[0]

    def tensors(self, parameters: Mapping[str, ArrayLike]) -> dict[str, Tensor]:
        """Arrays as this fitter's tensors."""
        return {
            name: torch.as_tensor(np.asarray(value), dtype=self.dtype, device=self.device)
            for name, value in parameters.items()
        }

    def _state(self, batch: SceneBatch, params: Params, start: Params, reference: Params) -> FitState:
        return FitState(
            self.body, self.geometry.regions, self.geometry.topology, batch, params, start, reference
        )

    def _fit_batch(self, scenes: Sequence[Scene], audience: Audience) -> dict[int, FitResult]:
        """Results by place in ``scenes``: of all of them, or only of those that failed.

        The last bits of a scene depend on its neighbours in the batch, so those that did not fail are left to
        be fitted again in a batch that never held the others.
        """
        began = time.perf_counter()
        try:
            start, said = self._laid(scenes)
        except ValueError as error:
            return self._without_start(scenes, error)
        batch = make_batch(scenes, self.device, self.dtype, self.body)
        with torch.no_grad():
            seen = self._state(batch, start, start, start).keypoints2d
            # what the body lacks lies nowhere, and cannot fill anything
            known = self.body.keypoint_mask(SKELETON)[:, None]
            batch = batch.with_filled_ankles(torch.where(known, seen, torch.nan))
        params = {name: value.clone() for name, value in start.items()}
        usable = _usable(batch, start)
        reports: dict[int, list[StageReport]] = {index: [] for index in range(len(scenes))}
        for index in torch.nonzero(~usable)[:, 0].tolist():
            reports[index].append(
                StageReport("start", 0, "failed: the initial parameters are not finite", float("nan"), {})
            )
        # those that can be fitted wait for a batch without the others
        active = torch.nonzero(usable & usable.all())[:, 0]
        for stage in self.preset.stages:
            if not len(active) or stage.max_iterations == 0:
                continue
            ended = run_stage(stage, self.terms, batch, params, start, self._state, active, audience)
            for index, report in ended.items():
                reports[index].append(report)
            active = torch.tensor(
                [i for i in active.tolist() if not ended[i].failed],
                dtype=torch.int64,
                device=self.device,
            )
        failed = [index for index, ended_stages in reports.items() if any(r.failed for r in ended_stages)]
        wanted = failed or list(reports)
        before = self._evaluate(batch, start, start)
        after = self._evaluate(batch, params, start)
        seconds = (time.perf_counter() - began) / len(scenes)
        return {
            index: replace(
                self._result(scenes[index], index, batch, start, params, reports[index], metrics, seconds),
                notes=(*self.notes, *said[index]),
            )
            for index in wanted
            for metrics in [(before[index], after[index])]
        }

    def _result(
        self,
        scene: Scene,
        index: int,
        batch: SceneBatch,
        start: Params,
        params: Params,
        reports: Sequence[StageReport],
        metrics: tuple[SceneMetrics, SceneMetrics],
        seconds: float,
    ) -> FitResult:
        """Return what the fit leaves of one scene of a batch."""
        rows = torch.nonzero(batch.row_scene == index)[:, 0]
        before, after = metrics
        return FitResult(
            scene=scene.name,
            body=self.body.name,
            preset=with_all_options(self.preset, self.terms),
            parameters={name: value[rows].cpu().double().numpy() for name, value in params.items()},
            start={name: value[rows].cpu().double().numpy() for name, value in start.items()},
            stages=tuple(reports),
            before=before,
            after=after,
            verdict=judge(reports, after, self.preset.filter_pixels),
            seconds=seconds,
            body_model=model_of(self.body),
            body_identity=body_identity(self.body),
            regions={
                "topology": self.regions.topology,
                "kind": self.regions.kind,
                "provenance": self.regions.provenance,
            },
            notes=self.notes,
            findings=() if any(report.failed for report in reports) else look_at(scene, after, before=before),
        )

    def _without_start(self, scenes: Sequence[Scene], error: ValueError) -> dict[int, FitResult]:
        """Results of the scenes whose initial estimate cannot be used: wrong size, too few joints, ..."""
        results = {}
        for index, scene in enumerate(scenes):
            try:
                if len(scenes) > 1:
                    self.start([scene])
                    continue
            except ValueError as own:
                error = own
            batch = make_batch([scene], self.device, self.dtype, self.body)
            nowhere = {
                name: torch.full((batch.rows, spec.size), torch.nan, device=self.device, dtype=self.dtype)
                for name, spec in self.body.parameter_specs.items()
            }
            report = StageReport("start", 0, f"failed: the initial estimate: {error}", float("nan"), {})
            metrics = self._evaluate(batch, nowhere, nowhere)[0]
            results[index] = self._result(
                scene, 0, batch, nowhere, nowhere, [report], (metrics, metrics), 0.0
            )
        if not results:
            raise error  # each alone can be started: no scene is to blame
        return results

    def _evaluate(self, batch: SceneBatch, params: Params, start: Params) -> list[SceneMetrics]:
        with torch.no_grad():
            return evaluate(self._state(batch, params, start, start))


def _default_regions(body: BodyModel) -> RegionMap:
    free = RegionMap.load("free")
    if body.num_vertices != free.vertex_count and isinstance(
        body, LinearBlendBody | AnnyBody | PosedMeshBody
    ):
        return region_map_for(body)  # raises for given meshes, and says how theirs is found
    return free


def _numbered(scenes: Sequence[Scene], body: BodyModel) -> Sequence[Scene]:
    """Scenes in which each person says which of the given meshes they are: the first is the first, ..."""
    if "mesh" not in body.parameter_specs:
        return scenes
    numbered, count = [], 0
    for scene in scenes:
        people = []
        for person in scene.people:
            given = {"mesh": np.array([float(count)]), **person.initial.parameters}
            people.append(replace(person, initial=replace(person.initial, parameters=given)))
            count += 1
        numbered.append(replace(scene, people=people))
    return numbered


def _usable(batch: SceneBatch, start: Params) -> Tensor:
    """``(S,)`` scenes whose every start parameter is finite."""
    bad_row = torch.zeros(batch.rows, dtype=torch.bool, device=batch.row_scene.device)
    for value in start.values():
        bad_row |= ~torch.isfinite(value).all(1)
    usable = torch.ones(batch.size, dtype=torch.bool, device=batch.row_scene.device)
    usable[batch.row_scene[bad_row]] = False
    return usable


class _Meter:
    """Turns iterations into a share of the work that never falls."""

    def __init__(self, progress: Callable[[float], None], preset: Preset, done: float, share: float) -> None:
        self.progress = progress
        self.offsets: dict[str, tuple[int, int]] = {}
        total = 0
        for stage in preset.stages:
            self.offsets[stage.name] = (total, stage.max_iterations)
            total += stage.max_iterations
        self.total = max(total, 1)
        self.done = done
        self.share = share

    def __call__(self, event: FitProgress) -> None:
        before, _ = self.offsets[event.stage]
        self.progress(self.done + self.share * (before + event.iteration + 1) / self.total)


def _both(*callbacks: Callback | None) -> Callback | None:
    wanted = [callback for callback in callbacks if callback is not None]
    if not wanted:
        return None

    def call(event: FitProgress) -> None:
        for callback in wanted:
            callback(event)

    return call
