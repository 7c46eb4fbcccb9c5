"""JSON as every reader understands it: no NaN, no infinity, and stable bytes."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_NUMPY_KINDS = "?bhilqBHILQefdU"  # dtype characters of what JSON can hold without loss


def encode(document: Mapping[str, Any]) -> bytes:
    """Strict JSON in UTF-8: a line a key, and a line an item where a value is a list of mappings.

    Numbers that are not finite become ``null``; who writes one says why beside it. Numpy scalars
    and arrays become numbers and lists.

    Raises
    ------
    TypeError
        If something has no place in JSON, or a key of the document is not text.
    """
    if not all(isinstance(key, str) for key in document):
        raise TypeError(f"keys {list(document)}; expected text")
    lines = [f" {_compact(key)}: {_value(value)}" for key, value in document.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8", "backslashreplace")


def _value(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        return "[\n" + ",\n".join(f"  {_compact(item)}" for item in value) + "\n ]"
    return _compact(value)


def _compact(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, default=_from_numpy)
    except ValueError:  # a number that is not finite, which is rare and so looked for only now
        return json.dumps(_finite(value), allow_nan=False, ensure_ascii=False)


def _from_numpy(value: object) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.char in _NUMPY_KINDS:
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = _from_numpy(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
