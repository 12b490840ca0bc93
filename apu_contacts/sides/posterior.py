"""Which sides are meant, for all contacts of an answer together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apu_contacts.contacts import PartContact
from apu_contacts.sides.belief import DistanceModel, SideBelief, side_prior
from apu_contacts.sides.pair_keypoints import KeypointPair, Sides

Array = NDArray[np.float64]


def side_posteriors(
    contacts: Sequence[PartContact],
    pair: KeypointPair,
    belief: SideBelief | None = None,
    distances: DistanceModel | None = None,
) -> list[dict[Sides, float]]:
    """Return the probability of each combination of sides of each contact, given all keypoints.

    Bayes' rule over two things that an answer's contacts share and nobody knows: what share of them is
    exchanged (`SideBelief.rates`), and by how much one person's estimated depth is off against the other's
    (`DistanceModel.offsets`). Both are summed over; given them, contacts are independent.

    A combination whose joints are missing counts as likely as the known ones of its contact on average.

    Args:
        contacts: of one answer; person a is ``pair.a``.
        pair: the keypoints.
        belief: how far stated sides are believed.
        distances: likelihood of keypoint distances.

    Returns:
        for each contact the combinations that may be meant; each adds up to 1.
    """
    belief, distances = belief or SideBelief(), distances or DistanceModel()
    rates = belief.rates()
    offsets, shares = distances.offsets() if pair.depths is not None else (np.zeros(1), np.ones(1))
    tables = [_joint(contact, pair, belief, distances, rates, offsets) for contact in contacts]
    # (R, D): log probability of what is seen of each contact, whatever its sides
    seen = [np.log(sum(table.values())) for table in tables]
    together = sum(seen, np.log(shares)[None] + np.zeros((len(rates), 1)))
    posteriors = []
    for table, own in zip(tables, seen, strict=True):
        others = together - own
        others = np.exp(others - others.max())
        weights = {sides: float((others * values).sum()) for sides, values in table.items()}
        total = sum(weights.values())
        posteriors.append({sides: weight / total for sides, weight in weights.items()})
    return posteriors


def _joint(
    contact: PartContact,
    pair: KeypointPair,
    belief: SideBelief,
    distances: DistanceModel,
    rates: Array,
    offsets: Array,
) -> dict[Sides, Array]:
    """``(R, D)`` prior times likelihood of each combination of sides."""
    priors = [side_prior(contact, belief, float(rate)) for rate in rates]
    mean = side_prior(contact, belief)
    likelihoods = {sides: distances.of_gaps(pair.gaps(contact, sides), offsets) for sides in mean}
    known = {sides: value for sides, value in likelihoods.items() if not np.isnan(value).any()}
    average = np.ones(len(offsets))
    if known:
        average = np.sum([mean[s] * v for s, v in known.items()], 0) / sum(mean[s] for s in known)
    return {
        sides: np.array([prior.get(sides, 0.0) for prior in priors])[:, None] * known.get(sides, average)
        for sides in mean
    }
