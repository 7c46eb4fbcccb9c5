"""Reading what sgdlab wrote: whatever is wrong with a file is one error that names it."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    create_model,
)
from pydantic_core import CoreSchema, core_schema

from sgdlab.errors import SgdlabError, StorageError, UnreadableError, reason
from sgdlab.runs.seals import SEAL, check_seal, sha256_of
from sgdlab.system.contents import pieces
from sgdlab.system.looking import advice
from sgdlab.system.machine import memory_bytes
from sgdlab.system.regular import check_size, open_regular, read_regular
from sgdlab.system.safe_text import shortened

SCHEMA_VERSION = 3  # raised whenever a key of a log changes its name or its meaning
START_OVER = "move the run's folder away, or start over with `fresh=True`"
MADE_AGAIN = "delete it and train again: what is missing is made again"
ALTERED = "its sha256 is not that in experiment.json"
LARGE = 1e100  # squares of larger numbers, or their sums, may be beyond float64
# Of a list, a mapping or a key, at least, in bytes: shorter ones take very much more memory than
# the file has bytes.
WIDTH = 12
FEW = 1000
MANY = 1000
MOST_WORDS = 200  # characters of what is said to be wrong with a file
ROUNDING = 1e-9  # of a number that is computed again, relative to it


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("characters that are not printable")
    return text


def _number(value: object) -> object:
    return math.nan if value is None else value


Count = Annotated[int, Field(ge=1, lt=2**63)]
Index = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Word = Annotated[str, Field(min_length=1)]
Sentence = Annotated[Word, AfterValidator(_printable)]  # is shown on a terminal
CellName = Annotated[str, Field(pattern=r"^[0-9]{4,7}$")]
# JSON has null where a number is not finite.
Number = Annotated[float, Field(allow_inf_nan=True), BeforeValidator(_number)]


class Log(BaseModel):
    """Base of what is written as JSON: frozen, strict about types, no key more or less."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Logged:
    """Beside a dataclass in ``Annotated``: it is read as strictly as a :class:`Log`.

    All of its fields are wanted, those with a default value too.

    Parameters
    ----------
    types
        Of fields of which a log says more than the dataclass does.
    """

    def __init__(self, **types: Any) -> None:
        self.types = types

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        types = get_type_hints(source, include_extras=True) | self.types
        keys: dict[str, Any] = {
            declared.name: (types[declared.name], ...) for declared in fields(source)
        }
        form = create_model(source.__name__, __base__=Log, **keys)

        def content(value: object) -> object:
            return vars(value) if isinstance(value, source) else value

        made = core_schema.no_info_after_validator_function(
            lambda log: source(**dict(log)), handler.generate_schema(form)
        )
        return core_schema.no_info_before_validator_function(content, made)


@contextmanager
def reading(path: Path, hint: str = MADE_AGAIN) -> Iterator[None]:
    """Read and interpret a file inside; whatever fails there becomes a StorageError.

    Where the system refuses to read, that is an UnreadableError: nothing is known of the content.

    Parameters
    ----------
    hint
        What to do about a broken file.
    """
    try:
        yield
    except SgdlabError:
        raise
    except OSError as error:  # what could not be read is not known to be broken
        if not isinstance(error, FileNotFoundError):
            found = f"cannot be read now ({reason(error)})"
            raise UnreadableError(path, found, "a file that can be read", advice(error)) from None
        if hint == MADE_AGAIN:
            hint = "train again: what is missing is made again"
        found = f"cannot be used ({reason(error)})"
        raise StorageError(path, found, "a file that can be read", hint) from None
    except MemoryError:
        found, hint = "cannot be read now (not enough memory)", "close other programs"
        raise UnreadableError(path, found, "memory for what is in it", hint) from None
    except Exception as error:  # a damaged file makes zipfile, numpy and json raise almost anything
        found = f"cannot be used ({shortened(_in_few_words(error), MOST_WORDS)})"
        raise StorageError(path, found, "it as sgdlab wrote it", hint) from None


