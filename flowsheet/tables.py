"""Tables made from the courses of variables: balances, specifications, streams, summaries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowsheet.results import BalanceRow, FitRow, Measurement, Results, SpecificationRow, StreamRow, UniformityRow, split_name
from flowsheet.sizes import sizes_of_case
from flowsheet.uniformity import STAGE_1, STAGE_2, TRIALS, acceptance_value, pass_probabilities, take_sample
from units.stream import MEASURES, VOLUME

Interval = tuple[float, float]


# --- balances -------------------------------------------------------------------------------------------------------


def balance_row(
    component: str, entered: np.ndarray, left: np.ndarray, inventory: np.ndarray, reacted: float = 0.0, unit: str = "kg"
) -> BalanceRow:
    """Balance one component over a run.

    Parameters
    ----------
    component : its name.
    entered, left : (n,) amounts integrated from the flows across the boundary, beside the states.
    inventory : (n,) amount that the units hold.
    reacted : amount made by reaction (negative if consumed), integrated as well.
    unit : of the amounts.

    >>> row = balance_row("api", np.array([0.0, 3.0]), np.array([0.0, 1.0]), np.array([5.0, 7.0]))
    >>> row.accumulated, row.residual, row.closes
    (2.0, 0.0, True)
    """
    came, went = float(entered[-1] - entered[0]), float(left[-1] - left[0])
    accumulated = float(inventory[-1] - inventory[0])
    residual = came + reacted - went - accumulated
    scale = max(abs(came), abs(went), abs(reacted), float(np.max(np.abs(inventory))))
    # nothing handled leaves nothing to lose; a NaN anywhere has to stay one
    relative = residual / scale if scale != 0.0 else residual
    return BalanceRow(component, came, went, accumulated, reacted, residual, relative, unit)


# --- specifications ---------------------------------------------------------------------------------------------------


def intervals_beyond(t: np.ndarray, y: np.ndarray, limit: float) -> tuple[Interval, ...]:
    """Return the time intervals during which ``y`` lies strictly above ``limit``.

    Between points ``y`` is a straight line, so that crossing times are exact for it; a segment with an end that is not
    finite belongs to no interval. For "below", pass ``-y`` and ``-limit``.

    >>> intervals_beyond(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 0.0]), 1.0)
    ((0.5, 1.5),)
    """
    excess = np.asarray(y, dtype=float) - limit
    found: list[Interval] = []
    with np.errstate(invalid="ignore"):
        touched = np.flatnonzero((excess[:-1] > 0) | (excess[1:] > 0))
    for k in touched:
        first, last = excess[k], excess[k + 1]
        if not (math.isfinite(first) and math.isfinite(last)):
            continue
        start, end = float(t[k]), float(t[k + 1])
        if first <= 0:
            start += (end - start) * float(first / (first - last))
        elif last <= 0:
            end -= (end - start) * float(last / (last - first))
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def intervals_outside(t: np.ndarray, y: np.ndarray, lower: float, upper: float) -> tuple[Interval, ...]:
    """Return the intervals during which ``y`` is below ``lower`` or above ``upper`` (NaN: no such limit), in order."""
    above = () if math.isnan(upper) else intervals_beyond(t, y, upper)
    below = () if math.isnan(lower) else intervals_beyond(t, -y, -lower)
    return tuple(sorted(above + below))


def specification_row(
    t: np.ndarray,
    y: np.ndarray,
    *,
    variable: str,
    label: str = "",
    unit: str = "",
    lower: float = math.nan,
    target: float = math.nan,
    upper: float = math.nan,
    after: float = 0.0,
) -> SpecificationRow:
    """Hold the course ``y`` (n,) at times ``t`` (n,) against its limits (SI; NaN where there is none), which hold from ``after`` (s) on.

    Extremes and mean are those of the points and stretches at which the attribute is finite.

    >>> row = specification_row(np.array([0.0, 10.0, 20.0]), np.array([0.0, 2.0, 0.0]), variable="press.assay", upper=1.5)
    >>> row.time_above, row.met
    (5.0, False)
    """
    t, y = course_after(t, np.asarray(y, dtype=float), after)
    defined = np.isfinite(y)
    outside = ~defined | (y < lower) | (y > upper)
    steps = np.diff(t)
    sound = defined[:-1] & defined[1:]
    covered = float(steps[sound].sum())
    mean = float((steps * (y[:-1] + y[1:]) / 2)[sound].sum() / covered) if covered > 0 else float(y[-1])
    return SpecificationRow(
        variable=variable,
        label=label or variable,
        unit=unit,
        lower=lower,
        target=target,
        upper=upper,
        minimum=float(np.min(y[defined])) if defined.any() else math.nan,
        maximum=float(np.max(y[defined])) if defined.any() else math.nan,
        mean=mean,
        time_below=0.0 if math.isnan(lower) else total(intervals_beyond(t, -y, -lower)),
        time_above=0.0 if math.isnan(upper) else total(intervals_beyond(t, y, upper)),
        time_undefined=float(steps[~sound].sum()),
        duration=float(t[-1] - t[0]),
        points_outside=int(outside.sum()),
        after=after,
    )


def course_after(t: np.ndarray, y: np.ndarray, after: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what a course (n,) is from a time on, straight lines between its points; not a number if it does not reach that time.

    >>> course_after(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 4.0]), 0.5)
    (array([0.5, 1. , 2. ]), array([1., 2., 4.]))
    """
    if after <= t[0]:
        return t, y
    if after > t[-1]:
        return np.array([after]), np.array([math.nan])
    later = t > after
    return np.append(after, t[later]), np.append(np.interp(after, t, y), y[later])


