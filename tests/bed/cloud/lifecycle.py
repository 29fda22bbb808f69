"""In: a bed and what was chosen for it. Out: both services run with seeded data, or nothing of them runs.
Never: a template that is half made is used; a start that does not first end what an earlier run has left."""
import contextlib
import fcntl
import hashlib
import json
import random
import shutil
import socket

import conf
import inventory
import keystone
import services
import sql
import state

SERVICES = ("keystone", "octavia")


@contextlib.contextmanager
def locked(path):
    """One at a time: two test programs may want the same bed, or the same template."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up(bed, leash=False):
    """Starts everything; the first time with a copy of the template, later with the data of before."""
    if not (state.VENV / "bin/gunicorn").exists():
        state.fail(f"no services in {state.VENV}: try `make setup`")
    with locked(bed.dir / "lock"):
        services.stop(bed)
        if not (bed.dir / "ids.json").exists():
            with_template(bed)
        choose_ports(bed)
        bed.save()
        conf.write(bed, plan())
        if bed.database == "mariadb":
            services.start_database(bed, leash)
        publish_addresses(bed)
        start(bed, SERVICES, leash)
        bed.publish()


def plan():
    return json.loads(state.SEED.read_text())


def choose_ports(bed):
    """Free ports for those that nobody chose. Held together, so that they differ; and below those that the system gives to
    connections, which could take them while a service is stopped."""
    wanted = [name for name in ("keystone_port", "octavia_port") if not bed.choices[name]]
    with contextlib.ExitStack() as held:
        while wanted:
            one, port = held.enter_context(socket.socket()), random.randrange(20000, 32000)
            try:
                one.bind((bed.listen, port))
            except OSError:
                continue
            bed.choices[wanted.pop()] = port


def publish_addresses(bed):
    """The catalogue names this bed's ports, and not those of the template."""
    addresses = {"identity": f"{bed.keystone}/v3/", "load-balancer": bed.octavia, "compute": bed.compute_url}
    for kind, url in addresses.items():
        if url:
            keystone.set_endpoint(bed, kind, url)


def start(bed, names, leash=False):
    """Together, since most of it is the loading of Python modules; then waits for each."""
    started = [(name, services.start(bed, name, leash)) for name in names]
    for name, process in started:
        services.ready(bed, name, process)


def with_template(bed):
    """Copies seeded databases and keys. They are made once per machine, database and version of the seed."""
    template = state.TOOLS / "openstack-template" / f"{bed.database}-{fingerprint()}"
    with locked(template.parent / "lock"):
        if not template.exists():
            make_template(template, bed.database)
    for part in ("data", "conf"):
        shutil.rmtree(bed.dir / part, ignore_errors=True)
        shutil.copytree(template / part, bed.dir / part)
    shutil.copy(template / "ids.json", bed.dir / "ids.json")


def fingerprint():
    """Of all that decides what a template holds."""
    files = [state.CONSTRAINTS, state.SEED, *(state.HERE / f"{name}.py" for name in ("conf", "inside", "inventory", "keystone", "lifecycle"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def make_template(template, database):
    """A bed of its own, seeded through Keystone's API, stopped and put into place when all of it worked."""
    making = state.Bed(template.with_name("m-" + database[0]))
    services.stop(making)
    shutil.rmtree(making.dir, ignore_errors=True)
    making.dir.mkdir(parents=True)
    making.choices["database"] = database
    try:
        choose_ports(making)
        conf.write(making, plan())
        conf.write_keys(making)
        make_schemas(making)
        ids = seed_all(making)
    finally:
        services.stop(making, gently=True)
    state.write_json(making.dir / "ids.json", ids)
    for old in template.parent.glob(f"{database}-*"):
        shutil.rmtree(old)
    making.dir.rename(template)


def make_schemas(bed):
    """Keystone's real migrations; Octavia's too, unless the database is SQLite, which they do not support."""
    inside = [state.VENV / "bin/python", "-I", state.HERE / "inside.py"]
    if bed.database == "mariadb":
        services.start_database(bed)
        sql.execute(bed, "", [(f"CREATE DATABASE {name} CHARACTER SET utf8mb3", []) for name in SERVICES])
        services.run(bed, "octavia", [state.VENV / "bin/octavia-db-manage", "--config-file", bed.dir / "conf/octavia.conf", "upgrade", "head"])
    else:
        services.run(bed, "octavia", [*inside, "schema", bed.dir / "conf"])
    manage = [state.VENV / "bin/keystone-manage", "--config-file", bed.dir / "conf/keystone.conf"]
    services.run(bed, "keystone", [*manage, "db_sync"])
    url = f"{bed.keystone}/v3/"
    services.run(bed, "keystone", [
        *manage, "bootstrap", "--bootstrap-password", keystone.ADMIN_PASSWORD, "--bootstrap-region-id", plan()["region"],
        "--bootstrap-admin-url", url, "--bootstrap-internal-url", url, "--bootstrap-public-url", url])


def seed_all(bed):
    start(bed, ["keystone"])
    ids = keystone.seed(bed, plan())
    return {**ids, **inventory.seed(bed, plan(), ids["projects"])}


def down(bed):
    """Ends all of it. The data stay for the next `up`."""
    if bed.dir.exists():
        with locked(bed.dir / "lock"):
            services.stop(bed, "keystone")
            services.stop(bed, "octavia")
            services.stop(bed, gently=True)
