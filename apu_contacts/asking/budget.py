"""A cap on what a client may spend."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from apu_contacts.asking.model import BudgetError, Reply


@dataclass
class Budget:
    """A cap on what a client may spend; shared by all its threads.

    Args:
        max_calls: requests that may be sent, retries included; None for no cap.
        max_tokens: tokens that may be used, as the server counts them; None for no cap.
        max_cost: money, with the two prices; None for no cap.
        price_in: per million prompt tokens.
        price_out: per million completion tokens.
        lost: requests that were sent and whose answer never came whole. Each counts with the most tokens that
            its answer may have had, since the server may ask for them.

    Tokens and money are known only after an answer: calls that run at the same time may go beyond the cap by
    what they cost.

    Raises:
        ValueError: if a cap or price is negative or not a number, or ``max_cost`` has no price.
    """

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    lost: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        for name in ("max_calls", "max_tokens", "max_cost", "price_in", "price_out"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must be a number from 0 on, got {value}")
        if self.max_cost is not None and not (self.price_in > 0 or self.price_out > 0):
            raise ValueError(
                "max_cost needs price_in or price_out, the price of a million tokens; both are 0"
            )

    def take_call(self) -> None:
        """Count a request that is about to be sent.

        Raises:
            BudgetError: if a cap is reached.
        """
        with self._lock:
            for name, used, cap in (
                ("calls", self.calls, self.max_calls),
                ("tokens", self.tokens, self.max_tokens),
                ("cost", self.cost, self.max_cost),
            ):
                if cap is not None and used >= cap:
                    raise BudgetError(
                        f"the budget is spent: {used:g} of max_{name} = {cap:g}; nothing was sent"
                    )
            self.calls += 1

    def add(self, reply: Reply) -> None:
        """Count what an answer cost."""
        with self._lock:
            self._count(reply.prompt_tokens, reply.completion_tokens)

    def add_lost(self, answer_tokens: int) -> None:
        """Count a request whose answer never came, as one of ``answer_tokens``."""
        with self._lock:
            self.lost += 1
            self._count(0, answer_tokens)

    def _count(self, prompt_tokens: int, completion_tokens: int) -> None:
        self.tokens += prompt_tokens + completion_tokens
        self.cost += (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6
