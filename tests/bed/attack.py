#!/usr/bin/env python3
"""A client without manners, on paramiko: what no OpenSSH client would send.

    attack.py ATTACK        doors | requests | states | factors | keys | slow | names | probe | logins | paths | garbage | proxied

Environment: PORT (of the gateway), KEY (private key), OPERATOR, AMPHORA (target name); more where noted. Prints
one JSON object: what was tried, and what came of it. The tests know what must have come.
"""
import json, logging, os, socket, struct, sys, threading, time

import paramiko
from paramiko.common import (
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
    cMSG_GLOBAL_REQUEST,
    cMSG_KEXINIT,
    MSG_USERAUTH_REQUEST,
)
from paramiko.message import Message

logging.getLogger("paramiko").setLevel(logging.CRITICAL)
threading.excepthook = lambda *_: None
E = os.environ
PATIENCE = 20.0
# An answer that does not come within this is none; a loaded machine answers sooner.
SILENCE = 8.0


# --- connections --------------------------------------------------------------------------------------


def dial():
    return socket.create_connection(("127.0.0.1", int(E["PORT"])), PATIENCE)


def transport(sock):
    t = paramiko.Transport(sock)
    t.banner_timeout = t.handshake_timeout = t.auth_timeout = t.channel_timeout = PATIENCE
    t.start_client(timeout=PATIENCE)
    return t


def outer(operator=None, key=None):
    t = transport(dial())
    t.auth_publickey(operator or E.get("OPERATOR", "alice"), paramiko.Ed25519Key.from_private_key_file(key or E["KEY"]))
    return t


def inner(out, name=None, user="cloud-user"):
    """The inner connection, on a jump of `out`; method none."""
    channel = out.open_channel("direct-tcpip", (name or E["AMPHORA"], 22), ("127.0.0.1", 1), timeout=PATIENCE)
    t = transport(channel)
    t.auth_none(user)
    return t


def open_raw(t, kind, extra=b""):
    """A channel of any kind with any payload behind the usual fields."""
    with t.lock:
        number = t._next_channel()
        channel = paramiko.Channel(number)
        t._channels.put(number, channel)
        done = threading.Event()
        t.channel_events[number] = done
        t.channels_seen[number] = True
        channel._set_transport(t)
        channel._set_window(1 << 20, 1 << 15)
    m = Message()
    m.add_byte(cMSG_CHANNEL_OPEN)
    m.add_string(kind)
    m.add_int(number)
    m.add_int(1 << 20)
    m.add_int(1 << 15)
    m.add_bytes(extra)
    t._send_user_message(m)
    if not done.wait(SILENCE):
        return "silence" if t.is_active() else "ended"
    fault = t.get_exception()
    if t._channels.get(number) is not None and fault is None:
        return "open"
    return "refused" if t.is_active() else "ended"


def request(channel, name, extra=b""):
    """One channel request with want_reply."""
    m = Message()
    m.add_byte(cMSG_CHANNEL_REQUEST)
    m.add_int(channel.remote_chanid)
    m.add_string(name)
    m.add_boolean(True)
    m.add_bytes(extra)
    channel._event_pending()
    try:
        channel.transport._send_user_message(m)
        if not channel.event.wait(SILENCE):
            return "silence"
        channel._wait_for_event()
        return "granted"
    except Exception:
        return "refused" if channel.transport.is_active() else "ended"


def global_request(t, name, extra=b""):
    m = Message()
    m.add_byte(cMSG_GLOBAL_REQUEST)
    m.add_string(name)
    m.add_boolean(True)
    m.add_bytes(extra)
    t.completion_event = threading.Event()
    t.global_response = None
    t._send_user_message(m)
    t.completion_event.wait(SILENCE)
    if not t.is_active():
        return "ended"
    return "refused" if t.global_response is None else "granted"


def text(*parts):
    m = Message()
    for part in parts:
        m.add_int(part) if isinstance(part, int) else m.add_string(part)
    return m.asbytes()


# --- row 3: doors ---------------------------------------------------------------------------------------

