"""The flowsheet drawing: units as boxes with a pictogram, streams as arrows with their flow, signals as dashed lines, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from flowsheet.report.icons import icon
from flowsheet.report.layout import Layout, arrange
from flowsheet.report.markup import text

BOX_HEIGHT, ICON = 66, 54
ROW, PASSING, MARGIN, LANE, RECYCLE = 128, 34, 22, 12, 34
NARROWEST, WIDEST = 132, 236
STREAM_COLOR, SIGNAL_COLOR = "#33475B", "#9A5B00"
SMALL = 760
"""Width (points) below which a drawing is shown as it is."""
WIDEST_ROW = 1400
"""Width (points) beyond which the columns of a flowsheet without recycles go on in a further row."""
LONGEST = 26
"""Most characters of a name that are drawn; the rest shows when pointed at."""


@dataclass(frozen=True, slots=True)
class DrawnUnit:
    """A unit as drawn: texts for what enters and leaves the flowsheet there, empty if nothing does."""

    name: str
    type: str
    entering: str = ""
    leaving: str = ""


@dataclass(frozen=True, slots=True)
class DrawnStream:
    """A stream as drawn: its name, the units it joins and the text of its flow."""

    name: str
    source: str
    target: str
    flow: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything stands (points): box width, left edges of columns, gaps behind them, heights of the middles; the row in which each
    column stands, and where each row ends.
    """

    streams: Sequence[DrawnStream]
    layout: Layout
    rank: Mapping[object, int]
    box: float
    left: Sequence[float]
    gaps: Sequence[float]
    middle: Mapping[object, float]
    width: float
    height: float
    row: Sequence[int] = ()
    bottom: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class DrawnSignal:
    """A signal as drawn: its name and its ends, as ``unit.variable`` and ``unit.input``."""

    name: str
    source: str
    target: str

    @property
    def ends(self) -> tuple[str, str]:
        """The units that it joins."""
        return self.source.partition(".")[0], self.target.partition(".")[0]


def flowsheet_svg(units: Sequence[DrawnUnit], streams: Sequence[DrawnStream], signals: Sequence[DrawnSignal] = ()) -> str:
    """Return the drawing of a flowsheet as an SVG element; all texts are escaped.

    Units that only signals join, sensors and controllers, stand below the others.
    """
    joined = {unit for stream in streams for unit in (stream.source, stream.target)}
    signaling = {unit for signal in signals for unit in signal.ends}
    below = [unit for unit in units if unit.name in signaling - joined]
    above = [unit for unit in units if unit not in below]
    plan = _plan(above, streams, _box_width(units))
    with_outlet = {stream.source for stream in streams}
    parts = [_stream_svg(k, plan) for k in range(len(streams))]
    parts += [_unit_svg(unit, plan, unit.name in with_outlet) for unit in above]
    width, height = plan.width, plan.height
    if signals:
        control, width, height = _control_svg(plan, below, signals)
        parts = [*control, *parts]  # lines pass behind boxes
    counted = f"{len(units)} units, {len(streams)} streams" + (f" and {len(signals)} signals" if signals else "")
    tips = "".join(
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L10 5L0 10z" fill="{color}"/></marker>'
        for name, color in (("tip", STREAM_COLOR), ("signal-tip", SIGNAL_COLOR))
    )
    # the style sheet keeps wide drawings legible on narrow screens; a small one is not to be blown up
    small = ' style="min-width:0"' if width < SMALL else ""
    return (
        f'<svg class="flowsheet" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"{small} role="img" '
        f'aria-label="Flowsheet of {counted}"><defs>{tips}</defs>' + "".join(parts) + "</svg>"
    )


def _control_svg(plan: Plan, below: Sequence[DrawnUnit], signals: Sequence[DrawnSignal]) -> tuple[list[str], float, float]:
    """Return sensors, controllers and all signals below the drawing of the process, and the size of the whole."""
    top = plan.height + LANE * (len(signals) + 1)
    left = {name: plan.left[column] for name, column in plan.rank.items() if isinstance(name, str)}
    wanted = {unit.name: _mean([left[end] for s in signals if unit.name in s.ends for end in s.ends if end in left]) for unit in below}
    x, placed = float(MARGIN), dict(left)
    for unit in sorted(below, key=lambda unit: wanted[unit.name]):
        x = max(x, wanted[unit.name])
        placed[unit.name] = x
        x += plan.box + 30
    lowered: dict[object, float] = {unit.name: top + BOX_HEIGHT / 2 for unit in below}
    whole = replace(
        plan,
        rank={**plan.rank, **{unit.name: len(plan.left) + k for k, unit in enumerate(below)}},
        left=[*plan.left, *(placed[unit.name] for unit in below)],
        middle={**plan.middle, **lowered},
    )
    parts = [_unit_svg(unit, whole, has_outlet=True) for unit in below]
    ends = [(k, side) for k in range(len(signals)) for side in (0, 1)]
    for k, signal in enumerate(signals):
        points = []
        for side, name in enumerate(signal.ends):
            here = [end for end in ends if signals[end[0]].ends[end[1]] == name]
            share = (here.index((k, side)) + 1) / (len(here) + 1)
            edge = -BOX_HEIGHT / 2 if name in lowered else BOX_HEIGHT / 2
            points.append((placed[name] + plan.box * (0.3 + 0.65 * share), whole.middle[name] + edge))
        parts.append(_signal_svg(signal, points, plan.height + LANE * (k + 0.5)))
    width = max([plan.width, *(placed[unit.name] + plan.box + MARGIN for unit in below)])
    return parts, width, top + (BOX_HEIGHT if below else 0) + MARGIN


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else MARGIN


