"""Reading what sgdlab wrote: whatever is wrong with a file is one error that names it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sgdlab.errors import SgdlabError, StorageError, reason

SCHEMA_VERSION = 1
MADE_AGAIN = "delete it and train again: what is missing is made again"


@contextmanager
def reading(path: Path, hint: str = MADE_AGAIN) -> Iterator[None]:
    """Read and interpret a file inside; whatever fails there becomes a StorageError.

    Parameters
    ----------
    hint
        What to do about a broken file.
    """
    try:
        yield
    except SgdlabError:
        raise
    except Exception as error:  # a damaged file makes zipfile, numpy and json raise almost anything
        message = f"{path}: cannot be used ({_in_few_words(error)}); expected it as sgdlab wrote it"
        raise StorageError(f"{message} ({hint})") from None


def read_json(path: Path, hint: str = MADE_AGAIN) -> dict[str, Any]:
    """A JSON object that this version of sgdlab understands.

    Raises
    ------
    StorageError
        If it is absent or broken, or a newer version wrote it.
    """
    with reading(path, hint):
        content = json.loads(path.read_bytes(), parse_constant=_refuse)
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        version = content["schema_version"]
        if type(version) is not int or version < 1:
            raise ValueError(f"schema_version {version!r}")
    if version > SCHEMA_VERSION:
        found = f"schema_version {version}, which a newer sgdlab wrote"
        raise StorageError(f"{path}: {found}; expected {SCHEMA_VERSION} (use the newer one)")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _in_few_words(error: Exception) -> str:
    """What is wrong with a file."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg'].lower()}"
    if isinstance(error, KeyError):
        return f"no {error}"
    text = reason(error)
    return text.splitlines()[0] if text else type(error).__name__
