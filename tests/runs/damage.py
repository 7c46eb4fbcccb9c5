"""How files of a run are damaged, and what is said of them."""

import json

import pytest

from sgdlab.errors import StorageError


def edit(path, **values):
    """Replace keys of a JSON file; None removes one."""
    content = json.loads(path.read_bytes()) | values
    path.write_text(json.dumps(content))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def complaint(call, file) -> str:
    """The line about a file with which a call ends."""
    with pytest.raises(StorageError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert len(message.splitlines()) == 1
    assert "; expected " in message
    return message
