"""JSON documents: strict, stable, and with numpy's numbers as numbers."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlab.system import strict_json


def decoded(document):
    """What a strict reader finds in the document."""

    def refuse(constant):
        raise AssertionError(f"{constant} in JSON")

    content = strict_json.encode(document)
    return json.loads(content.decode("utf-8"), parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.float16(-2.0), -2.0),
        (np.int64(-(2**63)), -(2**63)),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.uint8(255), 255),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.array(3.0), 3.0),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([], dtype=np.float32), []),
        (np.array([1.5], dtype=">f4"), [1.5]),
        ((1, (2, 3)), [1, [2, 3]]),
        (None, None),
    ],
)
def test_values_of_numpy_and_python(value, expected):
    found = decoded({"key": value})["key"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [float, np.float64, np.float32, np.float16])
def test_numbers_that_are_not_finite_become_null_wherever_they_are(kind, number):
    bad = kind(number)
    document = {
        "plain": bad,
        "list": [1.0, bad, [bad]],
        "tuple": (bad, 2),
        "array": np.array([1.0, bad]),
        "deep": {"a": [{"b": (bad, {"c": np.array([[bad]])})}]},
        "rows": [{"x": bad, "y": 1}, {"x": 0.5, "y": bad}],
        "finite": {"a": 1e308, "b": np.float32(2.0), "c": [True, None, "NaN"]},
    }
    assert decoded(document) == {
        "plain": None,
        "list": [1.0, None, [None]],
        "tuple": [None, 2],
        "array": [1.0, None],
        "deep": {"a": [{"b": [None, {"c": [[None]]}]}]},
        "rows": [{"x": None, "y": 1}, {"x": 0.5, "y": None}],
        "finite": {"a": 1e308, "b": 2.0, "c": [True, None, "NaN"]},
    }


def test_every_bit_of_a_number_survives():
    numbers = np.frombuffer(np.random.default_rng(0).bytes(80_000), np.float64)
    numbers = numbers[np.isfinite(numbers)]
    assert np.array(decoded({"numbers": numbers})["numbers"]).tobytes() == numbers.tobytes()


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates stand in names of files that are not UTF-8.
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(document=st.dictionaries(st.text(st.characters()), JSON_VALUES, max_size=5))
def test_any_document_is_read_back_as_it_was(document):
    assert decoded(document) == document


def test_text_stands_in_utf8_and_as_it_is():
    name = 'Ausgabe für 馬 \N{GRINNING FACE}\u2028 \x00 "quoted" </script>'
    assert decoded({name: name}) == {name: name}
    assert "für 馬 \N{GRINNING FACE}".encode() in strict_json.encode({"name": name})


def test_lone_surrogates_are_escaped():
    content = strict_json.encode({"name": "\udcff.npy"})
    assert content == b'{\n "name": "\\udcff.npy"\n}\n'
    assert json.loads(content) == {"name": "\udcff.npy"}


def test_layout_is_a_line_a_key_and_a_line_a_row():
    document = {"b": 1, "a": [1, 2], "rows": [{"x": 1}, {"x": None, "y": "é"}], "none": []}
    expected = '{\n "b": 1,\n "a": [1, 2],\n "rows": [\n'
    expected += '  {"x": 1},\n  {"x": null, "y": "é"}\n ],\n "none": []\n}\n'
    assert strict_json.encode(document) == expected.encode()


def test_equal_documents_give_equal_bytes():
    plain = {"a": 0.1, "b": [1, 2.5], "c": None}
    of_numpy = {"a": np.float64(0.1), "b": (np.int8(1), np.float32(2.5)), "c": np.float64("nan")}
    assert strict_json.encode(plain) == strict_json.encode(of_numpy)


@pytest.mark.parametrize("beside", [1.0, math.nan])
@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        1j,
        object(),
        np.complex128(1j),
        np.longdouble(1),
        np.bytes_(b"a"),
        np.array([object()]),
        np.datetime64("2020-01-01"),
        np.datetime64("2020-01-01", "ns"),
        {(1, 2): 3},
        {np.int64(1): 2},
    ],
)
def test_what_has_no_place_in_json_is_a_type_error(value, beside):
    with pytest.raises(TypeError):
        strict_json.encode({"key": [beside, value]})


@pytest.mark.parametrize("key", [1, None, 1.5, ("a",)])
def test_keys_are_text(key):
    with pytest.raises(TypeError):
        strict_json.encode({key: 1})
