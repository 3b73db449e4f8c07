"""Entry point of the command line."""

import gc
import sys


def main() -> None:
    """Run the command line."""
    # what is imported now stays to the end: looking for garbage in it would only cost time
    gc.disable()
    from qwendesk.cli.main import app
    from qwendesk.logs import report_uncaught

    sys.excepthook = report_uncaught
    gc.freeze()
    gc.enable()
    app()


if __name__ == "__main__":
    main()
