"""In: a running Keystone and the seed. Out: tokens, and the domain, projects, users, groups and application credentials.
Never: an answer that was not looked at: an unexpected status ends the program with Keystone's own words."""
import base64
import hashlib
import hmac
import json
import struct
import time
import urllib.error
import urllib.request
import uuid

import services
import sql
import state

ADMIN_PASSWORD = "bootstrap-pw"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.text) if self.text else None


def request(method, url, body=None, token=None, headers=()):
    """One HTTP exchange; every status is an answer."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json", **dict(headers)}, method=method)
    if token:
        asked.add_header("X-Auth-Token", token)
    try:
        with services.DIRECT.open(asked, timeout=60) as got:
            return Answer(got.status, got.headers, got.read())
    except urllib.error.HTTPError as got:
        return Answer(got.code, got.headers, got.read())
    except OSError as why:
        return state.fail(f"{method} {url}: {why}: is the service up? `openstack start DIR all`")


def password(user, secret, domain):
    return {"methods": ["password"], "password": {"user": {"name": user, "password": secret, "domain": {"id": domain}}}}


def totp(user, secret, domain, when=None):
    return {"methods": ["totp"], "totp": {"user": {"name": user, "domain": {"id": domain}, "passcode": code(secret, when)}}}


def application_credential(key, secret):
    return {"methods": ["application_credential"], "application_credential": {"id": key, "secret": secret}}


def code(secret, when=None):
    """RFC 6238 with SHA-1, 30 s and six digits: what Keystone expects."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int((when or time.time()) // 30)), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7fffffff) % 10 ** 6:06d}"


def authenticate(bed, identity, scope=None, headers=()):
    """The whole answer of POST /v3/auth/tokens."""
    auth = {"identity": identity, **({"scope": scope} if scope else {})}
    return request("POST", f"{bed.keystone}/v3/auth/tokens", {"auth": auth}, headers=headers)


def token(bed, identity, scope=None):
    answer = authenticate(bed, identity, scope)
    if answer.status != 201:
        state.fail(f"Keystone gave no token: {answer.status} {answer.text}")
    return answer.headers["X-Subject-Token"]


def token_of(bed, name):
    """A token of a seeded user (scoped to a project, if there is any) or of an application credential."""
    ids = bed.ids()
    if name in ids["application_credentials"]:
        one = ids["application_credentials"][name]
        return token(bed, application_credential(one["id"], one["secret"]))
    if name not in ids["users"]:
        state.fail(f"nobody is called {name}: there are {', '.join([*ids['users'], *ids['application_credentials']])}")
    user, domain = ids["users"][name], ids["domain"]["id"]
    scope = {"project": {"id": user["project_id"]}} if user["project_id"] else None
    identity = password(name, user["password"], domain)
    if user["totp_secret"]:
        second = totp(name, user["totp_secret"], domain)
        identity = {**identity, **second, "methods": ["password", "totp"]}
    return token(bed, identity, scope)


class Administrator:
    """Keystone's API with the bootstrap administrator's token."""

    def __init__(self, bed):
        self.bed = bed
        self.token = token(bed, password("admin", ADMIN_PASSWORD, "default"), {"project": {"name": "admin", "domain": {"id": "default"}}})

    def call(self, method, path, body=None, as_token=None):
        answer = request(method, f"{self.bed.keystone}/v3{path}", body, as_token or self.token)
        if answer.status >= 300:
            state.fail(f"{method} {path}: {answer.status} {answer.text}")
        return answer.json

    def ids(self, kind):
        return {one["name"]: one["id"] for one in self.call("GET", f"/{kind}")[kind]}


def seed(bed, plan):
    """Puts the plan into an empty Keystone and returns all ids and credentials."""
    admin = Administrator(bed)
    domain = admin.call("POST", "/domains", {"domain": {"name": plan["domain"]}})["domain"]["id"]
    projects = {**plan["projects"], **{name: uuid.uuid4().hex for name in plan["service_projects"]}}
    sql.execute(bed, "keystone", [project_rows(projects, domain), *service_rows(plan["region"])])
    known = admin.ids("roles")
    roles = known | {name: admin.call("POST", "/roles", {"role": {"name": name}})["role"]["id"] for name in plan["roles"] if name not in known}
    groups = {name: admin.call("POST", "/groups", {"group": {"name": name, "domain_id": domain}})["group"]["id"] for name in plan["groups"]}
    for name, grants in plan["groups"].items():
        give(admin, f"groups/{groups[name]}", grants, projects, roles)
    users = {name: seed_user(admin, name, user, domain, projects, groups, roles) for name, user in plan["users"].items()}
    ids = {
        "region": plan["region"], "domain": {"id": domain, "name": plan["domain"]}, "projects": projects, "groups": groups, "roles": roles,
        "users": users, "administrator": {"user": "admin", "password": ADMIN_PASSWORD, "domain": "default", "project": "admin"},
    }
    ids["application_credentials"] = {name: seed_credential(admin, name, one, ids) for name, one in plan["application_credentials"].items()}
    return ids


