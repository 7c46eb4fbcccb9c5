"""Searches on arrays in memory, and configs that are mappings: as from a notebook."""

import re

import numpy as np
import pytest
import yaml

from sgdlab import workflows
from sgdlab.errors import ConfigError, DataError, UsageError
from sgdlab.search.session import SearchOptions

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

CONFIG = {
    "name": "notebook",
    "data": {"preprocess": "standardize"},
    "train": {"learning_rate": 0.02},
    "grid": {"batch_size": (1, 10), "l2": np.array([0.0, 0.1]), "epochs": [2, np.int64(3)]},
}
KINDS = {
    "C": lambda X: X,
    "Fortran": np.asfortranarray,
    "uint8": lambda X: np.clip(40 * X + 100, 0, 255).astype(np.uint8),
    "float32": lambda X: X.astype(np.float32),
    "images": lambda X: X.reshape(len(X), 3, 3),
    "Fortran images": lambda X: np.asfortranarray(X.reshape(len(X), 3, 3)),
}
SPLITS = {"tail": {}, "random": {"take": "random"}, "folds": {"folds": 3, "take": "random"}}


def contents(directory):
    """All files of a run but the one that holds times and places."""
    return {
        str(path.relative_to(directory.path)): path.read_bytes()
        for path in sorted(directory.path.rglob("*"))
        if path.is_file() and path.name not in ("experiment.json", "lock")
    }


def saved(arrays, folder):
    folder.mkdir(exist_ok=True)
    for part, array in arrays.items():
        np.save(folder / f"{part}.npy", array)
    return str(folder)


@pytest.mark.parametrize("validation", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_arrays_and_their_files_are_the_same_run(kind, validation, arrays, tmp_path):
    given = {part: kind(each) if part[0] == "X" else each for part, each in arrays.items()}
    data = CONFIG["data"] | {"validation": validation}
    memory = workflows.grid_search(
        CONFIG | {"data": data}, options=SearchOptions("memory", keep_weights="all"), arrays=given
    )
    data["path"] = saved(given, tmp_path / "files")
    files = workflows.grid_search(
        CONFIG | {"data": data}, options=SearchOptions("files", keep_weights="all")
    )
    assert memory.directory.name == files.directory.name
    found = contents(memory.directory)
    assert found == contents(files.directory)
    assert {"results.csv", "weights.npz", "predictions.npz", "cells/0007.json"} <= found.keys()


@pytest.mark.parametrize("budget", ["1GB", "100B"])
def test_arrays_may_be_larger_than_the_memory_budget(budget, arrays):
    config = CONFIG | {"run": {"memory_budget": budget}}
    found = workflows.grid_search(config, options=SearchOptions(budget), arrays=arrays)
    usual = workflows.grid_search(CONFIG, options=SearchOptions("usual"), arrays=arrays)
    assert contents(found.directory) == contents(usual.directory)


def test_a_mapping_is_a_file_of_the_same_keys(arrays, tmp_path):
    plain = {"name": "plain", "data": {"path": saved(arrays, tmp_path / "data")}}
    plain |= {"train": {"batch_size": 5, "learning_rate": 0.01, "epochs": 2}}
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(plain))
    overrides = ["train.l2=1e-3", "select.metric=mae"]
    found = workflows.train(plain, overrides)
    assert workflows.train("plain.yaml", overrides).directory.path == found.directory.path
    assert found.config.train.l2 == 1e-3
    relative = plain | {"data": {"path": "data"}}
    assert workflows.train(relative, overrides).directory.path == found.directory.path


def test_arrays_take_the_place_of_the_files_of_a_config(arrays, write_config, tmp_path):
    path = write_config(data={"prefix": "nowhere_", "if_missing": "synthesize"})
    found = workflows.train(path, arrays=arrays)
    assert found.directory.name.startswith("small-")
    data = found.directory.experiment().config.data
    assert data.path is None
    assert data.prefix == ""


def test_a_run_on_files_still_knows_them_after_a_search_in_memory(arrays, write_config):
    first = workflows.train(write_config())
    again = workflows.train(write_config(data={"target_unit": "years"}), arrays=arrays)
    assert again.directory.path == first.directory.path
    assert first.directory.experiment().config.data.path.endswith("data")


def test_a_run_in_memory_is_found_on_its_files(arrays, write_config):
    first = workflows.train(write_config(), arrays=arrays)
    assert workflows.train(write_config()).directory.path == first.directory.path
    assert first.directory.experiment().config.data.path.endswith("data")
    assert workflows.evaluate("latest").evaluated[0].logged_loss is not None


def test_five_rows(arrays):
    tiny = {part: each[:5] for part, each in arrays.items()}
    found = workflows.grid_search(CONFIG, arrays=tiny)
    assert (found.shape.n_train, found.shape.n_validation) == (4, 1)
    assert found.best is not None


