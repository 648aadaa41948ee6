"""The command line: ``flowsheet check | run | trace | report | show | units | verify``.

Data go to stdout, logs and errors to stderr. Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

INTERNAL, USAGE, MISSED, INTERRUPTED, TERMINATED = 1, 2, 10, 130, 143


class _Usage(Exception):
    """The command line itself cannot be understood."""


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest command or option and leaves ending the program to :func:`main`."""

    def error(self, message: str) -> NoReturn:
        raise _Usage(f"{message}{self._suggestion(message)}; hint: {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse would hide that its help cannot be written
        if file is sys.stderr:
            _tell(message.removesuffix("\n"))
        else:
            _print(message.removesuffix("\n"))

    def _suggestion(self, message: str) -> str:
        words = message.rpartition(": ")[2].split()
        wrong = words[0].strip("'\"") if message.startswith("unrecognized") and words else ""
        if "invalid choice: " in message:
            wrong = message.partition("invalid choice: ")[2].split(" (")[0].strip("'\"")
        known = [name for action in self._actions for name in (*action.option_strings, *(action.choices or ()))]
        # what a command does not know comes back to the parser above it
        below = [action.choices.values() for action in self._actions if isinstance(action.choices, dict)]
        known += [name for parsers in below for parser in parsers for action in parser._actions for name in action.option_strings]
        if not wrong:
            return ""
        from solvers.suggest import did_you_mean

        hint = did_you_mean(wrong.partition("=")[0], known)
        return f"; {hint}" if hint else ""


class _Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (the table stands in ``docs/command_line.md``)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug, as_json = "--debug" in arguments, "--json" in arguments
    previous = _listen_to_sigterm()
    try:
        code = _perform(arguments)
        with _stdout() as stream:
            stream.flush()
        return code
    except _Usage as error:
        return _fail(USAGE, [str(error)], as_json)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, ["interrupted"], as_json)
    except _Terminated:
        return _fail(TERMINATED, ["terminated"], as_json)
    except BrokenPipeError:
        # whoever read our output has seen enough
        _discard_stdout()
        return 0
    except Exception as error:
        return _report_error(error, debug, as_json)
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _perform(arguments: Sequence[str]) -> int:
    try:
        options = _parse(arguments)
    except SystemExit as end:
        # help was asked for and is printed
        return int(end.code or 0)
    return int(options.command(options))


def _listen_to_sigterm() -> Any:
    def end(*_: object) -> None:
        raise _Terminated

    try:
        return signal.signal(signal.SIGTERM, end)
    except ValueError:
        # not in the main thread: whoever called us listens
        return None


def _report_error(error: Exception, debug: bool, as_json: bool) -> int:
    from flowsheet.problems import ProblemsError
    from solvers.errors import FlowsheetError

    if debug:
        traceback.print_exc()
    if isinstance(error, ProblemsError):
        more = [f"... and {error.omitted} more"] if error.omitted else []
        return _fail(error.exit_code, [*map(str, error.problems), *more], as_json, [problem.as_dict() for problem in error.problems])
    if isinstance(error, FlowsheetError):
        return _fail(error.exit_code, [str(error)], as_json, [{"message": error.message, "names": list(error.names), "hint": error.hint}])
    text = f"internal error: {type(error).__name__}: {error}; hint: please report it with what --debug prints"
    return _fail(INTERNAL, [text], as_json)


def _fail(code: int, lines: Sequence[str], as_json: bool, problems: Sequence[dict[str, Any]] | None = None) -> int:
    if as_json:
        told = {"status": "error", "exit_code": code, "problems": problems or [{"message": line} for line in lines]}
        _tell(json.dumps(told, ensure_ascii=False))
    else:
        for line in lines:
            _tell(f"error: {line}")
    return code


def _print(text: str) -> None:
    """Print a line of data."""
    with _stdout() as stream:
        stream.write(_shown(text, stream))


def _tell(text: str) -> None:
    """Print a line for people to stderr; if nobody can be told, the exit code still stands."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(_shown(text, sys.stderr))
        sys.stderr.flush()
    except OSError:
        sys.stderr = None  # or Python would try again when it ends, and end with 120


def _shown(text: str, stream: TextIO) -> str:
    """Return the text as a line; characters that the terminal cannot show are written as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding) + "\n"


@contextmanager
def _stdout() -> Iterator[TextIO]:
    """Lend stdout; what makes it unwritable is an error of the output, except that a reader may stop reading."""
    stream: TextIO | None = sys.stdout
    if stream is None:
        from solvers.errors import OutputError

        raise OutputError("stdout is closed", hint="redirect it to /dev/null if the output is not wanted")
    try:
        yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_stdout()
        from solvers.errors import OutputError

        raise OutputError(f"stdout cannot be written: {error.strerror}", hint="check free space where it is redirected to") from error


