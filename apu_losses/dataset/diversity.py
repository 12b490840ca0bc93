"""How diverse the interactions of data sets are (paper, section 3.3): the figure, and what it cannot show.

Names of interactions are embedded as text. The paper uses CLIP; where its weights are not, a sentence encoder
whose weights ship in its package stands in, and every result says which it was.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apu_contacts.files import write_text
from apu_losses.dataset.folder import records

Array = NDArray[np.float64]
NEAR = 0.35
"""Cosine distance below which one class covers another. With wordllama "hug" and "side hug" are 0.13 apart,
"hug" and "handshake" 0.94: between the two by a dozen names, not tuned."""
COLORS = ("#3b6fb6", "#d9822b", "#3d9a5d", "#b3446c", "#7a5ea8", "#6b6b6b")


def interactions_of(path: str | Path) -> Counter[str]:
    """Return interaction -> how often, of a data set's kept pairs, or of a text of ``name<TAB>count`` lines.

    Names are compared in small letters without surrounding spaces.

    Raises:
        ValueError: a line that is not of this form, or nothing in it.
    """
    place = Path(path)
    found: Counter[str] = Counter()
    if place.is_dir():
        for record in records(place, check=False):
            if record["verdict"]["kept"] and record["interaction"].strip():
                found[record["interaction"].strip().lower()] += 1
    else:
        for number, line in enumerate(place.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            name, _, times = line.partition("\t")
            if not name.strip() or not (times.strip() or "1").isdigit():
                raise ValueError(
                    f"{path}, line {number}: expected 'interaction<TAB>count', got {line[:60]!r}"
                )
            found[name.strip().lower()] += int(times.strip() or "1")
    if not found:
        raise ValueError(f"{path}: no interaction is named there; were all pairs rejected?")
    return found


def encoder(name: str) -> tuple[str, Callable[[Sequence[str]], Array]]:
    """Return what an encoder is called, and a function of texts to unit vectors ``(N, D)``.

    Args:
        name: ``"wordllama"``, or a folder with a CLIP model in the form of ``transformers``.

    Raises:
        ImportError: the package is missing; the message names the extra.
        ValueError: neither a known name nor a folder.
    """
    if name == "wordllama":
        return "wordllama l2_supercat, 256 dimensions", _wordllama()
    if Path(name).is_dir():
        return f"CLIP of {Path(name).name}", _clip(name)
    raise ValueError(f"encoder must be 'wordllama' or a folder with CLIP's weights, got {name!r}")


def _wordllama() -> Callable[[Sequence[str]], Array]:
    try:
        import wordllama
    except ImportError:
        raise ImportError(
            "interactions are embedded by wordllama: pip install 'apu-losses[diversity]'"
        ) from None
    # its own folder as its cache: it looks for its tokenizer beside itself under a name that is not there
    here = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=here, disable_download=True)

    def embed(texts: Sequence[str]) -> Array:
        return _unit(np.asarray(model.embed(list(texts)), dtype=np.float64))

    return embed


def _clip(folder: str) -> Callable[[Sequence[str]], Array]:
    try:
        from transformers import CLIPModel, CLIPTokenizerFast
    except ImportError:
        raise ImportError(
            "CLIP is read by transformers, which no extra brings: pip install transformers"
        ) from None
    model = CLIPModel.from_pretrained(folder, local_files_only=True)
    tokens = CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)

    def embed(texts: Sequence[str]) -> Array:
        import torch

        with torch.no_grad():
            found = model.get_text_features(**tokens(list(texts), padding=True, return_tensors="pt"))
        return _unit(found.double().numpy())

    return embed


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


@dataclass(frozen=True)
class SetDiversity:
    """One set among others.

    Attributes:
        classes, pairs: unique interactions, and how many pairs have one.
        entropy: bits of the distribution over classes, with a bootstrap interval over pairs.
        effective: 2 to its power: as many equally common classes have that entropy.
        coverage: share of all sets' classes that lie near a class of this one, with an interval over classes.
        nearest: mean cosine distance of a class to the nearest one of any other set, likewise; NaN of a set
            that stands alone.
    """

    classes: int
    pairs: int
    entropy: tuple[float, float, float]
    effective: float
    coverage: tuple[float, float, float]
    nearest: tuple[float, float, float]


@dataclass(frozen=True)
class Diversity:
    """Sets compared.

    Attributes:
        encoder: what embedded the names.
        sets: by name.
        names, owners, counts: of each class its name, set and pairs.
        points: ``(N, 2)`` first two principal components.
        explained: share of the variance that each of the two explains.
    """

    encoder: str
    sets: Mapping[str, SetDiversity]
    names: tuple[str, ...]
    owners: tuple[str, ...]
    counts: tuple[int, ...]
    points: Array
    explained: tuple[float, float]

    header = ("set", "classes", "pairs", "entropy, bits", "as many as", "coverage", "nearest other class")

    def rows(self) -> list[tuple[object, ...]]:
        """Return the table; intervals are the middle 95 % of bootstrap samples."""
        return [
            (
                name,
                one.classes,
                one.pairs,
                _shown(one.entropy),
                f"{one.effective:.1f}",
                _shown(one.coverage),
                _shown(one.nearest),
            )
            for name, one in self.sets.items()
        ]


def _shown(value: tuple[float, float, float]) -> str:
    mean, low, high = value
    return "-" if math.isnan(mean) else f"{mean:.2f} ({low:.2f} to {high:.2f})"


def entropy(counts: Sequence[int] | NDArray[Any]) -> float:
    """Return the bits of a distribution: 1.0 of two classes that are equally common.

    >>> entropy([5, 5])
    1.0
    """
    values = np.asarray(counts, dtype=np.float64)
    shares = values[values > 0] / values.sum()
    return float(-(shares * np.log2(shares)).sum())


def compare(
    sets: Mapping[str, Mapping[str, int]], encode: str = "wordllama", *, resamples: int = 1000, seed: int = 0
) -> Diversity:
    """Compare the interactions of sets.

    Args:
        sets: name of a set -> interaction -> pairs.
        encode: see `encoder`.
        resamples: of the bootstrap.
        seed: of it.

    Raises:
        ValueError: no sets, or one without classes.
        ImportError: the encoder's package is missing.
    """
    if not sets or not all(sets.values()):
        raise ValueError("sets must hold at least one set, each with at least one interaction")
    called, embed = encoder(encode)
    names = [name for counts in sets.values() for name in sorted(counts)]
    owners = [owner for owner, counts in sets.items() for _ in counts]
    counts = [counts[name] for counts in sets.values() for name in sorted(counts)]
    vectors = embed(names)
    rng = np.random.default_rng(seed)
    return Diversity(
        called,
        {name: _of_set(name, np.array(owners), np.array(counts), vectors, rng, resamples) for name in sets},
        tuple(names),
        tuple(owners),
        tuple(counts),
        *principal(vectors),
    )


def _of_set(
    name: str, owners: NDArray[Any], counts: NDArray[Any], vectors: Array, rng: Any, resamples: int
) -> SetDiversity:
    own = owners == name
    mine, total = counts[own], int(counts[own].sum())
    drawn = rng.multinomial(total, mine / total, resamples)
    bits = np.array([entropy(row) for row in drawn])
    distances = 1 - vectors @ vectors[own].T  # (all, mine)
    covered = (distances.min(1) <= NEAR).astype(np.float64)
    nearest = distances[~own].min(0) if (~own).any() else np.full(own.sum(), np.nan)
    value = entropy(mine)
    low, high = np.quantile(bits, (0.025, 0.975))
    return SetDiversity(
        int(own.sum()),
        total,
        (value, float(low), float(high)),
        2**value,
        _interval(covered, rng, resamples),
        _interval(nearest, rng, resamples),
    )


def _interval(values: Array, rng: Any, resamples: int) -> tuple[float, float, float]:
    if np.isnan(values).any():
        return math.nan, math.nan, math.nan
    means = values[rng.integers(0, len(values), (resamples, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def principal(vectors: Array) -> tuple[Array, tuple[float, float]]:
    """Return ``(N, 2)`` first two principal components, and the share of the variance that each explains.

    Signs are chosen so that the largest entry of each direction is positive.
    """
    centred = vectors - vectors.mean(0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(vectors), 2))
    shares = [0.0, 0.0]
    total = float((spread**2).sum())
    for number in range(min(2, len(spread))):
        direction = directions[number]
        sign = 1.0 if direction[np.abs(direction).argmax()] >= 0 else -1.0
        points[:, number] = sign * (centred @ direction)
        shares[number] = float(spread[number] ** 2) / total if total > 0 else 0.0
    return points, (shares[0], shares[1])


def figure(path: str | Path, found: Diversity, *, labels: int = 30) -> None:
    """Draw the paper's Figure 4 as ``.svg``: classes by two principal components, areas by their pairs.

    Args:
        path: the file.
        found: what `compare` gave.
        labels: how many of the classes farthest from all other sets have their name beside them.
    """
    wide, high, margin = 760, 520, 40
    low, size = found.points.min(0), np.maximum(np.ptp(found.points, axis=0), 1e-9)
    placed = (found.points - low) / size * [wide - 2 * margin - 120, high - 2 * margin] + margin
    largest = max(found.counts)
    sets = list(found.sets)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" '
        'font-size="10">',
        f'<rect width="{wide}" height="{high}" fill="white"/>',
    ]
    order = np.argsort([-count for count in found.counts], kind="stable")
    for i in order:  # large ones first, so that small ones stay seen
        radius = 3 + 13 * math.sqrt(found.counts[i] / largest)
        color = COLORS[sets.index(found.owners[i]) % len(COLORS)]
        lines.append(
            f'<circle cx="{placed[i, 0]:.1f}" cy="{placed[i, 1]:.1f}" r="{radius:.1f}" fill="{color}" '
            'fill-opacity="0.55"/>'
        )
    centre = placed.mean(0)
    far = np.argsort(-np.linalg.norm(placed - centre, axis=1), kind="stable")[:labels]
    for i in far:
        x, y = placed[i]
        lines.append(
            f'<text x="{x + 6:.1f}" y="{y - 4:.1f}" fill="#333">{html.escape(found.names[i])}</text>'
        )
    for number, name in enumerate(sets):
        y = margin + 16 * number
        lines.append(
            f'<circle cx="{wide - 112}" cy="{y}" r="5" fill="{COLORS[number % len(COLORS)]}"/>'
            f'<text x="{wide - 102}" y="{y + 4}">{html.escape(name)}</text>'
        )
    first, second = (f"{100 * share:.0f} %" for share in found.explained)
    lines += [
        f'<text x="{margin}" y="{high - 10}" fill="#666">first component {first}, upwards second {second}; '
        f"text embeddings: {html.escape(found.encoder)}</text>",
        "</svg>",
    ]
    write_text(path, "\n".join(lines) + "\n")
