"""Where output goes, and how wide and how colourful it is there."""

import errno
import io
import os
from types import SimpleNamespace

import pytest
from rich.text import Text

from sgdlab.cli.output import UNLIMITED, USUAL, about_no_file, console, show_with
from sgdlab.cli.progress import LiveProgress, PlainProgress, make_observer


class Screen(io.StringIO):
    """A terminal, of a width that the system knows."""

    def __init__(self, columns):
        super().__init__()
        self.columns = columns

    def isatty(self):
        return True

    def fileno(self):
        return 1


@pytest.fixture
def size_of_terminal(monkeypatch):
    def set_to(columns):
        monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns, 24)))
        return Screen(columns)

    return set_to


WITHOUT_SENSE = ["", "0", "-5", "abc", "1e3", "\u00b2", "\u0663\u0663", "19", "9" * 5000, " 80 x"]


@pytest.mark.parametrize("columns", WITHOUT_SENSE)
def test_columns_that_make_no_sense_are_as_if_unset(columns, monkeypatch, size_of_terminal):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("LINES", columns)
    assert console(io.StringIO()).width == UNLIMITED
    assert console(size_of_terminal(130)).width == 130


@pytest.mark.parametrize("columns", ["20", "80", "0140"])
def test_columns_that_make_sense_hold_everywhere(columns, monkeypatch, size_of_terminal):
    monkeypatch.setenv("COLUMNS", columns)
    assert console(io.StringIO()).width == int(columns)
    assert console(size_of_terminal(130)).width == int(columns)


@pytest.mark.parametrize("columns", [0, 1, 19])
def test_a_terminal_that_says_it_is_narrower_than_any_is_of_the_usual_width(
    columns, monkeypatch, size_of_terminal
):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console(size_of_terminal(columns)).width == USUAL


@pytest.mark.parametrize("columns", WITHOUT_SENSE)
def test_every_column_of_a_table_is_shown_whatever_columns_says(
    columns, sgdlab, write_config, monkeypatch
):
    config = write_config()
    expected = sgdlab("train", config, "--quiet")
    monkeypatch.setenv("COLUMNS", columns)
    code, out, err = sgdlab("train", config, "--quiet")
    assert (code, err) == (0, "")
    assert out.split() == expected[1].split()


@pytest.mark.parametrize(
    "variables",
    [{"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}, {"TTY_INTERACTIVE": "1", "FORCE_COLOR": "3"}],
    ids=str,
)
def test_a_bar_is_for_terminals_alone(variables, monkeypatch, size_of_terminal):
    for name, value in ({"TERM": "xterm"} | variables).items():
        monkeypatch.setenv(name, value)
    assert type(make_observer(console(io.StringIO()), False)) is PlainProgress
    assert type(make_observer(console(size_of_terminal(80)), False)) is LiveProgress


@pytest.mark.parametrize(
    ("command", "expected"),
    [(("schema",), 0), (("evaluate", "latest", "--runs-dir", "{absolute}"), 2)],
)
def test_a_working_directory_that_was_deleted(command, expected, sgdlab, tmp_path):
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, _, err = sgdlab(*(part.format(absolute=tmp_path) for part in command))
    assert code == expected
    assert "stdout" not in err


def test_what_needs_a_working_directory_says_that_it_is_gone(sgdlab, write_config, tmp_path):
    config = write_config()
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, _, err = sgdlab("train", config, "-S", "data.path=data")
    assert code == 4
    assert err.startswith("sgdlab: error: the working directory: no such file or directory;")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENAMETOOLONG])
def test_a_working_directory_that_the_system_does_not_tell_now(
    number, sgdlab, write_config, monkeypatch
):
    """Once: the next time, it would."""
    config, original, refused = write_config(), os.getcwd, []

    def getcwd():
        if not refused:
            refused.append(number)
            raise OSError(number, os.strerror(number))
        return original()

    assert sgdlab("train", config)[0] == 0
    for command in (("train", config, "-S", "data.path=data"), ("evaluate", "latest")):
        refused.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os, "getcwd", getcwd)
            code, _, err = sgdlab(*command)
        assert (code, refused) == (4, [number])
        what = f"the working directory: {os.strerror(number).lower()}; expected a folder"
        assert err.startswith(f"sgdlab: error: {what}")


def test_an_error_about_nothing_known_is_not_about_stdout():
    assert about_no_file(ConnectionResetError(104, "Connection reset by peer")) is None


@pytest.mark.parametrize("format", ["table", "json", "csv"])
@pytest.mark.parametrize("text", ["\x1b[31mred", "\x9b2J", "a\u202eb", "\x07\x08", "\u2066\u200f"])
def test_results_obey_nobody_but_the_styles_of_the_table(text, format, capsys, monkeypatch):
    """Whatever a report forgets."""
    monkeypatch.setenv("COLUMNS", "80")
    report = SimpleNamespace(
        table=lambda: Text(f"unit {text}", style="bold"),
        document=lambda: {"unit": text},
        rows=lambda: [{"unit": text}],
    )
    show_with(format, report)
    out = capsys.readouterr().out
    assert "unit" in out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert text not in out


def test_styles_are_shown_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show_with("table", SimpleNamespace(table=lambda: Text("\x1b[31mred", style="bold")))
    assert capsys.readouterr().out == "\x1b[1m\\x1b[31mred\x1b[0m\n"
