"""All options of a training in one place, as a TOML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from apu_losses.prior.model import DESIGNS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS = ("synthetic", "pairs", "fits", "mocap", "buddi")


@dataclass(frozen=True)
class DataSource:
    """One data set of a mixture.

    Args:
        kind: ``"synthetic"``: scenes of the package's own world; ``"pairs"``: a file of `PairSet.save`;
            ``"fits"``: a folder that `apu fit` or `apu run` filled; ``"mocap"``: a file of measured moments;
            ``"buddi"``: files of SMPL-X parameters as BUDDI and its data sets have them.
        path: of a file or folder; of synthetic scenes a file of them, or the split's name,
            ``"development"`` or ``"held_out"``.
        share: of each batch, beside those of the other data sets.
        seeds: of synthetic scenes, how many observations of each.
        kept_only: of fits, only those that the filter keeps.
    """

    kind: str
    path: str = ""
    share: float = 1.0
    seeds: int = 8
    kept_only: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"data.kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.share > 0:
            raise ValueError(f"data.share must be above 0, got {self.share!r}")
        if self.kind != "synthetic" and not self.path:
            raise ValueError(f"data of kind {self.kind!r} needs a path")


@dataclass(frozen=True)
class LossWeights:
    """How much each error of a guess counts, summed over numbers, mean over pairs.

    Args:
        pose, orient: square differences of rotations (six numbers each).
        shape: of shape numbers.
        transl: square metres, of where the other one is.
        joints: square metres, mean over the joints of the two, through the body.
        vertices: square metres, mean over ``points`` vertices of each.
        distances: square metres, of the distances between the points of the two, weighted by how near they
            are in truth (`distance_field_loss`).
        penetration: metres of depth, of the first ``penetration_pairs`` of a batch.
        points: vertices of each person that are looked at.
        penetration_pairs: pairs whose meshes are looked at.
    """

    pose: float = 10.0
    orient: float = 10.0
    shape: float = 0.1
    transl: float = 100.0
    joints: float = 0.0
    vertices: float = 0.0
    distances: float = 0.0
    penetration: float = 0.0
    points: int = 128
    penetration_pairs: int = 4


@dataclass(frozen=True)
class TrainConfig:
    """A training.

    Args:
        design: ``"buddi"`` (learned step by step) or ``"gaussian"`` (counted).
        body: a name or file for `apu_losses.load_body`.
        data: the mixture.
        network: options of the design, such as ``{"width": 96}``.
        losses: see `LossWeights`.
        steps, batch: how many steps, of how many pairs.
        learning_rate: of AdamW, after a rise over the first twentieth of the steps, falling to a tenth.
        clip: largest length of the gradient.
        average: of the weights (EMA), the share of the old ones in each step.
        nothing, some: shares of pairs whose estimates are dropped as a whole, and token by token.
        seed: of everything that is drawn.
        precision: ``"full"``, ``"bfloat16"``, or ``"auto"``: bfloat16 on a GPU that has it.
        every: steps between two states on disk.
        ridge: of ``gaussian``, see `GaussianDesign.fit`.
        tensorboard: write curves for TensorBoard, too.

    Example:
        >>> TrainConfig(data=(DataSource("synthetic"),), steps=10).batch
        128
    """

    design: str = "buddi"
    body: str = "free"
    data: tuple[DataSource, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    losses: LossWeights = field(default_factory=LossWeights)
    steps: int = 20_000
    batch: int = 128
    learning_rate: float = 3e-4
    clip: float = 1.0
    average: float = 0.999
    nothing: float = 0.2
    some: float = 0.1
    seed: int = 0
    precision: str = "auto"
    every: int = 500
    ridge: float = 0.3
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ValueError(f"design must be one of {', '.join(DESIGNS)}, got {self.design!r}")
        if self.precision not in ("auto", "full", "bfloat16"):
            raise ValueError(f"precision must be auto, full or bfloat16, got {self.precision!r}")
        for name in ("steps", "batch", "every"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number above 0, got {value!r}")
        for name in ("average", "nothing", "some"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name)!r}")
        if self.nothing + self.some > 1:
            raise ValueError(f"nothing and some must be at most 1 together, got {self.nothing + self.some}")
        if not self.data:
            raise ValueError("data is empty: there is nothing to learn from; add a [[data]] table")

    @classmethod
    def load(cls, path: str | Path) -> TrainConfig:
        """Read a TOML file; what it leaves out has its default.

        Raises:
            ValueError: no TOML, an unknown key, or a value that an option cannot have.
            OSError: the file cannot be read.
        """
        try:
            return cls.from_dict(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not TOML: {error}") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> TrainConfig:
        """Return the inverse of `to_dict`.

        Raises:
            ValueError: an unknown key, or a value that an option cannot have.
        """
        values = dict(given)
        data = values.pop("data", [])
        if not isinstance(data, list | tuple) or not all(isinstance(entry, Mapping) for entry in data):
            raise ValueError("data must be a list of tables: write each as [[data]]")
        values["data"] = tuple(_table(DataSource, "data", entry) for entry in data)
        if "losses" in values:
            values["losses"] = _table(LossWeights, "losses", values["losses"])
        return _table(cls, "", values)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "data": [asdict(source) for source in self.data]}


def _table(kind: Any, name: str, values: Any) -> Any:
    if not isinstance(values, Mapping):
        raise ValueError(f"{name} must be a table, got {values!r}")
    known = {f.name: f.type for f in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        where = f"{name}.{unknown[0]}" if name else unknown[0]
        raise ValueError(f"unknown {where}; known are {', '.join(sorted(known))}")
    for key, value in values.items():
        wanted = {"float": (int, float), "int": (int,), "str": (str,), "bool": (bool,)}.get(str(known[key]))
        wrong = wanted is not None and not isinstance(value, wanted)
        if wrong or (isinstance(value, bool) and known[key] != "bool"):
            where = f"{name}.{key}" if name else key
            raise ValueError(f"{where} must be a {known[key]}, got {value!r}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{name or 'the file'}: {error}") from None