def _signal_svg(signal: DrawnSignal, points: Sequence[tuple[float, float]], lane: float) -> str:
    (x0, y0), (x1, y1) = points
    return (
        f"<g><title>{text(signal.name)}: {text(signal.source)} to {text(signal.target)}</title>"
        f'<path d="M{x0:g} {y0:g}V{lane:g}H{x1:g}V{y1:g}" fill="none" stroke="{SIGNAL_COLOR}" stroke-width="1.4" '
        f'stroke-dasharray="5 3" marker-end="url(#signal-tip)"/></g>'
    )


def _box_width(units: Sequence[DrawnUnit]) -> float:
    texts = [(8.4 * min(len(unit.name), LONGEST), 5.9 * min(len(unit.type), LONGEST)) for unit in units]
    return min(max([NARROWEST, *(ICON + 10 + max(pair) for pair in texts)]), WIDEST)


def _plan(units: Sequence[DrawnUnit], streams: Sequence[DrawnStream], box: float) -> Plan:
    layout = arrange([unit.name for unit in units], [(stream.source, stream.target) for stream in streams])
    columns = range(len(layout.columns))
    label = max([70.0, *(26 + 7.2 * (len(stream.flow) + len(stream.name)) for stream in streams)])
    gaps = [label + 14 + LANE * (1 + _passing(layout, k)) for k in columns]
    row = _rows([box + gap for gap in gaps], folded=not layout.backward)
    left = [MARGIN + LANE * (2 if row[k] else 0) + sum(box + gaps[j] for j in range(k) if row[j] == row[k]) for k in columns]
    heights = [sum(ROW if isinstance(node, str) else PASSING for node in column) for column in layout.columns]
    middle: dict[object, float] = {}
    top, bottom = MARGIN / 2, []
    for number in range(max(row, default=-1) + 1):
        here = [k for k in columns if row[k] == number]
        tallest = max(heights[k] for k in here)
        for k in here:
            y = top + (tallest - heights[k]) / 2
            for node in layout.columns[k]:
                step = ROW if isinstance(node, str) else PASSING
                middle[node] = y + step / 2 + (10 if isinstance(node, str) else 0)
                y += step
        bottom.append(top + tallest)
        top = bottom[-1] + LANE * (2 + _passing(layout, here[-1]))
    rank = {node: k for k, column in enumerate(layout.columns) for node in column}
    outside = max([0.0, *(20 + 6.6 * len(unit.leaving) for unit in units if unit.leaving)])
    width = max(left, default=0) + box + MARGIN + outside
    height = (bottom[-1] if bottom else MARGIN / 2 + ROW) + MARGIN / 2 + RECYCLE * len(layout.backward)
    return Plan(streams, layout, rank, box, left, gaps, middle, width, height, row, bottom)


