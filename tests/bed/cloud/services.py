"""In: a bed and a service's name. Out: the service runs and answers, or runs no more.
Never: a process that works outside the bed's DIR/run is ended; a wait without a deadline."""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import state

START_SECONDS = 90
STOP_SECONDS = 20
PR_SET_PDEATHSIG = 1
# Loopback only: a proxy of the machine's environment would be asked for it otherwise.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def pids(bed, name=""):
    """Processes which work in the service's directory: that is how they are known, whatever became of their parents.
    A mariadbd goes into its data's."""
    tops = tuple(f"{bed.dir / part / name}/" for part in ("run", "data"))
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (os.readlink(entry / "cwd") + "/").startswith(tops):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def stop(bed, name="", gently=False):
    """Ends a service (or all). At once, as a crash does; `gently` for a database, which must close its files."""
    number = signal.SIGTERM if gently else signal.SIGKILL
    deadline = time.monotonic() + STOP_SECONDS
    while left := pids(bed, name):
        for pid in left:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
        number = 0 if number == signal.SIGTERM else number
        if time.monotonic() > deadline:
            if number == signal.SIGKILL:
                state.fail(f"processes {left} of {bed.dir} do not end")
            number, deadline = signal.SIGKILL, deadline + STOP_SECONDS


def signal_all(bed, name, number):
    """Sends a signal to every process of a service: SIGSTOP makes it hang, SIGCONT goes on."""
    for pid in pids(bed, name):
        os.kill(pid, number)


def spawn(bed, name, command, leash):
    """The service, detached. `leash`: it dies with this process, however this one ends."""
    place = bed.dir / "run" / name
    place.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None) if leash else None

    def child():
        # A command that is given up (Ctrl-C, a closed pipe) must not take the services with it.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        if leash:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    with open(bed.log(name + ".out"), "ab") as out:
        return subprocess.Popen(
            [str(part) for part in command], cwd=place, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, preexec_fn=child, env=environment())


def environment():
    """No proxy, no configuration of the machine's, no client's OS_… variables."""
    drop = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OS_") and k.lower() not in drop}
    return {**kept, "PYTHONWARNINGS": "ignore"}


def start(bed, name, leash=False):
    """Starts keystone or octavia; `ready` waits for it."""
    port = bed.keystone_port if name == "keystone" else bed.octavia_port
    must_be_free(name, bed.listen, port)
    return spawn(bed, name, [
        state.VENV / "bin/gunicorn", "--workers", "1", "--threads", "8", "--bind", f"{bed.listen}:{port}",
        "--pythonpath", bed.dir / "conf/wsgi", "--no-control-socket", "--access-logfile", bed.log(name + "-access.log"),
        f"{name}_wsgi:application"], leash)


def must_be_free(name, address, port):
    """Else a stranger on the port would be taken for the service. A worker of one that was stopped may take a while to go."""
    deadline = time.monotonic() + 30
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                return probe.bind((address, port))
            except OSError as why:
                if time.monotonic() > deadline:
                    state.fail(f"{name} cannot listen on {address}:{port}: {why}: choose another with --{name}-port (0: a free one)")
        time.sleep(0.2)


def ready(bed, name, process):
    """Waits until a service answers, or says why it will not."""
    url = f"{bed.keystone}/v3" if name == "keystone" else f"{bed.octavia}/"
    until(bed, name, process, lambda: answers(url), f"{name} does not answer on {url}")


def answers(url):
    try:
        with DIRECT.open(url, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def until(bed, name, process, condition, complaint):
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None:
            state.fail(f"{name} ended while it started\n{tail(bed, name)}")
        if time.monotonic() > deadline:
            state.fail(f"{complaint} after {START_SECONDS} s\n{tail(bed, name)}")
        time.sleep(0.05)


def tail(bed, name):
    """The last lines of whatever the service has written."""
    text = []
    for path in sorted((bed.dir / "log").glob(name + "*")):
        if not path.name.endswith("-access.log") and path.stat().st_size:
            text += [f"--- {path}", *path.read_text(errors="replace").splitlines()[-25:]]
    return "\n".join(text)


def start_database(bed, leash=False):
    """A mariadbd of the bed's own, on a socket only."""
    program = shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not program or not shutil.which("mariadb-install-db"):
        state.fail("mariadbd is missing: try `apt-get install --no-install-recommends mariadb-server-core mariadb-client-core`")
    data, sock = bed.dir / "data/mariadb", bed.dir / "run/mariadb/sock"
    if len(str(sock)) > 100:
        state.fail(f"{sock} is too long for a socket: choose a shorter directory")
    me = os.environ.get("USER") or subprocess.check_output(["id", "-un"], text=True).strip()
    if not (data / "mysql").exists():
        run(bed, "mariadb", ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={me}", "--skip-test-db",
                             "--auth-root-authentication-method=normal", *DATABASE])
    sock.unlink(missing_ok=True)
    process = spawn(bed, "mariadb", [program, "--no-defaults", f"--datadir={data}", f"--socket={sock}", f"--user={me}",
                                     "--skip-networking", *DATABASE], leash)
    until(bed, "mariadb", process, sock.exists, "mariadbd does not listen")


# Small, and without waiting for the disk: nobody needs this database after a power cut. But after `stop`, so it
# writes at each commit (2).
DATABASE = ["--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=64M",
            "--skip-name-resolve", "--character-set-server=utf8mb4"]


def run(bed, name, command, given=None):
    """A program to its end; returns what it printed, or fails with it."""
    done = subprocess.run([str(part) for part in command], input=given, capture_output=True, text=True, timeout=600, env=environment())
    with open(bed.log(name + ".out"), "a") as out:
        out.write(done.stderr)
    if done.returncode:
        words = " ".join(str(part) for part in command)
        state.fail(f"`{words}` failed\n{(done.stdout + done.stderr)[-3000:]}\n{tail(bed, name)}")
    return done.stdout