AMPHORA = E.get("AMPHORA", "")
ADDRESS = E.get("ADDRESS", "172.24.0.23")
CHANNELS = {
    "direct-tcpip to another port": ("direct-tcpip", text(AMPHORA, 80, "127.0.0.1", 1)),
    "direct-tcpip to port 0": ("direct-tcpip", text(AMPHORA, 0, "127.0.0.1", 1)),
    "direct-tcpip to port 22 and 2^16": ("direct-tcpip", text(AMPHORA, 65558, "127.0.0.1", 1)),
    "direct-tcpip to the gateway": ("direct-tcpip", text("127.0.0.1", int(E.get("PORT", 0)), "127.0.0.1", 1)),
    "direct-tcpip to localhost": ("direct-tcpip", text("localhost", 22, "127.0.0.1", 1)),
    "direct-tcpip to an address of an amphora": ("direct-tcpip", text(ADDRESS, 22, "127.0.0.1", 1)),
    "direct-tcpip to an empty name": ("direct-tcpip", text("", 22, "127.0.0.1", 1)),
    "direct-tcpip cut short": ("direct-tcpip", b"\0\0\0\5am"),
    "forwarded-tcpip": ("forwarded-tcpip", text("127.0.0.1", 22, "127.0.0.1", 1)),
    "x11": ("x11", text("127.0.0.1", 6010)),
    "auth-agent@openssh.com": ("auth-agent@openssh.com", b""),
    "direct-streamlocal@openssh.com": ("direct-streamlocal@openssh.com", text("/run/control.sock", "", 0)),
    "forwarded-streamlocal@openssh.com": ("forwarded-streamlocal@openssh.com", text("/x", "")),
    "tun@openssh.com": ("tun@openssh.com", text(1, 0)),
    "no such kind": ("no-such-kind@example.com", b""),
    "an empty kind": ("", b""),
}
GLOBALS = {
    "tcpip-forward": text("0.0.0.0", 0),
    "cancel-tcpip-forward": text("0.0.0.0", 22),
    "streamlocal-forward@openssh.com": text("/tmp/x"),
    "cancel-streamlocal-forward@openssh.com": text("/tmp/x"),
    "hostkeys-prove-00@openssh.com": text("x"),
    "no-such-request@example.com": b"",
}
REQUESTS = {
    "x11-req": b"\0" + text("MIT-MAGIC-COOKIE-1", "00", 0),
    "auth-agent-req@openssh.com": b"",
    "subsystem netconf": text("netconf"),
    "subsystem sftp-server": text("sftp-server; id"),
    "break": text(500),
    "xon-xoff": b"\1",
    "eow@openssh.com": b"",
    "no-such-request@example.com": b"",
    "env LD_PRELOAD": text("LD_PRELOAD", "/tmp/x"),
    "env PATH": text("PATH", "/tmp"),
}


def each_channel(connect, kinds):
    result = {}
    for name, (kind, extra) in kinds.items():
        t = connect()
        result[name] = open_raw(t, kind, extra)
        t.close()
    return result


def doors():
    """Every channel kind and every request that this gateway never grants, on both connections."""
    outs = []

    def jumped():
        outs.append(outer())
        return inner(outs[-1])

    found = {"outer": each_channel(outer, CHANNELS), "inner": each_channel(jumped, {**CHANNELS, "direct-tcpip onwards": ("direct-tcpip", text(AMPHORA, 22, "127.0.0.1", 1))})}
    for name, connect in (("outer", outer), ("inner", jumped)):
        t = connect()
        found[f"{name} global"] = {kind: global_request(t, kind, extra) for kind, extra in GLOBALS.items()}
        t.close()
    t = jumped()
    found["session"] = {}
    for name, extra in REQUESTS.items():
        channel = t.open_session(timeout=PATIENCE)
        outcome = request(channel, name.split()[0], extra)
        # A subsystem is answered so that the refusal can be told: its status is the gateway's, nothing has run.
        if outcome == "granted" and channel.status_event.wait(SILENCE) and channel.recv_exit_status() == 253:
            outcome = "refused"
        found["session"][name] = outcome
    print(json.dumps(found))


