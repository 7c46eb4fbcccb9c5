"""Sealed files: every byte counts, and no bit of a run is flipped without a word."""

import json

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.errors import StorageError
from sgdlab.runs import directory as run_directory
from sgdlab.runs import experiment, kept, logs, reading
from sgdlab.runs.seals import SEAL, check_seal, sealed
from tests.flipped_bits import complaints, flip, make_kinds, try_flips
from tests.runs.damage import edit, sha256, write_sealed

DOCUMENTS = [{"a": 1}, {"a": [{"b": 0.1}, {}], "c": "ä"}, {"x": None, SEAL + "2": "0" * 64}]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_bit_of_a_sealed_file_can_be_flipped(document):
    good = sealed(document)
    check_seal(good)
    for bit in range(8 * len(good)):
        content = bytearray(good)
        content[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="sha256"):
            check_seal(bytes(content))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_sealed_file_is_the_document_and_its_hash(document):
    content = json.loads(sealed(document))
    assert len(content.pop(SEAL)) == 64
    assert content == document


@pytest.mark.parametrize("content", [b"", b"{}", b"{\n}\n", sealed({"a": 1})[:-1], b"\0" * 200])
def test_what_was_not_sealed_is_refused(content):
    with pytest.raises(ValueError, match="sha256"):
        check_seal(content)


def test_a_finished_run_has_the_hash_of_every_file(finished):
    files = json.loads(finished.experiment_file.read_bytes())["files"]
    there = {path.relative_to(finished.path).as_posix(): path for path in finished.path.rglob("*")}
    there = {name: path for name, path in there.items() if path.is_file()}
    del there["experiment.json"]
    assert files == {name: sha256(path) for name, path in there.items()}
    assert len(files) == 32 + 3


# Of flipped bits


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    return make_kinds(tmp_path_factory.mktemp("flipped"))


def test_no_flipped_bit_changes_what_is_shown_without_a_word(kinds):
    counts, wrong = try_flips(kinds, 60)
    assert wrong == []
    assert sum(counts.values()) == 60


def without_seals(monkeypatch):
    monkeypatch.setattr(reading, "check_seal", lambda content: None)


def without_hashes(monkeypatch):
    monkeypatch.setattr(experiment.Experiment, "known_hashes", {})


def without_any(monkeypatch):
    without_seals(monkeypatch)
    without_hashes(monkeypatch)


SHOWN = "shows something else without a word"
ACCEPTED = "accepts a file that is not as it was written"


@pytest.mark.parametrize(
    ("check", "file", "before", "complaint"),
    [
        (without_seals, "experiment.json", b'"constant": ', SHOWN),
        (without_hashes, "results.csv", b"completed,", ACCEPTED),
        (without_any, "cells/0000.json", b'"history": {"running_loss": [', SHOWN),
    ],
)
def test_a_check_that_is_left_out_is_missed(check, file, before, complaint, kinds, monkeypatch):
    """The lowest bit of a digit is flipped, which is no damage that a parser sees."""
    single = kinds[1]
    shown, path = single.answers(), single.path / file
    bit = 8 * (path.read_bytes().index(before) + len(before))

    def what_is_wrong():
        flip(path, bit)
        wrong = list(complaints(single, path, shown))
        single.restore()
        return wrong

    assert what_is_wrong() == []
    check(monkeypatch)
    assert any(complaint in line for line in what_is_wrong())


# Of whole files that were replaced


def altered(function):
    """A file's arrays, changed by a function, as a program writes them."""

    def alter(directory):
        with np.load(directory.weights_file) as file:
            arrays = dict(file)
        function(arrays)
        np.savez(directory.weights_file, **arrays)

    return alter


def scale(name, factor):
    return altered(lambda arrays: arrays.update({name: arrays[name] * factor}))


REPLACED = {
    "weights": scale("weights", 1.5),
    "bias": scale("bias", 1 + 1e-15),
    "mean": scale("mean", 2.0),
    "which cells": altered(lambda arrays: arrays.update(cells=arrays["cells"][::-1])),
}


@pytest.fixture
def all_kept(write_config, options):
    """A run that has kept the weights of all cells, and its config."""
    config = write_config("kept", grid={"l2": [0.0, 0.1]}, data={"preprocess": "center"})
    options = workflows.SearchOptions(options.runs_dir, keep_weights="all")
    return config, workflows.grid_search(config, options=options).directory


