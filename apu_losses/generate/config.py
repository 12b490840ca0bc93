"""All options of `apu run` in one place, as a TOML file that a run also leaves behind."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apu_contacts.asking.commands import AskOptions
from apu_contacts.reading import read_json
from apu_contacts.resolve import ContactPolicy
from apu_losses.generate.said import check_from_answers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class DetectConfig:
    """Who is in the pictures, where no keypoint file says so.

    Args:
        detector: ``"pose"`` (rtmlib), ``"mediapipe"``, or ``"auto"``: the first of these that is installed.
        model: of ``"pose"``, as of `apu detect`.
        min_box_score: below this a box is nobody.
        device: where it computes; MediaPipe has the CPU only.
    """

    detector: str = "auto"
    model: str = "wholebody"
    min_box_score: float = 0.3
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.detector not in ("auto", "pose", "mediapipe"):
            raise ValueError(f"detect.detector must be auto, pose or mediapipe, got {self.detector!r}")


@dataclass(frozen=True)
class ProposeConfig:
    """Which pairs are worth a question, as of `apu propose`.

    Args:
        min_keypoints: of each person that must be near the other; a handshake has two.
        max_distance: what is near, as a share of the people's size.
        max_distance_alone: the same, for one keypoint, in a picture where no two people are that near: arms
            may be hidden. 0 asks nothing about such pictures. Chosen on ten photographs; it adds one.
        max_mesh_error: how far an estimated body may be from its keypoints, as a share of the person's size.
        start: ``"auto"`` starts people from estimators' files, and from their keypoints where there is no
            estimate; ``"keypoints"`` leaves such files alone; ``"estimate"`` leaves people without one out.
    """

    min_keypoints: int = 2
    max_distance: float = 0.2
    max_distance_alone: float = 0.5
    max_mesh_error: float = 0.15
    start: str = "auto"

    def __post_init__(self) -> None:
        if self.start not in ("auto", "keypoints", "estimate"):
            raise ValueError(f"propose.start must be auto, keypoints or estimate, got {self.start!r}")


@dataclass(frozen=True)
class AskConfig:
    """Of whom, how often and how is asked, as of `apu ask`; see `apu_contacts.asking.AskOptions`.

    Args:
        attributes: ask for age group, sex and build of the people, too, and who is taller and in front; what
            is said of them goes into the starts (see `StartsConfig`).
        repair: ask once more where an answer could not be read whole.
        again: statuses whose questions are asked anew, with commas: ``"empty"``.
    """

    model: str = ""
    base_url: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    samples: int = 1
    temperature: float = 0.0
    parallel: int = 4
    action: str = ""
    example: bool = True
    attributes: bool = False
    repair: bool = True
    timeout: float = 300.0
    max_retries: int = 5
    answer_tokens: int = 2000
    format: str = "json_schema"
    length_field: str = ""
    picture_format: str = "jpeg"
    max_calls: int = 0
    max_tokens: int = 0
    max_cost: float = 0.0
    price_in: float = 0.0
    price_out: float = 0.0
    again: str = ""

    def options(self) -> AskOptions:
        """For the functions of `apu_contacts.asking`; empty words and caps of 0 are none.

        Raises:
            ValueError: samples at temperature 0.
        """
        values = {name: value for name, value in dataclasses.asdict(self).items() if name != "repair"}
        for name in ("base_url", "action", "length_field", "max_calls", "max_tokens", "max_cost"):
            values[name] = values[name] or None
        values["again"] = tuple(word.strip() for word in self.again.split(",") if word.strip())
        return AskOptions(**values)


@dataclass(frozen=True)
class StartsConfig:
    """What answers tell the starts of people who started from their keypoints alone.

    Args:
        from_answers: ``"all"``: parts that touch are put at one depth, a child is a child, who is called in
            front is so; ``"contacts"``: the first of these alone; ``"none"``: starts stay as they were.
    """

    from_answers: str = "all"

    def __post_init__(self) -> None:
        check_from_answers(self.from_answers)


@dataclass(frozen=True)
class FitConfig:
    """How bodies are fitted, as of `apu fit`.

    Args:
        regions: region map of ``body``; empty: found or derived.
        pictures: draw the people before and after, for the page.
        meshes: write a .glb of each scene.
        batch_size: scenes fitted at once.
        hypotheses: starts tried of each scene, see `Preset.hypotheses`; 0: the preset's own.
        people: what is known of the size of the people of every picture: ``"1 child, 0 1.8m"``.
    """

    preset: str = "best"
    body: str = "free"
    regions: str = ""
    device: str = "cpu"
    pictures: bool = True
    meshes: bool = True
    batch_size: int = 8
    threads: int = 1
    hypotheses: int = 0
    people: str = ""

    def said(self) -> dict[int, str]:
        """Words on people by their number.

        Raises:
            ValueError: something else than numbers with words.
        """
        words = {}
        for one in self.people.split(",") if self.people.strip() else ():
            number, _, rest = one.strip().partition(" ")
            if not number.isdigit() or not rest:
                raise ValueError(f'fit.people must be like "1 child, 0 1.8m", got {self.people!r}')
            words[int(number)] = rest
        return words


@dataclass(frozen=True)
class RunConfig:
    """All options of a run. `save` and `load` are TOML with one table for each part.

    Args:
        detect, propose, ask, contacts, starts, fit: of the stages; ``contacts`` is the policy by name or
            file.

    Example:
        >>> RunConfig().changed({"ask": {"model": "m"}, "fit": {"preset": "paper"}}).ask.model
        'm'
    """

    detect: DetectConfig = field(default_factory=DetectConfig)
    propose: ProposeConfig = field(default_factory=ProposeConfig)
    ask: AskConfig = field(default_factory=AskConfig)
    contacts: str = "best"
    starts: StartsConfig = field(default_factory=StartsConfig)
    fit: FitConfig = field(default_factory=FitConfig)

    @classmethod
    def load(cls, path: str | Path) -> RunConfig:
        """Read a file; what it leaves out has its default.

        Raises:
            ValueError: no TOML, an unknown key, or a value of the wrong kind; the file and key are named.
            OSError: the file cannot be read.
        """
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not TOML: {error}") from None
        try:
            return cls().changed(data)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def changed(self, data: Mapping[str, Any]) -> RunConfig:
        """Return this configuration with other values: ``{"ask": {"model": "m"}, "contacts": "paper"}``.

        Raises:
            ValueError: an unknown key, or a value of the wrong kind.
        """
        found: dict[str, Any] = {}
        known = {entry.name for entry in dataclasses.fields(self)}
        for name, value in data.items():
            if name not in known:
                raise ValueError(f"unknown {name!r}; known are {', '.join(sorted(known))}")
            old = getattr(self, name)
            found[name] = (
                _table(name, old, value) if dataclasses.is_dataclass(old) else _typed(name, old, value)
            )
        return dataclasses.replace(self, **found)

    def to_toml(self) -> str:
        """All options as text, the defaults too."""
        lines, tables = [], []
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if dataclasses.is_dataclass(value):
                tables += ["", f"[{entry.name}]"]
                tables += [f"{f.name} = {_toml(getattr(value, f.name))}" for f in dataclasses.fields(value)]
            else:
                lines.append(f"{entry.name} = {_toml(value)}")
        return "\n".join(["# all options of a run; apu run --config takes this file", *lines, *tables]) + "\n"

    def differences(self, other: RunConfig) -> list[str]:
        """Return what the other one has otherwise: ``fit.preset: best -> paper``."""
        mine, theirs = _flat(self), _flat(other)
        return [f"{key}: {mine[key]} -> {theirs[key]}" for key in mine if mine[key] != theirs[key]]


def changes_of(config: RunConfig, given: Sequence[str]) -> dict[str, Any]:
    """Return what ``fit.preset=paper`` and the like say, for `RunConfig.changed`; words need no quotes.

    Raises:
        ValueError: something that is not ``PART.OPTION=VALUE``, or names no option.
    """
    found: dict[str, Any] = {}
    known = _flat(config)
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            raise ValueError(f"--set must be OPTION=VALUE, OPTION one of {', '.join(known)}, got {text!r}")
        new = value if isinstance(known[key], str) else _value(text, value)
        part, _, name = key.partition(".")
        if name:
            found.setdefault(part, {})[name] = new
        else:
            found[key] = new
    return found


def _value(text: str, value: str) -> Any:
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise ValueError(f"--set {text}: {value!r} is no value (true, 3, 0.5)") from None


def load_policy(name: str) -> ContactPolicy:
    """Return a policy by its name, ``best`` or ``paper``, or from a JSON file of `ContactPolicy.to_dict`.

    Raises:
        ValueError: another name, or a file that holds none.
    """
    if name in ("best", "paper"):
        return ContactPolicy() if name == "best" else ContactPolicy.paper()
    if not Path(name).is_file():
        raise ValueError(f"contacts must be 'best', 'paper' or a .json file, got {name!r}")
    data = read_json(Path(name), ValueError)
    if not isinstance(data, dict):
        raise ValueError(f"{name}: a contact policy is an object, got {type(data).__name__}")
    try:
        return ContactPolicy.from_dict(data)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from None


def _table(name: str, old: Any, value: object) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a table, got {value!r}")
    known = {entry.name for entry in dataclasses.fields(old)}
    unknown = sorted(set(value) - known)
    if unknown:
        raise ValueError(f"unknown {name}.{unknown[0]}; known are {', '.join(sorted(known))}")
    new = {key: _typed(f"{name}.{key}", getattr(old, key), entry) for key, entry in value.items()}
    return dataclasses.replace(old, **new)


def _typed(name: str, old: object, value: Any) -> Any:
    """Return the value, if it is of the kind of the default."""
    kind = type(old)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} must be a {kind.__name__}, such as {_toml(old)}, got {value!r}")
    return value


def _toml(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value)  # TOML's basic strings know all of JSON's escapes
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _flat(config: RunConfig) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in dataclasses.asdict(config).items():
        found |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
    return found
