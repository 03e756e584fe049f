"""Text for a person: works in a terminal, in a pipe, in a log file, with a closed stdout and without UTF-8."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO


class Output:
    """Writes lines to a stream and never lets the stream stop a training run.

    Characters the stream cannot encode are replaced; a stream that is closed, or whose reader has gone (``| head``),
    is noticed once and then left alone.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.open = self.stream is not None

    def say(self, text: str = "") -> None:
        if not self.open:
            return
        encoding = getattr(self.stream, "encoding", None) or "ascii"
        try:
            self.stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
            self.stream.flush()
        except (OSError, ValueError):  # BrokenPipeError; "I/O operation on closed file"
            self.open = False

    @property
    def is_terminal(self) -> bool:
        try:
            return self.open and self.stream.isatty()
        except (OSError, ValueError):
            return False

    def can_write(self, text: str) -> bool:
        """Whether the stream's encoding has these characters (braille dots, say)."""
        try:
            text.encode(getattr(self.stream, "encoding", None) or "ascii")
            return True
        except (UnicodeEncodeError, LookupError):
            return False


def table(
    header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = (), at_least: Sequence[int] = ()
) -> list[str]:
    """Lines of a plain table: columns as wide as their content and ``at_least``, those in ``right`` flush right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    widths = [max(pair) for pair in zip(widths, at_least, strict=True)] if at_least else widths

    def line(row: Sequence[str]) -> str:
        padded = (row[i].rjust(width) if i in right else row[i].ljust(width) for i, width in enumerate(widths))
        return "  ".join(padded).rstrip()

    return [line(cells[0]), "  ".join("-" * width for width in widths), *map(line, cells[1:])]


def seconds_text(seconds: float) -> str:
    """``8 s``, ``2:05``, ``1:02:05``: a duration as short as it can be said."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds != whole else f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