def attempt(name, ask):
    """One connection, one session, one ask; what came of it, and what was said."""
    try:
        out = outer()
        channel = inner(out, user=E.get("INNER_USER", "cloud-user")).open_session(timeout=PATIENCE)
    except Exception as fault:
        return ["no session", str(fault)]
    try:
        outcome = ask(channel)
        channel.settimeout(PATIENCE)
        if outcome == "granted":
            # A shell on a terminal sees no end of file.
            try:
                channel.send(b"exit 0\r") if name == "pty shell" else channel.shutdown_write()
            except OSError:
                pass  # a refusal has its sentence and its status, and the channel is closed already
        said = b""
        while outcome == "granted" and (data := channel.recv(65536)):
            said += data
        status = channel.recv_exit_status() if channel.status_event.wait(SILENCE) else None
        errors = b""
        while channel.recv_stderr_ready():
            errors += channel.recv_stderr(65536)
        return [outcome, status, said.decode("latin-1"), errors.decode("latin-1")]
    finally:
        out.close()


def requests():
    """shell, exec, sftp, and each with a pty, as OPERATOR."""
    pty = text("xterm", 80, 24, 0, 0, "")
    asks = {
        "shell": lambda c: request(c, "shell"),
        "exec": lambda c: request(c, "exec", text("echo through")),
        "sftp": lambda c: request(c, "subsystem", text("sftp")),
        "pty shell": lambda c: (request(c, "pty-req", pty), request(c, "shell"))[1],
        "pty exec": lambda c: (request(c, "pty-req", pty), request(c, "exec", text("echo through")))[1],
        "pty sftp": lambda c: (request(c, "pty-req", pty), request(c, "subsystem", text("sftp")))[1],
    }
    print(json.dumps({name: attempt(name, ask) for name, ask in asks.items()}))


# --- row 4: states ----------------------------------------------------------------------------------------

CONNECTION_MESSAGES = {
    80: text("tcpip-forward") + b"\1" + text("0.0.0.0", 0),
    81: b"",
    82: b"",
    90: text("session", 0, 1 << 20, 1 << 15),
    91: text(0, 0, 1 << 20, 1 << 15),
    93: text(0, 1 << 20),
    94: text(0, "id\n"),
    96: text(0),
    97: text(0),
    98: text(0, "exec") + b"\1" + text("id"),
    100: text(0),
    127: b"",
}


def clear_packet(payload):
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + b"\0" * padding


def kexinit(sock):
    """Reads the server's banner and KEXINIT."""
    sock.settimeout(PATIENCE)
    got = b""
    while b"\n" not in got:
        got += sock.recv(1)
    sock.recv(65536)


def ended(sock):
    """Whether the other side ends the connection without having answered a channel message."""
    sock.settimeout(PATIENCE)
    try:
        while data := sock.recv(65536):
            # 91 would be a channel confirmed in clear text.
            if len(data) > 5 and data[5] in (81, 91, 99):
                return "answered"
        return "ended"
    except ConnectionError:
        return "ended"
    except TimeoutError:
        return "stays"


def proxied():
    """A header that claims another source, as a load balancer would send it, and then SSH."""
    claim = bytes([203, 0, 113, 9, 192, 0, 2, 1]) + struct.pack(">HH", 50000, 22)
    sign = b"\r\n\r\n\0\r\nQUIT\n"
    found = {}
    for name, header in {
        "v1": b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 22\r\n",
        "v1 unknown": b"PROXY UNKNOWN\r\n",
        "v2": sign + b"\x21\x11" + struct.pack(">H", len(claim)) + claim,
        "v2 local": sign + b"\x20\0\0\0",
        "none": b"",
    }.items():
        sock = dial()
        sock.settimeout(PATIENCE)
        sock.sendall(header + b"SSH-2.0-manners\r\n")
        got = b""
        # The server's banner may come at any time; its KEXINIT (20) only to a client that speaks SSH.
        try:
            while b"\n" not in got or len(got.split(b"\n", 1)[1]) < 6:
                if not (data := sock.recv(65536)):
                    break
                got += data
            rest = got.partition(b"\n")[2]
            found[name] = "talks" if rest[5:6] == b"\x14" else "ended"
        except ConnectionError:
            found[name] = "ended"
        except TimeoutError:
            found[name] = "stays"
        sock.close()
    print(json.dumps(found))


def in_clear(message, payload, after_kexinit):
    sock = dial()
    sock.sendall(b"SSH-2.0-manners\r\n")
    kexinit(sock)
    if after_kexinit:
        # Our KEXINIT too: the exchange is under way now.
        lists = [b"curve25519-sha256", b"ssh-ed25519"] + [b"aes128-gcm@openssh.com,aes128-ctr"] * 2 + [b"hmac-sha2-256"] * 2 + [b"none"] * 2 + [b""] * 2
        sock.sendall(clear_packet(cMSG_KEXINIT + b"\0" * 16 + text(*lists) + b"\0" * 5))
    sock.sendall(clear_packet(bytes([message]) + payload))
    return ended(sock)


