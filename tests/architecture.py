"""The rules of the house, read off the source with `ast`; test_architecture.py applies them.

`violations(root)` returns one line for each breach. Rooms stand in the order of ROOMS: a file
imports only from rooms above its own, and within its room without going in circles. A file that one
room writes is named in that room alone.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "gpo_vae_jax"
ROOMS = (
    ("types",),
    ("errors",),
    ("files", "memory", "progress", "compilation_cache"),
    ("config", "config_help", "config_io", "config_ranges", "presets"),
    ("spec",),
    ("statistics",),
    ("data",),
    ("model",),
    ("objective",),
    ("train",),
    ("predict",),
    ("evaluate",),
    ("runs",),
    ("original",),
    ("parity",),
    ("api",),
    ("__init__",),  # exports the public face
    ("cli", "__main__"),
)
DATA_ONLY = {"rapids_singlecell", "scanpy"}
ANNDATA_ROOMS = {"api", "data", "evaluate", "predict"}  # results leave as AnnData
INSIDE_FUNCTIONS = {
    "causalscbench",
    "cudf",
    "cugraph",
    "cuml",
    "cupy",
    "gseapy",
    "rapids_singlecell",
    "redun",
    "torch",
    "wandb",
}
OUTSIDE = {"absl", "benchmarks", "configs", "scripts", "tests"}
FUNCTIONS = {"train", "predict", "evaluate"}  # of the public face, named as rooms are
MAX_LINES = {PACKAGE: 300, "scripts": 79}
MAX_ENTRIES = {f"{PACKAGE}/data": 14}  # files and rooms that a reader sees at once
FILE_NAME = re.compile(r"[\w*]+\.(csv|json|h5ad|html|graphml|png|npz)")

# Calls that a module may make at import: they compute nothing and touch no device.
HARMLESS = {
    *("dataclasses.field", "dict", "float", "frozenset", "functools.partial", "int", "len"),
    *("jax.checkpoint", "jax.custom_jvp", "jax.custom_vjp", "jax.grad", "jax.jit", "jax.vmap"),
    *("jax.value_and_grad", "logging.getLogger", "math.log", "math.sqrt", "partial", "range"),
    *("numbers_within", "slice"),  # of memory.py; arithmetic
    *("np.dtype", "np.finfo", "np.float32", "np.iinfo", "np.int32", "np.int64", "np.uint64"),
    *("re.compile", "set", "sorted", "str", "tuple", "zip"),
}
REGISTRATIONS = {"defjvp", "defjvps", "defvjp", "register_dataclass", "register_pytree_node"}


def violations(root: Path) -> list[str]:
    """List every breach of the rules under `root`, which holds the package and its neighbours."""
    found = []
    graph: dict[str, set[str]] = {}
    for path in sorted(p for folder in (PACKAGE, "scripts") for p in (root / folder).rglob("*.py")):
        where = path.relative_to(root).as_posix()
        tree = ast.parse(path.read_text(), filename=where)
        found += [f"{where}: {text}" for text in _file_rules(root, path, tree)]
        if path.is_relative_to(root / PACKAGE):
            graph[where] = {_file(root, name) for name, _, _ in _imports(root, path, tree)} - {None}
            found += [f"{where}: {text}" for text in _room_rules(where, graph[where])]
            found += [f"{where}: {text}" for text in _import_time_rules(tree)]
    found += _floor_rules(root)
    found += _files_of_others(root)
    return found + [f"{' -> '.join(circle)}: a circle" for circle in _circles(graph)]


def _floor_rules(root: Path) -> Iterator[str]:
    """Check that names tell modules apart, and that no floor is crowded."""
    places = defaultdict(list)
    for path in sorted((root / PACKAGE).rglob("*.py")):
        places[path.name].append(path.relative_to(root).as_posix())
    for name, where in places.items():
        if len(where) > 1 and name != "__init__.py":
            yield f"{' and '.join(where)}: two modules of one name"
    for floor, most in MAX_ENTRIES.items():
        entries = [p.name for p in (root / floor).glob("*") if p.name != "__pycache__"]
        if len(entries) > most:
            yield f"{floor}: {len(entries)} entries, more than {most}"


def _files_of_others(root: Path) -> Iterator[str]:
    """Check that each file that the package reads or writes is named in one room only."""
    rooms = defaultdict(dict)
    for path in sorted((root / PACKAGE).rglob("*.py")):
        where = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and FILE_NAME.fullmatch(text):
                rooms[text].setdefault(_room(where), f"{where} line {node.lineno}")
    for name, found in sorted(rooms.items()):
        if len(found) > 1:
            yield f"{name!r} is named in several rooms: {', '.join(found.values())}"


def _file_rules(root: Path, path: Path, tree: ast.Module) -> Iterator[str]:
    """Check a file's name, its length and what it imports from outside."""
    folder = path.relative_to(root).parts[0]
    if path.name == "utils.py":
        yield "name files by their content, not utils"
    lines = len(path.read_text().splitlines())
    if lines > MAX_LINES[folder]:
        yield f"{lines} lines, more than {MAX_LINES[folder]}"
    room = _room(path.relative_to(root).as_posix())
    for name, line, in_function in _imports(root, path, tree):
        top = name.split(".")[0]
        if top in DATA_ONLY and room != "data":
            yield f"line {line}: only {PACKAGE}/data imports {top}"
        if top == "anndata" and room not in ANNDATA_ROOMS:
            yield f"line {line}: anndata is known to {', '.join(sorted(ANNDATA_ROOMS))} only"
        if top in INSIDE_FUNCTIONS and not in_function:
            yield f"line {line}: {top} is optional; import it inside the function that needs it"
        if top in OUTSIDE and folder == PACKAGE:
            yield f"line {line}: the package does not import {top}"
        if name in {f"{PACKAGE}.{function}" for function in FUNCTIONS} and folder == PACKAGE:
            yield f"line {line}: {name} is a function; name the module in its room"


