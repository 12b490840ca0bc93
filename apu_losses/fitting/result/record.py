"""What a fit gives back, and how it is kept on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts import __version__
from apu_contacts.files import staged_file, write_text
from apu_contacts.reading import read_arrays, read_json
from apu_losses.fitting.result.findings import Finding
from apu_losses.fitting.result.measures import SceneMetrics, number_or_nan
from apu_losses.fitting.result.verdict import Verdict
from apu_losses.fitting.solve.progress import StageReport
from apu_losses.fitting.solve.stage import Preset

SCHEMA_VERSION = 1
START_PREFIX = "start_"
RESIDUAL = "residual_mm"
"""What `apu convert` adds to the parameters: how far the two surfaces are apart."""
_BODY, _IDENTITY = "body", "body_identity"
NO_PARAMETERS = frozenset({_BODY, _IDENTITY, RESIDUAL})
"""Names of a parameter file that are no body parameters."""


@dataclass(frozen=True)
class DepthChoice:
    """Which of several depths that the picture leaves open was kept.

    Attributes:
        kept: ``"as given"``, or what differs from the start that was given, in words
            (``"person 0: left arm mirrored"``).
        margin: by what share the next one costs more; near 0 it might as well have been the next one. Another
            start than the given one costs a ninth more than its loss. Negative where all others cost less and
            broke more limits.
        tried: name and loss of each, the kept one first; those that broke more limits than the given start's
            (`FitResult.findings`) come last and are never kept.
    """

    kept: str
    margin: float
    tried: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return {"kept": self.kept, "margin": self.margin, "tried": [list(one) for one in self.tried]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DepthChoice:
        """Return the inverse of `to_dict`; a loss that was not finite becomes NaN."""
        tried = tuple((str(name), float(number_or_nan(loss))) for name, loss in data["tried"])
        return cls(str(data["kept"]), float(number_or_nan(data["margin"])), tried)


@dataclass(frozen=True)
class FitResult:
    """The fitted people of one scene.

    Attributes:
        scene: name of the scene.
        body: name of the body model that the parameters belong to.
        preset: the preset, with every option of its terms written out.
        parameters: ``(P, size)`` by smplx name, one row a person in the scene's order.
        start: the same at the (retargeted) start of the fit.
        stages: how each stage ended.
        before, after: measurements at the start and at the end.
        verdict: whether the filter keeps this scene, and why.
        seconds: wall time, the batch's shared evenly among its scenes.
        body_identity: digest of its unposed surface, see `apu_losses.bodies.identity`.
        body_model: what kind of body that is: ``"free"``, ``"smplx"``, ``"smpl"``, ``"anny"``, ...
        regions: ``topology``, ``kind`` (official, transferred, derived) and ``provenance`` of the region map.
        notes: what the preset asked for and this body does not have.
        findings: what a look from every side found, see `look_at`; empty for a fit that failed.
        depth: which depths were tried and which was kept; None where the preset tries no others
            (``Preset.hypotheses``).

    Example:
        >>> import tempfile
        >>> from dataclasses import replace
        >>> from pathlib import Path
        >>> from apu_losses import FitResult, SceneFitter, load_preset
        >>> from apu_losses.app.demo import demo_scene
        >>> preset = load_preset("no_contact")
        >>> short = replace(preset, stages=(replace(preset.stages[0], max_iterations=1),))
        >>> (result,) = SceneFitter(preset=short).fit([demo_scene()])
        >>> _ = result.save(folder := Path(tempfile.mkdtemp()))
        >>> loaded = FitResult.load(folder)
        >>> loaded.scene, loaded.body, loaded.failed, loaded.parameters["transl"].shape
        ('side_hug', 'free', False, (2, 3))
    """

    scene: str
    body: str
    preset: Preset
    parameters: Mapping[str, NDArray[np.float64]]
    start: Mapping[str, NDArray[np.float64]]
    stages: tuple[StageReport, ...]
    before: SceneMetrics
    after: SceneMetrics
    verdict: Verdict
    seconds: float
    body_model: str = ""
    body_identity: str = ""
    regions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    depth: DepthChoice | None = None

    @property
    def looks_right(self) -> bool:
        """Whether it did not break off and every finding is right; `verdict` is the paper's filter."""
        return not self.failed and bool(self.findings) and all(finding.right for finding in self.findings)

    @property
    def failed(self) -> bool:
        """Whether the optimisation broke off; `verdict` says why."""
        return any(stage.failed for stage in self.stages)

    @property
    def iterations(self) -> int:
        """Steps of all stages together."""
        return sum(stage.iterations for stage in self.stages)

    def save(self, stem: str | Path) -> tuple[Path, Path]:
        """Write ``STEM.npz`` (parameters, start, whose they are; no pickle), then ``STEM.json``: the rest.

        Each file appears whole or not at all.

        Raises:
            OSError: one of them cannot be written.
        """
        arrays, record = _beside(Path(stem))
        values: dict[str, Any] = dict(self.parameters)
        values.update({START_PREFIX + name: value for name, value in self.start.items()})
        save_parameters(arrays, values, self.body, self.body_identity)
        write_text(record, json.dumps(self.to_dict(), indent=1) + "\n")
        return arrays, record

    @classmethod
    def load(cls, stem: str | Path) -> FitResult:
        """Read what `save` wrote. Numbers that were not finite are NaN, and seconds are rounded.

        Args:
            stem: as given to `save`; either of the two files will do.

        Raises:
            FileNotFoundError: one of the two files is missing.
            ValueError: they are not those of a result.
        """
        arrays, record = _files_of(Path(stem))
        if not record.is_file():
            raise FileNotFoundError(f"{record}: no such file; a result is STEM.npz with STEM.json beside it")
        parameters, start = load_parameters(arrays)
        data = read_json(record)
        try:
            if data["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema_version is {data['schema_version']!r}, expected {SCHEMA_VERSION}")
            return cls(
                scene=data["scene"],
                body=data["body"],
                preset=Preset.from_dict(_unlimited(data["preset"])),
                parameters=parameters,
                start=start,
                stages=tuple(_stage(stage) for stage in data["stages"]),
                before=SceneMetrics.from_dict(data["before"]),
                after=SceneMetrics.from_dict(data["after"]),
                verdict=Verdict(**data["verdict"]),
                seconds=float(data["seconds"]),
                body_model=data["body_model"],
                body_identity=data["body_identity"],
                regions=data["regions"],
                notes=tuple(data["notes"]),
                findings=tuple(Finding.from_dict(found) for found in data.get("findings", [])),
                depth=DepthChoice.from_dict(data["depth"]) if data.get("depth") else None,
            )
        except KeyError as error:
            raise ValueError(f"{record}: not the record of a result: the key {error} is missing") from None
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{record}: not the record of a result: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays, ready for JSON; numbers that are not finite become ``null``."""
        stages = [
            {
                "name": s.name,
                "iterations": s.iterations,
                "reason": s.reason,
                "loss": s.loss,
                "terms": dict(s.terms),
            }
            for s in self.stages
        ]
        data = {
            "schema_version": SCHEMA_VERSION,
            "apu_losses": __version__,
            "scene": self.scene,
            "body": self.body,
            "body_model": self.body_model,
            "body_identity": self.body_identity,
            "regions": dict(self.regions),
            "notes": list(self.notes),
            "verdict": {"kept": self.verdict.kept, "reason": self.verdict.reason},
            "findings": [finding.to_dict() for finding in self.findings],
            "depth": None if self.depth is None else self.depth.to_dict(),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "stages": stages,
            "seconds": round(self.seconds, 3),
            "preset": self.preset.to_dict(),
        }
        finite: dict[str, Any] = _finite(data)
        return finite


def save_parameters(path: str | Path, arrays: Mapping[str, Any], body: str, identity: str) -> None:
    """Write an ``.npz`` of arrays that says which body they are of, whole or not at all.

    Args:
        path: the file.
        arrays: ``(P, size)`` by parameter, and whatever else belongs to them.
        body: name of the body.
        identity: see `apu_losses.bodies.identity.body_identity`; ``""``: not known.

    Raises:
        OSError: it cannot be written.
    """
    owner = {_BODY: np.array(body), _IDENTITY: np.array(identity)}
    with staged_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, **arrays, **owner)  # type: ignore[arg-type]


def load_parameters(
    path: str | Path,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Read ``STEM.npz`` back: the fitted parameters and those of the start.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no ``.npz`` archive of arrays.
    """
    arrays = {name: array for name, array in _load(path).items() if name not in NO_PARAMETERS}
    start = {
        name.removeprefix(START_PREFIX): v for name, v in arrays.items() if name.startswith(START_PREFIX)
    }
    fitted = {name: v for name, v in arrays.items() if not name.startswith(START_PREFIX)}
    return fitted, start


