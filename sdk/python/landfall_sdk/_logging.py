"""`logging` and `print` as log lines of the attempt."""

from __future__ import annotations

import io
import logging
import sys

from . import log
from ._trace import described


class LogHandler(logging.Handler):
    """Writes records of `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _function(record.levelno)("%s", self.format(record))
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    def formatException(self, ei: object) -> str:
        error = ei[1] if isinstance(ei, tuple) else None
        return described(error) if isinstance(error, BaseException) else ""


def _function(level: int) -> log.Line:
    if level >= logging.ERROR:
        return log.error
    if level >= logging.WARNING:
        return log.warn
    if level >= logging.INFO:
        return log.info
    return log.debug if level >= logging.DEBUG else log.trace


class LogStream(io.TextIOBase):
    """A stream whose lines are log lines: `sys.stdout` and `sys.stderr`."""

    def __init__(self, line: log.Line) -> None:
        self._line = line
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._line("%s", line)
        return len(text)

    def close_line(self) -> None:
        """Writes what has no end of line yet."""
        if self._rest:
            self.write("\n")


def install() -> None:
    """Makes `logging` write log lines, from the level `info` on. `logging.getLogger().setLevel(…)` changes the level."""
    handler = LogHandler()
    handler.setFormatter(_Formatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def redirect() -> tuple[LogStream, LogStream]:
    """Makes `print` write log lines."""
    out, err = LogStream(log.info), LogStream(log.warn)
    sys.stdout, sys.stderr = out, err
    return out, err
