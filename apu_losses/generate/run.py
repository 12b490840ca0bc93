"""`apu run`: from photographs to meshes, stage after stage; each leaves a file that the next run finds."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apu_contacts import __version__
from apu_contacts.asking.answer_file import read_answers, read_index
from apu_contacts.asking.ask import AskSummary
from apu_contacts.asking.model import VisionLanguageModel
from apu_contacts.asking.queries import PairQuery
from apu_contacts.digest import digest, file_digest
from apu_contacts.files import OutputError, exclusive, made_folder, refuse_inputs, write_text
from apu_contacts.reading import parse_json, read_json_lines
from apu_losses.fitting.propose.file import propose_file
from apu_losses.fitting.propose.scenes import ImageFiles, ProposalReport, find_images
from apu_losses.fitting.scene.file import read_scene_lines, write_scene_lines
from apu_losses.fitting.scene.types import Scene
from apu_losses.generate.ask import ask_pairs
from apu_losses.generate.config import RunConfig, load_policy
from apu_losses.generate.contacts import ContactsReport, add_contacts
from apu_losses.generate.inputs import RunInputs, find_inputs, manifest
from apu_losses.generate.page import page, summary_rows
from apu_losses.generate.questions import scene_queries
from apu_losses.generate.said import FromAnswers, started_as_said
from apu_losses.generate.steps import Steps

if TYPE_CHECKING:
    from apu_contacts.detect.pictures import Detector
    from apu_contacts.regions import RegionMap
    from apu_losses.bodies.anny_adapter import AnnyBody
    from apu_losses.bodies.posed_mesh import PosedMeshBody
    from apu_losses.bodies.skinning import LinearBlendBody

    FittedBody = AnnyBody | LinearBlendBody | PosedMeshBody

Tell = Callable[[float, str], None]

IMAGES, SCENES, ANSWERS, CONTACTS = "images.jsonl", "scenes.jsonl", "answers.jsonl", "contacts.jsonl"
FITS, PAGE, CONFIG = "fits", "index.html", "run.toml"

# share of the bar at which each stage ends: fits take most of the time
_ENDS = {"detecting": 0.1, "proposing": 0.25, "asking": 0.45, "resolving": 0.55, "fitting": 0.99}


@dataclass
class DryRun:
    """What would be asked.

    Attributes:
        questions: answers that are wanted, samples counted.
        already: of them, those that the file of answers has.
        prompt_tokens: about as many as the others would send, with pictures counted as one token for 28 x 28
            pixels, and four characters of text a token.
        answer_tokens: at most as many as would come back.
        cost: at the prices of the configuration; None where it names none.
    """

    questions: int = 0
    already: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float | None = None

    def rows(self) -> list[tuple[str, object]]:
        """Return the table that `apu run --dry-run` prints."""
        cost = "no price is known (ask.price_in, ask.price_out)" if self.cost is None else f"{self.cost:.4g}"
        return [
            ("questions", self.questions),
            ("of them answered already", self.already),
            ("tokens to send, about", self.prompt_tokens),
            ("tokens to come back, at most", self.answer_tokens),
            ("cost, at most about", cost),
        ]


@dataclass
class RunSummary:
    """What became of a run.

    Attributes:
        out: its folder.
        inputs: the photographs.
        detector: what looked at those without keypoints, where this run looked at any: ``"pose"`` or
            ``"mediapipe"``.
        proposal: what became of people and pairs, where this run looked for them; else None.
        asked: what became of the questions; None in a dry run.
        contacts: what the answers came to.
        records: ``NAME.json`` of each fit.
        scenes: with contacts, in the order of the file.
        dry: in a dry run, what would be asked.
        notes: what could not be done or was assumed, one line each.
        passing: of them, those about this call alone, which are not on the page.
        incomplete: something of this run has to be done once more.
    """

    out: Path
    inputs: RunInputs = field(default_factory=RunInputs)
    detector: str = ""
    proposal: ProposalReport | None = None
    asked: AskSummary | None = None
    contacts: ContactsReport | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    scenes: list[Scene] = field(default_factory=list)
    dry: DryRun | None = None
    notes: list[str] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)
    incomplete: bool = False

    def rows(self) -> list[tuple[str, ...]]:
        """One row an image, the columns of `apu_losses.generate.page.COLUMNS`."""
        return summary_rows(self.scenes, self.records)


def run(
    images: Sequence[str | Path],
    out: str | Path,
    config: RunConfig | None = None,
    *,
    dry_run: bool = False,
    model: VisionLanguageModel | None = None,
    detector: Detector | None = None,
    body: FittedBody | None = None,
    progress: Tell | None = None,
) -> RunSummary:
    """Detect, start, propose, ask, resolve, fit and judge; leave files of each stage, and a page.

    ======================= =====================================================================
    ``images.jsonl``        the photographs, and where keypoints and estimates of each lie
    ``scenes.jsonl``        people with their starts, and the pairs that may touch
    ``answers.jsonl``       each question that was asked and its answer
    ``contacts.jsonl``      the scenes with contacts, each pair with what it rests on
    ``fits/``               parameters, record, meshes and picture of each scene, as `apu fit` leaves them
    ``index.html``          image, answer in words, before and after, verdict with its reason
    ``run.toml``            every option
    ======================= =====================================================================

    A run that was stopped goes on where it was, asks nothing twice, and ends with the same files. A file that
    somebody mended in between is kept, and what follows from it is made again.

    Args:
        images: pictures, folders or lists of them; see `find_inputs` for what may lie beside them.
        out: the folder.
        config: all options; the defaults if None.
        dry_run: stop before the first question, and say what would be asked.
        model: is asked in place of the server of ``config``.
        detector: finds keypoints in place of the one that ``config`` names.
        body: is fitted in place of the one that ``config`` names.
        progress: called with the share of all the work, 0 to 1, and what is being done.

    Raises:
        ValueError: bad input: no pictures, an option out of range, no model to ask.
        OSError: something cannot be written, or is somebody else's.
        AskInterrupted: on Ctrl-C while asking; what had arrived is kept.
    """
    config = config or RunConfig()
    policy = load_policy(config.contacts)  # says now what is wrong with it
    options = config.ask.options()
    if model is None and not dry_run and not config.ask.model:
        raise ValueError("run needs the name of a model (--model, or model under [ask] of the config file)")
    tell = _Told(progress)
    inputs = find_inputs(images, estimates=config.propose.start != "keypoints")
    folder = Path(out)
    summary = RunSummary(folder, inputs)
    refuse_inputs(
        [folder, *(folder / name for name in (IMAGES, SCENES, ANSWERS, CONTACTS, PAGE, CONFIG))],
        [*images, *(f.image for f in (*inputs.ready, *inputs.to_detect) if f.image is not None)],
    )
    with made_folder(folder), exclusive(folder / "steps.json"):
        steps = Steps(folder)
        _keep_config(folder, config, summary)
        tell.stage("detecting")
        _detect(steps, inputs, config, detector, tell, summary)
        tell.stage("proposing")
        scenes = _propose(steps, config, body, tell, summary)
        queries, problems = scene_queries(scenes, config.ask.action or None, attributes=config.ask.attributes)
        summary.notes += problems
        tell.stage("asking")
        answers = folder / ANSWERS
        if dry_run:
            summary.dry, summary.scenes = _would_ask(queries, answers, config, model), scenes
            return _end(steps, summary, tell)
        if queries:
            asked = ask_pairs(
                queries, answers, options, repair=config.ask.repair, progress=tell.count, model=model
            )
            summary.asked = asked
            summary.notes += [f"{name}: not answered: {why}" for name, _, why in asked.failures]
            if asked.stopped:
                summary.notes.append(f"stopped: {asked.stopped}")
            summary.incomplete |= not asked.complete
        tell.stage("resolving")
        records = list(read_answers(answers)) if answers.is_file() else []
        done, report = add_contacts(scenes, _of_this_run(records, queries), policy)
        summary.contacts = report
        summary.notes += report.problems
        resolved_from = digest(
            [file_digest(folder / SCENES), policy.to_dict(), _said(records), config.starts, config.fit.body]
        )
        steps.make(
            CONTACTS,
            resolved_from,
            lambda path: _write_lines(path, _started_as_said(done, config, body, tell)),
        )
        summary.scenes = read_scene_lines(folder / CONTACTS) if done else []
        tell.stage("fitting")
        if summary.asked is None or not summary.asked.stopped:
            _fit(folder, config, body, tell, summary)
        lasting = [note for note in summary.notes if note not in summary.passing]
        write_text(folder / PAGE, page(summary.scenes, summary.records, folder, lasting))
        return _end(steps, summary, tell)


def _end(steps: Steps, summary: RunSummary, tell: _Told) -> RunSummary:
    summary.notes += [
        f"{summary.out / name} was changed by hand and is kept; delete it to have it made anew"
        for name in steps.mended
    ]
    tell(1.0, "done")
    return summary


class _Told:
    """Progress within the stage that is under way, as a share of all."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self._begin = self._end = 0.0
        self._name = ""

    def stage(self, name: str) -> None:
        self._begin, self._end, self._name = self._end, _ENDS[name], name
        self(0.0, "")

    def __call__(self, share: float, doing: str) -> None:
        if self._tell is not None:
            words = f"{self._name}: {doing}" if doing and doing != self._name else self._name
            self._tell(self._begin + (self._end - self._begin) * share, words)

    def count(self, done: int, total: int) -> None:
        self(done / max(1, total), f"{done} of {total}")


