"""A registry of Ollama models on loopback, for a real Ollama to pull from."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def registry(name: str, layers: dict[str, bytes]) -> Iterator[str]:
    """Serve one model of layers by media type; yields the name to pull."""
    blobs = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in layers.values()}
    config = json.dumps({"model_format": "gguf", "model_family": "llama"}).encode()
    blobs |= {f"sha256:{hashlib.sha256(config).hexdigest()}": config}
    entries = [
        {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest, "size": len(data)}
        for kind, (digest, data) in zip([*layers, "config"], blobs.items(), strict=True)
    ]
    manifest = {"schemaVersion": 2, "config": entries[-1], "layers": entries[:-1]}
    files = {f"/v2/library/{name}/blobs/{digest}": data for digest, data in blobs.items()}
    files[f"/v2/library/{name}/manifests/latest"] = json.dumps(manifest).encode()

    class Handler(_Handler):
        served = files

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}/library/{name}:latest"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_STORE = "/storage"


class _Handler(BaseHTTPRequestHandler):
    served: dict[str, bytes]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        if with_body and "/blobs/" in self.path and not self.path.startswith(_STORE):
            # a real registry redirects downloads to its storage on another host
            port = self.headers["Host"].rpartition(":")[2]
            self.send_response(307)
            self.send_header("Location", f"http://localhost:{port}{_STORE}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = self.served.get(self.path.removeprefix(_STORE))
        if data is None:
            self.send_error(404)
            return
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1 if last else None]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if with_body:
            self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
