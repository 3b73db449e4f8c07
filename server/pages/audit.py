"""The audit log, for admins."""

from __future__ import annotations

from starlette.responses import Response

from qwendesk.server.pages.page import DeskPage, PageRequest

AUDIT = "/desk/audit"
_ENTRIES = 100
"""Entries of one page."""
_MAX_FILTER_CHARS = 80


class AuditPages:
    """The page of the audit log."""

    def pages(self) -> list[DeskPage]:
        """Return the page."""
        return [DeskPage(AUDIT, self._show, "admin", nav="Audit log")]

    async def _show(self, request: PageRequest) -> Response:
        operator, action, before = (
            request.query_params.get(name, "").strip()[:_MAX_FILTER_CHARS] for name in ("operator", "action", "before")
        )
        entries = await request.services.audit.entries(
            limit=_ENTRIES + 1,
            before=before or None,
            operator=operator.casefold() or None,
            action=action or None,
        )
        await request.services.audit.add_read(request.actor, "audit.read", "audit")
        older = entries[_ENTRIES - 1].id if len(entries) > _ENTRIES else ""
        days = f"{request.services.settings.audit_days:g}"
        return request.render(
            "audit.jinja", entries=entries[:_ENTRIES], older=older, days=days, operator_filter=operator, action=action
        )