def _keep_config(folder: Path, config: RunConfig, summary: RunSummary) -> None:
    """Leave all options as a file; say what changed since the last run in this folder."""
    path = folder / CONFIG
    if path.is_file():
        try:
            before = RunConfig.load(path)
        except ValueError as error:
            raise OutputError(f"{error}; the folder is not one of a run, name another") from None
        changed = before.differences(config)
        if changed:
            summary.passing.append(f"options changed since the last run here: {'; '.join(changed)}")
            summary.notes += summary.passing
    write_text(path, config.to_toml())


def _stamp(path: Path | None) -> object:
    if path is None:
        return None
    found = path.stat()
    return str(path.resolve()), found.st_size, found.st_mtime_ns


def _detect(
    steps: Steps,
    inputs: RunInputs,
    config: RunConfig,
    detector: Detector | None,
    tell: _Told,
    summary: RunSummary,
) -> None:
    """``images.jsonl``: what is beside the photographs, and keypoints of the others."""
    everything = sorted((*inputs.ready, *inputs.to_detect), key=lambda files: files.name)
    made_from = digest(
        [
            __version__,
            [(f.name, _stamp(f.image), sorted(map(str, f.files.values()))) for f in everything],
            [f.name for f in inputs.to_detect],
            [dataclasses.asdict(config.detect), config.propose.start] if inputs.to_detect else None,
        ]
    )

    def make(path: Path) -> list[str]:
        found, unread = _detected(inputs, config, detector, tell, summary) if inputs.to_detect else ({}, [])
        ready = {files.name for files in inputs.ready} | set(found)
        write_text(path, manifest([files for files in everything if files.name in ready], found))
        return unread

    unread = steps.make(IMAGES, made_from, make)
    summary.notes += unread
    summary.incomplete |= bool(unread)


