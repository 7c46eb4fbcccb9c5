"""Text from outside cannot move the cursor, break a line or fail to print."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlab.system.safe_text import printable, printable_json, printable_lines, shortened


@pytest.mark.parametrize(
    "text", ["", "age", "a b", "naïve ß 漢字 🙂", "C:\\new", "<b>[red]", "'\""]
)
def test_plain_text_is_unchanged(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\0\x07\x7f", r"\x00\x07\x7f"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b2J", r"\x9b2J"),
        ("one\u2028two\x85three", r"one\u2028two\x85three"),
        ("abc\u202egpj", r"abc\u202egpj"),
        ("\ufeff\u200b", r"\ufeff\u200b"),
        ("\ud800 \udcff", r"\ud800 \udcff"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == shown


def test_long_text_is_cut_to_60_characters():
    assert shortened("x" * 60) == "x" * 60
    assert shortened("x" * 61) == "x" * 57 + "..."
    assert shortened("abcdef", most=5) == "ab..."


@settings(max_examples=300, derandomize=True, database=None)
@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line_that_can_be_encoded(text):
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


def test_lines_stay_lines():
    assert printable_lines("a\n\x1b[2J\u202e\n") == "a\n\\x1b[2J\\u202e\n"


@settings(max_examples=300, derandomize=True, database=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_says_the_same_in_characters_that_print(text):
    written = json.dumps({text: [text, 1.5]}, ensure_ascii=False, indent=1)
    shown = printable_json(written)
    assert json.loads(shown) == {text: [text, 1.5]}
    assert all(char.isprintable() or char == "\n" for char in shown)


@pytest.mark.parametrize("text", ["\x7f", "\x9b2J", "\u202egnp", "\U000e0041", "\u2028é"])
def test_json_of_characters_that_a_terminal_obeys(text):
    shown = printable_json(json.dumps(text, ensure_ascii=False))
    assert shown.replace("é", "").isascii()
    assert json.loads(shown) == text
