"""In: a bed's directory. Out: where its files lie, and what it remembers between two calls.
Never: another directory than the bed's own and $AMPGATE_TOOLS."""
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = pathlib.Path(os.environ.get("AMPGATE_TOOLS") or pathlib.Path.home() / ".cache/ampgate-tools")
VENV = TOOLS / "openstack-venv"
CONSTRAINTS = HERE / "constraints.txt"
SEED = HERE / "seed.json"


def fail(text):
    """Ends the program: what is wrong, then what to try."""
    sys.exit(f"openstack: {text}")


def write_json(path, value):
    """Replaced at once, so that a reader sees the old or the new and never a half."""
    new = path.with_name(path.name + ".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    new.replace(path)


class Bed:
    """One Keystone and one octavia-api, their data and what was chosen for them."""

    # What `up` may be told; kept in bed.json, so that the next `up` and `start` do the same again.
    CHOICES = {
        "database": "sqlite", "listen": "127.0.0.1", "keystone_port": 0, "octavia_port": 0, "netns": "", "policy": "reader",
        "token_ttl": 3600, "page_limit": 1000, "methods": "password,token,application_credential,totp", "compute_url": "",
    }

    def __init__(self, directory):
        self.dir = pathlib.Path(directory).resolve()
        self.choices = dict(self.CHOICES)
        saved = self.dir / "bed.json"
        if saved.exists():
            self.choices.update(json.loads(saved.read_text()))

    def __getattr__(self, name):
        try:
            return self.__dict__["choices"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def keystone(self):
        return f"http://{self.listen}:{self.keystone_port}"

    @property
    def octavia(self):
        return f"http://{self.listen}:{self.octavia_port}"

    def save(self):
        write_json(self.dir / "bed.json", self.choices)

    def log(self, name):
        return self.dir / "log" / name

    def ids(self):
        """Ids and credentials of what was seeded into Keystone."""
        path = self.dir / "ids.json"
        return json.loads(path.read_text()) if path.exists() else fail(f"no bed in {self.dir}: start one with `openstack up {self.dir}`")

    def save_ids(self, ids):
        write_json(self.dir / "ids.json", ids)
        self.publish(ids)

    def publish(self, ids=None):
        """endpoints.json: all that a test needs, in one file."""
        ids = ids or self.ids()
        write_json(self.dir / "endpoints.json", {
            "auth_url": f"{self.keystone}/v3", "octavia": self.octavia, "compute": self.compute_url, "database": self.database,
            "policy": self.policy, "netns": self.netns, "token_ttl": self.token_ttl, **ids})