def _detected(
    inputs: RunInputs, config: RunConfig, detector: Detector | None, tell: _Told, summary: RunSummary
) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Files of what was found in the pictures that have no keypoints, by name and kind; and notes.

    Pictures that a run before has come to are not looked at again.
    """
    from apu_contacts.detect import chosen_detector, detect_pictures, open_detector

    settings = config.detect
    used = type(detector).__qualname__ if detector is not None else chosen_detector(settings.detector)
    summary.detector = used
    if detector is None:
        detector = open_detector(
            settings.detector,
            model=settings.model,
            device=settings.device,
            min_box_score=settings.min_box_score,
            progress=tell,
        )
    pictures = {f.name: f.image for f in inputs.to_detect if f.image is not None}
    listing = summary.out / "detected.jsonl"
    same = digest([__version__, used, dataclasses.asdict(settings)])
    done = detect_pictures(pictures, detector, listing, progress=tell, resume=same)
    found = {}
    for files in find_images(listing) if listing.stat().st_size else []:
        # landmarks in 3D are an estimate like any other file's
        kinds = ("keypoints",) if config.propose.start == "keypoints" else ("keypoints", "mediapipe")
        found[files.name] = {kind: files.files[kind] for kind in kinds if kind in files.files}
    return found, done.unread


def _propose(
    steps: Steps, config: RunConfig, body: FittedBody | None, tell: _Told, summary: RunSummary
) -> list[Scene]:
    """``scenes.jsonl``: people with starts, and the pairs that may touch; what stands there now."""
    from apu_losses.bodies import load_body

    listing = summary.out / IMAGES
    settings = config.propose
    images = find_images(listing) if listing.stat().st_size else []
    read = [(f.name, {k: _stamp(p) if p.is_file() else str(p) for k, p in f.files.items()}) for f in images]
    made_from = digest(
        [__version__, file_digest(listing), dataclasses.asdict(settings), config.fit.body, read]
    )

    def proposed(
        chosen: Sequence[ImageFiles], name: str, near: Mapping[str, Any]
    ) -> tuple[dict[str, str], ProposalReport]:
        """Return the lines of the scenes of some images by name, and what became of the images."""
        report, part = ProposalReport(), summary.out / name
        propose_file(
            chosen,
            part,
            body=cache(lambda: load_body(config.fit.body) if body is None else body),
            body_name=config.fit.body,
            report=report,
            progress=tell,
            overwrite=True,
            start="estimate" if settings.start == "estimate" else "keypoints",
            max_mesh_error=settings.max_mesh_error,
            **near,
        )
        lines = {parse_json(line, str(part))["name"]: line + "\n" for _, line in read_json_lines(part)}
        return lines, report

    def make(path: Path) -> list[str]:
        near = {"min_keypoints": settings.min_keypoints, "max_distance": settings.max_distance}
        lines, report = proposed(images, ".proposed.jsonl", near)
        summary.proposal = report
        notes = list(report.notes)
        alone = [files for files in images if files.name not in lines and files.name not in report.failed]
        if alone and settings.max_distance_alone > 0:
            near = {"min_keypoints": 1, "max_distance": settings.max_distance_alone}
            more, further = proposed(alone, ".proposed-alone.jsonl", near)
            lines |= more
            notes += [f"{name}: people stand apart by their keypoints and are asked about" for name in more]
            report.counts["proposed"] += further.counts["proposed"]
        write_text(path, "".join(lines[files.name] for files in images if files.name in lines))
        for name in (".proposed.jsonl", ".proposed-alone.jsonl"):
            (path.parent / name).unlink(missing_ok=True)
        return notes

    summary.notes += steps.make(SCENES, made_from, make)
    written = summary.out / SCENES
    scenes = read_scene_lines(written) if written.stat().st_size else []
    without = sorted(set(summary.inputs.names) - {scene.name for scene in scenes})
    summary.notes += [f"{name}: no pair of people who may be touching was found" for name in without]
    return scenes


def _write_lines(path: Path, scenes: Sequence[Scene]) -> list[str]:
    write_scene_lines(path, scenes)
    return []


def _started_as_said(
    scenes: Sequence[Scene], config: RunConfig, body: FittedBody | None, tell: _Told
) -> list[Scene]:
    from apu_losses.bodies import load_body
    from apu_losses.bodies.region_map import region_map_for

    own = cache(lambda: load_body(config.fit.body) if body is None else body)

    def regions() -> RegionMap:
        with warnings.catch_warnings(record=True):  # the fit says it again
            return region_map_for(own(), config.fit.regions or None)

    wanted: FromAnswers = config.starts.from_answers  # type: ignore[assignment]  # checked there
    return started_as_said(scenes, own, cache(regions), wanted, tell)


def _of_this_run(records: Sequence[dict[str, Any]], queries: Sequence[PairQuery]) -> list[dict[str, Any]]:
    """Answers about these pixels: one about another crop, or picture, of the same name is of other people."""

    def shown(record: Mapping[str, Any]) -> str:
        keys = ("scene", "person_left", "person_right", "crop", "image_hash")
        return json.dumps([record.get(key) for key in keys])

    now = {shown(query.record()) for query in queries}
    return [record for record in records if shown(record) in now]


def _said(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return what of the answers contacts are made from, in an order that does not tell when they came."""
    keys = ("id", "question", "sample", "text", "refusal", "finish_reason", "person_left", "model")
    return sorted(json.dumps([record.get(key) for key in keys]) for record in records)


