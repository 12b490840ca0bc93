"""Priors by name, read once."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from apu_losses.prior.model import ContactPrior, read_prior

BUNDLED = {"free": "free.safetensors"}
"""Priors that come with the package, by the body that they are for."""


def load_prior(name_or_path: str | Path = "free") -> ContactPrior:
    """Return a prior that comes with the package, or one from a ``.safetensors`` file.

    Args:
        name_or_path: ``"free"``, the prior of the free body, or a path. A file is read once in a process,
            and again where it has changed since.

    Raises:
        ValueError: neither a known name nor a file.

    Example:
        >>> from apu_losses.prior import load_prior
        >>> load_prior("free").layout.size
        146
    """
    name = str(name_or_path)
    if name in BUNDLED:
        with resources.as_file(resources.files("apu_losses.prior") / "data" / BUNDLED[name]) as path:
            return _read(str(path), 0)
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"no prior {name!r}; there is {', '.join(BUNDLED)}, or the path of a .safetensors file that "
            "`apu train-prior` wrote"
        )
    return _read(str(path.resolve()), path.stat().st_mtime_ns)


@lru_cache(8)
def _read(path: str, _changed: int) -> ContactPrior:
    return read_prior(path)
