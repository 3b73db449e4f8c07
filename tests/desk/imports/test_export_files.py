"""Files of an export: forms that are read, and what is said of those that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwendesk.desk.imports import values
from qwendesk.desk.imports.chatwoot import Chatwoot
from qwendesk.desk.imports.export_files import ExportFiles
from qwendesk.desk.imports.help_desk import HelpDesk, Item
from qwendesk.desk.imports.records import Kind, Unusable
from qwendesk.desk.imports.zammad import Zammad
from qwendesk.errors import ConfigError
from tests.desk.imports.conftest import Write
from tests.desk.imports.samples import (
    CHATWOOT_FILES,
    chatwoot_contact,
    chatwoot_conversation,
    chatwoot_message,
    zammad_user,
)


async def read(place: Path, kind: Kind = "contact", desk: HelpDesk | None = None) -> list[Item]:
    return [item async for item in ExportFiles(place, desk or Chatwoot()).items(kind)]


async def test_lists_wrapped_lists_lines_and_tables_are_read(write: Write) -> None:
    lines = "\n".join(json.dumps(chatwoot_contact(id_)) for id_ in (3, 4))
    table = "id;Name;email;phone_number\n5;Cy Fox;cy@shop.example;\n6;;;+49 1\n"
    folder = write(
        {
            "a.json": [chatwoot_contact(1)],
            "b.json": {"payload": [chatwoot_contact(2)]},
            "c.jsonl": lines.encode(),
            "d.csv": b"\xef\xbb\xbf" + table.encode(),
            "e.csv": "id,name,email\n7,Zoë,zoe@shop.example\n".encode("utf-16"),
            "notes.txt": b"not read",
        }
    )
    contacts = [Chatwoot().contact(item) for item in await read(folder)]
    assert [one.external_id for one in contacts] == ["1", "2", "3", "4", "5", "6", "7"]
    assert (contacts[4].name, contacts[5].phone, contacts[6].name) == ("Cy Fox", "+49 1", "Zoë")


async def test_a_table_of_users_of_zammad(write: Write) -> None:
    rows = "2,bo,Bo,Fox,b@x.example,Agent\n8,eva,Eva,Ray,e@x.example,Customer\n"
    table = f"id,login,firstname,lastname,email,roles\n{rows}"
    desk = Zammad()
    found = [desk.contact(item) for item in await read(write({"users.csv": table.encode()}), desk=desk)]
    assert [one and one.name for one in found] == [None, "Eva Ray"]


async def test_a_contact_of_a_table_may_have_a_number_alone(write: Write) -> None:
    folder = write({"a.csv": b"id,name,email,phone_number\n5,Cy,,\n", "b.csv": b"id,name,email\n6,Di\n"})
    source = ExportFiles(folder, Chatwoot())
    assert [item["id"] async for item in source.items("contact")] == ["5", "6"] and source.left_out == []


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0c"])
async def test_lines_of_json_end_where_json_says_so(write: Write, sign: str) -> None:
    lines = "\r\n".join(json.dumps(chatwoot_contact(id_, f"A{sign}B"), ensure_ascii=False) for id_ in (3, 4))
    assert [item["id"] for item in await read(write({"c.jsonl": lines.encode()}))] == [3, 4]


async def test_a_broken_file_of_tags_is_named_and_the_ticket_is_read(write: Write) -> None:
    source = ExportFiles(write({**CHATWOOT_FILES, "tags-12.json": b"{"}), Chatwoot())
    (conversation,) = [item async for item in source.items("ticket")]
    assert await source.tags(conversation) == ()
    assert [told.partition(":")[0] for told in source.left_out] == ["tags-12.json"]


async def test_messages_without_their_conversation_are_named(write: Write) -> None:
    source = ExportFiles(
        write({**CHATWOOT_FILES, "messages-13.json": [{**chatwoot_message(1, "Hi"), "conversation_id": 13}]}),
        Chatwoot(),
    )
    await source.total("ticket")
    assert source.left_out == ["messages of 1 conversations that are not in the export themselves"]


async def test_files_are_read_in_the_order_of_their_numbers(write: Write) -> None:
    folder = write({f"page-{number}.json": [chatwoot_contact(number)] for number in (10, 9, 1)})
    assert [item["id"] for item in await read(folder)] == [1, 9, 10]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe\x00", "not in UTF-8"),
        ("Größe".encode("latin-1"), "not in UTF-8"),
        (b"[" * 200_000, "nested too deep|no JSON"),
        (json.dumps([{"some": "thing"}]).encode(), "unknown kind"),
    ],
)
async def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(
    write: Write, content: bytes, reason: str
) -> None:
    files = ExportFiles(write({"good.json": [chatwoot_contact()], "bad.json": content}), Chatwoot())
    assert await files.total("contact") == 1
    (told,) = files.left_out
    assert told.startswith("bad.json: ") and any(one in told for one in reason.split("|"))


@pytest.mark.parametrize("files", [{}, {"a.json": {"what": 1}}, {"a.json": b"<html>"}])
async def test_a_folder_without_an_export_is_an_error_with_the_next_step(write: Write, files: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no file|move-from-chatwoot"):
        await read(write(files))


async def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a file nor a folder"):
        await read(tmp_path / "missing")


async def test_a_link_out_of_the_folder_is_not_followed(write: Write, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text(json.dumps([chatwoot_contact(99)]))
    folder = write({"a.json": [chatwoot_contact()]})
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    assert [item["id"] for item in await read(folder)] == [7]


async def test_a_conversation_without_its_messages_is_left_out(write: Write) -> None:
    files = {name: content for name, content in CHATWOOT_FILES.items() if not name.startswith("messages")}
    source = ExportFiles(write(files), Chatwoot())
    (conversation,) = [item async for item in source.items("ticket")]
    with pytest.raises(Unusable, match="not in the export"):
        await source.messages(conversation)


@pytest.mark.parametrize(
    "broken",
    [
        {"id": None},
        {"id": "x"},
        {"id": True},
        {"id": 10**30},
        {"meta": None},
        {"meta": {"sender": {}}},
        {"meta": {"sender": {"id": [1]}}},
    ],
)
def test_a_broken_conversation_is_refused_with_a_reason(broken: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        Chatwoot().conversation(chatwoot_conversation(**broken), [chatwoot_message(1, "Hi")], [])


@pytest.mark.parametrize(
    "broken",
    [
        {"labels": "x"},
        {"labels": [1, None, {"a": 1}]},
        {"custom_attributes": [1]},
        {"custom_attributes": {"a": float("nan"), "b": "\0" * 5, "": 1}},
        {"priority": 7},
        {"created_at": "yesterday"},
        {"created_at": 1e300},
        {"last_activity_at": -1},
        {"snoozed_until": "never"},
        {"additional_attributes": "x"},
    ],
)
def test_odd_values_of_a_conversation_are_left_out(broken: dict[str, Any]) -> None:
    made = Chatwoot().conversation(chatwoot_conversation(**broken), [chatwoot_message(1, "Hi\0 \ud800")], [])
    assert made.messages[0].text == "Hi\ufffd \ufffd"
    assert "a" not in made.fields


def test_a_very_long_message_is_cut() -> None:
    made = Chatwoot().conversation(chatwoot_conversation(), [chatwoot_message(1, "x" * 2_000_000)], [])
    assert len(made.messages[0].text) == values.MAX_TEXT_CHARS


def test_roles_tell_who_is_a_customer() -> None:
    desk = Zammad()
    given = [
        zammad_user(1, "A", "B", "Customer"),
        zammad_user(2, "A", "B", "Agent", "Customer"),
        {**zammad_user(3, "A", "B"), "roles": None, "role_ids": [3]},
        {**zammad_user(4, "A", "B"), "roles": None, "role_ids": [1, 2]},
    ]
    assert [desk.contact(one) is not None for one in given] == [True, False, True, False]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("A@B.example", "a@b.example"),
        ("no address", ""),
        ("a@b", ""),
        ("a b@c.de", ""),
        ("a@b@c.de", ""),
        (None, ""),
        ("a@b.de\nBcc: x", ""),
    ],
)
def test_addresses(given: object, expected: str) -> None:
    assert values.email(given) == expected
