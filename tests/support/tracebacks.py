"""Tracebacks as crash reporters show them."""

from traceback import TracebackException


def traceback_text(error: BaseException, with_locals: bool) -> str:
    """The error and every error behind it, frame by frame below the caller's own."""
    errors, text = [error], ""
    for exception in errors:
        trace = exception.__traceback__
        if exception is error and trace:
            trace = trace.tb_next
        report = TracebackException(type(exception), exception, trace, capture_locals=with_locals)
        text += f"{exception!r}\n" + "".join(report.format(chain=False))
        errors += [cause for cause in (exception.__cause__, exception.__context__) if cause and cause not in errors]
    return text
