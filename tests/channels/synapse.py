"""A real homeserver, Synapse, in an environment of its own in the user's cache, and a person's client."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from qwendesk.testing.simulators.base import SeenMessage, Simulator, UserMessage, serve
from tests.ports import free_port
from tests.servers.environments import python_with

if TYPE_CHECKING:
    from nio import AsyncClient
    from starlette.requests import Request
    from starlette.responses import Response

_CONFIG = """
server_name: here.example
pid_file: {folder}/pid
listeners:
  - port: {port}
    bind_addresses: ["127.0.0.1"]
    type: http
    resources: [{{names: [client]}}]
database: {{name: sqlite3, args: {{database: {folder}/db}}}}
media_store_path: {folder}/media
signing_key_path: {folder}/key
registration_shared_secret: {secret}
macaroon_secret_key: {secret}
form_secret: {secret}
report_stats: false
trusted_key_servers: []
suppress_key_server_warning: true
enable_registration: false
rc_message: {{per_second: 1000, burst_count: 1000}}
rc_login: {{address: {{per_second: 1000, burst_count: 1000}}, account: {{per_second: 1000, burst_count: 1000}}}}
rc_joins: {{local: {{per_second: 1000, burst_count: 1000}}}}
rc_invites: {{per_room: {{per_second: 1000, burst_count: 1000}}, per_user: {{per_second: 1000, burst_count: 1000}}}}
"""
_TROUBLES = {
    "slow_down": (429, {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 0}),
    "gone": (403, {"errcode": "M_FORBIDDEN", "error": "User not in room"}),
    "broken": (502, {"errcode": "M_UNKNOWN", "error": "Bad gateway"}),
}


@dataclass(frozen=True)
class Homeserver:
    """A running Synapse server."""

    url: str
    secret: str

    def register(self, name: str) -> str:
        """Create an account and return its password."""
        password = secrets.token_hex(8)
        with httpx.Client(base_url=self.url, timeout=60) as client:
            path = "/_synapse/admin/v1/register"
            nonce = client.get(path).json()["nonce"]
            text = "\0".join((nonce, name, password, "notadmin")).encode()
            mac = hmac.new(self.secret.encode(), text, hashlib.sha1).hexdigest()
            body = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac}
            client.post(path, json=body).raise_for_status()
        return password


@contextmanager
def running_synapse(folder: Path) -> Iterator[Homeserver]:
    """Start a Synapse server, and stop it at the end."""
    python = _python()
    port = free_port()
    secret = secrets.token_hex(16)
    config = folder / "homeserver.yaml"
    config.write_text(_CONFIG.format(folder=folder, port=port, secret=secret))
    command = [python, "-m", "synapse.app.homeserver", "-c", str(config)]
    subprocess.run([*command, "--generate-keys"], check=True, capture_output=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(f"http://127.0.0.1:{port}/health", process)
            yield Homeserver(f"http://127.0.0.1:{port}", secret)
        finally:
            process.terminate()
            process.wait(30)


class MatrixPlatform(Simulator):
    """A room with the desk and a person on the homeserver, behind a proxy that injects faults."""

    users_can_edit = True
    people: tuple[str, ...] = ("anna", "bert")
    """Who has an account beside the desk."""

    def __init__(self, homeserver: Homeserver, folder: Path, *, encrypted: bool = False) -> None:
        super().__init__()
        self.homeserver = homeserver
        self._folder = folder
        self._encrypted = encrypted
        self._names = {role: f"{role}{secrets.token_hex(4)}" for role in ("desk", *self.people)}
        self._passwords: dict[str, str] = {}
        self._rooms: dict[str, str] = {}
        self._last: tuple[str, dict[str, Any], str] = "", {}, ""
        self._clients: dict[str, AsyncClient] = {}
        self._gate = ""
        self.refusals: dict[str, tuple[int, dict[str, Any]]] = {}
        """Status and body of the responses to requests, by a part of their path."""

    @property
    def last_event(self) -> str:
        """The person's newest message."""
        return self._last[2]

    @property
    def desk_user(self) -> str:
        """The desk's account."""
        return f"@{self._names['desk']}:here.example"

    def settings(self) -> dict[str, Any]:
        keys = str(self._folder / "desk")
        return {"homeserver": self._gate, "user": self.desk_user, "password": self._passwords["desk"], "data_dir": keys}

    def wrong_settings(self, secret: str) -> dict[str, Any]:
        return super().wrong_settings(secret) | {"data_dir": str(self._folder / "another")}

    async def wait_started(self) -> None:
        """Invite the desk and wait until it has joined."""
        self._rooms[""] = await self._room(["anna"])

    async def write(self, written: UserMessage) -> str:
        room = await self._room_of(written)
        content: dict[str, Any] = {"msgtype": "m.notice" if written.bot else "m.text", "body": written.text}
        if written.mention:
            content |= {"body": f"{self._names['desk']}: {written.text}", "m.mentions": {"user_ids": [self.desk_user]}}
        for file in written.files:
            import io

            client = self._clients["anna"]
            answer, key = await client.upload(
                io.BytesIO(file.data), file.mime, file.name, encrypt=self._encrypted, filesize=len(file.data)
            )
            where = {"file": {**(key or {}), "url": answer.content_uri}} if key else {"url": answer.content_uri}
            info = {"mimetype": file.mime, "size": len(file.data)}
            kind = {"image": "m.image", "audio": "m.audio"}.get(file.kind, "m.file")
            content |= {"msgtype": kind, "filename": file.name, "info": info} | where
        self._last = room, content, await self._say(room, content)
        return self._last[2]

    async def edit(self, text: str) -> None:
        """Edit the person's last message, with the fallback text for older clients."""
        room, content, event = self._last
        relation = {"m.relates_to": {"rel_type": "m.replace", "event_id": event}}
        named = f"{self._names['desk']}: " if "m.mentions" in content else ""
        now = content | {"body": f"{named}{text}"}
        await self._say(room, now | {"body": f"* {now['body']}", "m.new_content": now} | relation)

    async def react(self, message_id: str, sign: str) -> None:
        """Send the person's reaction to a message."""
        relation = {"rel_type": "m.annotation", "event_id": message_id, "key": sign}
        await self._clients["anna"].room_send(self._rooms[""], "m.reaction", {"m.relates_to": relation})

    async def reply(self, text: str, to: str, old: str = "") -> None:
        """Send the person's reply to a message, with a reply fallback if ``old`` is given."""
        relation = {"m.relates_to": {"m.in_reply_to": {"event_id": to}}}
        await self._say(self._rooms[""], {"msgtype": "m.text", "body": f"{old}{text}"} | relation)

    async def repeat(self) -> None:
        """Do nothing: the homeserver repeats events that were not synced."""

    async def deliver_malformed(self, payload: Any) -> None:
        content = payload if isinstance(payload, dict) else {"body": repr(payload)}
        await self._say(self._rooms[""], content)

    async def _start(self, stack: AsyncExitStack) -> None:
        from nio import AsyncClient
        from starlette.applications import Starlette
        from starlette.routing import Route

        methods = ["GET", "POST", "PUT", "OPTIONS"]
        self._gate = await stack.enter_async_context(
            serve(Starlette(routes=[Route("/{path:path}", self._pass, methods=methods)]))
        )
        self._to = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        for role, name in self._names.items():
            self._passwords[role] = await asyncio.to_thread(self.homeserver.register, name)
        for role in self.people:
            folder = self._folder / role
            folder.mkdir()
            client = AsyncClient(self.homeserver.url, f"@{self._names[role]}:here.example", store_path=str(folder))
            stack.push_async_callback(client.close)
            await client.login(self._passwords[role])
            self._clients[role] = client
        watching = asyncio.create_task(self._watch(self._clients["anna"]))
        stack.push_async_callback(_ended, watching)

    async def _room_of(self, written: UserMessage) -> str:
        if not written.group:
            return self._rooms[""]
        if written.chat not in self._rooms:
            self._rooms[written.chat] = await self._room(["anna", "bert"])
        return self._rooms[written.chat]

    async def _room(self, people: list[str]) -> str:
        first = self._clients[people[0]]
        others = [f"@{self._names[role]}:here.example" for role in people[1:]]
        state = (
            [{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}] if self._encrypted else []
        )
        room = (await first.room_create(invite=[*others, self.desk_user], initial_state=state)).room_id
        for role in people[1:]:
            await self._clients[role].join(room)
        async with asyncio.timeout(60):
            while not await self._is_in(first, room):  # noqa: ASYNC110 - the homeserver has to be asked
                await asyncio.sleep(0.05)
            while self._encrypted and not list(first.device_store.active_user_devices(self.desk_user)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the person's client encrypts for the devices that it knows
        return str(room)

    async def _is_in(self, client: AsyncClient, room: str) -> bool:
        members = (await client.joined_members(room)).members
        return self.desk_user in {member.user_id for member in members}

    async def _say(self, room: str, content: dict[str, Any]) -> str:
        client = self._clients["anna"]
        answer = await client.room_send(room, "m.room.message", content, ignore_unverified_devices=True)
        return str(getattr(answer, "event_id", ""))

    async def _watch(self, client: AsyncClient) -> None:
        """Record the events of the person's client."""
        since = None
        while True:
            answer = await client.sync(5000, since=since, full_state=since is None)
            since = answer.next_batch
            if client.should_upload_keys:
                await client.keys_upload()
            if client.should_query_keys:
                await client.keys_query()
            await client.send_to_device_messages()
            for room, news in answer.rooms.join.items():
                self.typing += [room for event in news.ephemeral if self.desk_user in getattr(event, "users", [])]
                for event in news.timeline.events:
                    self._see(room, event.source)
            self.notify()

    def _see(self, room: str, event: dict[str, Any]) -> None:
        content = event.get("content", {})
        if event.get("sender") != self.desk_user or "body" not in content:
            return
        relation = content.get("m.relates_to") or {}
        if relation.get("rel_type") == "m.replace":
            shown = next(one for one in self.messages if one.id == relation["event_id"])
            shown.text = content["m.new_content"]["body"]
            shown.versions += [shown.text] if shown.text != shown.versions[-1] else []
            return
        replied = (relation.get("m.in_reply_to") or {}).get("event_id")
        thread = relation["event_id"] if relation.get("rel_type") == "m.thread" else None
        self.messages.append(
            SeenMessage(event["event_id"], room, content["body"], replied, [content["body"]], thread=thread)
        )

    async def _pass(self, request: Request) -> Response:
        """Forward a request to the homeserver, or respond with a fault."""
        from starlette.responses import JSONResponse, Response

        path = request.url.path
        if self.faults and "/send/m.room." in path:
            status, body = _TROUBLES[self.faults.pop(0)]
            wait = {"retry_after_ms": self.retry_after * 1000} if "retry_after_ms" in body else {}
            return JSONResponse(body | wait, status)
        sent = await request.body() if "/send/m.room." in path else b""
        if any(word.encode() in sent for word in self.unwanted):
            return JSONResponse({"errcode": "M_TOO_LARGE", "error": "event too large"}, 413)
        if refusal := next((self.refusals[end] for end in self.refusals if end in path), None):
            return JSONResponse(refusal[1], refusal[0])
        target = f"{self.homeserver.url}{path}" + (f"?{request.url.query}" if request.url.query else "")
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        answer = await self._to.request(request.method, target, content=await request.body(), headers=headers)
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    pytest.fail("Synapse did not start")


def _python() -> str:
    """Return the path of a Python with Synapse."""
    return os.environ.get("QWENDESK_TEST_SYNAPSE") or python_with("synapse", "matrix-synapse>=1.150,<2")
