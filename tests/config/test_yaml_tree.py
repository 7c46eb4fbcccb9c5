"""YAML text to plain values: what counts as a number, what is refused, and every place."""

import time

import pytest

from sgdlab.config.yaml_tree import parse_yaml
from sgdlab.errors import Problem


def said(mistake):
    """What is wrong, as an error says it behind the place."""
    problem = Problem("here", mistake.found, mistake.expected, mistake.hint)
    return str(problem).removeprefix("here: ")


def value_of(text):
    document = parse_yaml(text)
    assert document.mistakes == []
    return document.value


def problems_of(text):
    return [(each.place, said(each)) for each in parse_yaml(text).mistakes]


def only_problem_of(text):
    [found] = problems_of(text)
    return found


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3e-8", 0.00000003),
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        ("1e+10", 10000000000.0),
        ("1E2", 100.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-2.5e0", -2.5),
        ("0.10", 0.1),
        ("-0", 0),
        ("+7", 7),
        ("160", 160),
    ],
)
def test_a_decimal_is_a_number(text, number):
    read = value_of(f"key: {text}")["key"]
    assert read == number
    assert type(read) is type(number)


BOOLEANS = ["yes", "no", "on", "off", "YES", "Off"]
NUMBERS = ["1:30", "12:30:45", "017", "00", "-08", "1_000", "1_000.5", "0x1f", "0b1", "0o17"]
DATES = ["2024-01-31", "2024-01-31T10:00:00Z"]


@pytest.mark.parametrize("text", BOOLEANS + NUMBERS + DATES)
def test_what_readers_disagree_on_is_refused(text):
    place, message = only_problem_of(f"key: {text}")
    assert place == (1, 6)
    assert message.startswith(f"{text} is ")
    assert "write a decimal or quote it" in message


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.inf", "nan", "inf", "1e999", "-1e999"])
def test_what_is_not_finite_is_refused(text):
    place, message = only_problem_of(f"key: {text}")
    assert place == (1, 6)
    assert message.startswith(f"{text}; expected a finite number")


@pytest.mark.parametrize("text", ["yes", "1:30", "017", "2024-01-31", ".nan", "3e-8", "null", ""])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_quoted_is_text(text, quote):
    assert value_of(f"key: {quote}{text}{quote}") == {"key": text}


def test_a_block_of_text_is_text():
    assert value_of("key: |\n  3e-8\n") == {"key": "3e-8\n"}


@pytest.mark.parametrize("text", ["age", "3 apples", "1e", "e5", "1.2.3", "a:b", "١٢"])
def test_other_plain_text_is_text(text):
    assert value_of(f"key: {text}") == {"key": text}


def test_null_true_and_false():
    text = "[null, ~, true, True, FALSE]"
    assert value_of(text) == [None, None, True, True, False]
    assert value_of("key:") == {"key": None}


def test_a_number_of_too_many_digits_is_refused():
    assert value_of("1" * 300) == int("1" * 300)
    assert only_problem_of("1" * 301)[1] == "a number of 301 digits; expected a shorter one"


@pytest.mark.parametrize("text", ["", "  \n\n", "# nothing\n", "---\n"])
def test_a_text_with_nothing_in_it_is_nothing(text):
    document = parse_yaml(text)
    assert document.value is None
    assert document.mistakes == []
    assert document.places.keys() == {()}


def test_a_key_given_twice_is_refused_with_both_places():
    text = "train:\n  l2: 1\n  seed: 2\n  l2: 3\n"
    document = parse_yaml(text)
    [mistake] = document.mistakes
    assert mistake.path == ("train", "l2")
    assert mistake.place == (4, 3)
    assert said(mistake) == "the key stands here and at 2:3; expected it once (remove one)"
    assert document.value == {"train": {"l2": 1, "seed": 2}}
    assert document.places["train", "l2"] == (2, 7)  # of the value that is kept


def test_mistakes_inside_the_second_of_two_equal_keys_are_found_too():
    assert [place for place, _ in problems_of("a: {b: 1}\na: {b: 017}\n")] == [(2, 8), (2, 1)]


@pytest.mark.parametrize("key", ["3", "1.5", "true", "null", "~", "yes", "1:30", "017"])
def test_a_plain_key_that_is_no_name_is_refused(key):
    place, message = only_problem_of(f"a: 1\n{key}: 2\n")
    assert place == (2, 1)
    assert message == f"'{key}' as a key; expected a name (quote it)"