@pytest.mark.parametrize("what", REPLACED)
@pytest.mark.parametrize("is_hash_renewed", [False, True])
def test_weights_that_are_others_are_never_used(what, is_hash_renewed, all_kept, options):
    """Even if whoever replaced them knew of the run's hashes, the cells' logs have their own."""
    config, directory = all_kept
    REPLACED[what](directory)
    if is_hash_renewed:
        known = json.loads(directory.experiment_file.read_bytes())
        known["files"]["weights.npz"] = sha256(directory.weights_file)
        write_sealed(directory.experiment_file, known)
    before = directory.weights_file.read_bytes()
    calls = [lambda: workflows.evaluate(directory.name, options.runs_dir)]
    if not is_hash_renewed:
        calls.append(lambda: workflows.grid_search(config, options=options))
    if is_hash_renewed and what == "mean":  # which no other file knows of
        return
    for call in calls:
        with pytest.raises(StorageError) as caught:
            call()
        assert str(caught.value).startswith(f"{directory.weights_file}: ")
        assert caught.value.exit_code == 4
    assert directory.weights_file.read_bytes() == before


@pytest.mark.parametrize("key", ["train_loss", "validation_loss", "bias"])
def test_a_log_that_was_altered_and_sealed_again_is_noticed(key, finished, config, options):
    """A value that only the table and the other hashes contradict."""
    best = int(finished.experiment().best)
    log = json.loads(finished.cell_file(best).read_bytes())
    log[key] += 1
    log["replicates"][0][key] += 1
    finished.cell_file(best).write_bytes(sealed({k: v for k, v in log.items() if k != SEAL}))
    for call in (
        lambda: workflows.evaluate(finished.name, options.runs_dir),
        lambda: workflows.grid_search(config, options=options),
    ):
        with pytest.raises(StorageError, match=r"its sha256 is not that in experiment\.json"):
            call()


def test_an_altered_log_of_an_unfinished_run_is_noticed(interrupted, config, options):
    file = sorted(interrupted.cells_folder.iterdir())[5]
    file.write_bytes(file.read_bytes().replace(b'"status": "completed"', b'"status": "diverged"'))
    damaged = file.read_bytes()
    with pytest.raises(StorageError, match=f"^{file}: .*sha256"):
        workflows.grid_search(config, options=options)
    assert file.read_bytes() == damaged


def test_other_weights_for_the_same_log_are_refused(interrupted, config, options, monkeypatch):
    """As of another machine, on which the same training comes out with other bits."""
    hashed = kept.weights_sha256
    monkeypatch.setattr(kept, "weights_sha256", lambda row: hashed(row + 1e-15))
    with pytest.raises(StorageError, match=r"not the weights of cell .*start over with fresh=True"):
        workflows.grid_search(config, options=options)


def test_a_log_that_was_made_again_with_other_bits_is_told_of(finished, config, options):
    edit(finished.experiment_file, files=known_with(finished, "cells/0003.json", "0" * 64))
    finished.cell_file(3).unlink()
    notes = []
    observer = type(
        "Noting", (workflows.Observer,), {"note": lambda self, note: notes.append(note)}
    )
    workflows.grid_search(config, options=options, observer=observer())
    assert [note for note in notes if "with other bits" in note] == [
        f"{finished.cell_file(3)}: made again, with other bits than before, as on another machine"
        " or BLAS"
    ]


def known_with(directory, name, sha256):
    files = json.loads(directory.experiment_file.read_bytes())["files"]
    return files | {name: sha256}


def test_files_are_read_where_they_are_hashed(finished, config, options, monkeypatch):
    """What is parsed are the bytes whose hash was compared, not those of a second reading."""
    read = []
    original = logs.read_bytes

    def once(path, *arguments, **options):
        read.append(path)
        return original(path, *arguments, **options)

    monkeypatch.setattr(logs, "read_bytes", once)
    monkeypatch.setattr(run_directory, "check_hash", lambda *_, **__: None)
    workflows.grid_search(config, options=options)
    assert sorted(read) == [finished.cell_file(cell) for cell in range(32)]