def _room_rules(where: str, targets: set[str]) -> Iterator[str]:
    """Check that a file of the package imports only from its own room and those above."""
    order = [room[0] for room in ROOMS]
    own = _room(where)
    if own is None:
        yield "belongs to no room; ROOMS in tests/architecture.py lists them"
        return
    for target in sorted(targets):
        room = _room(target)
        if room is not None and order.index(room) > order.index(own):
            yield f"{own} must not import from {room} ({target})"


def _import_time_rules(tree: ast.Module) -> Iterator[str]:
    """Check that importing the module defines things and does nothing else."""
    for statement in _statements(tree.body):
        allowed = (
            *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
            *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Pass),
        )
        if not isinstance(statement, allowed):
            yield f"line {statement.lineno}: {type(statement).__name__} runs at import"
            continue
        for call in _calls_at_import(statement):
            name = ast.unparse(call.func)
            last = name.split(".")[-1]
            registers = isinstance(statement, ast.Expr) and last in REGISTRATIONS
            builds = last.lstrip("_")[:1].isupper()
            if not (registers or builds or name in HARMLESS):
                yield f"line {call.lineno}: {name}(...) runs at import"


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Return the statements that run at import, those of classes included; skip TYPE_CHECKING."""
    for statement in body:
        if isinstance(statement, ast.If) and (_is_type_checking(statement) or _is_main(statement)):
            continue
        yield statement
        if isinstance(statement, ast.ClassDef):
            yield from _statements(statement.body)


def _calls_at_import(statement: ast.stmt) -> Iterator[ast.Call]:
    """Return the calls a statement makes when its module is imported; decorators are free."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        roots = [*statement.args.defaults, *filter(None, statement.args.kw_defaults)]
    elif isinstance(statement, ast.ClassDef):
        roots = [*statement.bases, *(keyword.value for keyword in statement.keywords)]
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr):
        roots = [statement.value] if statement.value else []
    else:
        roots = []
    for node in roots:
        yield from (n for n in _outside_lambdas(node) if isinstance(n, ast.Call))


def _outside_lambdas(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _outside_lambdas(child)


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _is_main(node: ast.If) -> bool:
    return ast.unparse(node.test) == "__name__ == '__main__'"


def _imports(root: Path, path: Path, tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """Return (full dotted name, line, whether it is not run at import) of every import."""
    package = path.relative_to(root).with_suffix("").parts[:-1]

    def walk(node: ast.AST, later: bool) -> Iterator[tuple[str, int, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, child.lineno, later) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else ()
                source = ".".join([*base, *filter(None, [child.module])])
                for alias in child.names:
                    yield f"{source}.{alias.name}", child.lineno, later
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, later or function or _is_type_checking(child))

    return walk(tree, False)


def _file(root: Path, name: str) -> str | None:
    """Return the file of the package that an imported name comes from."""
    parts = name.split(".")
    if parts[0] != PACKAGE or name == f"{PACKAGE}.__version__":
        return None
    while parts:
        stem = root.joinpath(*parts)
        for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
            if candidate.is_file():
                return candidate.relative_to(root).as_posix()
        parts.pop()
    return None


def _room(where: str) -> str | None:
    """Return the first name of the room of a file, or None for a file that has no room."""
    parts = Path(where).with_suffix("").parts
    if parts[0] != PACKAGE:
        return None
    return next((room[0] for room in ROOMS if parts[1] in room), None)


def _circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Return each circle of imports once, by depth-first search."""
    done: set[str] = set()

    def visit(node: str, trail: list[str]) -> Iterator[list[str]]:
        if node in trail:
            yield [*trail[trail.index(node) :], node]
        elif node not in done:
            for target in sorted(graph.get(node, ())):
                yield from visit(target, [*trail, node])
            done.add(node)

    for node in graph:
        yield from visit(node, [])