def project_rows(projects, domain):
    """By SQL, because the API gives a project an id of its own choice, and tests know theirs."""
    return sql.insert("project", [
        {"id": key, "name": name, "extra": "{}", "description": "", "enabled": True, "domain_id": domain, "parent_id": domain, "is_domain": False}
        for name, key in projects.items()])


def service_rows(region):
    """The catalogue's load balancer, compute and object store services; `endpoint` gives them their addresses."""
    kinds = {"load-balancer": "octavia", "compute": "nova", "object-store": "swift"}
    services_ = [{"id": uuid.uuid4().hex, "type": kind, "enabled": True, "extra": json.dumps({"name": name})} for kind, name in kinds.items()]
    endpoints = [
        {"id": uuid.uuid4().hex, "interface": side, "service_id": one["id"], "url": "http://127.0.0.1:9", "extra": "{}", "enabled": True, "region_id": region}
        for one in services_ for side in ("public", "internal", "admin")]
    return [sql.insert("service", services_), sql.insert("endpoint", endpoints)]


def set_endpoint(bed, kind, url):
    """Changes an address in the catalogue."""
    sql.execute(bed, "keystone", [("UPDATE endpoint SET url = ? WHERE service_id IN (SELECT id FROM service WHERE type = ?)", [[url, kind]])])


def give(admin, who, grants, projects, roles):
    for grant in grants:
        scope = "/system" if grant.get("system") else f"/projects/{projects[grant['project']]}"
        for role in grant["roles"]:
            admin.call("PUT", f"{scope}/{who}/roles/{roles[role]}")


def seed_user(admin, name, user, domain, projects, groups, roles):
    body = {"name": name, "password": user["password"], "domain_id": domain, "enabled": user.get("enabled", True)}
    if user.get("totp_secret"):
        body["options"] = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    key = admin.call("POST", "/users", {"user": body})["user"]["id"]
    if user.get("totp_secret"):
        admin.call("POST", "/credentials", {"credential": {"type": "totp", "user_id": key, "blob": user["totp_secret"]}})
    for group in user.get("groups", []):
        admin.call("PUT", f"/groups/{groups[group]}/users/{key}")
    give(admin, f"users/{key}", user.get("grants", []), projects, roles)
    named = [grant["project"] for grant in user.get("grants", []) if "project" in grant]
    return {
        "id": key, "password": user["password"], "enabled": user.get("enabled", True), "totp_secret": user.get("totp_secret"),
        "groups": user.get("groups", []), "projects": named, "project_id": projects[named[0]] if named else None}


def seed_credential(admin, name, plan, ids):
    """Made by its owner, as Keystone wants it; `expired` and `revoked` are made and then spoilt."""
    owner, project = ids["users"][plan["user"]], ids["projects"][plan["project"]]
    own = token(admin.bed, password(plan["user"], owner["password"], ids["domain"]["id"]), {"project": {"id": project}})
    body = {"name": name, "secret": f"{name}-secret", "roles": [{"name": role} for role in plan["roles"]]}
    if plan.get("access_rules"):
        body["access_rules"] = plan["access_rules"]
    path = f"/users/{owner['id']}/application_credentials"
    made = admin.call("POST", path, {"application_credential": body}, own)["application_credential"]
    if plan.get("revoked"):
        admin.call("DELETE", f"{path}/{made['id']}", as_token=own)
    if plan.get("expired"):
        # Keystone makes none that is already over; it keeps the time in microseconds.
        over = int((time.time() - 60) * 1e6)
        sql.execute(admin.bed, "keystone", [("UPDATE application_credential SET expires_at = ? WHERE id = ?", [[over, made["id"]]])])
    return {"id": made["id"], "name": name, "secret": body["secret"], "user": plan["user"], "project_id": project}


def revoke_credential(bed, name):
    """Deletes an application credential, and with it every token that it has given."""
    one = bed.ids()["application_credentials"][name]
    own = token_of(bed, one["user"])
    owner = bed.ids()["users"][one["user"]]["id"]
    Administrator(bed).call("DELETE", f"/users/{owner}/application_credentials/{one['id']}", as_token=own)


def change_user(bed, name, fields):
    """Changes attributes of a user (enabled, password, name); those that tests read are published again."""
    ids = bed.ids()
    Administrator(bed).call("PATCH", f"/users/{ids['users'][name]['id']}", {"user": fields})
    ids["users"][name].update({key: value for key, value in fields.items() if key in ("enabled", "password")})
    bed.save_ids(ids)
