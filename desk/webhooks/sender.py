"""Posts the deliveries of webhooks, each webhook in a task of its own: one that hangs does not delay another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from qwendesk.desk.tickets.event_deliveries import RETRY_PAUSES, ClaimedDelivery, EventDeliveries, next_try
from qwendesk.desk.tickets.event_reading import EventReading
from qwendesk.desk.webhooks.payload import read_payload, test_payload
from qwendesk.desk.webhooks.signing import signed_headers
from qwendesk.errors import InputError
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.printable import one_line
from qwendesk.safe_fetch import Fetcher, Posted, parse_retry_after
from qwendesk.webhook_settings import ALL_EVENTS, WebhookSettings

_MAX_RETRY_AFTER = timedelta(hours=1)
_POLL_SECONDS = 1.0
_AT_ONCE = 4
"""Deliveries of a webhook that are sent at once, each of another ticket."""
_LEASE_MARGIN = timedelta(seconds=30)
_ANSWER_BYTES = 2048
_SHOWN_CHARS = 200
_GONE = 410
log = logging.getLogger(__name__)


class WebhookSender:
    """Sends tickets' events to the webhooks of the settings.

    A delivery is sent at least once: a process that ends while it sends leaves it to the next one, with the same id.

    Args:
        database: the tenant's view of the database.
        webhooks: the webhooks.
        pauses: pauses between tries.
        poll_seconds: time between two looks for new events.
        lease_margin: time after the time-out of a try at which another process may send it.
    """

    def __init__(
        self,
        database: TenantDatabase,
        webhooks: Sequence[WebhookSettings],
        *,
        pauses: Sequence[timedelta] = RETRY_PAUSES,
        poll_seconds: float = _POLL_SECONDS,
        lease_margin: timedelta = _LEASE_MARGIN,
    ) -> None:
        self._database = database
        self._deliveries = EventDeliveries(database)
        self._pauses = pauses
        self._lease_margin = lease_margin
        self._readings = [
            EventReading(
                self._deliveries,
                webhook.label,
                partial(self.send_due, webhook),
                name=f"webhook {webhook.label}",
                poll_seconds=poll_seconds,
            )
            for webhook in webhooks
        ]

    async def start(self) -> None:
        """Start to send the events from now on, and those that a run before has left."""
        for reading in self._readings:
            reading.start()

    async def stop(self) -> None:
        """Stop; what is being sent is sent again by the next start."""
        for reading in self._readings:
            await reading.stop()

    async def send_due(self, webhook: WebhookSettings) -> int:
        """Send the deliveries that are due, at most four; return how many were tried."""
        now = datetime.now(UTC)
        kinds = None if ALL_EVENTS in webhook.events else webhook.events
        await self._deliveries.feed(webhook.label, now, kinds)
        lease = timedelta(seconds=webhook.timeout) + self._lease_margin
        claimed = await self._deliveries.claim(webhook.label, now, lease, _AT_ONCE)
        await asyncio.gather(*(self._send(webhook, delivery) for delivery in claimed))
        return len(claimed)

    async def _send(self, webhook: WebhookSettings, delivery: ClaimedDelivery) -> None:
        async with self._database.read() as connection:
            body = await read_payload(connection, delivery.event_id, webhook)
        if body is None:  # deleted with its customer, as the delivery is
            return
        response_status, error, wait = None, None, timedelta()
        try:
            answer = await post(webhook, delivery.id, body)
        except InputError as refused:
            error = str(refused)
        else:
            response_status = answer.status
            # an answer may repeat the texts of customers that it was sent
            error, wait = _error_of(answer, with_answer=not webhook.include_text), _retry_after(answer)
        is_over = error is None or response_status == _GONE
        next_at = None if is_over else next_try(delivery.attempt, wait, self._pauses)
        if error is not None and next_at is None:
            cause = error if response_status is None else f"the server answers {response_status}"
            log.warning("A delivery to webhook %s is given up ('qwendesk webhooks failed'): %s", webhook.label, cause)
        await self._deliveries.finish(delivery, response_status=response_status, error=error, next_at=next_at)


async def post(webhook: WebhookSettings, id_: str, body: bytes) -> Posted:
    """Post a signed body to a webhook and return its answer.

    Raises:
        InputError: it does not answer in time, or its address is private.
    """
    allowed: Callable[[object], bool] | None = (lambda address: True) if webhook.allow_private else None
    fetcher = Fetcher(
        most=_ANSWER_BYTES,
        time_limit=webhook.timeout,
        allowed=allowed,
        remedy="allow_private = true in its table [[webhooks]] allows that",
    )
    secrets = [secret.get_secret_value() for secret in webhook.secret]
    headers = signed_headers(id_, datetime.now(UTC), body, secrets)
    return await fetcher.post(webhook.url, body, {"content-type": "application/json", **headers})


async def post_test(webhook: WebhookSettings, id_: str) -> str | None:
    """Post a test to a webhook; return why it was not taken, None if it was."""
    try:
        return _error_of(await post(webhook, id_, test_payload(webhook)))
    except InputError as error:
        return str(error)


def _error_of(answer: Posted, *, with_answer: bool = True) -> str | None:
    """Return why an answer means a failure; None if it does not. Redirects are not followed."""
    if 200 <= answer.status < 300:
        return None
    said = one_line(" ".join(answer.body.split()))[:_SHOWN_CHARS] if with_answer else ""
    return f"the server answers {answer.status}" + (f": {said}" if said else "")


def _retry_after(answer: Posted) -> timedelta:
    """Return the pause that a server asks for, up to an hour."""
    return min(timedelta(seconds=parse_retry_after(answer.retry_after) or 0.0), _MAX_RETRY_AFTER)
