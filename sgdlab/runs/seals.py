"""How a run notices that a file of it is not as it was written: every file's hash is written down.

A JSON file ends with the hash of what stands before it. ``experiment.json``, which a run that is
finished has written last, holds besides the hashes of all other files.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from sgdlab.system import strict_json

SEAL = "sha256"  # the last key of a file


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sealed(document: Mapping[str, Any]) -> bytes:
    """Strict JSON whose last key is the hash of the same file without that key."""
    content = strict_json.encode(document)
    return content.removesuffix(_END) + _seal(content)


def check_seal(content: bytes) -> None:
    """Raise ValueError if sealed JSON is not as it was written, to the last byte."""
    length = len(_seal(b""))
    before = content[:-length] + _END
    if content[-length:] != _seal(before):
        raise ValueError(f"{SEAL}: not that of what stands before it")


_END = b"\n}\n"


def _seal(content: bytes) -> bytes:
    return f',\n "{SEAL}": "{sha256_of(content)}"'.encode() + _END
