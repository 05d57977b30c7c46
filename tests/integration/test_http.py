"""The HTTP server against people who do not speak HTTP, or do it on purpose (raw sockets on both ends)."""

import contextlib
import json
import os
import re
import signal
import socket
import time

import pytest

import ops_fake
from sbtest.wait import wait_until

LIFE_S = 10  # from accept to the last byte


@pytest.fixture(scope="module")
def fake(workspace):
    with ops_fake.run(workspace / "http") as one:
        one.wait_running()
        yield one
        one.status()["running"] or pytest.fail("the server did not survive its tests")


def connect(fake, timeout=5):
    sock = socket.create_connection(("127.0.0.1", fake.port()), timeout=timeout)
    return sock


def read_all(sock):
    """Until the other side closes. A reset after data is a close too: it had not read all we sent."""
    got = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while chunk := sock.recv(65536):
            got += chunk
    return got


def send(fake, raw, timeout=5):
    """Everything the server says to raw until it closes the connection. A timeout means that it did not."""
    with connect(fake, timeout) as sock:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            sock.sendall(raw)
        return read_all(sock)


def status_of(answer):
    first = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    return int(first.group(1)) if first else None


def get(fake, path, verb="GET", host="127.0.0.1", more=""):
    answer = send(fake, f"{verb} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return status_of(answer), head.decode(), body.decode()


def assert_lives(fake):
    assert get(fake, "/livez")[0] == 200


def test_the_four_paths(fake):
    for path, kind in [("/livez", "text/plain"), ("/metrics", "text/plain; version=0.0.4"), ("/status", "application/json")]:
        status, head, body = get(fake, path)
        assert status == 200 and f"Content-Type: {kind}" in head and body, path
    status, _, body = get(fake, "/readyz")
    assert status == 200 and body.startswith("ready\n")
    assert json.loads(get(fake, "/status")[2])["ready"] is True


def test_every_answer_closes_and_shares_nothing(fake):
    for path in ("/metrics", "/nothing"):
        head = get(fake, path)[1].lower()
        assert "connection: close" in head and "cache-control: no-store" in head
        assert "access-control" not in head


def test_metrics_are_prometheus_text(fake):
    body = get(fake, "/metrics")[2]
    assert body.endswith("\n")
    named, typed, seen = set(), {}, set()
    for line in body.splitlines():
        if match := re.fullmatch(r"# HELP ([a-z_:][a-z0-9_:]*) \S.*", line):
            assert match.group(1) not in named, f"two blocks for {match.group(1)}"
            named.add(match.group(1))
        elif match := re.fullmatch(r"# TYPE ([a-z_:]+) (counter|gauge)", line):
            typed[match.group(1)] = match.group(2)
        else:
            match = re.fullmatch(r'([a-z_:]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.]+)', line)
            assert match, line
            assert match.group(1) in typed and match.group(1) in named, line
            assert (match.group(1), match.group(2)) not in seen, f"twice: {line}"
            seen.add((match.group(1), match.group(2)))
    assert typed["switchback_apply_commits_total"] == "counter" and named == set(typed)
    assert 'switchback_stage_state{stage="apply",direction="forward",state="running"} 1' in body


def test_metrics_outlive_a_killed_stage(fake):
    def commits():
        found = re.search(r"^switchback_apply_commits_total\{.*\} (\d+)$", get(fake, "/metrics")[2], re.M)
        return int(found.group(1))

    before = wait_until(commits, 5, "some commits")
    pid = fake.wait_state("apply", "running")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "ended, starts again" in fake.text(), 5, "the end to be noticed")
    assert commits() >= before
    fake.wait_state("apply", "running")
    assert 'switchback_stage_restarts_total{stage="apply",direction="forward"} 1' in get(fake, "/metrics")[2]


def test_readiness_says_why_not(place):
    with ops_fake.run(place, apply="halt") as halted:
        halted.wait_state("apply", "halted")
        status, _, body = get(halted, "/readyz")
        assert status == 503 and "apply-forward is halted by SB-POISON" in body
        assert get(halted, "/livez")[0] == 200
    with ops_fake.run(place, apply="retry") as trying:
        trying.wait_state("apply", "backoff")
        status, _, body = get(trying, "/readyz")
        assert status == 503 and "SB-TARGET-UNAVAILABLE" in body


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "get", "G" * 2000])
def test_other_verbs_are_refused(fake, verb):
    status, head, _ = get(fake, "/metrics", verb=verb)
    assert status == 405 and "Allow: GET, HEAD" in head


def test_head_has_no_body(fake):
    status, head, body = get(fake, "/metrics", verb="HEAD")
    assert status == 200 and body == "" and int(re.search(r"Content-Length: (\d+)", head).group(1)) > 1000


@pytest.mark.parametrize("path", [
    "/", "//metrics", "/metrics/", "/metrics/..", "/../metrics", "/a/../metrics", "/%2e%2e/metrics", "/metrics%00",
    "/METRICS", "/metrics;x", "/..%2f..%2fetc/passwd", "*", "http://127.0.0.1/metrics", "/status.json",
])
def test_other_paths_are_not_there(fake, path):
    assert get(fake, path)[0] in (400, 404)


