"""A chat endpoint behind a real socket that answers as a test says."""

import json
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = tuple[int, dict[str, str], bytes]


def completion(text: str | None, finish_reason: str = "stop") -> Answer:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return 200, {}, json.dumps({"choices": [choice]}).encode()


class Endpoint:
    """An endpoint whose answers a test chooses, and what it was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any], int], Answer | None] = lambda body, number: completion(None)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        self.now = self.most = 0
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with endpoint._lock:
                    endpoint.bodies.append(body)
                    endpoint.headers.append(dict(self.headers))
                    endpoint.paths.append(self.path)
                    endpoint.times.append(time.monotonic())
                    number = len(endpoint.bodies)
                    endpoint.now += 1
                    endpoint.most = max(endpoint.most, endpoint.now)
                try:
                    answer = endpoint.answer(body, number)
                finally:
                    with endpoint._lock:
                        endpoint.now -= 1
                if answer is None:  # hang up, with a reset
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(1, 13, linger)  # SOL_SOCKET, SO_LINGER
                    self.close_connection = True
                    self.connection.close()
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def finish(self) -> None:
                try:
                    super().finish()
                except (OSError, ValueError):
                    return  # the test hung up

            def log_message(self, *arguments: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                return  # clients that gave up

        self.server: socketserver.BaseServer = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"  # type: ignore[index]
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """An endpoint on this machine, without a proxy before it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    server = Endpoint()
    try:
        yield server
    finally:
        server.close()
