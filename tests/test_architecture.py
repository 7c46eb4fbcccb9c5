"""Imports run downward only."""

import ast
from pathlib import Path

import sgdlab

PACKAGE = Path(sgdlab.__file__).parent

# From the top to the bottom; a module imports only from lines below its own, or its own line. A
# folder stands for its modules that are not named themselves.
LAYERS = [
    {"__main__"},
    {"cli.app"},
    {"cli"},
    {
        "cli.progress",
        "lab.describe.report",
        "lab.gradient_noise.remedies_report",
        "lab.gradient_noise.report",
        "lab.orders.report",
        "lab.sampling.report",
        "lab.scaling_rule.report",
        "lab.solve.report",
        "lab.xor.report",
        "report",
    },
    {"workflows"},
    {"search.session"},
    {"search"},
    {"evaluation.evaluate_run", "search.finishing", "search.missing", "search.result"},
    {"evaluation.score"},
    {"runs.names", "runs.open_run"},
    {"runs.directory", "runs.kept"},
    {"runs", "search.selection", "search.table"},
    {"runs.conclusion", "runs.replicate_log"},
    {"runs.reading"},
    {"evaluation.mae_step", "lab"},
    {"engine.training", "evaluation"},
    {"planning.cost", "search.planned"},
    {"engine"},
    {"planning.memory"},
    {"planning.plan"},
    {"config.grid", "planning"},
    {"optim"},
    {"data", "lab.describe.measure"},
    {"optim.losses", "runs.provenance"},
    {"config"},
    {"config.objects"},
    {"config.model", "config.yaml_tree", "data.shape", "observer", "system"},
    {"words"},
    {"__init__", "errors", "optim.differences", "random_streams", "system.machine"},
]


def level(name):
    """The number of the line that names a module, or else its folder."""
    for place in (name, name.split(".")[0]):
        found = [n for n, layer in enumerate(LAYERS) if place in layer]
        if found:
            assert len(found) == 1, f"{place} stands on {len(found)} lines"
            return found[0]
    raise AssertionError(f"{name} stands on no line")


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts), path


def imports_of(path):
    """The names of this package's modules that a file imports, anywhere in it."""
    known = {name for name, _ in modules()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sgdlab":
            inside = (node.module or "").removeprefix("sgdlab").lstrip(".")
            for alias in node.names:
                name = f"{inside}.{alias.name}".lstrip(".")
                yield name if name in known else inside or "__init__"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "sgdlab":
                    yield alias.name.removeprefix("sgdlab").lstrip(".") or "__init__"


def test_every_line_names_something():
    names = {name for name, _ in modules()}
    assert set().union(*LAYERS) <= names | {name.split(".")[0] for name in names}


def test_imports_run_downward():
    upward = [
        f"{name} imports {imported}"
        for name, path in modules()
        for imported in imports_of(path)
        if level(imported) < level(name)
    ]
    assert upward == []


def test_no_cycles():
    graph = {name: set(imports_of(path)) - {"__init__"} for name, path in modules()}
    done = set()

    def visit(name, above):
        assert name not in above, " -> ".join([*above, name])
        if name not in done:
            for imported in graph[name]:
                visit(imported, [*above, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_only_the_command_line_prints_or_exits():
    found = [
        f"{name}:{node.lineno}"
        for name, path in modules()
        if name not in ("cli.app", "__main__")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "exit", "sys.exit", "os._exit")
    ]
    assert found == []
