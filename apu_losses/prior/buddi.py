"""The design of BUDDI: a transformer over tokens of the two people, their estimates, and the time.

What differs from the original: the people share every weight, and a person's tokens know each other from the
other person's by a bias of attention, so that exchanging the people exchanges the answers; a missing estimate
has a token of its own, learned, in place of zeros.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from apu_losses.prior.layout import PriorLayout

# Whatever a program sets as its default; `ContactPrior` moves the network afterwards.
_PLAIN: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}


@dataclass(frozen=True)
class BuddiOptions:
    """The size of the network.

    Args:
        width: of a token.
        layers, heads: of attention; ``width`` is a multiple of twice the heads.
        hidden: width of the layers between.
        dropout: share of what is dropped in training.
    """

    width: int = 152
    layers: int = 6
    heads: int = 8
    hidden: int = 512
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "dropout" and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number above 0, got {value!r}")
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width must be even and a multiple of heads, got {self.width} and {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be 0 to 1, got {self.dropout!r}")


class BuddiNetwork(nn.Module):
    """``network(x_t, t, condition, known) -> x_0``.

    Args:
        layout: the numbers of a person.
        options: the size.
    """

    design = "buddi"

    def __init__(self, layout: PriorLayout, options: BuddiOptions | None = None) -> None:
        super().__init__()
        self.layout, self.options = layout, options or BuddiOptions()
        width, sizes = self.options.width, layout.sizes
        self.read = nn.ModuleDict({n: _two_layers(s, width, width) for n, s in sizes.items()})
        self.read_estimate = nn.ModuleDict({n: _two_layers(s, width, width) for n, s in sizes.items()})
        self.write = nn.ModuleDict({n: _two_layers(width, width, s) for n, s in sizes.items()})
        self.kind = nn.Parameter(0.5 * torch.randn(2, len(sizes), width, dtype=torch.float32, device="cpu"))
        self.nothing = nn.Parameter(0.5 * torch.randn(len(sizes), width, dtype=torch.float32, device="cpu"))
        self.time = _two_layers(width, width, width)
        self.layers = nn.ModuleList(_Layer(self.options) for _ in range(self.options.layers))
        self.last = nn.LayerNorm(width, **_PLAIN)
        self.register_buffer("_relation", _relation(len(sizes)), persistent=False)

    def forward(
        self, x: Tensor, t: Tensor, condition: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """Return what is thought to be under the noise.

        Args:
            x: ``(B, 2, D)`` pairs with noise.
            t: ``(B,)`` times.
            condition: ``(B, 2, D)`` initial estimates; None: nothing is known.
            known: ``(B, 2, K)`` bool, which tokens of the estimates count; all by default.

        Returns:
            ``(B, 2, D)``.
        """
        batch, names = len(x), list(self.layout.sizes)
        parts = self.layout.slices
        own = torch.stack([self.read[n](x[..., parts[n]]) for n in names], 2) + self.kind[0]
        nothing = self.nothing.expand(batch, 2, len(names), -1)
        given = nothing
        if condition is not None:
            given = torch.stack([self.read_estimate[n](condition[..., parts[n]]) for n in names], 2)
            if known is not None:
                given = torch.where(known[..., None], given, nothing)
        given = given + self.kind[1]
        when = self.time(_waves(t, self.options.width).to(x.dtype))[:, None]
        tokens = torch.cat([own.flatten(1, 2), given.flatten(1, 2), when], 1)
        for layer in self.layers:
            tokens = layer(tokens, self._relation)
        own = self.last(tokens[:, : 2 * len(names)]).unflatten(1, (2, len(names)))
        return torch.cat([self.write[n](own[:, :, i]) for i, n in enumerate(names)], -1)


class _Layer(nn.Module):
    def __init__(self, options: BuddiOptions) -> None:
        super().__init__()
        self.heads, self.dropout = options.heads, options.dropout
        self.before = nn.LayerNorm(options.width, **_PLAIN)
        self.between = nn.LayerNorm(options.width, **_PLAIN)
        self.ask = nn.Linear(options.width, 3 * options.width, **_PLAIN)
        self.out = nn.Linear(options.width, options.width, **_PLAIN)
        self.one = nn.Linear(options.width, options.hidden, **_PLAIN)
        self.two = nn.Linear(options.hidden, options.width, **_PLAIN)
        self.bias = nn.Parameter(torch.zeros(options.heads, 3, dtype=torch.float32, device="cpu"))

    def forward(self, x: Tensor, relation: Tensor) -> Tensor:
        asked = self.ask(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            asked[0], asked[1], asked[2], attn_mask=self.bias[:, relation][None].to(asked.dtype)
        )
        mixed = self.out(mixed.transpose(1, 2).flatten(2))
        x = x + functional.dropout(mixed, self.dropout, self.training)
        inner = self.two(functional.gelu(self.one(self.between(x))))
        return x + functional.dropout(inner, self.dropout, self.training)


def _two_layers(given: int, hidden: int, wanted: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(given, hidden, **_PLAIN), nn.SiLU(), nn.Linear(hidden, wanted, **_PLAIN))


def _relation(kinds: int) -> Tensor:
    """``(T, T)`` 0: of the same person, 1: of the other one, 2: with the time."""
    two = [0] * kinds + [1] * kinds
    person = torch.tensor([*two, *two, 2], dtype=torch.int64, device="cpu")
    found = (person[:, None] != person).long()
    found[person == 2] = 2
    found[:, person == 2] = 2
    return found


def _waves(t: Tensor, width: int) -> Tensor:
    """``(B, width)`` sines and cosines of the time."""
    half = width // 2
    frequency = torch.exp(
        -math.log(10000.0) * torch.arange(half, device=t.device, dtype=torch.float32) / half
    )
    angle = t[:, None].float() * frequency
    return torch.cat([angle.sin(), angle.cos()], 1)