def _would_ask(
    queries: Sequence[PairQuery], answers: Path, config: RunConfig, model: VisionLanguageModel | None
) -> DryRun:
    """Return what asking would send; pictures are cropped for it, and nobody is asked."""
    options = config.ask.options()
    asked = model if model is not None else options.openai_client("none") if config.ask.model else None
    example, index = options.in_context(), read_index(answers)
    found = DryRun(questions=len(queries) * options.samples)
    for query in queries:
        for sample in range(options.samples):
            if asked is not None and index.has(
                query.question(asked.identity, sample, example, options.picture_format)
            ):
                found.already += 1
                continue
            prompt = query.prompt(example, options.picture_format)
            found.prompt_tokens += sum(map(_tokens, prompt.pieces))
            found.answer_tokens += options.answer_tokens
    if options.price_in or options.price_out:
        spent = found.prompt_tokens * options.price_in + found.answer_tokens * options.price_out
        found.cost = spent / 1e6
    return found


def _tokens(piece: str | bytes) -> int:
    if isinstance(piece, str):
        return -(-len(piece) // 4)
    import io

    from PIL import Image

    with Image.open(io.BytesIO(piece)) as picture:
        return -(-picture.width // 28) * -(-picture.height // 28)


def _fit(folder: Path, config: RunConfig, body: FittedBody | None, tell: _Told, summary: RunSummary) -> None:
    """``fits/``: parameters, record, meshes and picture of each scene."""
    if not summary.scenes:
        return
    from apu_losses.bodies import load_body
    from apu_losses.bodies.region_map import region_map_for
    from apu_losses.fitting import SceneFitter, load_preset, with_people_said
    from apu_losses.generate.fit_files import fit_scenes, load_scenes

    settings = config.fit
    body = body or load_body(settings.body, device=settings.device)
    with warnings.catch_warnings(record=True) as caught:
        regions = region_map_for(body, settings.regions or None)
    summary.notes += [str(warning.message) for warning in caught]
    preset = load_preset(settings.preset)
    if settings.hypotheses:
        preset = dataclasses.replace(preset, hypotheses=settings.hypotheses)
    fitter = SceneFitter(
        body,
        regions=regions,
        preset=preset,
        device=settings.device,
        batch_size=settings.batch_size,
    )
    found = load_scenes(folder / CONTACTS, body)
    summary.notes += found.unusable
    said = settings.said()
    # these results are this run's own: another answer or option makes them again
    done = fit_scenes(
        {name: with_people_said(scene, said) for name, scene in found.scenes.items()},
        fitter,
        folder / FITS,
        pictures=settings.pictures,
        meshes=settings.meshes,
        progress=tell,
        inputs=found.inputs,
        overwrite=True,
    )
    summary.records = done.records
    summary.notes += [f"{name}: results not written: {why}" for name, why in done.unwritten.items()]
    summary.notes += done.notes
    summary.incomplete |= done.failed or bool(found.unusable)
