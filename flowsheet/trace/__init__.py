"""Where lots and disturbances are, when they leave and in what: ``flowsheet trace``.

:func:`trace_case` simulates a case as often as it takes and returns a :class:`flowsheet.trace.run.Trace`. What is calculated from courses
stands in pure functions: passages in ``courses``, decisions of a gate in ``diversion``, funnel plots in ``funnel`` and ``tanks``.
"""

from flowsheet.trace.run import Trace, trace_case

__all__ = ["Trace", "trace_case"]
