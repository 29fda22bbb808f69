#!/usr/bin/env python3
"""An OpenStack that misbehaves: what a real Keystone, Octavia, Nova or Barbican cannot be made to do on demand.

In: a port, faults by path, console texts by server id. Out: the port chosen, on the first line of standard output; one JSON
line per request in DIR/requests.jsonl, and each credential's exact value in DIR/secrets.jsonl (mode 0600), for tests that
look for leaks. Never: another address than 127.0.0.1 (unless --listen), a request to anybody: it only answers.

    fake_openstack.py --dir DIR [--port 0] [--fault 'PATTERN=>FAULT[:ARGUMENT]']… [--console ID=KIND[:ARGUMENT]]… [--upstream URL]

PATTERN is a regular expression for "METHOD /path?query"; the first that is found counts. A fault can end with `,N`: only for
the first N requests, then the next pattern is asked. `--fault` also comes from DIR/faults (one a line), read at each
request, so that a running one can be changed. FAULT:

    late:SECONDS      answers as it would, after SECONDS            status:CODE        {"error": …} with that status
    silent            takes the request, answers nothing            unauthorized       401 as keystonemiddleware says it
    hangup            closes without an answer                      busy:SECONDS       429 with Retry-After
    html              200, a proxy's error page                     retry-date:SECONDS 503 with Retry-After as a date
    garbage           200, bytes that are no text                   redirect:URL       307 to URL + path
    cut               200, Content-Length more than the body        redirect-302:URL   302 to URL + path
    half              200, half of a right answer, well framed      loop               a list whose `next` is itself
    big:BYTES         200, one list with one string of that size    endless-pages      a list with a new `next` each time
    drip:SECONDS      a byte each SECONDS                           deep:LEVELS        nested lists
    endless           a body without an end, chunked                json:TEXT          200 and TEXT
    long-header       200 with a header of 1 MiB                    no-token           201 without X-Subject-Token
    other-type        right keys, wrong types                       duplicate          a list with each element twice

Without a fault: Keystone's tokens (any credential is right), Octavia's lists (DIR/amphorae.json and DIR/load_balancers.json,
if they are there, else empty), Nova's os-getConsoleOutput, Barbican's secrets (the files DIR/secrets/ID); or, with --upstream, what the server at URL answers to it.
KIND of a console: a word of KINDS or REFUSALS in tests/bed/cloud/consoles.py (good, two-boots, cut-end, forged-second, noise, none,
missing, …); the ARGUMENT is a file with public keys, one a line, as `ssh-keyscan` or *.pub has them.
"""
import argparse
import email.utils
import http.client
import http.server
import json
import pathlib
import re
import sys
import threading
import time
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "cloud"))
import consoles  # noqa: E402

SECRET_HEADERS = ("x-auth-token", "x-subject-token", "authorization", "openstack-auth-receipt", "cookie")
CHUNK = 1 << 16
TOKEN = "fake-token-0123456789abcdef"


class Faults:
    """Rules in order; `,N` counts down."""

    def __init__(self, rules, file):
        self.rules, self.file = rules, file
        self.used, self.lock = {}, threading.Lock()

    def all(self):
        more = self.file.read_text().splitlines() if self.file.exists() else []
        return [*more, *self.rules]

    def find(self, request):
        """The fault for a request, as (name, argument), or nothing."""
        with self.lock:
            for rule in self.all():
                pattern, _, fault = rule.partition("=>")
                if not fault or not re.search(pattern, request):
                    continue
                fault, limit = self.limited(fault)
                if limit is not None and self.used.get(rule, 0) >= limit:
                    continue
                self.used[rule] = self.used.get(rule, 0) + 1
                name, _, argument = fault.partition(":")
                return name, argument
        return None, None

    @staticmethod
    def limited(fault):
        text, comma, number = fault.rpartition(",")
        return (text, int(number)) if comma and number.isdigit() else (fault, None)


