"""Entry point of the command line."""

import sys


def main() -> None:
    """Run the command line."""
    from qwendesk.cli.main import app
    from qwendesk.logs import report_uncaught

    sys.excepthook = report_uncaught
    app()


if __name__ == "__main__":
    main()
