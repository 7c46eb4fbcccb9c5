"""What the keys of a config file may hold, where a type of Python's does not say it."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_FOLDS = 10_000

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


class Model(BaseModel):
    """Base of the config models: frozen, strict about types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _auto_or_count(value: object) -> object:
    if value == "auto" or (type(value) is int and 1 <= value < 2**31):
        return value
    raise PydanticCustomError("auto_or_count", "auto, or a whole number from 1 to 2147483647")


def _auto_or_bytes(value: object) -> object:
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]{1,15})(\.[0-9]{1,6})? ?([A-Za-z]*)", value)
        if match and match[3].upper() in _UNITS:
            number = Decimal(match[1] + (match[2] or ""))
            n_bytes = int(number * _UNITS[match[3].upper()])
            if n_bytes >= 1:
                return n_bytes
    raise PydanticCustomError("auto_or_bytes", "auto, or a size such as 256MB or 2GB")


def _folds(value: object) -> object:
    if type(value) is int and 2 <= value <= MAX_FOLDS:
        return value
    raise PydanticCustomError("folds", f"a whole number from 2 to {MAX_FOLDS}")


_COUNT_SCHEMA = {
    "anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "exclusiveMaximum": 2**31}]
}
_BYTES_SCHEMA = {
    "anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}, {"type": "string"}]
}
AutoOrCount = Annotated[
    int | Literal["auto"], BeforeValidator(_auto_or_count), WithJsonSchema(_COUNT_SCHEMA)
]
AutoOrBytes = Annotated[
    int | Literal["auto"], BeforeValidator(_auto_or_bytes), WithJsonSchema(_BYTES_SCHEMA)
]
Folds = Annotated[
    int | None,
    BeforeValidator(_folds),
    WithJsonSchema({"type": "integer", "minimum": 2, "maximum": MAX_FOLDS}),
]
# C0, DEL and C1; the characters that end a line or turn the direction of writing.
_CONTROL_CHARACTERS = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
Text = Annotated[str, Field(pattern=f"^[^{_CONTROL_CHARACTERS}]*$", max_length=1000)]