def _discard_stdout() -> None:
    """Let nothing more be flushed into what cannot be written, on the way out either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


# --- the parser -------------------------------------------------------------------------------------------------------


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="flowsheet", description="Dynamic flowsheet simulation of pharmaceutical manufacturing lines.", allow_abbrev=False
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="name", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(command=command, list=None)
        sub.add_argument("--json", action="store_true", help="data and errors as JSON")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.add_argument("--quiet", action="store_true", help="no progress, no warnings")
        return sub

    def add_case(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("case", metavar="CASE", help="a folder with case.toml, or a TOML file; of a case or of a campaign")
        sub.add_argument(
            "--set", dest="overrides", metavar='UNIT.KEY="VALUE"', action="append", default=[], help="override the case; repeatable"
        )
        sub.add_argument("--strict", action="store_true", help="take warnings for errors")

    check = add("check", _check, "Check a case: all that a run does before it integrates.")
    add_case(check)
    run = add("run", _run, "Simulate a case and write results and report.")
    add_case(run)
    run.add_argument("--out", metavar="DIR", help="folder for the results (default: results/<case name>)")
    run.add_argument("--force", action="store_true", help="replace results that are there already")
    trace = add("trace", _trace, "Follow lots and disturbances of a case through the line; funnel plots and diversions.")
    add_case(trace)
    trace.add_argument("--threshold", metavar="SHARE", help='share from which something is there, such as "2 %%" (trace.threshold)')
    trace.add_argument("--lot", dest="lots", metavar="MATERIAL", action="append", default=[], help="follow this material; repeatable")
    trace.add_argument("--out", metavar="DIR", help="folder for trace.json and trace.html (default: nothing is written)")
    trace.add_argument("--force", action="store_true", help="replace a trace that is there already")
    trace.add_argument("--csv", action="store_true", help="all numbers but courses as CSV in SI")
    report = add("report", _report, "Write the report of results anew.")
    report.add_argument("results", metavar="RESULTS", help="a results folder or its results.h5")
    report.add_argument("--out", metavar="FILE", help="where to write (default: report.html beside the results)")
    show = add("show", _show, "Print variables of results.")
    show.add_argument("results", metavar="RESULTS", help="a results folder or its results.h5")
    show.add_argument("variables", metavar="VARIABLE", nargs="*", help="a variable, a unit, or a pattern with *; all if none is named")
    show.set_defaults(list="variables")
    show.add_argument("--csv", action="store_true", help="the whole course of the variables, as CSV in SI")
    units = add("units", _units, "List the types of units with their parameters.")
    units.add_argument("types", metavar="TYPE", nargs="*", help="only these types")
    units.set_defaults(list="types")
    units.add_argument("--csv", action="store_true", help="the parameters as CSV")
    verify = add("verify", _verify, "Compare with published values, closed forms and other codes.")
    verify.add_argument("names", metavar="NAME", nargs="*", help="only these rungs or groups of rungs")
    verify.set_defaults(list="names")
    verify.add_argument("--list", dest="only_list", action="store_true", help="say what would be compared, and with what")
    verify.add_argument("--csv", action="store_true", help="one line per run, as CSV")
    options = _with_late_names(parser, *parser.parse_known_args(arguments))
    if options.version:
        options.command = _version
    elif options.name is None:
        parser.print_help(sys.stderr)
        raise _Usage("a command is missing")
    return options


def _with_late_names(parser: _Parser, options: argparse.Namespace, extra: list[str]) -> argparse.Namespace:
    """Give names that stand behind an option to the command's list: argparse takes a list for ended (here: empty) there."""
    into = getattr(options, "list", None)
    unknown = [word for word in extra if into is None or word.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if into is not None:
        getattr(options, into).extend(extra)
    return options


# --- commands ---------------------------------------------------------------------------------------------------------


def _version(options: argparse.Namespace) -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        _print(f"flowsheet {version('pharmaflowsheet')}")
    except PackageNotFoundError:
        _print("flowsheet (not installed)")
    return 0


def _load(options: argparse.Namespace) -> Any:
    from flowsheet.campaign_load import load

    case = load(options.case, options.overrides, strict=options.strict)
    if not options.quiet:
        for warning in case.warnings:
            _tell(f"warning: {warning}")
    return case


def _check(options: argparse.Namespace) -> int:
    case = _load(options)
    from flowsheet.campaign import Campaign

    if isinstance(case, Campaign):
        return _check_campaign(options, case)
    from flowsheet.run import check_case

    system = check_case(case)
    counts = {
        "units": len(case.units),
        "streams": len(case.streams),
        "states": len(system.states),
        "algebraics": len(system.algebraics),
        "events": len(system.events),
    }
    if options.json:
        warnings = [warning.as_dict() for warning in case.warnings]
        _print(json.dumps({"status": "ok", "case": case.name, **counts, "warnings": warnings}, ensure_ascii=False))
    else:
        _print(f"{case.name}: ok; " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return 0


def _check_campaign(options: argparse.Namespace, campaign: Any) -> int:
    from flowsheet.campaign_run import check_campaign

    systems = check_campaign(campaign)
    states = {stage: len(system.states) for stage, system in systems.items()}
    if options.json:
        warnings = [warning.as_dict() for warning in campaign.warnings]
        _print(json.dumps({"status": "ok", "campaign": campaign.name, "states": states, "warnings": warnings}, ensure_ascii=False))
    else:
        _print(f"{campaign.name}: ok; " + ", ".join(f"{stage}: {count} states" for stage, count in states.items()))
    return 0


def _run(options: argparse.Namespace) -> int:
    from pathlib import Path

    from flowsheet.progress import Progress

    progress = Progress(quiet=options.quiet)
    progress.start("reading the case")
    try:
        case = _load(options)
        from flowsheet.campaign import Campaign
        from flowsheet.campaign_run import perform_campaign
        from flowsheet.run import perform

        folder = Path(options.out) if options.out is not None else Path("results") / case.name
        if options.force and not options.quiet and any((folder / name).exists() for name in ("results.h5", "campaign.json")):
            _tell(f"replacing the results in {folder} (--force)")
        outcome: Any
        if isinstance(case, Campaign):
            outcome = perform_campaign(case, folder, force=options.force, on_phase=progress.start)
        else:
            outcome = perform(case, folder, force=options.force, on_phase=lambda phase: progress.start(phase.value))
    finally:
        progress.stop()
    from flowsheet.summary import campaign_json, campaign_text, summary_json, summary_text

    as_json, as_text = (campaign_json, campaign_text) if isinstance(case, Campaign) else (summary_json, summary_text)
    _print(json.dumps(as_json(outcome), ensure_ascii=False) if options.json else as_text(outcome))
    return 0


def _trace(options: argparse.Namespace) -> int:
    from pathlib import Path

    from flowsheet.progress import Progress

    progress = Progress(quiet=options.quiet)
    progress.start("reading the case")
    try:
        from flowsheet.case_load import load_case
        from flowsheet.trace.perform import perform_trace

        own = [f"trace.threshold={options.threshold}"] if options.threshold is not None else []
        own += [f"trace.lots={json.dumps(options.lots)}"] if options.lots else []
        case = load_case(options.case, [*options.overrides, *own], strict=options.strict)
        if not options.quiet:
            for warning in case.warnings:
                _tell(f"warning: {warning}")
        folder = None if options.out is None else Path(options.out)
        trace, report = perform_trace(case, folder, force=options.force, on_phase=progress.start)
    finally:
        progress.stop()
    from flowsheet.trace.output import trace_csv, trace_json
    from flowsheet.trace.text import trace_text

    as_json = [json.dumps(trace_json(trace), ensure_ascii=False)] if options.json else []
    for line in as_json or (trace_csv if options.csv else trace_text)(trace):
        _print(line)
    if report is not None and not (options.json or options.csv):
        _print(f"report: {report}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from flowsheet.report import write_report

    written = write_report(options.results, options.out)
    _print(json.dumps({"report": str(written)}) if options.json else str(written))
    return 0


def _show(options: argparse.Namespace) -> int:
    from flowsheet.results_read import open_results
    from flowsheet.summary import show_csv, show_json, show_text

    results = open_results(options.results)
    write = show_csv if options.csv else show_json if options.json else show_text
    for line in write(results, options.variables):
        _print(line)
    return 0


def _units(options: argparse.Namespace) -> int:
    from flowsheet.registry import type_names, unit_type
    from flowsheet.summary import units_csv, units_json, units_text

    types = [unit_type(name) for name in options.types or type_names()]
    write = units_csv if options.csv else units_json if options.json else units_text
    for line in write(types):
        _print(line)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from flowsheet.progress import Progress
    from flowsheet.verify import ladder, table
    from flowsheet.verify.rung import climb

    rungs = ladder.chosen(options.names)
    as_text = not (options.json or options.csv)
    if options.only_list:
        for line in [json.dumps([table.described(rung) for rung in rungs])] if options.json else table.list_lines(rungs):
            _print(line)
        return 0
    results = []
    for number, rung in enumerate(rungs, start=1):
        progress = Progress(quiet=options.quiet)
        progress.start(f"{rung.name} ({number} of {len(rungs)})")
        try:
            scores = climb(rung)
        finally:
            progress.stop()
        results.append((rung, scores))
        for line in table.rung_lines(rung, scores) if as_text else ():
            _print(line)
    if options.json:
        _print(json.dumps(table.as_json(results), ensure_ascii=False))
    for line in table.csv_lines(results) if options.csv else ():
        _print(line)
    if as_text:
        _print(table.summary_line(results))
    return 0 if all(table.passes(scores) for _, scores in results) else MISSED


if __name__ == "__main__":
    sys.exit(main())
