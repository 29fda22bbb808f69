#!/usr/bin/env python3
"""Run a program on a pseudo-terminal of its own and talk to it by script.

    terminal.py [--size ROWSxCOLS] SCRIPT -- COMMAND…

Lines of SCRIPT (a file): `expect TEXT` waits until TEXT was shown since the last expect; `send TEXT` types it
(both with Python's escapes); `resize ROWS COLS`; `close` hangs up. After the script everything is read to the
end. What was shown goes to standard output; the exit status is the program's, 128 + n for signal n, 124 when
an expected text did not come (then standard error says which).
"""
import fcntl, os, pty, select, signal, struct, sys, termios, time

DEADLINE = 60.0


def set_size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


class Terminal:
    def __init__(self, command, rows, cols):
        self.shown, self.mark, self.open = b"", 0, True
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # The child sets its own size first, so that no program can start on a 0x0 terminal.
            set_size(0, rows, cols)
            os.execvp(command[0], command)

    def read(self, seconds):
        if not self.open or not select.select([self.fd], [], [], seconds)[0]:
            return self.open
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.open = bool(data)
        self.shown += data
        return self.open

    def expect(self, text):
        end = time.monotonic() + DEADLINE
        while (at := self.shown.find(text, self.mark)) < 0:
            if not self.read(0.5) or time.monotonic() > end:
                sys.stdout.buffer.write(self.shown)
                print(f"terminal.py: {text!r} was not shown", file=sys.stderr)
                try:
                    os.kill(self.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                sys.stdout.flush()
                os._exit(124)
        self.mark = at + len(text)

    def send(self, data):
        while data:
            select.select([self.fd], [self.fd], [])
            sent = os.write(self.fd, data[:512])
            data = data[sent:]
            self.read(0)

    def finish(self):
        while self.read(DEADLINE):
            pass
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def main():
    args = sys.argv[1:]
    rows, cols = 24, 80
    if args[0] == "--size":
        rows, cols = map(int, args[1].split("x"))
        args = args[2:]
    script, command = args[0], args[args.index("--") + 1 :]
    terminal = Terminal(command, rows, cols)
    for line in open(script, encoding="utf-8"):
        word, _, rest = line.rstrip("\n").partition(" ")
        text = rest.encode("utf-8").decode("unicode_escape").encode("latin-1")
        if word == "expect":
            terminal.expect(text)
        elif word == "send":
            terminal.send(text)
        elif word == "resize":
            set_size(terminal.fd, *map(int, rest.split()))
        elif word == "close":
            os.close(terminal.fd)
            terminal.open = False
    code = terminal.finish()
    sys.stdout.buffer.write(terminal.shown)
    sys.exit(code if code >= 0 else 128 - code)


main()