# --- content uniformity -----------------------------------------------------------------------------------------------


def uniformity_row(t: np.ndarray, content: np.ndarray, entry: Mapping[str, Any]) -> UniformityRow:
    """Take a virtual sample of tablets and test it by USP <905>.

    Parameters
    ----------
    t, content : (n,) times (s) and drug in the tablets made then (kg).
    entry : the test as the resolved case has it (:class:`flowsheet.case.UniformitySpec`).
    """
    plain = {key: value["value"] if isinstance(value, Mapping) else value for key, value in entry.items()}
    target, seed = 100.0 * plain["target"], int(plain["seed"])
    shares = 100.0 * np.asarray(content, dtype=float) / plain["label_claim"]
    window, deviations = (plain["start"], plain["end"]), (plain["within_blend_rsd"], plain["other_rsd"])
    sample = take_sample(t, shares, window, int(plain["tablets"]), deviations, seed)
    stages = [acceptance_value(sample.contents[:number], target) for number in (STAGE_1, STAGE_2)]
    numbers: dict[str, Any] = {
        f"{name}_{stage}": float(getattr(found, attribute))
        for stage, found in enumerate(stages, start=1)
        for name, attribute in (("mean", "mean"), ("deviation", "deviation"), ("reference", "reference"), ("acceptance_value", "value"))
    }
    first, either = pass_probabilities(t, shares, window, deviations, target, seed)
    return UniformityRow(
        label=plain["label"] or "Content uniformity",
        target=target,
        seed=seed,
        times=tuple(sample.times.tolist()),
        contents=tuple(sample.contents.tolist()),
        **{name: plain[name] for name in ("assay", "mass", "label_claim", "within_blend_rsd", "other_rsd", "start", "end")},
        **numbers,
        pass_probability_1=first,
        pass_probability=either,
        trials=TRIALS,
    )


def total(intervals: Iterable[Interval]) -> float:
    """Return the summed length of intervals."""
    return math.fsum(end - start for start, end in intervals)


# --- measured data ----------------------------------------------------------------------------------------------------