def test_a_quoted_key_is_a_name():
    assert value_of("'3': 1\n\"yes\": 2\n") == {"3": 1, "yes": 2}


@pytest.mark.parametrize("key", ["[a, b]", "{a: 1}", "? [a]\n"])
def test_a_list_or_mapping_as_a_key_is_refused(key):
    assert "a list or mapping as a key; expected a name" in only_problem_of(f"{key}: 2")[1]


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize("text", ["a: &a 1", "a: *a", BOMB, "&a [*a]", "? *a\n: 1", "{&k a: 1}"])
def test_anchors_and_aliases_are_refused(text):
    assert only_problem_of(text)[1].startswith("an anchor or alias; expected a plain value")


@pytest.mark.parametrize(
    "tag", ["!!int", "!!str", "!mine", "!!python/object/apply:os.system", "!<tag:x.org,2000:a>"]
)
def test_tags_are_refused(tag):
    place, message = only_problem_of(f"a: {tag} '3'")
    assert place == (1, 4)
    assert message.startswith("a tag ")


def test_a_second_document_is_refused_where_it_starts():
    assert only_problem_of("a: 1\n---\nb: 2\n") == (
        (2, 1),
        "a second document; expected one (remove the '---')",
    )
    assert value_of("---\na: 1\n...\n") == {"a": 1}


OPENINGS = {"lists": "[", "mappings": "{", "both": "[{a: ", "dashes": "- ", "keys": "? "}


@pytest.mark.parametrize("n", [65, 1000, 100_000])
@pytest.mark.parametrize("opening", OPENINGS.values(), ids=OPENINGS.keys())
def test_deep_nesting_is_refused_fast(opening, n):
    start = time.process_time()
    _, message = only_problem_of(opening * n)
    assert time.process_time() - start < 1
    assert message == "nested more than 64 deep; expected a config"


def test_nesting_of_64_is_read():
    value = value_of("[" * 64 + "]" * 64)
    for _ in range(63):
        [value] = value
    assert value == []


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("a: 1\nb: x\0y", (2, 5), "U+0000"),
        ("é: 1\nb: \x07", (2, 4), "U+0007"),
        ("a: \ud800", (1, 4), "U+D800"),
        ("a: b\n\tc: 1", (2, 1), r"'\t'"),
        ("a: [1, 2\n", (2, 1), "expected ',' or ']'"),
        ("a: 1\n b: 2", (2, 3), "mapping values are not allowed"),
        ('a: "\\ud800"', (1, 4), "half of a surrogate pair"),
        ('"\\udfff": 1', (1, 1), "half of a surrogate pair"),
        ('a: "\\UFFFFFFFF"', (1, 1), "not YAML"),
        ('a: "\\U00110000"', (1, 1), "not YAML"),
    ],
)
def test_text_that_is_not_yaml_has_its_place(text, place, found):
    at, message = only_problem_of(text)
    assert at == place
    assert found in message


@pytest.mark.parametrize("text", ["0{}", "1{}:30", "!{}!a b", "!{} b", "1{}e999", "3{}: a", "_{}"])
def test_messages_are_short(text):
    for place, message in problems_of(text.format("9" * 900)):
        assert place == (1, 1)
        assert len(message) < 200


def test_a_byte_order_mark_inside_the_text_does_not_pass_as_nothing():
    assert value_of("a: \ufeff1") == {"a": "\ufeff1"}


def test_every_mistake_is_found_at_once():
    text = "a: yes\nb: [017, 5, .inf]\n3: x\n"
    assert [place for place, _ in problems_of(text)] == [(1, 4), (2, 5), (2, 13), (3, 1)]
    assert parse_yaml(text).value == {"a": None, "b": [None, 5, None]}


def test_places_count_characters_from_one():
    text = "# ünïcödé\nnäme: é\ngrid:\n  l2: [1, 'ä', {ß: 2}]\n"
    document = parse_yaml(text)
    assert document.key_places == {
        ("näme",): (2, 1),
        ("grid",): (3, 1),
        ("grid", "l2"): (4, 3),
        ("grid", "l2", 2, "ß"): (4, 17),
    }
    assert document.places == {
        (): (2, 1),
        ("näme",): (2, 7),
        ("grid",): (4, 3),
        ("grid", "l2"): (4, 7),
        ("grid", "l2", 0): (4, 8),
        ("grid", "l2", 1): (4, 11),
        ("grid", "l2", 2): (4, 16),
        ("grid", "l2", 2, "ß"): (4, 20),
    }