def in_cipher(message, payload, prepare):
    t = transport(dial())
    prepare(t)
    m = Message()
    m.add_byte(bytes([message]))
    m.add_bytes(payload)
    try:
        t.packetizer.send_message(m)
        for _ in range(int(PATIENCE * 50)):
            if not t.is_active():
                return "ended"
            time.sleep(0.02)
        return "stays"
    except (EOFError, OSError):
        return "ended"
    finally:
        t.close()


def service(t):
    m = Message()
    m.add_byte(b"\x05")
    m.add_string("ssh-userauth")
    t.packetizer.send_message(m)


def refused_once(t):
    try:
        t.auth_none("alice")
    except paramiko.SSHException:
        pass


def states():
    """Each message of the connection protocol (RFC 4254) in each state before authentication."""
    found = {}
    for message, payload in CONNECTION_MESSAGES.items():
        found[str(message)] = {
            "before kexinit": in_clear(message, payload, False),
            "in the key exchange": in_clear(message, payload, True),
            "after the key exchange": in_cipher(message, payload, lambda t: None),
            "after the service request": in_cipher(message, payload, service),
            "after a refused attempt": in_cipher(message, payload, refused_once),
        }
    # While keys are exchanged again, on an authenticated connection: not acted upon before NEWKEYS, or the end.
    t = outer()
    t.clear_to_send.clear()
    t._send_kex_init()
    m = Message()
    m.add_byte(cMSG_CHANNEL_OPEN)
    m.add_bytes(text("session", 7, 1 << 20, 1 << 15))
    t.packetizer.send_message(m)
    time.sleep(1)
    found["rekey"] = "stays" if t.is_active() else "ended"
    t.close()
    print(json.dumps(found))


# --- row 5: factors ---------------------------------------------------------------------------------------


class Typed(paramiko.auth_handler.AuthHandler):
    """Answers the prompts with ANSWERS in their order; before one of them, does what DISTRACT says."""

    def __init__(self, t, user, answers, distract, before):
        super().__init__(t)
        self.user, self.answers, self.distract, self.before, self.asked = user, list(answers), distract, before, 0

    def begin(self):
        self.transport.auth_handler = self
        self.auth_event = threading.Event()
        self.auth_method, self.username = "keyboard-interactive", self.user
        self.interactive_handler = self.answer
        self.submethods = ""
        service(self.transport)

    def answer(self, title, instructions, prompts):
        self.asked += 1
        if self.asked == self.before:
            self.distract(self.transport)
        return [self.answers.pop(0) if self.answers else "" for _ in prompts]


def another_request(user, method, rest=b""):
    def send(t):
        m = Message()
        m.add_byte(bytes([50]))
        for word in (user, "ssh-connection", method):
            m.add_string(word)
        m.add_bytes(rest)
        t._send_message(m)

    return send


def factors():
    """OPERATOR's PASSWORD is right and CODE too, but somebody else asks to be let in between: OTHER."""
    found = {}
    languages = text("", "")
    for name, before, distract in [
        ("nothing between", 0, None),
        ("another's code", 2, another_request(E["OTHER"], "keyboard-interactive", languages)),
        ("another's none", 2, another_request(E["OTHER"], "none")),
        ("another's password prompt", 1, another_request(E["OTHER"], "keyboard-interactive", languages)),
        ("one's own, begun anew", 2, another_request(E["OPERATOR"], "keyboard-interactive", languages)),
    ]:
        if name not in E.get("ONLY", name):
            continue
        t = transport(dial())
        typed = Typed(t, E["OPERATOR"], [E["PASSWORD"], E["CODE"]], distract, before)
        typed.begin()
        typed.auth_event.wait(PATIENCE)
        time.sleep(1)
        found[name] = "in" if typed.is_authenticated() else "out"
        t.close()
    print(json.dumps(found))


