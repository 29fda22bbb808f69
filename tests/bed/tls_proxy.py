#!/usr/bin/env python3
"""TLS before a service that speaks plain http, with authorities made on the spot.

    tls_proxy.py DIR --upstream http://127.0.0.1:PORT [--certificate good|other-name|expired]

In: a service's address. Out: the port chosen, on the first line of standard output; DIR/ca.pem, the authority to trust (made, if it
is not there with its ca.key), and DIR/other-ca.pem, one that has signed nothing; a line in DIR/requests for each request that arrived. Never: another
address than 127.0.0.1; a byte of a request in a file, but for its method and path.
"""
import argparse
import http.client
import http.server
import pathlib
import ssl
import subprocess
import urllib.parse

NAMES = {"good": "IP:127.0.0.1,DNS:localhost", "other-name": "DNS:keystone.elsewhere.example", "expired": "IP:127.0.0.1"}
DATES = {"expired": ("20200101000000Z", "20210101000000Z")}
# `openssl ca` alone can sign with dates of the past, in all of its versions; it wants a configuration and a list of what it signed.
CA = """[ca]
default_ca = one
[one]
database = {dir}/signed
new_certs_dir = {dir}
serial = {dir}/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
subjectAltName = {names}
"""


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(place, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-subj", f"/CN={name} of the tests",
            "-addext", "keyUsage=critical,keyCertSign", "-keyout", place / f"{name}.key", "-out", place / f"{name}.pem")


def certificate(place, kind):
    """Signed by DIR/ca.pem, for this kind's names and dates."""
    (place / "signed").touch()
    (place / "serial").write_text("1000\n")
    (place / "ca.cnf").write_text(CA.format(dir=place, names=NAMES[kind]))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=service of the tests",
            "-keyout", place / "leaf.key", "-out", place / "leaf.csr")
    begins, ends = DATES.get(kind, ("20200101000000Z", "20480101000000Z"))
    openssl("ca", "-batch", "-notext", "-config", place / "ca.cnf", "-extensions", "leaf", "-cert", place / "ca.pem", "-keyfile", place / "ca.key",
            "-startdate", begins, "-enddate", ends, "-in", place / "leaf.csr", "-out", place / "leaf.pem")


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        with open(self.server.place / "requests", "a") as log:
            log.write(f"{self.command} {self.path}\n")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        upstream.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")})
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = pass_on

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, place, upstream):
        super().__init__(("127.0.0.1", 0), Proxy)
        self.place, self.upstream = place, upstream
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(place / "leaf.pem", place / "leaf.key")

    def finish_request(self, request, client_address):
        """In the connection's own thread: a handshake holds up nobody else. One that fails is the client's refusal."""
        try:
            with self.tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except (ssl.SSLError, OSError):
            pass


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("dir", metavar="DIR", type=pathlib.Path)
    options.add_argument("--upstream", required=True, metavar="URL")
    options.add_argument("--certificate", choices=sorted(NAMES), default="good")
    a = options.parse_args()
    a.dir.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "other-ca"):
        if not (a.dir / f"{name}.pem").exists():
            authority(a.dir, name)
    certificate(a.dir, a.certificate)
    (a.dir / "requests").write_text("")
    server = Server(a.dir, urllib.parse.urlsplit(a.upstream).netloc)
    print(server.server_address[1], flush=True)
    server.serve_forever()


main()