def parameters_body(path: str | Path) -> tuple[str, str]:
    """Which body the parameters of a file are of: its name and identity, ``""`` where nothing says it.

    The file itself says it; for files of earlier versions, the record beside it does.

    Raises:
        FileNotFoundError, ValueError: as `load_parameters`.
    """
    arrays = _load(path)
    if _BODY in arrays:
        return str(arrays[_BODY]), str(arrays.get(_IDENTITY, ""))
    try:
        record = read_json(Path(path).with_suffix(".json"), checked=False)
    except (OSError, ValueError):
        return "", ""
    if not isinstance(record, dict) or "apu_losses" not in record:
        return "", ""
    return str(record.get("body", "")), str(record.get("body_identity", ""))


def _beside(stem: Path) -> tuple[Path, Path]:
    return stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".json")


def _files_of(stem: Path) -> tuple[Path, Path]:
    """Return the two files of a stem, or those to which the file of that name belongs."""
    files = _beside(stem)
    named = stem.suffix in (".npz", ".json") and not files[1].is_file()
    return _beside(stem.with_suffix("")) if named else files


def _stage(data: Mapping[str, Any]) -> StageReport:
    return StageReport(
        data["name"],
        data["iterations"],
        data["reason"],
        number_or_nan(data["loss"]),
        {name: number_or_nan(value) for name, value in data["terms"].items()},
    )


def _unlimited(preset: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preset as it was before JSON, which has no infinity for the limit of the filter."""
    limit = preset["filter_pixels"]
    return {**preset, "filter_pixels": np.inf if limit is None else limit}


def _load(path: str | Path) -> dict[str, NDArray[Any]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return read_arrays(path)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
