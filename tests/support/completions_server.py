"""A real server of the OpenAI completions API on this machine, with a real (tiny) model and faults on demand."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch

from rlenvs.agents.llm.engines.sampling import pick, uniform_at


class CompletionsServer(ThreadingHTTPServer):
    """Serves `/v1/completions` for token-id prompts, by plain forward passes over the whole text.

    Attributes:
        policy: the model.
        faults: answers to give before a real one: a status, `drop` (close the connection inside the answer), `slow`
            (an answer that never ends), or a text sent as it is.
        tempered: whether log-probabilities follow the temperature.
        edit: changes a choice before it is sent.
        requests: bodies received, with their path and headers.
    """

    daemon_threads = True

    def __init__(self, policy):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.policy = policy
        self.faults = []
        self.tempered = True
        self.edit = lambda choice: choice
        self.requests = []
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_):
        """A client that went away is no error here."""

    @torch.no_grad()
    def choice(self, body):
        ids, logprobs, tops = [], [], []
        temperature = torch.tensor([float(body["temperature"])])
        seed = torch.tensor([body.get("seed", 0)])
        finish = "length"
        for step in range(body["max_tokens"]):
            logits = self.policy.model(torch.tensor([[*body["prompt"], *ids]])).logits[:, -1].float()
            uniform = uniform_at(seed, torch.tensor([step]))
            token, logprob, _ = pick(logits, temperature, uniform, temperature.item() == 0)
            plain = torch.log_softmax(logits, dim=-1)[0]
            shown = torch.log_softmax(logits / temperature, dim=-1)[0] if self.tempered and temperature > 0 else plain
            ids.append(token.item())
            logprobs.append(logprob.item() if self.tempered else plain[token].item())
            tops.append({f"token_id:{shown.argmax().item()}": shown.max().item()})
            text = self.policy.tokenizer.decode(ids)
            if ids[-1] in body.get("stop_token_ids", ()) or any(one in text for one in body.get("stop") or ()):
                finish = "stop"
                break
        choice = {"index": 0, "token_ids": ids, "finish_reason": finish, "text": self.policy.tokenizer.decode(ids)}
        return choice | {"logprobs": {"token_logprobs": logprobs, "top_logprobs": tops}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, dict(self.headers), body))
            fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, int):
            self._send(fault, b"busy or not allowed")
        elif fault == "drop":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault == "slow":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(1000):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.02)
        elif fault is not None:
            self._send(200, fault.encode())
        elif not self.path.endswith("/completions"):
            self._send(200, b"done")
        else:
            with self.server.lock:
                choice = self.server.edit(self.server.choice(body))
            self._send(200, json.dumps({"object": "text_completion", "choices": [choice]}).encode())

    def _send(self, status, payload):
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


@contextmanager
def completions_server(policy):
    """Run a server for a while."""
    server = CompletionsServer(policy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
