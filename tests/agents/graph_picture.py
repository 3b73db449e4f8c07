"""The picture of the graph in docs/explanation/architecture.md.

python -m tests.agents.graph_picture writes it anew.
"""

from pathlib import Path

from qwendesk.agents.graph import build_graph

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "architecture.md"
BEGIN, END = "<!-- graph: begin -->\n", "<!-- graph: end -->\n"


def drawn() -> str:
    """Return the compiled graph, with the graph of a sub-question, as a Mermaid block."""
    return f"```mermaid\n{build_graph().get_graph(xray=True).draw_mermaid().strip()}\n```\n"


def in_page() -> str:
    """Return the block in the page."""
    return _split(PAGE.read_text("utf-8"))[1]


def write() -> None:
    """Put the graph as it is compiled into the page."""
    before, _, after = _split(PAGE.read_text("utf-8"))
    PAGE.write_text(f"{before}{BEGIN}{drawn()}{END}{after}", "utf-8")


def _split(text: str) -> tuple[str, str, str]:
    before, _, rest = text.partition(BEGIN)
    block, _, after = rest.partition(END)
    return before, block, after


if __name__ == "__main__":
    write()
