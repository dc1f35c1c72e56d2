"""The editor's page, served to this machine alone."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import webbrowser
from dataclasses import asdict, fields
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from pytorch_accelerated.preview.editing import Draft, move, view

_HOST = "127.0.0.1"
_MOST_BYTES = 40_000  # of a request; a text that is longer than the editor takes says so itself
_SECONDS = 20.0  # for a request to arrive in

_ALWAYS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class EditServer(ThreadingHTTPServer):
    """Serves the editor on the loopback, under an address that only who started it knows.

    It answers one page, and two questions of that page: what a text looks like, and what the text
    is with a joint elsewhere. It reads no file, writes none, and keeps nothing.

    Attributes:
        url: The page's address.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, draft: Draft) -> None:
        super().__init__((_HOST, 0), _Handler)
        self.draft = draft
        self.origin = f"http://{_HOST}:{self.server_port}"
        token = secrets.token_urlsafe(32)
        self.path = f"/{token}/"
        self.url = self.origin + self.path
        # Reading an expression turns warnings into errors for a moment, for all threads.
        self.one_at_a_time = threading.Lock()

    def page(self, nonce: str) -> str:
        """Return the page, which says of itself what it may load: nothing."""
        template = files(__package__).joinpath("edit.html").read_text(encoding="utf-8")
        parts = {name.upper(): escape(value) for name, value in asdict(self.draft).items()}
        pieces = template.split("%%")
        parts["NONCE"] = nonce
        return "".join(parts[one] if i % 2 else one for i, one in enumerate(pieces))

    def answer(self, question: str, asked: Any) -> Any:
        """Return what the page asks for; raise ``ValueError`` for what is not a question of it."""
        try:
            draft = Draft(**{one.name: _text(asked[one.name]) for one in fields(Draft)})
            joint = None
            if question == "move":
                joint = _text(asked["field"]), int(asked["index"])
                target = _interval(asked["update"]), _interval(asked["value"])
        except (KeyError, TypeError) as error:
            raise ValueError("not a question of the page") from error
        with self.one_at_a_time:
            if joint is None:
                return view(draft)
            found = move(draft, *joint, *target)
        return (
            {"refused": found} if isinstance(found, str) else {"text": found[0], "view": found[1]}
        )


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError("not a text")
    return given


def _interval(given: Any) -> tuple[float, float] | None:
    if given is None:
        return None
    low, high = sorted(map(float, given))
    if not -1e300 < low <= high < 1e300:
        raise ValueError("not an interval")
    return low, high


class _Handler(BaseHTTPRequestHandler):
    """Answers what comes from the page itself; everything else is turned away."""

    server: EditServer
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS

    def do_GET(self) -> None:
        """Send the page."""
        if not self._is_known(is_question=False):
            return
        if self._rest() != "":
            self._refuse(404)
            return
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        headers = {"Content-Security-Policy": policy}
        self._send(200, self.server.page(nonce), "text/html; charset=utf-8", headers)

    def do_POST(self) -> None:
        """Answer a question of the page."""
        if not self._is_known(is_question=True):
            return
        question = self._rest()
        if question not in ("view", "move"):
            self._refuse(404)
            return
        if self.headers.get_content_type() != "application/json":
            self._refuse(415)
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            self._refuse(411)
        elif len(length) > 9 or int(length) > _MOST_BYTES:
            self._refuse(413)
        else:
            try:
                found = self.server.answer(question, json.loads(self.rfile.read(int(length))))
            except (ValueError, RecursionError):
                self._refuse(400)
            else:
                self._send(200, json.dumps(found), "application/json")

    def _is_known(self, is_question: bool) -> bool:
        """Say whether a request comes from the page; turn it away if not."""
        known = self.server.origin
        origin = self.headers.get("Origin", "" if is_question else known)
        # Whoever makes a browser ask by another name, or from another page, is somebody else.
        if (f"http://{self.headers.get('Host')}", origin) != (known, known):
            self._refuse(403)
        elif self._rest() is None:
            self._refuse(404)
        else:
            return True
        return False

    def _rest(self) -> str | None:
        """Return what of the address follows the secret one; None if that is another."""
        given, known = self.path.encode(), self.server.path.encode()
        is_same = hmac.compare_digest(given[: len(known)], known)
        return self.path[len(known) :] if is_same else None

    def _refuse(self, status: int) -> None:
        self.close_connection = True  # what else is in the request is not read
        self._send(status, f"{status}\n", "text/plain; charset=utf-8", {"Connection": "close"})

    def _send(
        self, status: int, text: str, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {**_ALWAYS, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def version_string(self) -> str:
        """Return what the server calls itself: nothing about the machine."""
        return "pytorch-accelerated"

    def log_message(self, *_: Any) -> None:
        """Say nothing of requests: the address is a secret."""


def serve(draft: Draft, open_browser: bool = True) -> None:
    """Serve the editor until Ctrl-C, having said where it is.

    Args:
        draft: What is written in it at first.
        open_browser: Whether to open the page as well.
    """
    with EditServer(draft) as server:
        print(f"editing at {server.url} (end with Ctrl-C)", flush=True)  # noqa: T201
        if open_browser:
            # A browser for the terminal would keep this thread until it is closed.
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nended: the text is in the page, as long as that is open")  # noqa: T201
