"""The border of an operator: a request goes in flat, as `torch.library` wants it, and comes out whole.

The order of the flat arguments, the schema, the place of each gradient and the rule for ``torch.func.vmap``
all follow from the fields of the request. An argument is known by its last two names: ``bodies.a``,
``rows.mesh``, ``vertices``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import NoneType
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_type_hints

import torch
from torch import Tensor

from apu_losses.geometry.backend import Backend
from apu_losses.geometry.dispatch import load_backend, resolve

Request = TypeVar("Request", bound=tuple[Any, ...])
_SCHEMA = {Tensor: "Tensor", float: "float", bool: "bool", str: "str"}


class _Leaf(NamedTuple):
    """One flat argument: its name, that in a schema, how a request leads to it, and its type there."""

    name: str
    argument: str
    path: tuple[int, ...]
    schema: str


class _Part(NamedTuple):
    """A named tuple in a request: how to make it of its fields, None for those that are leaves."""

    make: Callable[..., Any]
    fields: tuple[_Part | None, ...]
    optional: bool


def _apart(kind: Any) -> tuple[Any, bool]:
    """Return a type, and whether None may stand in its place."""
    if NoneType not in get_args(kind):
        return kind, False
    (inner,) = (x for x in get_args(kind) if x is not NoneType)
    return inner, True


def _survey(
    kind: Any, names: tuple[str, ...] = (), path: tuple[int, ...] = (), optional: bool = False
) -> tuple[_Part, list[_Leaf]]:
    """Return the parts and the leaves of a request."""
    parts: list[_Part | None] = []
    leaves: list[_Leaf] = []
    for at, (name, hint) in enumerate(get_type_hints(kind).items()):
        inner, absent = _apart(hint)
        here = ((*names, name), (*path, at), optional or absent)
        if inner in _SCHEMA:
            parts.append(None)
            listed = ".".join(here[0][-2:]), "_".join(here[0]), here[1]
            leaves.append(_Leaf(*listed, _SCHEMA[inner] + "?" * here[2]))
        else:
            part, below = _survey(inner, *here)
            parts.append(part._replace(optional=absent))
            leaves += below
    return _Part(kind, tuple(parts), False), leaves


def _together(part: _Part, flat: Iterator[Any]) -> Any:
    values = [next(flat) if field is None else _together(field, flat) for field in part.fields]
    return None if part.optional and all(x is None for x in values) else part.make(*values)


def _at(value: Any, path: tuple[int, ...]) -> Any:
    for place in path:
        if value is None:
            return None
        value = value[place]
    return value


class Border(Generic[Request]):
    """Packs and unpacks one kind of request."""

    def __init__(self, kind: type[Request]) -> None:
        self._part, leaves = _survey(kind)
        self.leaves = tuple(leaves)
        self.names = tuple(leaf.name for leaf in leaves)
        self._paths = tuple(leaf.path for leaf in leaves)

    def pack(self, request: Request) -> tuple[Any, ...]:
        """Return a request as flat arguments."""
        return tuple([_at(request, path) for path in self._paths])

    def unpack(self, flat: Sequence[Any]) -> Request:
        """Flat arguments as a request."""
        whole: Request = _together(self._part, iter(flat))
        return whole

    def schema(self) -> str:
        """Types and names of the flat arguments."""
        return ", ".join(f"{leaf.schema} {leaf.argument}" for leaf in self.leaves)

    def gradients(self, given: dict[str, Tensor | None]) -> tuple[Tensor | None, ...]:
        """Gradients by the names of the arguments, in their flat order; None for all others."""
        return tuple(given.get(name) for name in self.names)


class Operator(Generic[Request]):
    """A custom operator ``apu_losses::name`` that takes a request and the name of a back end.

    Args:
        name: of the operator.
        kind: of its requests.
        outputs: how many tensors it answers with.
        run: asks a back end.
        blank: an answer of the right shapes and dtypes with nothing in it, for compilers.
    """

    def __init__(
        self,
        name: str,
        kind: type[Request],
        outputs: int,
        run: Callable[[Backend, Request], Any],
        blank: Callable[[Request], Any],
    ) -> None:
        self.border = border = Border(kind)
        self._run = run
        answer = "Tensor" if outputs == 1 else f"({', '.join(['Tensor'] * outputs)})"

        def call(*flat: Any) -> Any:
            # Chosen inside the operator, where ``torch.compile`` does not look.
            return run(resolve(flat[-1], flat[0]), border.unpack(flat[:-1]))

        self._custom = torch.library.custom_op(
            f"apu_losses::{name}",
            call,
            mutates_args=(),
            schema=f"({border.schema()}, str backend) -> {answer}",
        )
        self._custom.register_fake(lambda *flat: blank(border.unpack(flat[:-1])))
        self.op = self._custom._opoverload

    def __call__(self, request: Request, backend: str) -> Any:
        return self.op(*self.border.pack(request), backend)

    def by_reference(self, request: Request) -> Any:
        """Return the reference's answer, without the operator around it: differentiable any number of
        times."""
        return self._run(load_backend("reference"), request)

    def differentiate(
        self,
        kept: type[Any],
        keep: Callable[[Request, Any], Any],
        backward: Callable[[Any, Tensor, str], dict[str, Tensor | None]],
    ) -> None:
        """Give the first output a gradient.

        Args:
            kept: the kind of what is kept for the backward pass, made as a request is.
            keep: makes it of a request and its answer.
            backward: of what was kept, the gradient of the first output and the back end, the gradients of
                the arguments by name.
        """
        border, held = self.border, Border(kept)

        def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            flat = held.pack(keep(border.unpack(inputs[:-1]), output))
            ctx.mark_non_differentiable(*output[1:])
            ctx.backend = inputs[-1]
            ctx.others = [None if isinstance(x, Tensor) else x for x in flat]
            ctx.save_for_backward(*(x if isinstance(x, Tensor) else None for x in flat))

        def go_back(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Any, ...]:
            saved = zip(ctx.saved_tensors, ctx.others, strict=True)
            whole = held.unpack([other if tensor is None else tensor for tensor, other in saved])
            return (*border.gradients(backward(whole, gradient, ctx.backend)), None)

        self._custom.register_autograd(go_back, setup_context=setup)

    def map_over(self, rule: Callable[..., Any]) -> None:
        """Register a rule for ``torch.func.vmap``."""
        torch.library.register_vmap(self._custom, rule)
