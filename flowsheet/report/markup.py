"""Pieces of HTML; every text that comes from outside passes through :func:`text` on its way in."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from html import escape

from flowsheet.display import printable


class Verdict(Enum):
    """What a card or cell says; shown by word and sign, never by color alone."""

    GOOD = "good"
    BAD = "bad"
    NEUTRAL = ""

    @property
    def sign(self) -> str:
        """A sign that is told apart without color."""
        return {"good": "✓ ", "bad": "✗ ", "": ""}[self.value]


def text(value: object) -> str:
    """Return a text as it may stand anywhere in HTML; characters that HTML cannot hold are replaced."""
    return escape(printable(str(value)))


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell: its text (escaped here), whether it is a number, further classes."""

    value: str
    number: bool = False
    classes: str = ""
    code: bool = False

    def html(self) -> str:
        """Return the cell as HTML."""
        names = " ".join(filter(None, ("n" if self.number else "", self.classes)))
        inner = f"<code>{text(self.value)}</code>" if self.code else text(self.value)
        return f'<td class="{names}">{inner}</td>' if names else f"<td>{inner}</td>"


def number(value: str, classes: str = "") -> Cell:
    """Return a right-aligned cell."""
    return Cell(value, number=True, classes=classes)


def judged(value: str, verdict: Verdict) -> Cell:
    """Return a cell with a verdict."""
    return Cell(verdict.sign + value, classes=verdict.value)


def row(cells: Iterable[Cell | str], classes: str = "") -> str:
    """Return a table row; plain strings become plain cells."""
    inner = "".join((cell if isinstance(cell, Cell) else Cell(cell)).html() for cell in cells)
    return f'<tr class="{classes}">{inner}</tr>' if classes else f"<tr>{inner}</tr>"


def table(header: Sequence[str], rows: Iterable[str], numbers: Collection[int] = (), above: str = "") -> str:
    """Return a table that scrolls sideways on narrow screens.

    Parameters
    ----------
    header : names of the columns.
    rows : HTML of the rows.
    numbers : columns that hold numbers and are right-aligned.
    above : a further header row as HTML.
    """
    names = "".join(f'<th class="n">{text(name)}</th>' if k in numbers else f"<th>{text(name)}</th>" for k, name in enumerate(header))
    return f'<div class="wide"><table><thead>{above}<tr>{names}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def pairs(entries: Iterable[tuple[str, str]]) -> str:
    """Return a two-column table of keys and values."""
    rows = "".join(row((Cell(key, classes="key"), Cell(value))) for key, value in entries)
    return f'<div class="wide pairs"><table><tbody>{rows}</tbody></table></div>'


def card(what: str, said: str, why: str, verdict: Verdict) -> str:
    """Return a card of the verdict strip."""
    return (
        f'<div class="card {verdict.value}"><div class="what">{text(what)}</div>'
        f'<div class="said">{verdict.sign}{text(said)}</div><div class="why">{text(why)}</div></div>'
    )


def image(svg: str, description: str) -> str:
    """Return an SVG drawing as an image: its ids and styles then stay its own."""
    code = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{text(description)}" src="data:image/svg+xml;base64,{code}">'


def section(name: str, title: str, body: str) -> str:
    """Return a section with a heading that can be linked to."""
    return f'<section id="{name}"><h2>{text(title)}</h2>{body}</section>'


def note(words: str) -> str:
    """Return a paragraph saying that there is nothing to show."""
    return f'<p class="none">{text(words)}</p>'
