#!/usr/bin/env python3
"""Real object stores for tests: OpenStack Swift (proxy, account, container and object server; native API and S3), and moto's S3.

In: `swift` or `moto`, and an empty directory for what it stores. Out: one line of JSON with its address and credentials, when
it answers. Never: another address than loopback, a fixed port, a process that outlives its standard input.

    sleep 60 | object_stores.py swift DIR

With the environment's KEYSTONE (an auth_url), CREDENTIAL and SECRET (an application credential, who makes the container) Swift believes
that Keystone and nothing else; it asks as SERVICE_USER with SERVICE_PASSWORD in SERVICE_DOMAIN. Keystone's middleware is that of the
venv beside, where Keystone itself runs.

All of a Swift is one process here: four servers of the real code in green threads, one disk, one replica. It needs user
xattrs in DIR: object servers keep their metadata there.
"""
import json
import os
import pathlib
import sys
import threading

USER, KEY = "ampgate:shipper", "not-a-secret"
READER = "ampgate:reader"


def leash():
    """Whoever started us holds our standard input open."""
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def answer(**facts):
    print(json.dumps(facts), flush=True)


def swift(directory):
    import eventlet
    eventlet.monkey_patch()
    threading_leash()
    from eventlet import wsgi
    from swift.common import ring, storage_policy, utils

    try:
        os.setxattr(directory, "user.swift.metadata", b"x")
    except OSError as fault:
        sys.exit(f"object_stores.py: {directory} keeps no user xattrs ({fault}); choose another file system")

    disk = directory / "disks" / "sda1"
    disk.mkdir(parents=True)
    conf = directory / "swift.conf"
    conf.write_text("[swift-hash]\nswift_hash_path_prefix = tests\nswift_hash_path_suffix = tests\n"
                    "[storage-policy:0]\nname = one\ndefault = yes\n")
    utils.SWIFT_CONF_FILE = str(conf)
    utils.HASH_PATH_SUFFIX = utils.HASH_PATH_PREFIX = b""
    utils.validate_hash_conf()
    storage_policy.reload_storage_policies()

    listeners = {name: eventlet.listen(("127.0.0.1", 0)) for name in ("account", "container", "object", "proxy")}
    port = {name: listener.getsockname()[1] for name, listener in listeners.items()}
    for name in ("account", "container", "object"):
        device = {"id": 0, "zone": 0, "region": 1, "device": "sda1", "ip": "127.0.0.1", "port": port[name], "weight": 1.0,
                  "replication_ip": "127.0.0.1", "replication_port": port[name], "meta": ""}
        ring.RingData([[0, 0, 0, 0]], [device], 30).save(str(directory / f"{name}.ring.gz"))

    common = {"devices": str(directory / "disks"), "mount_check": "false", "swift_dir": str(directory), "workers": "0",
              "bind_ip": "127.0.0.1", "disable_fallocate": "true", "log_level": "WARNING", "log_address": "/nonexistent",
              "allow_versions": "true", "conn_timeout": "3"}
    from swift.account import server as account
    from swift.common.wsgi import SwiftHttpProtocol, loadapp
    from swift.container import server as container
    from swift.obj import server as obj
    logger = utils.get_logger(common, "swift", log_route="tests")
    logger.logger.disabled = True
    apps = {
        "account": account.AccountController(common, logger=logger),
        "container": container.ContainerController(common, logger=logger),
        "object": obj.ObjectController(common, logger=logger),
    }
    by_keystone = os.environ.get("KEYSTONE")
    if by_keystone:
        # Behind our own packages, so that none of those is another.
        sys.path.extend(map(str, pathlib.Path(sys.prefix).parent.glob("openstack-venv/lib/python3*/site-packages")))
    account_name, user = USER.split(":")
    reader = READER.split(":")[1]
    proxy = directory / "proxy-server.conf"
    proxy.write_text(f"""[DEFAULT]
swift_dir = {directory}
bind_ip = 127.0.0.1
bind_port = {port['proxy']}
log_address = /nonexistent
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats {"authtoken keystoneauth" if by_keystone else "s3api tempauth"} bulk slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_{account_name}_{user} = {KEY} .admin
user_{account_name}_{reader} = {KEY}
storage_url_scheme = http
{keystone_filters() if by_keystone else ""}
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
""")
    apps["proxy"] = with_cache(loadapp(str(proxy), global_conf={}))
    for name, app in apps.items():
        quiet = open(os.devnull, "w", encoding="utf-8")
        eventlet.spawn(wsgi.server, listeners[name], app, quiet, protocol=SwiftHttpProtocol, log_output=False)

    url = f"http://127.0.0.1:{port['proxy']}"
    eventlet.sleep(0)
    if by_keystone:
        eventlet.spawn(first_container, url).wait()
    else:
        eventlet.spawn(first_account, url).wait()
    answer(url=url, auth_url=f"{url}/auth/v1.0", user=USER, reader=READER, key=KEY)
    while True:
        eventlet.sleep(3600)


