"""Inert stand-ins of what a pickle of arrays may refer to, and what is made of them once all is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

import numpy as np

from apu_contacts.sources.errors import SourceFormatError, UnsafePickleError

MAX_BYTES = 1 << 30
"""What a file may take once it is read: its own length, its arrays together, and what shared lists would grow
to if they were written out."""
MAX_DEPTH = 100

BUILTINS = ("__builtin__", "builtins")
_FACTORIES = ("dict", "list", "int", "float", "str")
_PATHS = tuple(f"{pure}{system}Path" for pure in ("", "Pure") for system in ("Posix", "Windows"))
_PLAIN_KINDS = "biufUS"


class TooLargeError(SourceFormatError):
    """Reading on would take more memory or time than any real file needs."""


class Budget:
    """Bytes that one pickle may still take by making values of values that it has already."""

    def __init__(self) -> None:
        self.left = MAX_BYTES

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooLargeError(f"its values would take more than {MAX_BYTES} bytes: is it the right file?")


def refuse(what: str) -> NoReturn:
    raise UnsafePickleError(f"the pickle uses {what} in a way that a pickled array does not; nothing was run")


def check_keys(keys: Iterable[Any]) -> None:
    """Only plain keys: hashing tuples of shared tuples need not end."""
    for key in keys:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(part is None or isinstance(part, (str, bytes, bool, int, float)) for part in parts):
            refuse("a key that is neither text nor a number")


class Inert:
    """A stand-in that a pickle cannot change: it has no attributes, and refuses a state."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        refuse("a NumPy name")


class _NdarrayName(Inert):
    """Stands for the class ``numpy.ndarray``, which is only ever an argument."""

    __slots__ = ()

    def __call__(self, *args: Any) -> NoReturn:
        refuse("ndarray")


NDARRAY = _NdarrayName()


class Reconstruct(Inert):
    """Stands for NumPy's function that makes an empty array, to be filled by its state."""

    __slots__ = ()

    def __call__(self, *args: Any) -> Array:
        if len(args) != 3 or args[0] is not NDARRAY or args[1] != (0,):
            refuse("_reconstruct")
        return Array()


class MakeDType(Inert):
    """Stands for the class ``numpy.dtype``."""

    __slots__ = ()

    def __call__(self, *args: Any) -> DType:
        if not args or not isinstance(args[0], str):
            refuse("dtype")
        dtype = np.dtype(args[0]) if args[0][:1] in (*_PLAIN_KINDS, "O") else None
        if dtype is None or dtype.names is not None or dtype.subdtype is not None:
            refuse(f"the dtype {args[0][:20]!r}")
        return DType(dtype)


class FromBuffer(Inert):
    """Stands for the function by which NumPy writes arrays in the pickle protocol 5."""

    __slots__ = ()

    def __call__(self, *args: Any) -> Array:
        if len(args) != 4 or not isinstance(args[0], (bytes, bytearray)) or args[3] not in ("C", "F"):
            refuse("_frombuffer")
        array = Array()
        array.__setstate__((1, args[2], args[1], args[3] == "F", bytes(args[0])))
        return array


class Scalar(Inert):
    """Stands for the function by which NumPy writes a single number, such as a ``float32``."""

    __slots__ = ()

    def __call__(self, *args: Any) -> Array:
        if len(args) != 2 or not isinstance(args[0], DType) or args[0].dtype.kind == "O":
            refuse("scalar")
        array = Array()
        array.__setstate__((1, (), args[0], False, args[1]))
        return array


class Encode(Inert):
    """Stands for ``codecs.encode``, by which Python 3 writes bytes in the protocols of Python 2."""

    __slots__ = ("budget",)

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def __call__(self, *args: Any) -> bytes:
        if len(args) != 2 or not isinstance(args[0], str) or args[1] != "latin1":
            refuse("encode")
        self.budget.spend(len(args[0]))
        encoded: bytes = args[0].encode("latin1")
        return encoded


class NoBytes(Inert):
    """Stands for ``bytes``, by which Python 3 writes no bytes at all in the protocols of Python 2."""

    __slots__ = ()

    def __call__(self, *args: Any) -> bytes:
        if args:
            refuse("bytes")
        return b""


def container(module: str, name: str, budget: Budget) -> Any:
    """Return the stand-in of a container of the standard library, or of a name that only is its argument."""
    if module == "collections" and name in ("OrderedDict", "defaultdict"):
        return _MakeDict(budget)
    if module in BUILTINS and name in ("set", "frozenset"):
        return _MakeSet(budget)
    if module in BUILTINS and name in _FACTORIES:
        return _Factory()
    if module in ("pathlib", "pathlib._local") and name in _PATHS:
        return _MakePath(budget, name)
    return None


def in_order(items: Iterable[Any]) -> list[Any]:
    """Return the items of a set, in an order that does not hang on hashes."""
    return sorted(items, key=lambda item: (type(item).__name__, repr(item)))


class _Factory(Inert):
    """Stands for a type of Python that a ``defaultdict`` would make missing values of; only an argument."""

    __slots__ = ()


