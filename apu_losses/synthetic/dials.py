"""What a noise dial is: a number with a default, a meaning, and where its default comes from."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal

Basis = Literal["real", "paper", "assumed"]


@dataclass(frozen=True)
class Dial:
    """One noise source of a simulation.

    Args:
        name: of the field that holds it.
        value: as it is set.
        default: as it comes.
        meaning: what it does, with its unit.
        basis: where the default comes from: ``"real"`` (measured on the real photographs,
            ``benchmarks/results/synthetic_calibration.md``), ``"paper"``, or ``"assumed"``: calibrated on
            nothing.
    """

    name: str
    value: object
    default: object
    meaning: str
    basis: Basis


def dial(default: Any, basis: Basis, meaning: str) -> Any:
    """Return a field of a frozen dataclass that is a noise dial."""
    return field(default=default, metadata={"meaning": meaning, "basis": basis})


def describe(noise: Any) -> tuple[Dial, ...]:
    """Return the dials of an `ObservationNoise` or `AnnotatorNoise`, and what each is calibrated on."""
    entries: tuple[Field[Any], ...] = fields(noise)
    return tuple(
        Dial(f.name, getattr(noise, f.name), f.default, f.metadata["meaning"], f.metadata["basis"])
        for f in entries
    )


def check_shares(noise: Any, names: tuple[str, ...]) -> None:
    """Raise `ValueError` where one of these fields is no share in [0, 1]."""
    for name in names:
        value = getattr(noise, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {value}; is this a percentage?")