def fit_row(t: np.ndarray, y: np.ndarray, measured: Sequence[Measurement]) -> FitRow:
    """Hold the course ``y`` (n,) at times ``t`` (n,) against what was measured of it until the end of the run (SI).

    Between points ``y`` is a straight line; a run has a point at every sample.

    >>> samples = [Measurement("tank.level", "m", t, y, 0.5, "samples.csv") for t, y in ((0.0, 1.0), (1.0, 2.0), (9.0, 9.0))]
    >>> row = fit_row(np.array([0.0, 2.0]), np.array([1.0, 2.0]), samples)
    >>> row.samples, row.compared, row.r_squared, row.rms == 0.125**0.5, row.normalized
    (3, 2, 0.5, True, 0.5)
    """
    first = measured[0]
    reached = [row for row in measured if row.time <= t[-1] * (1 + 1e-12)]
    values, deviations = (np.array([getattr(row, name) for row in reached]) for name in ("value", "deviation"))
    misfit = np.interp([row.time for row in reached], t, y) - values if reached else np.zeros(0)
    spread = float(np.sum((values - np.mean(values)) ** 2)) if reached else 0.0
    # values that differ by the rounding of their mean do not vary
    varies = reached and spread > len(reached) * (1e-14 * float(np.max(np.abs(values)))) ** 2
    weighted = np.isfinite(deviations)
    return FitRow(
        variable=first.variable,
        label=first.label,
        unit=first.unit,
        samples=len(measured),
        compared=len(reached),
        r_squared=1 - float(np.sum(misfit**2)) / spread if varies else math.nan,
        rms=float(np.sqrt(np.mean(misfit**2))) if reached else math.nan,
        weighted=int(weighted.sum()),
        normalized=float(np.mean((misfit[weighted] / deviations[weighted]) ** 2)) if weighted.any() else math.nan,
    )


# --- streams ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamTableRow:
    """One component (or all together, ``component=""``) of a stream: flows (kg/s), amount passed (kg), mass fractions (-).

    The mean flow is that over time; the mean fraction is what was in all that passed.
    """

    stream: StreamRow
    component: str
    flow_start: float
    flow_mean: float
    flow_end: float
    amount: float
    fraction_start: float
    fraction_mean: float
    fraction_end: float


def stream_table(results: Results) -> tuple[StreamTableRow, ...]:
    """Return for each stream of powder one row per component and one for the total, in the order of the case."""
    return tuple(row for stream in results.streams if not is_liquid(results, stream) for row in _stream_rows(results, stream))


def is_liquid(results: Results, stream: StreamRow) -> bool:
    """Return whether a stream is one of liquid."""
    return f"{stream.source}_{VOLUME}" in results.names


@dataclass(frozen=True, slots=True)
class LiquidTableRow:
    """One component of a stream of liquid, in ``unit`` (kg, mol, cell), or its volume (``component=""``, m3).

    Flows are per s, concentrations per m3. Amounts are integrals carried beside the states; the mean flow is that over time, the mean
    concentration that in all that passed, and not a number if nothing did.
    """

    stream: StreamRow
    component: str
    unit: str
    flow_mean: float
    flow_end: float
    amount: float
    concentration_mean: float


def liquid_table(results: Results) -> tuple[LiquidTableRow, ...]:
    """Return for each stream of liquid its volume and one row per component, in the order of the case."""
    return tuple(row for stream in results.streams if is_liquid(results, stream) for row in _liquid_rows(results, stream))


