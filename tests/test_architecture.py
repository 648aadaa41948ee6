"""The rules of the house that a machine can hold: who imports whom, who touches the outside world, how long things are."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
FLOORS = ("flowsheet", "units", "solvers", "csrc")
SOURCES = {path.relative_to(ROOT).as_posix(): path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}

OUTSIDE_WORLD = {"breakpoint", "eval", "exec", "input", "open", "print"}
FILE_METHODS = {"mkdir", "read_bytes", "read_text", "unlink", "write_bytes", "write_text"}
LONGEST_FILE, LONGEST_UNIT, LONGEST_FUNCTION = 650, 250, 80


def calls(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Give line, name and whether it is a method, of every call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, node.func.id, False
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, node.func.attr, True


def catches_everything(handler: ast.ExceptHandler) -> bool:
    caught = [handler.type] if not isinstance(handler.type, ast.Tuple) else handler.type.elts
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in caught)


def test_imports_point_down(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


# one module of solvers runs the C compiler and keeps its cache
@pytest.mark.parametrize("name", [name for name in SOURCES if not name.startswith("flowsheet/") and name != "solvers/compiled.py"])
def test_only_flowsheet_meets_the_outside_world(name):
    reaching = [f"{name}:{line} {call}" for line, call, method in calls(TREES[name]) if call in (FILE_METHODS if method else OUTSIDE_WORLD)]
    assert not reaching


@pytest.mark.parametrize("name", SOURCES)
def test_no_dispatch_on_attributes(name):
    assert not [f"{name}:{line}" for line, call, method in calls(TREES[name]) if call == "hasattr" and not method]


def test_everything_is_caught_in_one_place_only():
    handlers = [(name, node) for name, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
    found = [f"{name}:{node.lineno}" for name, node in handlers if catches_everything(node)]
    assert len(found) <= 1
    assert all(place.startswith("flowsheet/cli") for place in found)


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_too_long(name):
    lines = SOURCES[name].read_text(encoding="utf-8").count("\n")
    assert lines <= (LONGEST_UNIT if name.startswith("units/") else LONGEST_FILE)
    functions = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.FunctionDef)]
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno - node.lineno >= LONGEST_FUNCTION}
    assert not long