def read_bytes(
    path: Path,
    sha256: str | None = None,
    hint: str = MADE_AGAIN,
    most_bytes: int | None = None,
) -> bytes:
    """The content of a file, which has the hash that is known of it, if one is.

    Parameters
    ----------
    most_bytes
        That it can have; by default as many as a quarter of the memory.

    Raises
    ------
    StorageError
        If it is absent, cannot be read, is larger or no regular file, or has another.
    """
    with reading(path, hint):
        content = read_regular(path, memory_bytes() // 4 if most_bytes is None else most_bytes)
        if sha256 is not None and sha256_of(content) != sha256:
            raise ValueError(ALTERED)
    return content


def check_hash(path: Path, sha256: str, most_bytes: int | None = None) -> None:
    """Raise StorageError unless a file, which may be large, has this hash.

    Parameters
    ----------
    most_bytes
        That it can have; by default any number.
    """
    with reading(path), open_regular(path) as stream:
        if most_bytes is not None:
            check_size(stream, most_bytes)
        found = hashlib.sha256()
        for piece in pieces(stream):
            found.update(piece)
        if found.hexdigest() != sha256:
            raise ValueError(ALTERED)


def parse_json(path: Path, content: bytes, hint: str = MADE_AGAIN) -> dict[str, Any]:
    """The content of a file as a JSON object that this version of sgdlab wrote, without its hash.

    Raises
    ------
    StorageError
        If it is broken or altered, or another version wrote it whose keys are others.
    """
    with reading(path, hint):
        n_brackets, n_keys = content.count(b"[") + content.count(b"{"), content.count(b'":')
        if max(n_brackets, n_keys) > FEW + len(content) // WIDTH:
            raise ValueError("more brackets or keys than it has in any run")
        log = json.loads(content, parse_constant=_refuse)
        if not isinstance(log, dict):
            raise ValueError("no JSON object")
        version = log["schema_version"]
        if type(version) is not int or version < 1:
            raise ValueError(f"schema_version {version!r}")
    if version > SCHEMA_VERSION:
        found, hint = f"schema_version {version}, which a newer sgdlab wrote", "use the newer one"
        raise StorageError(path, found, str(SCHEMA_VERSION), hint)
    if version < SCHEMA_VERSION:
        found = f"schema_version {version}, which an older sgdlab wrote"
        raise StorageError(path, found, str(SCHEMA_VERSION), START_OVER)
    with reading(path, hint):
        check_seal(content)
    del log[SEAL]
    return log


def keys(*names: str) -> AfterValidator:
    """Beside a mapping in ``Annotated``: it has these keys and no others."""

    def check(values: dict[str, Any]) -> dict[str, Any]:
        for name in (*names, *values):
            if (name in names) != (name in values):
                raise ValueError(f"{'unknown' if name in values else 'no'} {name!r}")
        return values

    return AfterValidator(check)


def check_same(found: object, expected: object, place: str, why: str = "") -> None:
    """Raise ValueError that names the first key which is not as it must be, and ends with ``why``.

    Numbers may differ by rounding, and are null where they are not finite.
    """
    if found == expected:
        return
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for key in [*expected, *(key for key in found if key not in expected)]:
            inner = f"{place}.{key}" if place else str(key)
            if (key in found) != (key in expected):
                raise ValueError(f"{inner}: {'unknown' if key in found else 'not there'}")
            check_same(found[key], expected[key], inner, why)
    elif isinstance(found, list) and isinstance(expected, Sequence):
        if len(found) != len(expected):
            raise ValueError(f"{place}: {len(found)} instead of {len(expected)}{why}")
        for n, both in enumerate(zip(found, expected, strict=True)):
            check_same(*both, f"{place}.{n}", why)
    elif not _is_same(found, expected):
        raise ValueError(f"{place}: {json.dumps(found)} instead of {json.dumps(expected)}{why}")


def _is_same(found: object, expected: object) -> bool:
    if isinstance(expected, float) and not math.isfinite(expected):
        return found is None
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=ROUNDING, abs_tol=1e-12)
    return False


def _refuse(constant: str) -> None:
    raise ValueError(f"not JSON: {constant}")


def _in_few_words(error: Exception) -> str:
    """What is wrong with a file."""
    if isinstance(error, ValidationError):
        if (n_mistakes := error.error_count()) > MANY:  # which take long to list
            return f"{n_mistakes} keys or values that are not its own"
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        found = first["msg"].removeprefix("Value error, ")
        return f"{place}: {_uncapitalized(found)}" if place else found
    if isinstance(error, KeyError):
        return f"no {error}"
    text = str(error)
    return _uncapitalized(text.splitlines()[0]) if text else type(error).__name__


def _uncapitalized(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"
