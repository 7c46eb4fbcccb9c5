"""What the READMEs show is true: commands print it, configs load, links lead somewhere."""

import re

import pytest

from sgdlab import workflows
from tests.benchmarks.__main__ import BENCHMARKS
from tests.benchmarks.__main__ import PAGE as BENCHMARKS_PAGE
from tests.docs import pages, program
from tests.docs.keys import key_table
from tests.docs.links import destination, leads_somewhere, links
from tests.docs.pages import FRONT, PAGES, PROJECT, SETUP
from tests.test_architecture import TOWER

ON_ANY_PAGE = pytest.mark.parametrize("page", PAGES, ids=pages.name)
OTHER_OPTIONS = {"--help", "--write", "--jobs", "--only", "--seconds"}  # of all, and of tests
SAMPLES = [
    block
    for page in PAGES
    for block in pages.blocks(page, "yaml")
    if block.file_name is None  # others are used by a command of their page
]


@ON_ANY_PAGE
def test_every_block_runs_and_prints_what_is_shown(page, age_project):
    for block in pages.blocks(page):
        assert pages.played(block, age_project) == block.text


@ON_ANY_PAGE
def test_no_block_is_of_a_language_that_is_not_run(page):
    assert {block.language for block in pages.blocks(page)} <= pages.LANGUAGES
    assert pages.prose(page).count("```") == 0
    texts = len(pages.blocks(page, "text"))
    assert texts == (len(BENCHMARKS) if page == BENCHMARKS_PAGE else 0)


@pytest.mark.parametrize(("block", "n_cells"), list(zip(SAMPLES, [12, 7], strict=True)))
def test_every_sample_of_a_config_finds_a_good_model(block, n_cells, age_project, tmp_path):
    path = age_project / "configs" / "sample.yaml"
    path.write_text(block.text)
    options = workflows.SearchOptions(tmp_path)
    result = workflows.grid_search(path, ["data.if_missing=synthesize"], options)
    assert len(result.results) == n_cells
    assert {each.verdict for each in result.differences.values()} == {"better"}


@ON_ANY_PAGE
def test_every_file_that_a_block_gives_is_used(page):
    typed = [command for block in pages.blocks(page, "console") for command in block.commands]
    words = [word for command in typed for word in command.split()]
    for block in pages.blocks(page, "python"):
        for line in re.findall(r"^import (.*?)(?:  #.*)?$", block.text, re.MULTILINE):
            words += [f"{module}.py" for module in line.split(", ")]
    for block in pages.blocks(page):
        assert block.file_name is None or block.file_name in words


@ON_ANY_PAGE
def test_every_link_leads_to_a_file_or_a_heading(page):
    nowhere = [target for _, target in links(page) if not leads_somewhere(page, target)]
    assert nowhere == []


def test_every_page_can_be_reached_from_the_front_page():
    reached, waiting = set(), [FRONT]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        leads_to = {destination(page, target)[0] for _, target in links(page)}
        waiting += [found for found in leads_to if found in PAGES and found not in reached]
    assert reached == set(PAGES)


@pytest.mark.parametrize("command", program.commands())
def test_the_front_page_links_every_command_to_where_it_is_shown(command):
    targets = [target for text, target in links(FRONT) if text == f"`{command}`"]
    assert len(targets) == 1
    page, _ = destination(FRONT, targets[0])
    typed = [line for block in pages.blocks(page, "console") for line in block.commands]
    assert any(f"{line} ".startswith(f"sgdlab {command} ") for line in typed)


@ON_ANY_PAGE
def test_every_option_that_is_named_exists(page):
    known = set().union(*program.commands().values()) | OTHER_OPTIONS
    named = re.findall(r"(?<![\w-])--[a-z][\w-]*", " ".join(pages.code_spans(page)))
    assert set(named) <= known


@ON_ANY_PAGE
def test_every_program_of_the_tests_that_is_named_exists(page):
    for name in re.findall(r"python -m (tests[\w.]*)", page.read_text()):
        path = PROJECT.joinpath(*name.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_the_keys_are_those_of_the_schema():
    shown = [found for page in PAGES for found in pages.KEYS.findall(page.read_text())]
    assert shown == [key_table()]


def test_setup_takes_two_lines_and_ci_runs_them():
    scripts = [block.text for block in pages.blocks(FRONT, "sh")]
    lines = [script for script in scripts if script.startswith(SETUP)]
    assert [line.count("\n") for line in lines] == [1, 1]
    assert all(line.startswith("python3 -m venv .venv && ") for line in lines)
    assert "sgdlab grid-search configs/age.yaml" in lines[0]
    assert "pytest" in lines[1]
    assert f"grep '^{SETUP}' README.md" in (PROJECT / ".ci" / "run").read_text()


def test_the_map_of_the_house_is_the_tower():
    text = (PROJECT / "sgdlab" / "README.md").read_text()
    lines = re.findall(r"^\| (`.+?`) \| ", text, re.MULTILINE)
    assert [set(re.findall(r"(\w+)/?`", line)) for line in lines] == TOWER
    folders = [line.strip("`/") for line in lines if line.endswith("/`")]
    assert folders == re.findall(r"^\*\*`(\w+)/`\*\*", text, re.MULTILINE)
    assert all((PROJECT / "sgdlab" / folder).is_dir() for folder in folders)


def test_the_front_page_is_short():
    assert len(FRONT.read_text().splitlines()) <= 160


def test_the_front_page_quotes_the_benchmarks():
    section = FRONT.read_text().partition("## Exactness and speed\n")[2].partition("\n## ")[0]
    quoted = re.findall(r"\b\d+\.\d+\b", section)
    assert len(quoted) >= 8
    assert set(quoted) <= set(re.findall(r"\b\d+\.\d+\b", BENCHMARKS_PAGE.read_text()))


def test_every_benchmark_has_its_place():
    text = BENCHMARKS_PAGE.read_text()
    blocks = re.findall(r"<!-- benchmark (\w+) -->\n```text\n(.*?)```\n", text, re.DOTALL)
    assert [name for name, _ in blocks] == list(BENCHMARKS)
    for name, shown in blocks:
        assert re.search(r"\n.+ processors; Python .+\nnumpy .+\(\w+\)\n$", shown), name
