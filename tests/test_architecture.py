"""The house is a tower: imports run downward only, and no experiment leans on another."""

import ast
from pathlib import Path

import sgdlab

PACKAGE = Path(sgdlab.__file__).parent

# From the top to the bottom, a line a room: a module imports from lines below its room's, or from
# its own room. The front door, ``__init__``, hands out what workflows do; whoever takes no more
# than its version or its place does not go through it.
TOWER = [
    {"__main__"},
    {"cli"},
    {"__init__"},
    {"workflows"},
    {"lab"},
    {"report"},
    {"search"},
    {"evaluation"},
    {"runs"},
    {"engine"},
    {"planning"},
    {"optim"},
    {"data"},
    {"config"},
    {"words"},
    {"uncertainty"},
    {"system"},
    {"errors", "observer", "random_streams"},
]


def modules():
    """The name of every module, ``room.module`` or the like, and its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts), path


def room(name):
    return name.split(".")[0]


def level(name):
    """The number of the line on which a module's room stands."""
    found = [n for n, line in enumerate(TOWER) if room(name) in line]
    assert len(found) == 1, f"{room(name)} stands on {len(found)} lines of the tower"
    return found[0]


def imports_of(path):
    """The names of this package's modules that a file imports, anywhere in it."""
    known = {name for name, _ in modules()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sgdlab":
            inside = (node.module or "").removeprefix("sgdlab").lstrip(".")
            for alias in node.names:
                name = f"{inside}.{alias.name}".lstrip(".")
                if name in known:
                    yield name
                elif inside:
                    yield inside
                elif alias.name != "__version__":
                    yield "__init__"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "sgdlab":
                    inside = alias.name.removeprefix("sgdlab").lstrip(".")
                    if inside or uses_the_front_door(path):
                        yield inside or "__init__"


def uses_the_front_door(path):
    """Whether a file takes more from ``sgdlab`` itself than its version and where it lies."""
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "sgdlab"
        and node.attr not in ("__file__", "__version__")
        for node in ast.walk(ast.parse(path.read_text()))
    )


def experiment(name):
    """The folder of an experiment of the laboratory; None for what experiments share."""
    parts = name.split(".")
    return parts[1] if parts[0] == "lab" and len(parts) > 2 else None


def test_every_line_names_rooms_that_there_are():
    assert set().union(*TOWER) == {room(name) for name, _ in modules()}


def test_imports_run_downward():
    upward = [
        f"{name} imports {imported}"
        for name, path in modules()
        for imported in imports_of(path)
        if level(imported) < level(name)
        or (level(imported) == level(name) and room(imported) != room(name))
    ]
    assert upward == []


def test_no_circles():
    graph = {name: set(imports_of(path)) for name, path in modules()}
    done = set()

    def visit(name, above):
        assert name not in above, " -> ".join([*above, name])
        if name not in done:
            for imported in graph[name]:
                visit(imported, [*above, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_no_experiment_imports_another():
    crossing = [
        f"{name} imports {imported}"
        for name, path in modules()
        for imported in imports_of(path)
        if experiment(imported) is not None
        and room(name) == "lab"
        and experiment(name) != experiment(imported)
    ]
    assert crossing == []


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


def test_no_random_number_comes_from_a_global_state():
    """Generators and seeds are numpy's only way in, and no generator is made without a seed."""
    ways = ("np.random.Generator", "np.random.SeedSequence", "np.random.default_rng")
    found = [
        f"{name}:{node.lineno}"
        for name, path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import | ast.ImportFrom) and ast.unparse(node).endswith("random"))
        or (
            isinstance(node, ast.Attribute)
            and ast.unparse(node.value) == "np.random"
            and ast.unparse(node) not in ways
        )
        or (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "np.random.default_rng"
            and not node.args
        )
    ]
    assert found == []