MISTAKES = {
    "train.l2: -1; expected at least 0.0": {"train": {"l2": -1}},
    "train.l2: nan; expected a finite number": {"train": {"l2": np.nan}},
    "train.momentum: 'a'; expected a number": {"train": {"momentum": "a"}},
    "trian: unknown key; did you mean train?": {"trian": {}},
    "grid.l2[1]: -2; expected at least 0.0": {"grid": {"l2": np.array([0, -2])}},
    "grid.l2: an empty list; expected at least one value": {"grid": {"l2": ()}},
    "config: the key 3; expected the name of a key": {3: 1},
    "data: a list; expected a mapping": {"data": [1]},
    "data.path: 7; expected text": {"data": {"path": 7}},
    "train.seed: more than 300 digits; expected a smaller number": {"train": {"seed": 10**300}},
}


@pytest.mark.parametrize(("message", "changed"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_named_by_its_key(message, changed, arrays):
    train = {"batch_size": 1, "learning_rate": 0.1, "epochs": 1} | changed.get("train", {})
    with pytest.raises(ConfigError) as caught:
        workflows.grid_search(changed | {"train": train}, arrays=arrays)
    assert str(caught.value) == message


def test_without_arrays_a_mapping_names_their_folder():
    train = {"batch_size": 1, "learning_rate": 0.1, "epochs": 1}
    for data in ({}, {"path": None}):
        with pytest.raises(ConfigError, match=r"^data\.path: nothing; expected"):
            workflows.train({"data": data, "train": train})
    with pytest.raises(ConfigError, match=r"^data: nothing; expected a value \(add it\)$"):
        workflows.train({"train": train})
    with pytest.raises(ConfigError, match=r"^overrides train\.l2: 'a'; expected a number$"):
        workflows.train({"data": {"path": "."}, "train": train}, ["train.l2=a"])


def test_endless_nesting_is_a_mistake(arrays):
    endless = {"name": "endless"}
    endless["train"] = endless
    with pytest.raises(ConfigError, match="nesting deeper than 64"):
        workflows.train(endless, arrays=arrays)


def test_one_model_has_one_cell(arrays):
    with pytest.raises(ConfigError, match=r"^grid: 8 cells; expected one \("):
        workflows.train(CONFIG, arrays=arrays)


def test_the_arrays_of_a_run_in_memory_are_asked_for(arrays, sgdlab, data_dir):
    found = workflows.grid_search(CONFIG, arrays=arrays)
    path = found.directory.path
    code, _, err = sgdlab("evaluate", "latest")
    assert code == 3
    assert err.splitlines() == [
        f"sgdlab: error: {path.resolve()}: trained on arrays in memory;"
        " expected arrays in files (give --data)"
    ]
    with pytest.raises(DataError, match="trained on arrays in memory"):
        workflows.evaluate("latest")
    assert sgdlab("evaluate", "latest", "--data", data_dir)[0] == 0


@pytest.mark.parametrize("validation", SPLITS.values(), ids=SPLITS)
def test_a_run_is_evaluated_on_its_arrays_in_memory(validation, arrays):
    data = CONFIG["data"] | {"validation": validation}
    workflows.grid_search(CONFIG | {"data": data}, arrays=arrays)
    found = workflows.evaluate("latest", arrays=arrays)
    assert [each.rows for each in found.evaluated] == ["training", "validation", "test"]
    for each in found.evaluated:
        assert each.losses.half_mse == pytest.approx(each.logged_loss, rel=1e-12)


def test_a_run_is_evaluated_on_other_arrays_in_memory(arrays):
    workflows.grid_search(CONFIG, arrays=arrays)
    pair = {"Xte": arrays["Xte"][:7], "yte": arrays["yte"][:7]}
    [found] = workflows.evaluate("latest", arrays=pair).evaluated
    assert (found.rows, found.n_rows, found.logged_loss) == ("Xte", 7, None)
    for given, message in [
        ({}, "arrays: none; expected Xtr, ytr, Xte, yte"),
        ({"Xte": arrays["Xte"]}, "arrays: Xte; expected Xte, yte"),
        (pair | {"Xte": np.ones((7, 4))}, "Xte: 4 values a row; expected the 9 that the weights"),
    ]:
        with pytest.raises(DataError, match=f"^{re.escape(message)}"):
            workflows.evaluate("latest", arrays=given)
    with pytest.raises(
        UsageError, match=r"^data=here: arrays in memory too; expected one of them$"
    ):
        workflows.evaluate("latest", data="here", arrays=arrays)


def test_a_search_in_memory_is_measured(arrays):
    for budget in ("1GB", "100B"):
        config = CONFIG | {"run": {"memory_budget": budget}}
        options = SearchOptions(budget, measure=True)
        found = workflows.grid_search(config, options=options, arrays=arrays)
        [session] = found.directory.experiment().sessions
        assert session.forecast.elapsed_s > 0
