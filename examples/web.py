"""Serve a page of your own that streams answers: python examples/web.py, then open http://127.0.0.1:8000."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.routing import Route

from qwendesk import Desk, TextDelta

PAGE = """<!doctype html><title>Ask</title><form><input name=q autofocus><button>Ask</button></form><p id=answer></p>
<script>
document.forms[0].onsubmit = async event => {
  event.preventDefault();
  const reply = await fetch("/ask?q=" + encodeURIComponent(event.target.q.value));
  answer.textContent = "";
  for await (const piece of reply.body.pipeThrough(new TextDecoderStream())) answer.textContent += piece;
};
</script>"""


async def page(request: Request) -> HTMLResponse:
    """Return the page."""
    return HTMLResponse(PAGE)


async def ask(request: Request) -> StreamingResponse:
    """Stream the answer to ``q``."""

    async def pieces() -> AsyncIterator[str]:
        async for event in request.app.state.desk.stream(request.query_params["q"]):
            if isinstance(event, TextDelta):
                yield event.text

    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open one desk for all requests."""
    async with Desk() as app.state.desk:
        yield


app = Starlette(routes=[Route("/", page), Route("/ask", ask)], lifespan=lifespan)

if __name__ == "__main__":
    uvicorn.run(app)
