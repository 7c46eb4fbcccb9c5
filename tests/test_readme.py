"""The README is true: its commands run and print what it shows, its configs load."""

import re
from pathlib import Path

import pytest

from sgdlab import workflows
from tests import readme
from tests.benchmarks.__main__ import BENCHMARKS
from tests.conftest import PROJECT

CONSOLE = [pair for block in readme.fenced("console") for pair in readme.commands(block)]


def test_every_command_prints_what_is_shown(age_project):
    assert len(CONSOLE) >= 6
    for command, shown in CONSOLE:
        assert readme.run(command, age_project) == shown, command


@pytest.mark.parametrize(
    ("block", "n_cells"), list(zip(readme.fenced("yaml"), [12, 7], strict=True))
)
def test_every_config_finds_a_good_model(block, n_cells, age_project, tmp_path):
    path = age_project / "configs" / "sample.yaml"
    path.write_text(block)
    options = workflows.SearchOptions(tmp_path)
    result = workflows.grid_search(path, ["data.if_missing=synthesize"], options)
    assert len(result.results) == n_cells
    assert {each.verdict for each in result.differences.values()} == {"better"}


@pytest.mark.parametrize("block", readme.fenced("python"))
def test_python_runs(block, age_project):
    (age_project / "example.py").write_text(block)
    assert "0.003 118." in readme.run("python example.py", age_project)


def test_the_keys_are_those_of_the_schema():
    shown = readme.KEYS.search(readme.README.read_text())[0]
    assert readme.key_table() in shown


def test_setup_takes_two_lines_and_ci_runs_them():
    lines = [line for block in readme.fenced("sh") for line in block.splitlines()]
    assert len(lines) == 2
    assert all(line.startswith("python3 -m venv .venv && ") for line in lines)
    assert "sgdlab grid-search configs/age.yaml" in lines[0]
    assert "pytest" in lines[1]
    assert "grep '^python3 -m venv ' README.md" in (PROJECT / ".ci" / "run").read_text()


def test_every_command_of_the_program_is_in_the_readme():
    text = Path(readme.README).read_text()
    for command in (
        "train",
        "grid-search",
        "evaluate",
        "schema",
        "scaling-rule",
        "orders",
        "data synthesize",
        "data describe",
        "simulate-sampling",
        "xor-solve",
        "solve",
        "gradient-noise",
    ):
        assert f"**`{command}" in text


def test_every_benchmark_has_its_place():
    text = readme.README.read_text()
    blocks = re.findall(r"<!-- benchmark (\w+) -->\n```text\n(.*?)```\n", text, re.DOTALL)
    assert [name for name, _ in blocks] == list(BENCHMARKS)
    for name, shown in blocks:
        assert re.search(r"\n.+ processors; Python .+\nnumpy .+\(\w+\)\n$", shown), name