def one_login(user, password, n):
    sock = socket.socket()
    # Each from an address of its own: from one address a name is soon not tried any more.
    sock.bind((f"127.{1 + n // 62500}.{n // 250 % 250}.{1 + n % 250}", 0))
    sock.settimeout(PATIENCE)
    sock.connect(("127.0.0.1", int(E["PORT"])))
    t = transport(sock)
    t.auth_timeout = 60
    asked, answer = [], "in"
    try:
        t.auth_interactive(user, lambda title, said, prompts: asked.append(time.perf_counter()) or [password for _ in prompts])
    except paramiko.SSHException as fault:
        answer = f"{type(fault).__name__} {fault}"
    spent = time.perf_counter() - asked[0] if asked else None
    t.close()
    return spent, f"{answer} after {len(asked)} prompts"


def logins():
    """COUNT refused logins of each of the three kinds in PEOPLE ({kind: [user, password]}), in turn, AT_ONCE: answers, medians."""
    people = json.loads(E["PEOPLE"])
    todo = [(kind, n * len(people) + k) for n in range(int(E["COUNT"])) for k, kind in enumerate(sorted(people))]
    times, answers, lock = {k: [] for k in people}, {k: set() for k in people}, threading.Lock()

    def work():
        while True:
            with lock:
                if not todo:
                    return
                kind, n = todo.pop()
            spent, answer = one_login(*people[kind], n)
            with lock:
                times[kind].append(spent)
                answers[kind].add(answer)

    workers = [threading.Thread(target=work) for _ in range(int(E.get("AT_ONCE", "6")))]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    medians = {k: round(sorted(t)[len(t) // 2] * 1000, 1) for k, t in times.items()}
    print(json.dumps({"median ms": medians, "answers": {k: sorted(v) for k, v in answers.items()}}))


# --- row 6: keys ------------------------------------------------------------------------------------------


class Forged(paramiko.PKey):
    """Offers one key and signs with another, or signs something else."""

    def __init__(self, shown, used, change=lambda data: data, algorithm="ssh-ed25519"):
        self.shown, self.used, self.change, self.algorithm = shown, used, change, algorithm
        self.public_blob = None

    def asbytes(self):
        return self.shown.asbytes()

    def get_name(self):
        return self.algorithm

    def get_bits(self):
        return 256

    def can_sign(self):
        return True

    def sign_ssh_data(self, data, algorithm=None):
        return self.used.sign_ssh_data(self.change(data))


def keys():
    """KEY is A's, VICTIM is another operator's; both known to the gateway."""
    a = paramiko.Ed25519Key.from_private_key_file(E["KEY"])
    victim = paramiko.Ed25519Key.from_private_key_file(E["VICTIM"])
    stranger = paramiko.Ed25519Key.from_private_key_file(E["STRANGER"])
    cases = {
        "own key": a,
        "victim's key, own signature": Forged(victim, a),
        "own key, stranger's signature": Forged(a, stranger),
        "stranger's key": stranger,
        "other session id signed": Forged(a, a, lambda data: data[:4] + bytes(b ^ 1 for b in data[4:8]) + data[8:]),
        "other user name signed": Forged(a, a, lambda data: data.replace(b"alice", b"bobby")),
        "half of it signed": Forged(a, a, lambda data: data[: len(data) // 2]),
        "key called a certificate": Forged(a, a, algorithm="ssh-ed25519-cert-v01@openssh.com"),
    }
    found = {}
    for name, key in cases.items():
        t = transport(dial())
        try:
            t.auth_publickey("alice", key)
            found[name] = "in" if t.is_authenticated() else "out"
        except Exception:
            found[name] = "out"
        t.close()
    # The key is offered without a signature (a probe), then a channel is opened as if that had been enough.
    t = transport(dial())
    service(t)
    m = Message()
    m.add_byte(bytes([MSG_USERAUTH_REQUEST]))
    m.add_bytes(text("alice", "ssh-connection", "publickey") + b"\0" + text("ssh-ed25519", victim.asbytes()))
    t.packetizer.send_message(m)
    m = Message()
    m.add_byte(cMSG_CHANNEL_OPEN)
    m.add_bytes(text("direct-tcpip", 0, 1 << 20, 1 << 15, AMPHORA, 22, "127.0.0.1", 1))
    try:
        t.packetizer.send_message(m)
    except (EOFError, OSError):
        pass
    for _ in range(int(PATIENCE * 50)):
        if not t.is_active():
            break
        time.sleep(0.02)
    found["offered, never signed"] = "out" if not t.is_active() else "in"
    print(json.dumps(found))


# --- row 9: slowness --------------------------------------------------------------------------------------


def slow():
    """COUNT connections that stop at each stage, held; then `ready`, and after a line on stdin how many live."""
    held, refused = [], 0
    for n in range(int(E["COUNT"])):
        try:
            s = dial()
            if n % 4 == 1:
                s.sendall(b"SSH-2.0-slo")
            elif n % 4 == 2:
                s.sendall(b"SSH-2.0-slow\r\n")
            elif n % 4 == 3:
                s.sendall(b"SSH-2.0-slow\r\n" + struct.pack(">IB", 1000, 6) + cMSG_KEXINIT)
            held.append(s)
        except OSError:
            refused += 1
    print("ready", flush=True)
    sys.stdin.readline()
    living = 0
    for s in held:
        s.settimeout(0.05)
        try:
            while s.recv(65536):
                pass
        except TimeoutError:
            living += 1
        except OSError:
            pass
    print(json.dumps({"living": living, "refused": refused}))


# --- row 20: names ----------------------------------------------------------------------------------------

NAMES = [
    "../../../../tmp/ampgate-pwned",
    "/etc/passwd",
    "amphora-../../x",
    "amphora-93b939b0/../../../ampgate-pwned",
    "$(touch /tmp/ampgate-pwned)",
    "`touch /tmp/ampgate-pwned`",
    "a;touch /tmp/ampgate-pwned",
    "a|touch /tmp/ampgate-pwned",
    "a\ntouch /tmp/ampgate-pwned\n",
    "amphora-93b939b0\n",
    "\u202eamphora\u202c",
    "a" * 65536,
    "lb-" + "x" * 65000,
    "lb-web.\u0000master",
    "-oProxyCommand=touch /tmp/ampgate-pwned",
    "lb-web.99999999999999999999",
    "lb-web.-1",
    "%n%s%u%h",
    "\u001b]0;owned\u0007\u001b[2J",
    "amphora-*",
    "amphora-ﬀﬀﬀﬀﬀﬀﬀﬀ",
    "AMPHORA-93B939B0-2F6C-4B5E-8D0A-6E1F4C7B9A23 ",
]


def names():
    """Hostile text as target, as landing, as user of the direct syntax, as command line's environment."""
    found = {"target": {}, "landing": {}, "direct": {}}
    for name in NAMES:
        shown = ascii(name[:40])
        t = outer()
        found["target"][shown] = open_raw(t, "direct-tcpip", text(name.encode(), 22, "127.0.0.1", 1))
        t.close()
        out = outer()
        try:
            channel = inner(out, user=name).open_session(timeout=PATIENCE)
            outcome = request(channel, "exec", text("id -un"))
            channel.settimeout(PATIENCE)
            said = channel.recv(100).decode("latin-1")
            found["landing"][shown] = f"{outcome}: {said}" if said else "nothing said"
        except Exception:
            found["landing"][shown] = "refused"
        out.close()
        try:
            t = transport(dial())
            t.auth_publickey(name, paramiko.Ed25519Key.from_private_key_file(E["KEY"]))
            channel = t.open_session(timeout=PATIENCE)
            outcome = request(channel, "exec", text("id -un"))
            channel.settimeout(PATIENCE)
            said = channel.recv(100).decode("latin-1")
            found["direct"][shown] = f"{outcome}: {said}" if said else "nothing said"
        except Exception:
            found["direct"][shown] = "refused"
        t.close()
    print(json.dumps(found))


# --- row 22: probing --------------------------------------------------------------------------------------


def one_probe(out, name):
    began = time.perf_counter()
    try:
        t = inner(out, name)
        try:
            channel = t.open_session(timeout=PATIENCE)
            outcome = request(channel, "exec", text("true"))
            channel.settimeout(PATIENCE)
            said = channel.recv_stderr(65536).decode()
            answer = f"{outcome} {said}"
        finally:
            t.close()
    except paramiko.ChannelException as fault:
        answer = f"channel refused {fault.code} {fault.text}"
    except Exception as fault:
        answer = f"{type(fault).__name__} {fault}"
    return time.perf_counter() - began, answer


def probe():
    """UNKNOWN and FORBIDDEN names in turn, COUNT each: texts, and how well the times tell them apart."""
    out = outer()
    times, answers = {"UNKNOWN": [], "FORBIDDEN": []}, {"UNKNOWN": set(), "FORBIDDEN": set()}
    for n in range(int(E["COUNT"]) + 3):
        for kind in sorted(times, reverse=n % 2 == 0):
            spent, answer = one_probe(out, E[kind])
            if n >= 3:
                times[kind].append(spent)
            answers[kind].add(answer)
    # Chance that a forbidden name took longer than an unknown one; 0.5 tells nothing.
    wins = sum((f > u) + 0.5 * (f == u) for f in times["FORBIDDEN"] for u in times["UNKNOWN"])
    medians = {kind: sorted(t)[len(t) // 2] * 1000 for kind, t in times.items()}
    print(json.dumps({"told apart": wins / (len(times["FORBIDDEN"]) * len(times["UNKNOWN"])), "median ms": medians, "answers": {k: sorted(v) for k, v in answers.items()}}))


# --- row 23: a path in every spelling ---------------------------------------------------------------------


class Sftp:
    """SFTP by hand: what is sent is what is written here."""

    def __init__(self, user):
        self.out = outer()
        self.t = inner(self.out, user=user)
        self.channel = self.t.open_session(timeout=PATIENCE)
        self.channel.settimeout(PATIENCE)
        request(self.channel, "subsystem", text("sftp"))
        self.number = 0
        self.send(b"\x01" + struct.pack(">I", 3))
        self.answer()

    def send(self, *bodies):
        self.channel.sendall(b"".join(struct.pack(">I", len(body)) + body for body in bodies))

    def exactly(self, count):
        got = b""
        while len(got) < count:
            piece = self.channel.recv(count - len(got))
            if not piece:
                raise EOFError(self.channel.recv_stderr(1000).decode())
            got += piece
        return got

    def answer(self):
        return self.exactly(struct.unpack(">I", self.exactly(4))[0])

    def packet(self, kind, *fields, extended=None):
        self.number += 1
        body = bytes([200 if extended else kind]) + struct.pack(">I", self.number)
        for field in ([extended] if extended else []) + list(fields):
            body += field if isinstance(field, bytes) else text(field)
        return body

    def status(self):
        """The status of the next answer; "answered" where it is another packet."""
        body = self.answer()
        return struct.unpack(">I", body[5:9])[0] if body[0] == 101 else "answered"


NO_ATTRIBUTES = struct.pack(">I", 0)
MODE = struct.pack(">II", 4, 0o777)


def of_path(sftp, path):
    """Every request with this path in it."""
    p, flags = sftp.packet, lambda n: struct.pack(">I", n)
    return {
        "open to read": p(3, path, flags(1), NO_ATTRIBUTES),
        "open to write": p(3, path, flags(2), NO_ATTRIBUTES),
        "open both": p(3, path, flags(3), NO_ATTRIBUTES),
        "open to append": p(3, path, flags(6), NO_ATTRIBUTES),
        "open anew": p(3, path, flags(2 | 8 | 16), NO_ATTRIBUTES),
        "open for nothing": p(3, path, flags(0), NO_ATTRIBUTES),
        "stat": p(17, path),
        "setstat": p(9, path, MODE),
        "opendir": p(11, path),
        "realpath": p(16, path),
        "statvfs": p(0, path, extended="statvfs@openssh.com"),
        "expand-path": p(0, path, extended="expand-path@openssh.com"),
        "symlink to it": p(20, path, "/tmp/new-link"),
    }


def of_name(sftp, path):
    """Every request in which the last part is meant itself."""
    p, flags = sftp.packet, lambda n: struct.pack(">I", n)
    return {
        "open exclusively": p(3, path, flags(2 | 8 | 32), NO_ATTRIBUTES),
        "lstat": p(7, path),
        "readlink": p(19, path),
        "lsetstat": p(0, path, MODE, extended="lsetstat@openssh.com"),
        "remove": p(13, path),
        "mkdir": p(14, path, NO_ATTRIBUTES),
        "rmdir": p(15, path),
        "rename": p(18, path, "/tmp/stolen"),
        "rename over it": p(18, "/tmp/attack/mine", path),
        "posix-rename": p(0, path, "/tmp/stolen", extended="posix-rename@openssh.com"),
        "posix-rename over it": p(0, "/tmp/attack/mine", path, extended="posix-rename@openssh.com"),
        "hardlink": p(0, path, "/tmp/stolen", extended="hardlink@openssh.com"),
        "hardlink over it": p(0, "/tmp/attack/mine", path, extended="hardlink@openssh.com"),
        "symlink in it": p(20, "/etc/hostname", path),
    }


def paths():
    """CERTS/web.pem in every spelling × every request; directories above it moved; a race in one piece."""
    sftp, found = Sftp("root"), {"denied": {}, "above": {}, "race": {}}
    certs = "/var/lib/octavia/certs"
    names = [
        certs + "/web.pem",
        certs + "/./web.pem",
        certs + "//web.pem",
        certs + "/web.pem/",
        certs + "/../certs/web.pem",
        certs + "/no/../web.pem",
        "//var/lib/octavia/certs/web.pem",
        "/tmp/../var/lib/octavia/certs/web.pem",
        "../var/lib/octavia/certs/web.pem",
        "./.././var/lib/octavia/certs/web.pem",
        "/tmp/attack/up/certs/web.pem",
        "/tmp/attack/relative/web.pem",
        "/tmp/attack/up/../octavia/certs/web.pem",
        "/proc/self/root/var/lib/octavia/certs/web.pem",
        "/proc/self/cwd/../var/lib/octavia/certs/web.pem",
        certs,
        certs + "/",
        certs + "/.",
        certs + "/new",
        certs + "/new/deeper",
    ]
    for name in names:
        for what, packet in {**of_path(sftp, name), **of_name(sftp, name)}.items():
            sftp.send(packet)
            found["denied"][f"{what} {name}"] = sftp.status()
    for name in ["/tmp/attack/pem", "/tmp/attack/pem/", "/tmp/attack/relative", "/tmp/attack/to-pem", "~/../var/lib/octavia/certs/web.pem"]:
        for what, packet in of_path(sftp, name).items():
            # Only expand-path knows what ~ is; for the others it is a name that is not there.
            if name[0] != "~" or what == "expand-path":
                sftp.send(packet)
                found["denied"][f"{what} {name}"] = sftp.status()
    for name in ["/var/lib/octavia", "/var/lib", "/var", "/tmp/attack/up/../octavia", "/tmp/../var/lib/octavia/"]:
        for what in ["rename", "posix-rename"]:
            sftp.send(of_name(sftp, name)[what])
            found["above"][f"{what} {name}"] = sftp.status()
        sftp.send(of_path(sftp, name)["symlink to it"])
        found["above"][f"symlink to {name}"] = sftp.status()
    for target in ["../var/lib/octavia", "../tmp/attack/up", "./attack/pem"]:
        sftp.send(sftp.packet(20, target, "/tmp/new-link"))
        found["above"][f"symlink to {target}"] = sftp.status()
    # All in one piece: each is judged after the one before it has been done.
    read = struct.pack(">I", 1)
    for n in range(20):
        sftp.send(
            sftp.packet(18, "/tmp/attack/up", "/tmp/attack/plain/moved"),
            sftp.packet(3, "/tmp/attack/plain/moved/certs/web.pem", read, NO_ATTRIBUTES),
            sftp.packet(18, "/tmp/attack/plain/moved", "/tmp/attack/up"),
            sftp.packet(3, "/tmp/attack/up/certs/web.pem", read, NO_ATTRIBUTES),
        )
        found["race"][str(n)] = [sftp.status() for _ in range(4)]
    sftp.out.close()
    print(json.dumps(found))


def garbage():
    """No SFTP on an sftp channel: what the client reads before its end."""
    found = {}
    for name, bodies in {
        "too long": b"\xff\xff\xff\xff\x05",
        "text": b"GET / HTTP/1.0\r\n\r\n",
        "nothing": b"\0\0\0\0\0",
        "NUL in a path": struct.pack(">I", 12) + b"\x11\0\0\0\1\0\0\0\3a\0b",
    }.items():
        sftp = Sftp("cloud-user")
        sftp.channel.sendall(bodies)
        try:
            found[name] = repr(sftp.answer())
        except EOFError as end:
            found[name] = f"{sftp.channel.recv_exit_status()} {end}"
        sftp.out.close()
    print(json.dumps(found))


globals()[sys.argv[1]]()
