"""How files of a run are damaged, and what is said of them."""

import hashlib
import json

import pytest

from sgdlab.errors import StorageError
from sgdlab.runs.seals import SEAL, sealed


def edit(path, **values):
    """Replace keys of a JSON file, as a program would that knows of hashes."""
    write_sealed(path, json.loads(path.read_bytes()) | values)


def write_sealed(path, content):
    """Write a JSON file of a run and what hashes there are of it: its own, and the run's."""
    path.write_bytes(sealed({key: value for key, value in content.items() if key != SEAL}))
    if path.name == "experiment.json":
        return
    experiment = path.parent.parent / "experiment.json"
    known = json.loads(experiment.read_bytes())
    if "files" in known:
        known["files"][f"{path.parent.name}/{path.name}"] = sha256(path)
        write_sealed(experiment, known)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
