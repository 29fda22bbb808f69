"""In: a file. Out: on standard output its port; in the file each body that was posted, a line each. Never: anything else."""
import http.server
import sys


class Keeper(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[1], "ab") as kept:
            kept.write(body + b"\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keeper)
print(server.server_address[1], flush=True)
server.serve_forever()