def _rows(widths: Sequence[float], *, folded: bool) -> list[int]:
    """Return the row of each column: as few rows as keep within the widest, of about the same width."""
    total = sum(widths)
    rows = -(-int(total) // WIDEST_ROW) if folded else 1
    before = [sum(widths[:k]) + widths[k] / 2 for k in range(len(widths))]
    return [min(int(x / total * rows), rows - 1) for x in before]


def _passing(layout: Layout, column: int) -> int:
    """Return how many streams pass between a column and the next."""
    here = set(layout.columns[column])
    return sum(1 for k, path in enumerate(layout.paths) if k not in layout.backward and any(node in here for node in path[:-1]))


def _ends(k: int, plan: Plan) -> tuple[float, float]:
    """Return the heights at which a stream leaves its source and enters its target, spread over their sides."""

    def spread(siblings: list[int], neighbor: int) -> float:
        ordered = sorted(siblings, key=lambda j: plan.middle[plan.layout.paths[j][neighbor]])
        return (ordered.index(k) - (len(ordered) - 1) / 2) * min(18, (BOX_HEIGHT - 12) / len(ordered))

    forward = [j for j in range(len(plan.streams)) if j not in plan.layout.backward]
    stream = plan.streams[k]
    out = spread([j for j in forward if plan.streams[j].source == stream.source], 1)
    into = spread([j for j in forward if plan.streams[j].target == stream.target], -2)
    return plan.middle[stream.source] + out, plan.middle[stream.target] + into


def _stream_svg(k: int, plan: Plan) -> str:
    stream, layout = plan.streams[k], plan.layout
    source, target = plan.rank[stream.source], plan.rank[stream.target]
    x = plan.left[source] + plan.box
    if k in layout.backward:
        y = plan.height - MARGIN / 2 - RECYCLE * sorted(layout.backward).index(k)
        start, end = (plan.middle[unit] + BOX_HEIGHT / 2 for unit in (stream.source, stream.target))
        x0, x1 = x - plan.box * 0.2, plan.left[target] + plan.box * (0.2 if source != target else 0.5)
        return _arrow(f"M{x0:g} {start:g}V{y:g}H{x1:g}V{end:g}") + _tag(stream, (x0 + x1) / 2 - 30, y)
    y, last = _ends(k, plan)
    path, here = f"M{x:g} {y:g}", y
    for node in layout.paths[k][1:]:
        column = plan.rank[node] - 1
        there = last if node == stream.target else plan.middle[node]
        lane = LANE * _lane(k, column, plan)
        turn, edge = plan.left[column] + plan.box + plan.gaps[column] - 18 - lane, plan.left[column + 1]
        if plan.row[column] == plan.row[column + 1]:
            path += _bend(turn, here, there)
        else:
            path += f"H{turn:g}V{plan.bottom[plan.row[column]] + LANE + lane:g}H{edge - LANE - lane:g}V{there:g}"
        path += f"H{edge + (0 if node == stream.target else plan.box):g}"
        here = there
    return _arrow(path) + _tag(stream, x + 8, y)


def _lane(k: int, column: int, plan: Plan) -> int:
    """Return the vertical lane in which a stream changes its height behind a column; far ways turn first."""
    ways = [
        (abs(plan.middle[a] - plan.middle[b]), j)
        for j, path in enumerate(plan.layout.paths)
        if j not in plan.layout.backward
        for a, b in pairwise(path)
        if plan.rank[a] == column
    ]
    return [j for _, j in sorted(ways)].index(k)


def _bend(x: float, start: float, end: float) -> str:
    """Return a path that changes its height at ``x``, with rounded corners."""
    if abs(end - start) < 0.5:
        return f"V{end:g}"
    radius = min(7.0, abs(end - start) / 2)
    way = radius if end > start else -radius
    return f"H{x - radius:g}Q{x:g} {start:g} {x:g} {start + way:g}V{end - way:g}Q{x:g} {end:g} {x + radius:g} {end:g}"


def _arrow(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="{STREAM_COLOR}" stroke-width="1.8" marker-end="url(#tip)"/>'


def _tag(stream: DrawnStream, x: float, y: float) -> str:
    width = 8 + 7 * len(stream.name)
    return (
        f'<rect x="{x:g}" y="{y - 21:g}" width="{width}" height="16" rx="8" fill="#0B4F8A"/>'
        f'<text x="{x + width / 2:g}" y="{y - 9:g}" text-anchor="middle" class="tag">{text(stream.name)}</text>'
        f'<text x="{x + width + 4:g}" y="{y - 9:g}" class="flow">{text(stream.flow)}</text>'
    )


def _unit_svg(unit: DrawnUnit, plan: Plan, has_outlet: bool) -> str:
    x, center = plan.left[plan.rank[unit.name]], plan.middle[unit.name]
    y = center - BOX_HEIGHT / 2
    kind = unit.type.replace("_", " ")
    parts = [
        f"<g><title>{text(unit.name)} ({text(kind)})</title>",
        f'<rect x="{x:g}" y="{y:g}" width="{plan.box:g}" height="{BOX_HEIGHT}" rx="7" class="unit"/>',
        f'<g transform="translate({x + 9:g} {center - 18:g})" class="icon">{icon(unit.type)}</g>',
        f'<text x="{x + ICON:g}" y="{center - 3:g}" class="name">{text(_shortened(unit.name))}</text>',
        f'<text x="{x + ICON:g}" y="{center + 13:g}" class="kind">{text(_shortened(kind))}</text>',
    ]
    if unit.entering:
        parts.append(_arrow(f"M{x + 27:g} {y - 28:g}V{y:g}"))
        parts.append(f'<text x="{x + 36:g}" y="{y - 14:g}" class="outside">{text(unit.entering)}</text>')
    if unit.leaving and has_outlet:
        parts.append(_arrow(f"M{x + 27:g} {y + BOX_HEIGHT:g}v28"))
        parts.append(f'<text x="{x + 36:g}" y="{y + BOX_HEIGHT + 20:g}" class="outside">{text(unit.leaving)}</text>')
    elif unit.leaving:
        parts.append(_arrow(f"M{x + plan.box:g} {center:g}h{16 + 6.6 * len(unit.leaving):g}"))
        parts.append(f'<text x="{x + plan.box + 8:g}" y="{center - 9:g}" class="outside">{text(unit.leaving)}</text>')
    return "".join(parts) + "</g>"


def _shortened(words: str) -> str:
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"