class _MakeDict(Inert):
    """Stands for ``OrderedDict`` and ``defaultdict``; makes a plain dictionary."""

    __slots__ = ("budget",)

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def __call__(self, *args: Any) -> dict[Any, Any]:
        pairs = [arg for arg in args if arg is not None and not isinstance(arg, _Factory)]
        if not pairs:
            return {}
        if len(pairs) > 1 or not isinstance(pairs[0], list):
            refuse("a dictionary")
        if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs[0]):
            refuse("a dictionary")
        self.budget.spend(64 * len(pairs[0]))
        check_keys(pair[0] for pair in pairs[0])
        return {pair[0]: pair[1] for pair in pairs[0]}


class _MakeSet(Inert):
    """Stands for ``set`` and ``frozenset``; makes a list."""

    __slots__ = ("budget",)

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def __call__(self, *args: Any) -> list[Any]:
        if len(args) > 1 or not all(isinstance(arg, (list, tuple)) for arg in args):
            refuse("set")
        items = args[0] if args else []
        self.budget.spend(8 * len(items))
        check_keys(items)
        return in_order(items)


class _MakePath(Inert):
    """Stands for the classes of ``pathlib``; makes text."""

    __slots__ = ("budget", "kind")

    def __init__(self, budget: Budget, name: str) -> None:
        self.budget = budget
        self.kind = PureWindowsPath if "Windows" in name else PurePosixPath

    def __call__(self, *args: Any) -> str:
        if not all(isinstance(arg, str) for arg in args):
            refuse("a path")
        self.budget.spend(sum(len(arg) for arg in args) + len(args))
        return str(self.kind(*args))


class DType:
    """A dtype of numbers, or of objects."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, no subarray, no names, no fields, ...)
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            refuse("the state of a dtype")
        if any(field is not None for field in state[2:5]):
            refuse("a structured dtype")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class Described(ABC):
    """What a pickle says of one value, which is made only after all of the pickle was read and checked."""

    __slots__ = ()

    @abstractmethod
    def build(self, resolve: Resolve) -> Any:
        """Return the value; ``resolve`` makes what the description refers to, and bounds what is made."""


class Array(Described):
    """What the pickle says of one array."""

    __slots__ = ("state",)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], DType):
            refuse("the state of an array")
        shape = state[1]
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            refuse("the shape of an array")
        self.state = state

    def build(self, resolve: Resolve) -> Any:
        _, shape, made, fortran, data = self.state
        if made.dtype.kind == "O":
            if not isinstance(data, list):
                refuse("an array of objects")
            return resolve(data[0]) if len(data) == 1 else resolve(data)
        if isinstance(data, str):
            data = data.encode("latin1")
        if not isinstance(data, bytes):
            refuse("the bytes of an array")
        resolve.budget.spend(len(data))
        return np.frombuffer(data, made.dtype).reshape(shape, order="F" if fortran else "C").copy()


class Stateful(Described):
    """An object whose attributes the pickle gives as a dictionary."""

    __slots__ = ("state",)
    kind = ""
    state: Mapping[str, Any]

    def __new__(cls, *args: Any) -> Stateful:
        if args:
            refuse(cls.kind)
        made = super().__new__(cls)
        made.state = {}
        return made

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            refuse(f"the state of {self.kind}")
        self.state = state

    def get(self, *names: str) -> Any:
        """Return the first of these attributes that the pickle gave."""
        for name in names:
            if name in self.state:
                return self.state[name]
        refuse(f"{self.kind} without {' or '.join(names)}")


class Resolve:
    """Makes the same content with every description of an array replaced by the array.

    What the pickle refers to several times is made once. What it would take written out, each reference by
    itself, is bounded all the same: whoever makes one array or one table of it writes it out.
    """

    def __init__(self) -> None:
        self.budget = Budget()
        self._made: dict[int, Any] = {}
        self._weight: dict[int, int] = {}
        self._depth = 0

    def __call__(self, value: Any) -> Any:
        if value is None or isinstance(value, (str, bytes, bool, int, float)):
            return value
        key = id(value)
        if key not in self._made:
            self._made[key] = _PENDING
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise TooLargeError(f"values are nested more than {MAX_DEPTH} deep")
            self._made[key] = self._build(value)
            self._depth -= 1
            self._weigh(self._made[key])
        if self._made[key] is _PENDING:
            refuse("a value inside itself")
        return self._made[key]

    def _build(self, value: Any) -> Any:
        if isinstance(value, Described):
            return value.build(self)
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self(item) for item in value)
        if isinstance(value, (set, frozenset)):
            return in_order(value)
        if isinstance(value, bytearray):
            return bytes(value)
        refuse(f"a value of the kind {type(value).__name__}")

    def _weigh(self, made: Any) -> None:
        """Add up what a value takes written out."""
        if id(made) in self._weight:
            return
        if not isinstance(made, (dict, list, tuple)):
            weight = 64 + getattr(made, "nbytes", 0)
        else:
            inner = (
                made.values() if isinstance(made, dict) else made if isinstance(made, (list, tuple)) else ()
            )
            weight = 64 + sum(self._weight.get(id(item), 32) for item in inner)
        if weight > MAX_BYTES:
            raise TooLargeError(f"its values, written out, would take more than {MAX_BYTES} bytes")
        self._weight[id(made)] = weight


_PENDING = object()
