"""Where every key and value of a TOML text stands, which ``tomllib`` does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from flowsheet.problems import Problem

DEEPEST = 12
"""Most levels of nesting that a case may have."""

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]

_TABLES = ("table", "table_array_element")
_KEYS = ("bare_key", "quoted_key")


class TooDeep(ValueError):
    """Arrays, inline tables or dotted keys are nested deeper than any case needs."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"nested deeper than {DEEPEST} levels")
        self.place = place


@dataclass(slots=True)
class Positions:
    """Places (line, column; from 1, counted in characters) of keys and values by their path, such as ``("units", "mixer", "tanks")``."""

    keys: dict[KeyPath, Place] = field(default_factory=dict)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    duplicates: list[tuple[KeyPath, Place, Place]] = field(default_factory=list)

    def value(self, path: KeyPath) -> Place:
        """Return where a value stands, or the nearest table around it."""
        return self._closest(self.values, path)

    def key(self, path: KeyPath) -> Place:
        """Return where a key stands, or the nearest table around it."""
        return self._closest(self.keys, path)

    def _closest(self, places: dict[KeyPath, Place], path: KeyPath) -> Place:
        while path:
            found = places.get(path) or self.keys.get(path) or self.values.get(path)
            if found:
                return found
            path = path[:-1]
        return (1, 1)


def index_positions(text: str) -> Positions:
    r"""Find the places of all keys and values of a TOML text; of a broken text those that can be made out.

    Raises
    ------
    TooDeep : the nesting exceeds :data:`DEEPEST`.

    >>> index_positions("[units.mixer]\ntanks = 3\n").value(("units", "mixer", "tanks"))
    (2, 9)
    """
    encoded = text.encode("utf-8", "surrogatepass")
    tree = Parser(Language(tree_sitter_toml.language())).parse(encoded)
    walk = _Walk(encoded.split(b"\n"))
    table: KeyPath = ()
    for node in tree.root_node.children:
        if node.type in _TABLES:
            table = walk.header(node)
            for child in node.children:
                if child.type == "pair":
                    walk.pair(child, table)
        elif node.type == "pair":
            walk.pair(node, table)
    return walk.found


class _Walk:
    def __init__(self, lines: list[bytes]) -> None:
        self.lines = lines
        self.found = Positions()
        self.explicit: dict[KeyPath, Place] = {}
        self.elements: dict[KeyPath, int] = {}

    def place(self, node: Node) -> Place:
        row, column = node.start_point
        return row + 1, len(self.lines[row][:column].decode("utf-8", "replace")) + 1

    def header(self, node: Node) -> KeyPath:
        where = self.place(node)
        key = next((child for child in node.children if child.type in (*_KEYS, "dotted_key")), None)
        if key is None:
            return ()
        path: KeyPath = ()
        parts = self.parts(key)
        for depth, part in enumerate(parts):
            path = (*path, part)
            self.found.keys.setdefault(path, where)
            if depth < len(parts) - 1 and path in self.elements:
                path = (*path, self.elements[path])
        if node.type == "table_array_element":
            self.elements[path] = self.elements.get(path, -1) + 1
            path = (*path, self.elements[path])
        elif path in self.explicit:
            self.found.duplicates.append((path, self.explicit[path], where))
        self.explicit.setdefault(path, where)
        self.found.keys.setdefault(path, where)
        return path

    def pair(self, node: Node, table: KeyPath) -> None:
        named = [child for child in node.children if child.is_named]
        if len(named) < 2:
            return
        where = self.place(named[0])
        path = table
        for part in self.parts(named[0]):
            path = (*path, part)
            self.found.keys.setdefault(path, where)
        if path in self.found.values:
            self.found.duplicates.append((path, self.found.keys[path], where))
            return
        self.found.keys[path] = where
        self.value(named[1], path)

    def value(self, node: Node, path: KeyPath) -> None:
        if len(path) > DEEPEST:
            raise TooDeep(self.place(node))
        self.found.values.setdefault(path, self.place(node))
        if node.type == "array":
            members = (child for child in node.children if child.is_named and child.type != "comment")
            for number, child in enumerate(members):
                self.value(child, (*path, number))
        elif node.type == "inline_table":
            for child in node.children:
                if child.type == "pair":
                    self.pair(child, path)

    def parts(self, node: Node) -> list[str]:
        leaves: list[Node] = []
        stack = [node]
        while stack:
            top = stack.pop()
            if top.type in _KEYS:
                leaves.append(top)
            else:
                stack += reversed([child for child in top.children if child.is_named])
            if len(leaves) + len(stack) > 2 * DEEPEST:
                raise TooDeep(self.place(node))
        return [_key_text(leaf) for leaf in leaves]


def _key_text(node: Node) -> str:
    written = (node.text or b"").decode("utf-8", "replace")
    if node.type == "bare_key":
        return written
    try:
        return next(iter(tomllib.loads(f"{written} = 0")))
    except (ValueError, StopIteration):
        return written.strip("\"'")


_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_DUPLICATE = re.compile(r"overwrite|twice|declare|mutate", re.IGNORECASE)


def syntax_problems(text: str, message: str, positions: Positions, file: str) -> Iterator[Problem]:
    """Yield what is wrong with a text that is not TOML, with the line and a caret below the place.

    Parameters
    ----------
    text : the text.
    message : what ``tomllib`` says.
    positions : as far as they could be found.
    file : for the messages.
    """
    if _DUPLICATE.search(message) and positions.duplicates:
        for path, first, second in positions.duplicates:
            key = dotted(path)
            yield Problem(
                f"given twice; first in line {first[0]}, column {first[1]}", key, "one value", "remove one of the two", file, *second
            )
        return
    lines = text.splitlines() or [""]
    found = _WHERE.search(message)
    if found and found[1]:
        line, column = int(found[1]), int(found[2])
    else:
        line, column = len(lines), len(lines[-1]) + 1
    reason = _WHERE.sub("", message)
    excerpt = lines[line - 1] if line <= len(lines) else ""
    start = max(0, min(column - 1, len(excerpt)) - 50)
    excerpt = "".join(c if c.isprintable() else " " for c in excerpt[start : start + 100])
    caret = " " * max(0, column - 1 - start) + "^"
    yield Problem(f"not valid TOML: {reason[:1].lower()}{reason[1:]}\n    {excerpt}\n    {caret}", file=file, line=line, column=column)


def dotted(path: KeyPath) -> str:
    """Return a path as people read it.

    >>> dotted(("profiles", 0, "times", 2))
    'profiles[0].times[2]'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            part = part if len(part) <= 60 else part[:60] + "..."
            part = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in part)
            text += f".{part}" if text else part
    return text
