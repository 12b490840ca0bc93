"""Which pairs of a data set are shown: each reason of rejection, and as many that were kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import cycle


def choose_pairs(pairs: Sequence[tuple[str, tuple[str, ...]]], most: int) -> list[str]:
    """Return the ids of pairs to show, in the order in which they are shown.

    Every second one was kept, the others are of each reason in turn, the frequent ones first, as long as
    there are any. Within a kind the order is that of digests of the ids: it looks random, and is the same
    each time.

    Args:
        pairs: id and reasons of each; no reasons: it was kept.
        most: how many at most.

    Example:
        >>> choose_pairs([("a", ()), ("b", ("pixels",)), ("c", ("pixels",)), ("d", ("shape",))], 3)
        ['a', 'c', 'd']
    """
    kinds: dict[str, list[str]] = {}
    for name, reasons in sorted(pairs, key=lambda pair: sha256(pair[0].encode("utf-8", "replace")).digest()):
        for kind in reasons or ("",):
            kinds.setdefault(kind, []).append(name)
    frequent = Counter({kind: len(names) for kind, names in kinds.items() if kind})
    reasons_first = [kind for kind, _ in sorted(frequent.items(), key=lambda item: (-item[1], item[0]))]
    turns = [kind for reason in reasons_first for kind in ("", reason)] or [""]
    chosen: dict[str, None] = {}
    queues = {kind: iter(names) for kind, names in kinds.items()}
    for kind in cycle(turns):
        if len(chosen) >= most or not queues:
            break
        found = next((name for name in queues.get(kind, ()) if name not in chosen), None)
        if found is None:
            queues.pop(kind, None)
        else:
            chosen[found] = None
    return list(chosen)
