"""What a command of ``qwendesk imports`` asks for, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qwendesk.errors import ConfigError, no_such

if TYPE_CHECKING:
    from qwendesk.desk.imports.conversation_store import MailAddress
    from qwendesk.desk.imports.help_desk import HelpDesk, SourceItems
    from qwendesk.desk.imports.importer import ImportOptions
    from qwendesk.desk.imports.records import Kind
    from qwendesk.settings import Settings

_KIND_NAMES: dict[str, Kind] = {"contacts": "contact", "tickets": "ticket", "articles": "article", "canned": "canned"}


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What a command asks for; each value is as it was typed."""

    place: str
    token: str | None
    only: list[str] | None
    since: str | None
    open_as: str
    by_mail: bool
    language: str
    source: str
    private: bool
    dry_run: bool
    left_out: Path | None
    as_json: bool
    account: int | None = None
    trust_addresses: bool = False


def import_options(asked: ImportRequest, settings: Settings) -> ImportOptions:
    """Return what is imported, and how.

    Raises:
        ConfigError: an option has a value that there is not.
    """
    import re
    from datetime import UTC, datetime

    from qwendesk.cli.tickets.reporting import read_time
    from qwendesk.desk.imports.conversation_store import ConversationRules
    from qwendesk.desk.imports.importer import ImportOptions
    from qwendesk.desk.interpreter.translator import parse_language
    from qwendesk.wiring import ticket_rules

    if asked.open_as not in ("waiting", "resolved"):
        raise ConfigError(no_such("There is no state", asked.open_as, ("waiting", "resolved")))
    if not re.fullmatch(r"[\w.-]{1,40}", asked.source):
        raise ConfigError(f"{asked.source!r} is no name: up to 40 letters, digits, '-', '_' and '.'.")
    unknown = next((name for name in asked.only or () if name not in _KIND_NAMES), None)
    if unknown is not None:
        raise ConfigError(no_such("There is no kind", unknown, _KIND_NAMES))
    kinds: Collection[Kind] = [_KIND_NAMES[name] for name in asked.only or _KIND_NAMES]
    rules = ConversationRules(
        "waiting" if asked.open_as == "waiting" else "resolved",
        ticket_rules(settings).teams,
        _mail_address(asked, settings),
    )
    since = read_time(asked.since, datetime.now(UTC), settings.hours.zone or "UTC") if asked.since else None
    language = parse_language(asked.language)
    return ImportOptions(asked.source, kinds, since, rules, language, asked.dry_run, asked.trust_addresses)


def _mail_address(asked: ImportRequest, settings: Settings) -> MailAddress:
    """Return where answers by mail go.

    Raises:
        ConfigError: there is no mail channel.
    """
    from qwendesk.channels.mail.threads import delivery_address
    from qwendesk.desk.imports.records import SourceConversation
    from qwendesk.desk.tickets.records import DeliveryAddress

    if not asked.by_mail:
        return lambda conversation: None
    own = str(settings.channels.get("mail", {}).get("address") or "")
    if not own:
        raise ConfigError(
            "There is no mail channel for --reply-by-mail; set [channels.mail] up, see docs/how-to/mail.md."
        )

    def address(given: SourceConversation) -> DeliveryAddress | None:
        contact = given.contact
        if not contact.email:
            return None
        mails = [one.mail_id for one in given.messages if one.mail_id]
        root = f"<{asked.source}.{given.external_id}@import.invalid>"
        return delivery_address(own, contact.email, contact.name, mails, given.subject, root=root)

    return address


def import_source(system: str, asked: ImportRequest) -> tuple[HelpDesk, SourceItems]:
    """Return the reader of a system and where its items come from.

    Raises:
        ConfigError: an address without a token or an account, or a file with one.
    """
    from qwendesk.desk.imports.api import Api, ChatwootApi, ZammadApi
    from qwendesk.desk.imports.chatwoot import Chatwoot
    from qwendesk.desk.imports.export_files import ExportFiles
    from qwendesk.desk.imports.zammad import Zammad

    is_address = asked.place.lower().startswith(("http://", "https://"))
    desk: HelpDesk = Chatwoot(asked.place if is_address else "") if system == "chatwoot" else Zammad()
    if not is_address:
        return desk, ExportFiles(Path(asked.place).expanduser(), desk)
    token = asked.token or typer.prompt("Access token", hide_input=True, err=True)
    allowed: Callable[[object], bool] | None = (lambda address: True) if asked.private else None
    if system == "zammad":
        return desk, ZammadApi(Api(asked.place, {"authorization": f"Token token={token}"}, allowed=allowed))
    if asked.account is None:
        raise ConfigError(
            "Give the number of the account by --account: it stands in Chatwoot's address, /app/accounts/1."
        )
    return desk, ChatwootApi(Api(asked.place, {"api_access_token": token}, allowed=allowed), asked.account)