class Journal:
    """Who asked what. The values of credentials are kept apart from the rest."""

    def __init__(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.requests, self.secrets = directory / "requests.jsonl", directory / "secrets.jsonl"
        self.secrets.touch(mode=0o600)
        self.requests.touch()
        self.lock = threading.Lock()

    def note(self, handler, body, fault):
        kept = {k: ("present" if k.lower() in SECRET_HEADERS else v) for k, v in handler.headers.items()}
        line = {
            "time": time.time(), "method": handler.command, "path": handler.path, "headers": kept, "body_bytes": len(body), "fault": fault,
            "token": "present" if "X-Auth-Token" in handler.headers else "absent"}
        secrets = {k: v for k, v in handler.headers.items() if k.lower() in SECRET_HEADERS}
        with self.lock:
            self.append(self.requests, line)
            if secrets or body:
                self.append(self.secrets, {"path": handler.path, "headers": secrets, "body": body.decode(errors="replace")})

    @staticmethod
    def append(path, value):
        with open(path, "a") as file:
            file.write(json.dumps(value) + "\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name, argument = self.server.faults.find(f"{self.command} {self.path}")
        self.server.journal.note(self, body, name)
        try:
            if name is None:
                self.send(*self.right(body))
            else:
                getattr(self, "fault_" + name.replace("-", "_"), self.fault_unknown)(argument, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET

    # --- right answers ---------------------------------------------------------------------------

    def right(self, body):
        """(status, body, headers) of a server that has no fault."""
        if self.server.upstream:
            return self.forward(body)
        path, _, query = self.path.partition("?")
        if path.endswith("/auth/tokens"):
            return 201, token_body(self.base()), {"X-Subject-Token": TOKEN}
        if path.endswith("/action"):
            return self.console(path.split("/")[-2], json.loads(body or b"{}"))
        if "/v1/secrets/" in path:
            return self.secret(path.partition("/v1/secrets/")[2])
        for end, key, file in (("/amphorae", "amphorae", "amphorae"), ("/loadbalancers", "loadbalancers", "load_balancers")):
            if path.endswith(end):
                return 200, {key: self.rows(file), key + "_links": []}, {}
        if path in ("/", "/v3", "/v3/", "/v2.1", "/v2.1/"):
            return 200, {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": self.base() + path}]}}, {}
        return 404, {"faultcode": "Client", "faultstring": f"{path} not found.", "debuginfo": None}, {}

    def base(self):
        return f"http://{self.headers.get('Host', '')}"

    def rows(self, name):
        file = self.server.dir / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else []

    def console(self, server, asked):
        """Nova's os-getConsoleOutput; `length` counts lines from the end."""
        if "X-Auth-Token" not in self.headers:
            return 401, {"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}, {}
        if "os-getConsoleOutput" not in asked:
            return 400, {"badRequest": {"code": 400, "message": "There is no such action"}}, {}
        kind = self.server.console_of(server)
        if kind in consoles.REFUSALS:
            status, body = consoles.REFUSALS[kind]
            return status, body, {}
        text = self.server.console_text(server, kind)
        length = asked["os-getConsoleOutput"].get("length")
        if length is not None:
            text = "\n".join(text.split("\n")[-int(length):]) if int(length) else ""
        return 200, {"output": text}, {}

    def secret(self, path):
        """Barbican's: DIR/secrets/ID is a payload of text/plain, which is given to those only who ask for that type."""
        name, _, rest = path.partition("/")
        file, wanted = self.server.dir / "secrets" / name, self.headers.get("Accept")
        if "X-Auth-Token" not in self.headers or not file.exists():
            return 404, {"code": 404, "title": "Not Found", "description": "Secret not found."}, {}
        if rest != "payload":
            return 200, {"name": "octavia", "status": "ACTIVE", "secret_type": "private", "content_types": {"default": "text/plain"}}, {}
        if wanted != "text/plain":
            return 406, {"code": 406, "title": "Not Acceptable", "description": "Wrong payload content-type"}, {}
        return 200, file.read_bytes(), {"Content-Type": "text/plain"}

    def forward(self, body):
        """To the real service, and its answer back: a fault for one path, and the truth for the others."""
        to = urllib.parse.urlsplit(self.server.upstream)
        link = http.client.HTTPConnection(to.hostname, to.port, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")}
        link.request(self.command, to.path.rstrip("/") + self.path, body or None, headers)
        got = link.getresponse()
        data = got.read()
        link.close()
        kept = {k: v for k, v in got.getheaders() if k.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date")}
        return got.status, data, kept

    def send(self, status, body, headers=(), length=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **dict(headers)}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # --- faults ------------------------------------------------------------------------------------

    def fault_unknown(self, *_):
        self.send(500, {"error": {"code": 500, "title": "Fault", "message": f"no such fault in {self.server.dir}/faults"}})

    def fault_late(self, seconds, body):
        time.sleep(float(seconds))
        self.send(*self.right(body))

    def fault_silent(self, *_):
        self.close_connection = True
        self.wait_for_end()

    def fault_hangup(self, *_):
        self.close_connection = True

    def fault_html(self, *_):
        self.send(200, b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", {"Content-Type": "text/html"})

    def fault_garbage(self, *_):
        self.send(200, bytes(range(256)) * 16)

    def fault_cut(self, _, body):
        status, value, headers = self.right(body)
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send(status, data, headers, len(data) + 100)
        self.close_connection = True

    def fault_half(self, _, body):
        status, value, headers = self.right(body)
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send(status, data[:len(data) // 2], headers)

    def fault_big(self, size, _):
        self.send(200, b'{"%s": [{"id": "%s"}]}' % (self.key().encode(), b"a" * int(size or 10_000_000)))

    def fault_drip(self, seconds, body):
        status, value, headers = self.right(body)
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send(status, b"", headers, len(data))
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(float(seconds))

    def fault_endless(self, *_):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            self.wfile.write(b"%x\r\n%s\r\n" % (CHUNK, b" " * CHUNK))

    def fault_long_header(self, _, body):
        status, value, headers = self.right(body)
        self.send(status, value, {**headers, "X-Long": "a" * (1 << 20)})

    def fault_other_type(self, *_):
        self.send(200, {self.key(): {"id": 7}, self.key() + "_links": "none"})

    def fault_deep(self, levels, _):
        number = int(levels or 100_000)
        self.send(200, b'{"%s": %s%s}' % (self.key().encode(), b"[" * number, b"]" * number))

    def fault_json(self, text, _):
        self.send(200, text.encode())

    def fault_status(self, code, _):
        self.send(int(code), {"error": {"code": int(code), "title": "Fault", "message": "a fault that a test asked for"}})

    def fault_unauthorized(self, *_):
        body = {"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}
        self.send(401, body, {"WWW-Authenticate": f'Keystone uri="{self.base()}/v3"'})

    def fault_busy(self, seconds, _):
        self.send(429, {"error": {"code": 429, "title": "Too Many Requests", "message": "slow down"}}, {"Retry-After": seconds or "1"})

    def fault_retry_date(self, seconds, _):
        when = email.utils.formatdate(time.time() + float(seconds or 1), usegmt=True)
        self.send(503, {"error": {"code": 503, "title": "Service Unavailable", "message": "later"}}, {"Retry-After": when})

    def fault_redirect(self, url, _):
        self.send(307, b"", {"Location": url.rstrip("/") + self.path})

    def fault_redirect_302(self, url, _):
        self.send(302, b"", {"Location": url.rstrip("/") + self.path})

    def fault_loop(self, _, body):
        self.paged(body, self.base() + self.path)

    def fault_endless_pages(self, _, body):
        path = self.path.partition("?")[0]
        self.paged(body, f"{self.base()}{path}?marker={time.time_ns()}")

    def fault_duplicate(self, _, body):
        value = self.value(body)
        value[self.key()] = value.get(self.key(), []) * 2
        self.send(200, value)

    def fault_no_token(self, *_):
        self.send(201, token_body(self.base()))

    def paged(self, body, after):
        value = self.value(body)
        self.send(200, {**value, self.key() + "_links": [{"rel": "next", "href": after}]})

    def value(self, body):
        got = self.right(body)[1]
        return json.loads(got) if isinstance(got, bytes) else got

    def key(self):
        """The name of a listing is its path's last word."""
        return self.path.partition("?")[0].rstrip("/").rpartition("/")[2]

    def wait_for_end(self):
        """Until the client gives up, and at most ten minutes."""
        self.connection.settimeout(600)
        try:
            self.connection.recv(1)
        except OSError:
            pass


def token_body(base):
    """A project-scoped token; its catalogue leads back to this server."""
    now, soon = (time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() + more)) for more in (0, 3600))
    domain = {"id": "default", "name": "Default"}
    catalog = [{"type": kind, "name": name, "id": kind, "endpoints": [
        {"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "id": kind + "-1", "url": base + path}]}
        for kind, name, path in (("identity", "keystone", "/v3/"), ("load-balancer", "octavia", ""), ("compute", "nova", "/v2.1"), ("key-manager", "barbican", ""))]
    return {"token": {
        "methods": ["password"], "user": {"id": "fake-user", "name": "fake", "domain": domain, "password_expires_at": None},
        "project": {"id": "fake-project", "name": "fake", "domain": domain}, "roles": [{"id": "r", "name": "admin"}], "is_domain": False,
        "audit_ids": ["fake"], "issued_at": now, "expires_at": soon, "catalog": catalog}}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, a):
        super().__init__((a.listen, a.port), Handler)
        self.dir, self.upstream = a.dir, a.upstream
        self.faults, self.journal = Faults(a.fault, a.dir / "faults"), Journal(a.dir)
        self.consoles = dict(a.console)

    def handle_error(self, *_):
        """A client that leaves is no news."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(*_)

    def lines(self, name):
        """A file of DIR with KEY=VALUE lines, read each time, so that a test can change it."""
        file = self.dir / name
        return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line) if file.exists() else {}

    def console_of(self, server):
        """DIR/consoles (ID=KIND[:FILE], one a line) before the command line; * is everybody else."""
        known = {**self.consoles, **self.lines("consoles")}
        return known.get(server, known.get("*", "missing"))

    def console_text(self, server, kind):
        """Of the machine which DIR/hosts names for this server (ID=NAME), else amphora-ID."""
        name, _, file = kind.partition(":")
        keys = pathlib.Path(file).read_text() if file else consoles.SAMPLE_KEYS
        return consoles.text(name, self.lines("hosts").get(server, f"amphora-{server}"), keys)


def rule(text):
    name = text.partition("=>")[2].partition(":")[0].partition(",")[0].replace("-", "_")
    if not name or not hasattr(Handler, "fault_" + name):
        raise argparse.ArgumentTypeError(f"{text} is not PATTERN=>FAULT with a fault of the list above")
    return text


def console(text):
    key, found, kind = text.partition("=")
    if not found or kind.partition(":")[0] not in [*consoles.KINDS, *consoles.REFUSALS]:
        raise argparse.ArgumentTypeError(f"{text} is not ID=KIND with one of {', '.join([*consoles.KINDS, *consoles.REFUSALS])}")
    return key, kind


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--dir", type=pathlib.Path, required=True, help="journal, and files that change it while it runs")
    a.add_argument("--port", type=int, default=0)
    a.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS")
    a.add_argument("--upstream", metavar="URL", help="pass on what has no fault")
    a.add_argument("--fault", action="append", default=[], type=rule, metavar="PATTERN=>FAULT")
    a.add_argument("--console", action="append", default=[], type=console, metavar="ID=KIND")
    server = Server(a.parse_args())
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