def test_a_query_does_not_hide_a_path(fake):
    assert get(fake, "/livez?probe=1")[0] == 200


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]", "10.0.0.1", "x" * 300,
    "127.0.0.1:9187:80", "localhost:port", " ", "127.0.0.1@evil.example",
])
def test_other_hosts_are_refused(fake, host):
    """DNS rebinding: a browser sends the name that its page came from."""
    assert get(fake, "/status", host=host)[0] in (400, 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9187", "localhost", "LOCALHOST:1", "[::1]:9187", "127.9.9.9"])
def test_loopback_names_are_answered(fake, host):
    assert get(fake, "/livez", host=host)[0] == 200


def test_no_host_two_hosts(fake):
    assert status_of(send(fake, b"GET /status HTTP/1.1\r\n\r\n")) == 400 or \
        status_of(send(fake, b"GET /status HTTP/1.1\r\n\r\n")) == 421
    assert status_of(send(fake, b"GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")) == 400
    assert status_of(send(fake, b"GET /livez HTTP/1.0\r\n\r\n")) == 200, "a plain health check sends none"


@pytest.mark.parametrize("size", [9_000, 100_000, 5_000_000])
def test_a_huge_header_is_refused(fake, size):
    answer = send(fake, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * size + b"\r\n\r\n")
    assert status_of(answer) in (413, 431, None), answer[:80]  # None: closed while we were still sending
    assert_lives(fake)


def test_many_headers_and_a_long_line_are_refused(fake):
    many = b"".join(b"X-%d: 1\r\n" % at for at in range(20_000))
    assert status_of(send(fake, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n")) in (413, 431, None)
    assert status_of(send(fake, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")) in (414, 431, 413, None)
    assert_lives(fake)


@pytest.mark.parametrize("headers", [
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 0\r\nContent-Length: 0",
    "Content-Length: 0, 5",
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 5x",
    "Content-Length: 99999999999999999999999999",
    "Content-Length:",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: nonsense",
])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_both_lengths_and_wrong_lengths_are_refused(fake, verb, headers):
    """Request smuggling: the second request must never be answered."""
    raw = f"{verb} /livez HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n0\r\n\r\nGET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = send(fake, raw.encode())
    assert status_of(answer) is None or 400 <= status_of(answer) < 500, answer
    assert b" 200 " not in answer and b'"directions"' not in answer


def test_a_body_is_refused_before_it_comes(fake):
    answer = send(fake, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx")
    assert status_of(answer) == 413
    answer = send(fake, b"POST /livez HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
    assert status_of(answer) == 405 and b"100 Continue" not in answer


def test_pipelined_requests_get_one_answer(fake):
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = send(fake, one * 50)
    assert answer.count(b"HTTP/1.1 200") == 1 and answer.endswith(b"alive\n")


def test_unfinished_requests_are_dropped(fake):
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        socks = []
        for raw in (b"", b"\r\n" * 10, b"\0" * 100, b"\x16\x03\x01\x02\x00\x01\x00", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"):
            socks.append(stack.enter_context(connect(fake, timeout=LIFE_S + 3)))
            socks[-1].sendall(raw)
        assert [read_all(sock) for sock in socks] == [b""] * len(socks)
    assert time.monotonic() - began < LIFE_S + 3
    assert_lives(fake)


@pytest.mark.parametrize("raw", [
    b"GET\r\n\r\n", b"GET /livez\r\n\r\n", b"GET /livez HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nno colon here\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost : localhost\r\n\r\n", bytes(range(256)) * 20 + b"\r\n\r\n",
    b"GET /livez HTTP/1.1\nHost: localhost\n\n",
])
def test_rubbish_does_not_hurt(fake, raw):
    with connect(fake) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
    assert answer == b"" or status_of(answer) is not None
    assert b'"directions"' not in answer
    assert_lives(fake)


def test_a_slow_request_is_cut_off(fake):
    """A byte now and then does not keep a connection: ten seconds in all."""
    began = time.monotonic()
    with connect(fake, timeout=0.5) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
        while time.monotonic() - began < LIFE_S + 5:
            try:
                sock.sendall(b"a")
                if sock.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
        else:
            pytest.fail("still connected")
    assert time.monotonic() - began < LIFE_S + 3
    assert_lives(fake)


def test_many_connections_do_not_shut_others_out_for_long(fake):
    """All slots taken by silent clients: they are thrown out, and whoever waited is answered."""
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(fake)) for _ in range(60)]
        began = time.monotonic()
        answer = send(fake, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", timeout=LIFE_S * 3)
        assert status_of(answer) == 200
        assert time.monotonic() - began < LIFE_S * 2 + 5
        assert len(silent) == 60
    assert_lives(fake)


def test_a_client_that_goes_away_leaves_nothing_behind(fake):
    def descriptors():
        return len(os.listdir(f"/proc/{fake.pid}/fd"))

    assert_lives(fake)
    before = descriptors()
    for _ in range(200):
        with connect(fake) as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_until(lambda: descriptors() <= before + 1, 10, "the connections to be closed")
    assert_lives(fake)
