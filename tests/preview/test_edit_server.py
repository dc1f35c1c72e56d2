"""Who the editor answers, and who it turns away."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest

from pytorch_accelerated.cli import main
from pytorch_accelerated.preview.edit_server import EditServer
from pytorch_accelerated.preview.editing import Draft

EMPTY = {"text": "cosine(9)", "base": "", "num_updates": "", "num_updates_per_epoch": ""}
MOVE = {**EMPTY, "field": "lr", "index": 1, "update": [12, 12], "value": None}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server():
    with EditServer(Draft("</textarea><script>alert(1)</script>", base='"><b>')) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def ask(server):
    def asked(method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        body = json.dumps(body) if isinstance(body, dict) else body
        connection.request(method, path, body, given)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text, response.headers

    return asked


@pytest.fixture
def post(server, ask):
    def posted(question, body, **headers):
        own = {"Origin": server.origin, **JSON, **headers}
        return ask("POST", server.path + question, body, **own)[:2]

    return posted


def test_the_page_loads_nothing_and_holds_texts_as_texts(server, ask):
    status, text, headers = ask("GET", server.path)
    assert status == 200
    assert "&lt;/textarea&gt;&lt;script&gt;alert(1)&lt;/script&gt;</textarea>" in text
    assert 'value="&quot;&gt;&lt;b&gt;"' in text
    assert "%%" not in text
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "pytorch-accelerated"
    assert ask("GET", server.path)[2]["Content-Security-Policy"] != policy


def test_questions_are_answered(post):
    status, text = post("view", EMPTY)
    assert (status, json.loads(text)["numUpdates"]) == (200, 9)
    status, text = post("move", MOVE)
    assert (status, json.loads(text)["text"]) == (200, "cosine(12)")
    assert "no joint 5" in json.loads(post("move", {**MOVE, "index": 5})[1])["refused"]
    assert "error" in json.loads(post("view", {**EMPTY, "text": "<script>"})[1])


def test_whoever_does_not_know_the_address_is_turned_away(server, ask):
    token = server.path.strip("/")
    assert len(token) >= 40
    for path in ("/", "/view", f"/{token[:-1]}x/", f"/{token}", "//", "/%c3%a9/", f"/x{token}/"):
        assert ask("GET", path)[0] == 404, path
        status, text, _ = ask("POST", path, EMPTY, Origin=server.origin, **JSON)
        assert (status, token in text) == (404, False)
    for path in ("edit.html", "..", "../edit.html", "view", "%2e%2e/", "?x"):
        assert ask("GET", server.path + path)[0] == 404, path
    with EditServer(Draft("")) as other:
        assert other.path != server.path


def test_other_pages_and_other_names_are_turned_away(server, ask, post):
    port = server.server_port
    for origin in ("null", f"http://localhost:{port}", f"https://127.0.0.1:{port}", "http://a.b"):
        assert post("view", EMPTY, Origin=origin)[0] == 403, origin
        assert ask("GET", server.path, Origin=origin)[0] == 403, origin
    assert ask("POST", server.path + "view", EMPTY, **JSON)[0] == 403  # without an origin
    for host in (f"evil.example:{port}", "127.0.0.1", f"localhost:{port}"):
        assert ask("GET", server.path, Host=host)[0] == 403, host
        assert post("view", EMPTY, Host=host)[0] == 403, host


def test_what_is_not_a_question_of_the_page_is_refused(server, ask, post):
    for method in ("PUT", "DELETE", "HEAD", "OPTIONS"):
        assert ask(method, server.path)[0] == 501
    assert post("view", EMPTY, **{"Content-Type": "text/plain"})[0] == 415
    assert post("save", EMPTY)[0] == 404
    assert post("view", "x" * 40_001)[0] == 413
    assert post("view", "", **{"Content-Length": "-1"})[0] == 411
    assert post("view", "", **{"Content-Length": "9" * 30})[0] == 413
    without = {name: value for name, value in EMPTY.items() if name != "base"}
    for body in ("", "[]", "1", "{}", "[" * 30_000, '"a', without, {**EMPTY, "text": None}):
        assert post("view", body)[0] == 400, body[:20]
    changes = [{"index": "x"}, {"index": None}, {"update": 3}, {"update": [1]}, {"field": 1}]
    for change in (*changes, {"value": [float("nan"), 1]}, {"value": [1e308, 2]}):
        assert post("move", {**MOVE, **change})[0] == 400, change
    assert post("view", EMPTY)[0] == 200


def test_it_listens_on_the_loopback_only(server):
    assert server.server_address[0] == "127.0.0.1"
    addresses = {
        found[4][0] for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    }
    for address in addresses - {"127.0.0.1"}:
        if not address.startswith("127."):
            with pytest.raises(OSError, match="refused"):
                socket.create_connection((address, server.server_port), timeout=5)


def test_the_command_ends_with_ctrl_c():
    command = [sys.executable, "-m", "pytorch_accelerated", "edit", "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        line = run.stdout.readline()
        assert line.startswith("editing at http://127.0.0.1:")
        address = line.split()[2]
        with urllib.request.urlopen(address, timeout=30) as page:
            assert "lr=linear(500, start=0.0)" in page.read().decode()
        os.kill(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (0, "")
    assert out == "\nended: the text is in the page, as long as that is open\n"


def test_a_port_that_cannot_be_had_is_one_line(monkeypatch, capsys):
    def refuse(*_):
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert main(["edit", "--no-browser"]) == 2
    assert "the page cannot be served: [Errno 98]" in capsys.readouterr().err
