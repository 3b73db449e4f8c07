"""Entry point of the command line."""

import sys
from types import TracebackType


def main() -> None:
    """Run the command line."""
    from qwendesk.cli.main import app

    sys.excepthook = report_uncaught
    app()


def report_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write an uncaught error to stderr without secrets; used as ``sys.excepthook``."""
    # imported here, so that 'qwendesk --help' does not compile the patterns of secrets
    from traceback import format_exception

    from qwendesk.printable import many_lines
    from qwendesk.redaction import redact

    sys.stderr.write(redact(many_lines("".join(format_exception(kind, error, trace)))))


if __name__ == "__main__":
    main()
