"""A trained prior: a design, its schedule, what it may see, and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from apu_contacts.files import staged_file
from apu_contacts.reading import parse_json
from apu_losses.prior.buddi import BuddiNetwork, BuddiOptions
from apu_losses.prior.gaussian import GaussianDesign
from apu_losses.prior.layout import PriorLayout
from apu_losses.prior.schedule import CosineSchedule

FORMAT = "apu-prior-1"
DESIGNS = ("buddi", "gaussian")


class ContactPrior:
    """What two people near each other look like: a denoiser of pairs that knows no left, right or first.

    Args:
        layout: the numbers of a person.
        network: a design, ``(x_t, t, condition, known) -> x_0``.
        schedule: of the noise.
        about: how it was made; kept in its file.

    Example:
        >>> from apu_losses.prior import load_prior
        >>> prior = load_prior()
        >>> prior.sample(2, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 2, 146])
    """

    def __init__(
        self,
        layout: PriorLayout,
        network: nn.Module,
        schedule: CosineSchedule | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.layout, self.schedule = layout, schedule or CosineSchedule()
        self.network = network.eval().requires_grad_(False)
        self.about = dict(about or {})

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(iter(self.network.state_dict().values())).device

    def to(self, device: torch.device | str) -> ContactPrior:
        """Return the prior on a device; it moves there itself."""
        self.network.to(device)
        return self

    @torch.no_grad()
    def denoise(self, x: Tensor, t: Tensor, condition: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        """Return what is thought to be under the noise, as if it had looked into a mirror, too.

        Args:
            x: ``(B, 2, D)`` pairs with noise.
            t: ``(B,)`` times.
            condition: ``(B, 2, D)`` initial estimates, or None.
            scale: of classifier-free guidance: above 1 the estimate counts for more than it should.

        Returns:
            ``(B, 2, D)``; exchanging or mirroring the people exchanges or mirrors it, to rounding.
        """
        found = self._seen_twice(x, t, condition)
        if condition is not None and scale != 1.0:
            alone = self._seen_twice(x, t, None)
            found = alone + scale * (found - alone)
        return found

    def _seen_twice(self, x: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        self.network.eval()  # a prior in training would drop out at random
        if not self.layout.mirrors:
            return self.network(x, t, condition)
        mirror = self.layout.mirror
        both = torch.cat([x, mirror(x)])
        seen = None if condition is None else torch.cat([condition, mirror(condition)])
        one, other = self.network(both, t.repeat(2), seen).chunk(2)
        return 0.5 * (one + mirror(other))

    @torch.no_grad()
    def target(
        self, code: Tensor, condition: Tensor | None, t: int, noise: Tensor, *, scale: float = 1.0
    ) -> Tensor:
        """Return codes that had noise added at ``t`` and taken away again, one pair after the other.

        A pair is worked on alone, in tensors of one size: its bits hang on nobody else's. The noise is taken
        with both signs, and the mean counts: what a prior does not know for noise it leaves where it is, and
        the same noise in every step of a fit would drive the two along it.

        Args:
            code: ``(P, 2, D)``.
            condition: the same, or None.
            noise: ``(D,)``, the same for each person and for the mirror image, so that none of the two ways
                to write a pair is told from the other.

        Returns:
            ``(P, 2, D)``.
        """
        time = torch.tensor([t], dtype=torch.int64, device=code.device)
        found = []
        for i in range(len(code)):
            seen = None if condition is None else condition[i : i + 1].clone()
            ways = []
            for own in (noise, -noise):
                noisy = self._noisy_twice(code[i : i + 1].clone(), time, own)
                one = self._guided(noisy, time, seen)
                if seen is not None and scale != 1.0:
                    alone = self._guided(noisy, time, None)
                    one = alone + scale * (one - alone)
                ways.append(one)
            found.append(0.5 * (ways[0] + ways[1]))
        return torch.cat(found) if found else code

    def _noisy_twice(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        both = torch.cat([x, self.layout.mirror(x)]) if self.layout.mirrors else x
        return self.schedule.add_noise(both, t.expand(len(both)), noise.expand_as(both))

    def _guided(self, noisy: Tensor, t: Tensor, condition: Tensor | None) -> Tensor:
        self.network.eval()
        if not self.layout.mirrors:
            return self.network(noisy, t, condition)
        seen = None if condition is None else torch.cat([condition, self.layout.mirror(condition)])
        one, other = self.network(noisy, t.expand(2), seen).chunk(2)
        return 0.5 * (one + self.layout.mirror(other))

    def sample(
        self,
        count: int,
        generator: torch.Generator,
        condition: Tensor | None = None,
        *,
        times: Sequence[int] | None = None,
        eta: float = 0.0,
        scale: float = 1.0,
    ) -> Tensor:
        """Draw pairs.

        Args:
            count: how many.
            generator: of the noise.
            condition: ``(count, 2, D)`` initial estimates; None: drawn out of nothing.
            times, eta: see `CosineSchedule.sample`.
            scale: of classifier-free guidance.

        Returns:
            ``(count, 2, D)`` codes; `apu_losses.prior.bodies_of` makes bodies of them.
        """
        shape = (count, 2, self.layout.size)
        start = torch.randn(shape, generator=generator, dtype=torch.float32, device=generator.device)
        start = start.to(self.device)
        return self.schedule.sample(
            lambda x, t: self.denoise(x, t, condition, scale=scale),
            start,
            times,
            eta=eta,
            generator=generator,
        )

    def save(self, path: str | Path) -> None:
        """Write weights and how they are to be read: a ``.safetensors`` file, which runs nothing.

        Raises:
            ImportError: safetensors is not installed.
        """
        write_tensors(path, self.network.state_dict(), self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """All but the weights, ready for JSON."""
        options = getattr(self.network, "options", None)
        return {
            "format": FORMAT,
            "design": str(getattr(self.network, "design", "")),
            "layout": self.layout.to_dict(),
            "schedule": asdict(self.schedule),
            "options": {} if options is None else asdict(options),
            "about": self.about,
        }


def make_network(
    design: str, layout: PriorLayout, schedule: CosineSchedule, options: Mapping[str, Any]
) -> BuddiNetwork | GaussianDesign:
    """Return a design that has learned nothing yet.

    Raises:
        ValueError: an unknown design or option.
    """
    if design == "gaussian":
        if options:
            raise ValueError(f"the design 'gaussian' has no options, got {sorted(options)}")
        return GaussianDesign(layout, schedule)
    if design != "buddi":
        raise ValueError(f"design must be one of {', '.join(DESIGNS)}, got {design!r}")
    try:
        return BuddiNetwork(layout, BuddiOptions(**options))
    except TypeError:
        known = sorted(asdict(BuddiOptions()))
        raise ValueError(f"the design 'buddi' has the options {known}, got {sorted(options)}") from None


def read_prior(path: str | Path, device: torch.device | str = "cpu") -> ContactPrior:
    """Read a prior that `ContactPrior.save` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something else, or of another version.
        ImportError: safetensors is not installed.
    """
    tensors, about = read_tensors(path, device)
    if about.get("format") != FORMAT:
        raise ValueError(f"{path}: holds no prior of this version ({FORMAT}), but {about.get('format')!r}")
    try:
        layout = PriorLayout.from_dict(about["layout"])
        schedule = CosineSchedule(**about["schedule"])
        network = make_network(about["design"], layout, schedule, about["options"])
        network.load_state_dict(tensors, strict=True)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: its weights are not those that it says: {error}") from None
    return ContactPrior(layout, network.to(device), schedule, about["about"])


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and what is said of them, whole or not at all."""
    save = _safetensors("torch").save
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    data: bytes = save(whole, {"apu": json.dumps(about)})
    with staged_file(path) as part:
        part.write_bytes(data)


def read_tensors(
    path: str | Path, device: torch.device | str = "cpu"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors, and what is said of them, from a file of `write_tensors`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no such file of ours.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with _safetensors().safe_open(str(path), "pt", device=str(device)) as archive:
            said = (archive.metadata() or {}).get("apu", "")
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        about = parse_json(said, "its metadata", checked=False)
    except ImportError:
        raise
    except Exception as error:  # the library has errors of its own, of no common class
        raise ValueError(f"{path}: not a prior's .safetensors file: {error}") from None
    return tensors, about


def _safetensors(module: str = "") -> Any:
    import importlib

    try:
        return importlib.import_module("safetensors" + (f".{module}" if module else ""))
    except ImportError:
        raise ImportError("priors are kept as .safetensors: pip install 'apu-losses[prior]'") from None
