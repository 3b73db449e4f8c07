"""Entry point of the command line."""

import gc


def main() -> None:
    """Run the command line."""
    # what is imported now stays to the end: looking for garbage in it would only cost time
    gc.disable()
    from qwendesk.cli.main import app

    gc.freeze()
    gc.enable()
    app()


if __name__ == "__main__":
    main()
