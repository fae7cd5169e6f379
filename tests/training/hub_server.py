"""A Hub on loopback that takes commits and remembers what came."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Hub:
    """What was asked of the server.

    Args:
        url: Where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.paths: list[str] = []
        self.tokens: set[str | None] = set()
        self.created: list[dict] = []
        self.commits: list[dict[str, bytes]] = []
        self.refuses_commits = False

    def answer(self, path: str, body: bytes) -> tuple[int, dict]:
        self.paths.append(path)
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            name = self.created[-1].get("name")
            return 200, {"url": f"{self.url}/somebody/{name}", "id": f"somebody/{name}"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if "/preupload/" in path:  # everything goes into the commit itself
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for file in json.loads(body)["files"]
            ]
            return 200, {"files": files}
        if "/commit/" in path:
            if self.refuses_commits:
                return 403, {"error": "you may not write here"}
            entries = [json.loads(line) for line in body.splitlines() if line]
            self.commits.append(
                {
                    entry["value"]["path"]: base64.b64decode(entry["value"]["content"])
                    for entry in entries
                    if entry["key"] == "file"
                }
            )
            return 200, {"commitUrl": f"{self.url}/somebody/x/commit/1", "commitOid": "1", "success": True}
        return 404, {"error": f"nothing at {path}"}


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve on a free port until the end of the context."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            hub.tokens.add(self.headers.get("Authorization"))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = hub.answer(self.path.partition("?")[0], body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else data)

        do_GET = do_POST = do_HEAD = do_PUT = _serve

        def log_message(self, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
