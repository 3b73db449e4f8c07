"""The operators' pages at ``/desk``, rendered on the server with Jinja2 and htmx, under a strict content policy.

To add a page, write a class with an endpoint and its ``DeskPage``, and add it in ``all_pages``::

    class InboxPages:
        def __init__(self, tickets: Tickets) -> None:
            self._tickets = tickets

        def pages(self) -> list[DeskPage]:
            return [
                DeskPage("/desk/tickets", self._list, "viewer", nav="Tickets"),
                DeskPage("/desk/tickets/{number:int}/take", self._take, "operator", methods=("POST",)),
            ]

        async def _list(self, request: PageRequest) -> Response:
            return request.render("tickets.jinja", tickets=await self._tickets.open())

        async def _take(self, request: PageRequest) -> Response:
            form = await request.form()  # the CSRF token has been checked
            await self._tickets.take(request.path_params["number"], request.operator.id)
            return request.redirect("/desk/tickets", said="Taken.")

* A page states the least role that may call it; ``request.operator`` and ``request.actor`` (for the audit log) are
  then there. Reads are logged: ``request.services.audit.add_read(request.actor, "ticket.read", "ticket:12")``.
* A template extends ``base.jinja`` and fills the block ``main``; a fragment for htmx extends nothing. Each form has
  ``{{ csrf_field() }}``; htmx sends the token by itself. ``<form {{ post_to("/desk/...") }}>`` is sent by htmx where
  there are scripts: an error is shown above the page and leaves the form as it is.
* Each element with ``hx-`` attributes has ``hx-nonce="{{ nonce }}"``, or the attributes are removed. There are no
  inline scripts, styles or ``hx-on`` attributes: scripts and stylesheets are files in ``static/``, included with
  ``{{ static("name.js") }}`` and, for scripts, ``nonce``. ``{{ time | moment }}`` shows a time in the browser's zone.
* What people wrote is in an element with ``dir="auto"``. Styles use logical properties, as ``margin-inline-start``.
* Errors of ``qwendesk.errors`` and ``HTTPException`` that an endpoint raises become an error page, or for htmx a line
  in the element ``#alerts``.
* A stream (SSE) asks ``await request.is_open()`` now and then, and ends when the session does. Send names of events and
  let the page load what has changed; HTML in an event has no valid nonce.
"""