def _liquid_rows(results: Results, stream: StreamRow) -> list[LiquidTableRow]:
    duration = float(results.t[-1] - results.t[0])
    places = [("", "m^3", f"{stream.source}_{VOLUME}", f"balance.passed_volume[{stream.stream}]")]
    for measure in MEASURES:
        flow, passed = f"{stream.source}_{measure.flow}", f"balance.passed{measure.suffix}"
        for name in results.names:
            if name.startswith(f"{flow}["):
                component = split_name(name)[1][0]
                places.append((component, str(measure.unit), name, f"{passed}[{stream.stream},{component}]"))
    amounts = [float(results[passed][-1]) for _, _, _, passed in places]
    return [
        LiquidTableRow(
            stream=stream,
            component=component,
            unit=unit,
            flow_mean=amount / duration if duration > 0 else float(results[flow][0]),
            flow_end=float(results[flow][-1]),
            amount=amount,
            concentration_mean=_share(amount, amounts[0]),
        )
        for (component, unit, flow, _), amount in zip(places, amounts, strict=True)
    ]


def stream_flows(results: Results, stream: StreamRow) -> dict[str, np.ndarray]:
    """Return the mass flow (n,) in kg/s of each component of a stream; size classes, which tell the same mass again, are left out."""
    flow, sizes = results.field(f"{stream.source}_flow"), sizes_of_case(results.case)
    classes = () if sizes is None else sizes.names
    return {str(label): flow.values[:, k] for k, label in enumerate(flow.labels[0]) if label not in classes}


def _stream_rows(results: Results, stream: StreamRow) -> list[StreamTableRow]:
    flows = stream_flows(results, stream)
    whole = np.sum(list(flows.values()), axis=0)
    passed = float(np.trapezoid(whole, results.t))
    duration = float(results.t[-1] - results.t[0])
    rows = []
    for component, flow in [*flows.items(), ("", whole)]:
        amount = float(np.trapezoid(flow, results.t))
        rows.append(
            StreamTableRow(
                stream=stream,
                component=component,
                flow_start=float(flow[0]),
                flow_mean=amount / duration if duration > 0 else float(flow[0]),
                flow_end=float(flow[-1]),
                amount=amount,
                fraction_start=_share(flow[0], whole[0]),
                fraction_mean=_share(amount, passed),
                fraction_end=_share(flow[-1], whole[-1]),
            )
        )
    return rows


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else math.nan


# --- what `flowsheet show` prints -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """A variable in short: values at the start and end of the run, mean over time and extremes, in ``unit`` (SI)."""

    name: str
    unit: str
    start: float
    end: float
    mean: float
    minimum: float
    maximum: float
    doc: str


def show(results: Results, names: Sequence[str] = ()) -> tuple[SummaryRow, ...]:
    """Return one row per variable: what ``flowsheet show RESULTS [NAME ...]`` prints.

    Parameters
    ----------
    results : an opened result.
    names : variables (``press.assay``), components (``blender.mass``), units (``press``) or patterns (``*.outlet_total``);
        all variables if empty. A variable named twice gives one row.

    Raises
    ------
    UsageError : a name fits nothing; the nearest names are given.
    """
    chosen = dict.fromkeys(name for word in names for name in results.select(word)) if names else dict.fromkeys(results.names)
    return tuple(_summary(results, name) for name in chosen)


def _summary(results: Results, name: str) -> SummaryRow:
    y = results[name]
    duration = float(results.t[-1] - results.t[0])
    mean = float(np.trapezoid(y, results.t)) / duration if duration > 0 else float(y[0])
    return SummaryRow(name, results.unit(name), float(y[0]), float(y[-1]), mean, float(np.min(y)), float(np.max(y)), results.doc(name))


def series(results: Results, names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return header and rows of the courses of variables: what ``flowsheet show RESULTS NAME ... --csv`` prints.

    The header is ``("time [s]", "press.assay", "blender.mass[1,api] [kg]", ...)``, the array (n, 1 + variables) in SI.

    Raises
    ------
    UsageError : a name fits nothing; the nearest names are given.
    """
    chosen = tuple(dict.fromkeys(name for word in names for name in results.select(word)))
    header = tuple(f"{name} [{results.unit(name)}]" if results.unit(name) else name for name in chosen)
    return ("time [s]", *header), np.column_stack([results.t, *(results[name] for name in chosen)])
