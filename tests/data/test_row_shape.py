"""Rows of equal size and unequal shape: refused, in files and in memory, when trained and later."""

import numpy as np
import pytest

from sgdlab import workflows
from sgdlab.config.model import Data
from sgdlab.data.dataset import open_dataset
from sgdlab.data.row_shape import flatten_alike
from sgdlab.errors import DataError
from sgdlab.lab.describe.measure import describe
from tests.conftest import make_arrays

UNLIKE = [((2, 6), (6, 2)), ((2, 6), (3, 4)), ((2, 2, 3), (4, 3)), ((3, 1, 4), (2, 6))]
# Whether a note says so; (12, 1, 1) is as flat as (12,).
ALIKE = [
    ((3, 4), (3, 4), False),
    ((3, 4), (12,), True),
    ((12,), (2, 6), True),
    ((12, 1, 1), (2, 6), True),
    ((3, 4, 1), (3, 4), False),
    ((1, 12), (12, 1), False),
]


def shaped(of_train, of_test):
    arrays = make_arrays(n_features=12)
    for part, shape in (("Xtr", of_train), ("Xte", of_test)):
        arrays[part] = arrays[part].reshape(len(arrays[part]), *shape)
    return arrays


def save(folder, arrays):
    for part, array in arrays.items():
        np.save(folder / f"{part}.npy", array)


class Notes(workflows.Observer):
    def __init__(self):
        self.messages = []

    def note(self, message):
        self.messages.append(message)


@pytest.fixture
def search(write_config, tmp_path):
    def run(arrays=None, observer=None):
        options = workflows.SearchOptions(runs_dir=tmp_path / "runs")
        return workflows.grid_search(write_config(), (), options, observer, arrays)

    return run


def test_flat_rows_have_at_most_one_axis():
    assert flatten_alike((), (1,))
    assert flatten_alike((1, 1), ())
    assert not flatten_alike((2, 3), (3, 2))


@pytest.mark.parametrize(("train", "test"), UNLIKE)
def test_unequal_shapes_of_equal_size_are_refused(train, test, data_dir, search, sgdlab):
    arrays = shaped(train, test)
    with pytest.raises(DataError) as caught:
        search(arrays)
    shapes = f"shapes {arrays['Xtr'].shape} and {arrays['Xte'].shape}"
    expected = f"Xtr, Xte: {shapes}; expected rows of equal shape (transpose one of them)"
    assert str(caught.value) == expected
    save(data_dir, arrays)
    with (
        pytest.raises(DataError, match="expected rows of equal shape"),
        open_dataset(Data(path=str(data_dir))),
    ):
        pass
    for command in ("train", "grid-search", "solve", "gradient-noise", "orders", "scaling-rule"):
        code, out, err = sgdlab(command, "small.yaml")
        assert (code, out) == (3, "")
        assert f"{shapes}; expected rows of equal shape" in err
    assert sgdlab("grid-search", "small.yaml", "--dry-run")[0] == 3


@pytest.mark.parametrize(("train", "test", "noted"), ALIKE)
def test_flat_rows_are_taken_with_a_note(train, test, noted, search):
    plain = search(shaped((12,), (12,)))
    notes = Notes()
    found = search(shaped(train, test), notes)
    told = [message for message in notes.messages if "rows of" in message]
    shapes = [" x ".join(map(str, shape)) for shape in (train, test)]
    sentence = (
        f"Xtr has rows of {shapes[0]} values, Xte of {shapes[1]}: they are taken to be the same,"
        " row by row"
    )
    assert told == [sentence] * noted
    assert [loss.half_mse for loss in found.test_losses.values()] == [
        loss.half_mse for loss in plain.test_losses.values()
    ]


def test_an_experiment_notes_it_too(data_dir, write_config):
    save(data_dir, shaped((3, 4), (12,)))
    notes = Notes()
    workflows.solve(write_config(), observer=notes)
    assert [message for message in notes.messages if "3 x 4 values" in message]


@pytest.mark.parametrize("of_run", [(2, 6), (4, 3), (2, 2, 3)])
@pytest.mark.parametrize("in_memory", [True, False])
def test_other_rows_have_the_shape_that_the_run_was_trained_on(of_run, in_memory, search, tmp_path):
    directory = search(shaped(of_run, of_run)).directory
    assert directory.experiment().data.row_shape == of_run
    other = tmp_path / "other"
    other.mkdir()

    def evaluate(shape):
        arrays = {part: array for part, array in shaped(shape, shape).items() if "te" in part}
        if in_memory:
            return workflows.evaluate(str(directory.path), arrays=arrays)
        save(other, arrays)
        return workflows.evaluate(str(directory.path), data=other, prefix="")

    same = evaluate(of_run)
    assert same.warnings == ()
    flat = evaluate((12,))
    name = "Xte" if in_memory else "Xte.npy"
    words = " x ".join(map(str, of_run))
    assert flat.warnings == (
        f"{name} has rows of 12 values, the run's Xtr of {words}: they are taken to be the same,"
        " row by row",
    )
    assert flat.evaluated[0].losses == same.evaluated[0].losses
    with pytest.raises(DataError) as caught:
        evaluate((6, 2))
    message = f"6 x 2 values a row; expected {words}, as the weights were trained on"
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("train", "test", "remark"),
    [
        ((2, 6), (2, 6), None),
        (
            (2, 6),
            (4, 3),
            "Xtr has 2 x 6 values a row, Xte 4 x 3; a run needs them in the same order",
        ),
        (
            (12,),
            (4, 3),
            "Xtr has rows of 12 values, Xte of 4 x 3: they are taken to be the same, row by row",
        ),
    ],
)
def test_a_description_remarks_on_it(train, test, remark, data_dir):
    save(data_dir, shaped(train, test))
    assert describe(data_dir).remarks == ((remark,) if remark else ())