def keystone_filters():
    e = os.environ
    return f"""[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {e['KEYSTONE']}
auth_url = {e['KEYSTONE']}
auth_type = password
username = {e['SERVICE_USER']}
password = {e['SERVICE_PASSWORD']}
user_domain_name = {e['SERVICE_DOMAIN']}
project_name = service
project_domain_name = {e['SERVICE_DOMAIN']}
delay_auth_decision = true
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin
"""


def first_container(url):
    """Made by the application credential, as a deployer makes it."""
    from eventlet.green.urllib import request
    opener = request.build_opener(request.ProxyHandler({}))
    who = {"methods": ["application_credential"], "application_credential": {"id": os.environ["CREDENTIAL"], "secret": os.environ["SECRET"]}}
    asked = request.Request(f"{os.environ['KEYSTONE']}/auth/tokens", json.dumps({"auth": {"identity": who}}).encode(),
                            {"Content-Type": "application/json"})
    with opener.open(asked, timeout=20) as said:
        token, project = said.headers["X-Subject-Token"], json.load(said)["token"]["project"]["id"]
    opener.open(request.Request(f"{url}/v1/AUTH_{project}/archive", b"", {"X-Auth-Token": token}, method="PUT"), timeout=20)


class Cache:
    """What Swift asks of memcached, in this process: tempauth keeps its tokens there."""

    def __init__(self):
        self.all = {}

    def set(self, key, value, serialize=True, time=0, **_):
        self.all[key] = json.loads(json.dumps(value))

    def get(self, key, raise_on_error=False):
        return self.all.get(key)

    def incr(self, key, delta=1, time=0):
        self.all[key] = int(self.all.get(key) or 0) + delta
        return self.all[key]

    def delete(self, key, server_key=None):
        self.all.pop(key, None)


def with_cache(app):
    cache = Cache()

    def call(env, start_response):
        env["swift.cache"] = cache
        return app(env, start_response)
    return call


def first_account(url):
    """The account and the container, made as a deployer makes them; and what the reader may."""
    from eventlet.green.urllib import request

    def ask(method, where, **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return request.build_opener(request.ProxyHandler({})).open(
            request.Request(where, method=method, headers=fields, data=b"" if method != "GET" else None), timeout=20)
    login = ask("GET", f"{url}/auth/v1.0", X_Auth_User=USER, X_Auth_Key=KEY)
    account, token = login.headers["X-Storage-Url"], login.headers["X-Auth-Token"]
    ask("PUT", f"{account}/archive", X_Auth_Token=token, X_Container_Read=READER)


def threading_leash():
    import eventlet.patcher
    eventlet.patcher.original("threading").Thread(target=leash, daemon=True).start()


def moto(_directory):
    threading.Thread(target=leash, daemon=True).start()
    import boto3
    from moto.server import ThreadedMotoServer
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=USER, aws_secret_access_key=KEY)
    client.create_bucket(Bucket="archive")
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}}
    client.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration=rule)
    answer(url=url, user=USER, key=KEY)
    threading.Event().wait()


if __name__ == "__main__":
    where = pathlib.Path(sys.argv[2])
    where.mkdir(parents=True, exist_ok=True)
    {"swift": swift, "moto": moto}[sys.argv[1]](where)
