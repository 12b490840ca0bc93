"""The guarded doors through which files of others come in: JSON, NumPy's archives, pickles.

Each bounds what a file may cost before it is built in memory, admits no code, and raises the error of whoever
reads: a class of `ValueError` that is handed in.
"""

from apu_contacts.reading.arrays import ArrayFile, read_array, read_arrays
from apu_contacts.reading.json_text import (
    decode_text,
    json_lines,
    parse_json,
    read_bytes,
    read_json,
    read_json_lines,
    read_text,
    unpacked,
)
from apu_contacts.reading.kinds import looks_like
from apu_contacts.reading.schema import number_validator

__all__ = [
    "ArrayFile",
    "decode_text",
    "json_lines",
    "looks_like",
    "number_validator",
    "parse_json",
    "read_array",
    "read_arrays",
    "read_bytes",
    "read_json",
    "read_json_lines",
    "read_text",
    "unpacked",
]
