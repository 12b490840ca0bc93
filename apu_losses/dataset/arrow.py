"""Records as columns: the Arrow schema follows from the JSON Schema, so that the two cannot drift apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apu_losses.dataset.record import record_schema


def pyarrow() -> Any:
    """Return the package ``pyarrow``.

    Raises:
        ImportError: it is missing; the message names the extra.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            "data sets are Parquet files, which pyarrow reads and writes: pip install 'apu-losses[parquet]'"
        ) from None
    return pyarrow


def arrow_schema(parameters: Mapping[str, int]) -> Any:
    """Return the columns of a data set whose bodies have these parameters.

    Arrays of a known length are fixed-size lists, objects are structs.

    Args:
        parameters: name -> size, ``{"transl": 3, "betas": 10}``; a body without any has one null column.
    """
    pa = pyarrow()
    schema = record_schema()
    made = _Types(pa, schema["$defs"], parameters)
    return pa.schema([pa.field(name, made.of(entry)) for name, entry in schema["properties"].items()])


class _Types:
    """Arrow types of pieces of the JSON Schema."""

    def __init__(self, pa: Any, definitions: Mapping[str, Any], parameters: Mapping[str, int]) -> None:
        self.pa, self.definitions, self.parameters = pa, definitions, parameters

    def of(self, entry: Mapping[str, Any]) -> Any:
        pa = self.pa
        if "$ref" in entry:
            return self.of(self.definitions[entry["$ref"].rpartition("/")[2]])
        if "anyOf" in entry:
            return self.of(next(one for one in entry["anyOf"] if one.get("type") != "null"))
        kind = entry["type"]
        kind = next(one for one in kind if one != "null") if isinstance(kind, list) else kind
        if kind == "object":
            if entry.get("x-parameters"):
                sizes = sorted(self.parameters.items())
                return pa.struct([pa.field(name, pa.list_(pa.float32(), size)) for name, size in sizes])
            fields = [pa.field(name, self.of(one)) for name, one in entry["properties"].items()]
            return pa.struct(fields)
        if kind == "array":
            size = entry.get("minItems")
            return pa.list_(self.of(entry["items"]), *([] if size is None else [size]))
        if kind == "number" and entry.get("x-arrow") == "float32":
            return pa.float32()
        plain = {"string": pa.string, "number": pa.float64, "integer": pa.int64, "boolean": pa.bool_}
        return plain[kind]()
