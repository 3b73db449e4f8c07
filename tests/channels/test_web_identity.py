"""Signed visitors of the web chat: who is let in, what is theirs, and that nobody can pose as another."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any

import jwt
import pytest
from markdown_it import MarkdownIt
from sqlalchemy import select
from websockets.asyncio.client import ClientConnection, connect

from qwendesk import Settings
from qwendesk.channels.web.channel import WebChannel
from qwendesk.channels.web.identity import IdentityRefused, IdentityVerifier
from qwendesk.channels.web.visitors import Visitor, VisitorDirectory, conversation_key, visitor_name
from qwendesk.errors import ConfigError
from qwendesk.memory.tables.conversations import VERIFIED_CUSTOMER, Conversation
from qwendesk.messages import Customer
from qwendesk.service import Service
from tests.databases import put_migrated

OLD, NEW = "o" * 32, "n" * 40
ANN, BOB = "session-of-anns-browser".ljust(32, "-"), "session-of-bobs-browser".ljust(32, "-")


def token(sub: Any = "17", secret: str = NEW, algorithm: str = "HS256", **claims: Any) -> str:
    values = {"sub": sub, "exp": time() + 86_400, **claims}
    kept = {name: value for name, value in values.items() if value is not None}
    return jwt.encode(kept, secret, algorithm)


def user_hash(user_id: str, secret: str = NEW) -> str:
    return hmac.new(secret.encode(), user_id.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_a_token_of_either_secret_tells_who_is_there(secret: str) -> None:
    verifier = IdentityVerifier((NEW, OLD))
    signed = verifier.verify_token(token("ann@shop.example", secret, name=" Ann\nM ", email="a@b.example", locale="it"))
    assert signed.customer == Customer("ann@shop.example", "Ann\ufffdM", "a@b.example") and signed.locale == "it"
    assert signed.person == "customer:ann@shop.example"
    assert signed.seconds_left and 86_000 < signed.seconds_left <= 86_460
    assert verifier.verify_hash("17", user_hash("17", secret).upper()).person == "customer:17"


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join(parts)


DEEP = base64.urlsafe_b64encode(b'{"a":' + b"[" * 2800).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (token(secret="x" * 32), "signature"),
        (token(secret=NEW * 2, algorithm="HS512"), "signature"),
        (unsigned({"sub": "17", "exp": time() + 86_400}, {"alg": "none"}) + ".", "signature"),
        (unsigned({"sub": "17", "exp": time() + 86_400}, {"alg": "HS256"}) + ".", "signature"),
        (token()[:-4] + "AAAA", "signature"),
        (token(exp=time() - 120), "expired"),
        (token(exp=None), "claims"),
        (token(exp="soon"), "malformed"),
        (token(nbf=time() + 9e6), "not_yet"),
        (token(iat=time() + 9e6), "not_yet"),
        (token(aud="another desk"), "audience"),
        (token(None), "claims"),
        (token(""), "claims"),
        (token("x" * 129), "claims"),
        (token(" 17"), "claims"),
        (token("17\n18"), "claims"),
        (token("a\u202eb"), "claims"),
        (token("e\u0301"), "claims"),
        ("nonsense", "malformed"),
        ("a.b.c", "malformed"),
        (f"{DEEP}.e30.AAAA", "malformed"),
        ("x" * 5000, "malformed"),
        ("é.é.é", "malformed"),
    ],
    ids=lambda value: value[:12],  # what follows depends on the time, and all test processes need the same names
)
def test_a_token_that_proves_nothing_is_refused_with_its_fault(given: str, fault: str) -> None:
    with pytest.raises(IdentityRefused) as caught:
        IdentityVerifier((NEW, OLD, NEW * 2)).verify_token(given)
    assert caught.value.fault == fault


def test_the_clocks_may_differ_by_a_minute_and_the_audience_is_compared() -> None:
    verifier = IdentityVerifier((NEW,), "desk.example")
    assert verifier.verify_token(token(aud="desk.example", exp=time() - 30, nbf=time() + 30)).customer.id == "17"
    assert verifier.verify_token(token(aud=["x", "desk.example"])).customer.id == "17"
    for other in (None, "x", ["x"]):
        with pytest.raises(IdentityRefused, match="aud"):
            verifier.verify_token(token(aud=other))


@pytest.mark.parametrize(
    ("user_id", "given"),
    [("18", user_hash("17")), ("17", ""), ("17", "é" * 64), ("17", user_hash("17")[:-1]), ("17", user_hash("17", OLD))],
)
def test_a_hash_of_another_id_or_secret_is_refused(user_id: str, given: str) -> None:
    with pytest.raises(IdentityRefused) as caught:
        IdentityVerifier((NEW,)).verify_hash(user_id, given)
    assert caught.value.fault == "signature"


def test_the_hash_of_a_user_id_that_looks_like_a_token_signs_no_token() -> None:
    # a customer who may choose the user id would get the signature of a token for anybody else
    chosen = unsigned({"sub": "1", "exp": int(time()) + 300}, {"alg": "HS256"})
    assert len(chosen) <= 128
    verifier = IdentityVerifier((NEW,))
    with pytest.raises(IdentityRefused) as caught:
        verifier.verify_hash(chosen, user_hash(chosen))
    assert caught.value.fault == "claims"
    assert verifier.verify_hash("a.b", user_hash("a.b")).customer.id == "a.b"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"identity_secret": "short"}, "openssl rand -hex 32"),
        ({"identity_secret": [NEW, "short"]}, "shorter than 32"),
        ({"identity_enforce": True}, "needs 'identity_secret'"),
        ({"bot_picture": "http://a.example/b.png"}, "https://"),
        ({"bot_picture": "https://a.example/b.png; script-src *"}, "https://"),
        ({"language": "tlh"}, "'tlh'"),
    ],
)
def test_unsafe_settings_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        WebChannel.create(WebChannel.manifest.read(values))


def test_two_people_have_no_conversation_in_common() -> None:
    people = ["customer:1", "customer:1.x", "customer:", visitor_name(ANN), visitor_name(BOB)]
    keys = [conversation_key(person, name) for person in people for name in ("", "x" * 16, "y" * 16, "x" * 17)]
    assert len(set(keys)) == len(keys)
    assert conversation_key(visitor_name(ANN)) == visitor_name(ANN)


async def test_a_wish_for_somebody_elses_conversation_opens_the_own_one() -> None:
    directory = VisitorDirectory(IdentityVerifier(()), is_enforced=False)
    ann = Visitor(visitor_name(ANN))
    for wish in (visitor_name(BOB), conversation_key(visitor_name(BOB), "x" * 16), "../x", "x" * 15, "x" * 4000):
        assert await directory.conversation(ann, wish) == visitor_name(ANN), wish
    assert await directory.conversation(ann, "x" * 16) == conversation_key(ann.person, "x" * 16)


class Page:
    """A page of the web chat, by its socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.texts: dict[str, str] = {}
        self.welcome: dict[str, Any] = {}

    async def hello(self, session: str, **more: Any) -> dict[str, Any]:
        """Return the frame that lets the page in or refuses it."""
        self.texts.clear()
        await self.send(type="hello", session=session, seen=0, **more)
        self.welcome = await self.until("welcome", "unidentified")
        return self.welcome

    async def send(self, **frame: Any) -> None:
        await self._socket.send(json.dumps(frame))

    async def until(self, *kinds: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                frame: dict[str, Any] = json.loads(await self._socket.recv())
                if frame["type"] == "forgotten":
                    self.texts.clear()
                if frame["type"] in ("said", "shown", "edited"):
                    self.texts[frame["id"]] = frame["text"]
                if frame["type"] in kinds:
                    return frame

    async def ask(self, text: str) -> None:
        """Write a message and wait for the answer with its buttons."""
        await self.send(type="message", id=hashlib.sha256(text.encode()).hexdigest()[:16], text=text)
        while not (await self.until("shown", "edited")).get("buttons"):
            pass

    def said(self) -> list[str]:
        return [text for text in self.texts.values() if not text.startswith("<")]


@asynccontextmanager
async def serving(home: Path, **web: Any) -> AsyncIterator[Service]:
    channels = {"web": {"access": "open", "identity_secret": [NEW, OLD], **web}}
    settings = Settings(home=home, engine="scripted", port=0, shutdown_timeout=5, channels=channels)
    put_migrated(settings.data_dir / "qwendesk.db")
    async with Service(settings) as service:
        yield service


@asynccontextmanager
async def page(service: Service) -> AsyncIterator[Page]:
    assert service.web
    async with connect(f"ws://127.0.0.1:{service.web.port}/channels/web/socket") as socket:
        yield Page(socket)


async def test_a_customer_keeps_the_conversation_on_every_device_and_nobody_else_has_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        async with page(service) as phone:
            welcome = await phone.hello(ANN, identity=token("17", name="Ann", email="a@b.example"))
            assert welcome["customer"] == {"name": "Ann", "email": "a@b.example"}
            await phone.ask("Where is my order?")
        async with page(service) as laptop, page(service) as other:
            assert (await laptop.hello(BOB, user_id="17", user_hash=user_hash("17")))["conversation"] == welcome[
                "conversation"
            ]
            assert laptop.said() == ["Where is my order?"]
            # another customer, and an anonymous visitor with the same browser, who know the key
            for credentials in ({"identity": token("18")}, {"identity": token("1")}, {}):
                got = await other.hello(ANN, conversation=welcome["conversation"], **credentials)
                assert got["conversation"] != welcome["conversation"] and other.said() == []
            # a second conversation is the newest one, and the first stays readable
            await laptop.hello(BOB, identity=token("17"), conversation="a-new-conversation")
            await laptop.ask("Something else")
            async with page(service) as third:
                await third.hello(BOB, identity=token("17"))
                assert third.said() == ["Something else"]
                await third.send(type="conversations")
                listed = (await third.until("conversations"))["list"]
                assert [one["title"] for one in listed] == ["Something else", "Where is my order?"]
                await third.hello(BOB, identity=token("17"), conversation=listed[1]["id"])
                assert third.said() == ["Where is my order?"]
        statement = select(Conversation.settings)
        async with service.runtime.database.read() as connection:
            marks = [row[0].get(VERIFIED_CUSTOMER) for row in await connection.execute(statement)]
        assert {"id": "17", "name": "Ann", "email": "a@b.example"} in marks and len(marks) == 2


async def test_a_log_in_takes_what_this_browser_wrote_and_its_token_opens_nothing_afterwards(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        async with page(service) as ann, page(service) as bob:
            anonymous = await ann.hello(ANN)
            await ann.ask("Do you ship to Italy?")
            await bob.hello(BOB)
            await bob.ask("I am somebody else")
            welcome = await ann.hello(ANN, identity=token("17"), conversation=anonymous["conversation"])
            assert welcome["conversation"] == anonymous["conversation"] and ann.said() == ["Do you ship to Italy?"]
            await ann.ask("And to Spain?")
            # the browser's token is the customer's now: without the log-in it opens nothing, nor for another customer
            refused = await bob.hello(ANN, conversation=anonymous["conversation"])
            assert refused["type"] == "unidentified" and refused["reason"] == "session" and bob.said() == []
            stranger = await bob.hello(ANN, identity=token("18"), conversation=anonymous["conversation"])
            assert stranger["conversation"] != anonymous["conversation"] and bob.said() == []
            # another browser's conversation was not taken along
            await ann.send(type="conversations")
            listed = (await ann.until("conversations"))["list"]
            assert [one["title"] for one in listed] == ["Do you ship to Italy?"]
            assert (await bob.hello(BOB))["type"] == "welcome" and bob.said() == ["I am somebody else"]
        async with page(service) as elsewhere:
            await elsewhere.hello("s" * 32, identity=token("17"))
            assert elsewhere.said() == ["Do you ship to Italy?", "And to Spain?"]


async def test_what_a_log_in_closed_stays_closed_without_the_secret(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, page(service) as ann:
        await ann.hello(ANN)
        await ann.ask("Do you ship to Italy?")
        await ann.hello(ANN, identity=token("17"))
    async with serving(tmp_path, identity_secret="") as service, page(service) as ann:
        refused = await ann.hello(ANN)
        assert (refused["type"], refused.get("reason")) == ("unidentified", "session") and ann.said() == []
        assert (await ann.hello(BOB))["type"] == "welcome"


async def test_enforced_identities_refuse_everybody_else_in_a_line(tmp_path: Path) -> None:
    async with serving(tmp_path, identity_enforce=True) as service, page(service) as visitor:
        for credentials, reason in (
            ({}, "required"),
            ({"identity": token("17", "x" * 32)}, "signature"),
            ({"identity": token("17", exp=time() - 600)}, "expired"),
            ({"user_id": "17", "user_hash": "0" * 64}, "signature"),
            ({"user_id": "17"}, "signature"),
        ):
            refused = await visitor.hello(ANN, locale="de", **credentials)
            assert refused["type"] == "unidentified" and refused["reason"] == reason, credentials
            assert "melde dich" in refused["text"] and refused["detail"]
            await visitor.send(type="message", id="m", text="let me in")
            assert "hello" in (await visitor.until("refused"))["text"]
        assert (await visitor.hello(ANN, identity=token("17")))["type"] == "welcome"
        # logging out at the shop, and greeting without an identity, ends the session
        assert (await visitor.hello(ANN))["reason"] == "required"
        await visitor.send(type="message", id="m", text="still me?")
        assert "hello" in (await visitor.until("refused"))["text"]
        assert await service.runtime.acceptance.open_count() == 0


async def test_a_wrong_identity_is_not_let_in_as_anonymous(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(tmp_path) as service, page(service) as visitor:
        for _ in range(2):
            assert (await visitor.hello(ANN, identity=token("17", "x" * 32)))["reason"] == "signature"
    assert sum("refused the identity" in record.getMessage() for record in caplog.records) == 1


async def test_a_session_ends_with_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwendesk.channels.web.identity._LEEWAY_SECONDS", 0)
    async with serving(tmp_path) as service, page(service) as visitor:
        await visitor.hello(ANN, identity=token("17", exp=time() + 2))
        assert (await visitor.until("unidentified"))["reason"] == "expired"
        await visitor.send(type="message", id="m", text="still me?")
        assert "hello" in (await visitor.until("refused"))["text"]
        assert (await visitor.hello(ANN, identity=token("17")))["type"] == "welcome"


async def test_a_customer_is_forgotten_on_every_page(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, page(service) as visitor:
        await visitor.hello(ANN, identity=token("17"), conversation="a-new-conversation")
        await visitor.ask("My secret is 4711")
        people = service._memory.people
        person = await people.find("customer:17", channel="web")
        assert person
        await people.forget(person.id)
        await visitor.until("forgotten")
        async with service.runtime.database.read() as connection:
            assert (await connection.execute(select(Conversation.id))).all() == []
        await visitor.hello(ANN, identity=token("17"), conversation="a-new-conversation")
        assert visitor.said() == []


GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "web.md"
PROGRAMS = {
    "python": [sys.executable, "-c", "{code}\nprint(chat_token('{secret}', '17', 'Zoë', 'z@b.example'))"],
    "javascript": ["node", "-e", "{code}\nconsole.log(chatToken('{secret}', '17', 'Zoë', 'z@b.example'));"],
    "php": ["php", "-r", "{code}\necho chat_token('{secret}', '17', 'Zoë', 'z@b.example');"],
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_guides_programs_make_tokens_that_are_accepted(language: str) -> None:
    (code,) = [
        token.content
        for token in MarkdownIt().parse(GUIDE.read_text("utf-8"))
        if token.type == "fence" and token.info == language
    ]
    program, option, text = PROGRAMS[language]
    found = shutil.which(program)
    if language == "javascript" and not found:
        playwright = pytest.importorskip("playwright", reason="no node")
        found = str(Path(playwright.__file__).parent / "driver" / "node")
    if not found or not Path(found).exists():
        pytest.skip(f"no {program}")
    script = text.replace("{code}", code).replace("{secret}", NEW)
    made = subprocess.run([found, option, script], capture_output=True, text=True, check=True).stdout.strip()
    signed = IdentityVerifier((NEW,)).verify_token(made)
    assert signed.customer == Customer("17", "Zoë", "z@b.example") and signed.seconds_left
