"""In: a running bed. Out: one line per fact of Keystone and Octavia that tests build on, `ok` or `WRONG`.
Never: a fact that is only assumed: each is asked for by HTTP."""
import time
import urllib.parse

import keystone
import inventory

AMPHORAE, BALANCERS = "/v2/octavia/amphorae", "/v2/lbaas/loadbalancers"


class Check:
    def __init__(self, bed):
        self.bed, self.ids, self.wrong = bed, bed.ids(), 0
        self.domain = self.ids["domain"]["id"]

    def fact(self, name, holds, shown):
        self.wrong += not holds
        print(f"{'ok   ' if holds else 'WRONG'} {name}: {shown}")

    def status(self, name, answer, expected):
        self.fact(name, answer.status == expected, answer.status if answer.status == expected else f"{answer.status} {answer.text[:300]}")
        return answer

    def get(self, token, path):
        return keystone.request("GET", self.bed.octavia + path, token=token)

    def login(self, user, secret=None, scope=None):
        secret = secret or self.ids["users"].get(user, {}).get("password", "x")
        return keystone.authenticate(self.bed, keystone.password(user, secret, self.domain), scope)

    def credential(self, name):
        one = self.ids["application_credentials"][name]
        return keystone.authenticate(self.bed, keystone.application_credential(one["id"], one["secret"]))


def run(bed):
    """Every part; returns how many facts did not hold."""
    check = Check(bed)
    for part in (passwords, second_factor, credentials, groups, reading, paging, tokens, failover):
        part(check)
    print("all holds" if not check.wrong else f"{check.wrong} wrong")
    return check.wrong


def passwords(c):
    shop = {"project": {"id": c.ids["projects"]["shop"]}}
    got = c.status("password, scoped", c.login("alice", scope=shop), 201)
    c.fact("token of alice", got.headers["X-Subject-Token"] and got.json["token"]["project"]["name"] == "shop", got.json["token"]["methods"])
    c.status("password with other letters than ASCII", c.login("bob"), 201)
    refused = [c.login("alice", "wrong"), c.login("nobody-here"), c.login("dave"), c.login("bob", scope=shop)]
    for name, answer in zip(("wrong password", "unknown user", "disabled user", "not in the project"), refused):
        c.status(name, answer, 401)
    c.fact("the four refusals are the same", len({answer.json["error"]["message"] for answer in refused[:3]}) == 1, refused[0].json["error"]["message"])


def second_factor(c):
    secret = c.ids["users"]["erin"]["totp_secret"]
    first = c.status("MFA: password alone", c.login("erin"), 401)
    receipt = {"Openstack-Auth-Receipt": first.headers["Openstack-Auth-Receipt"] or ""}
    c.fact("receipt", bool(receipt["Openstack-Auth-Receipt"]), first.json.get("required_auth_methods"))
    bad = keystone.totp("erin", secret, c.domain, time.time() - 3600)
    c.status("MFA: wrong code with the receipt", keystone.authenticate(c.bed, bad, headers=receipt), 401)
    c.status("MFA: wrong password", c.login("erin", "wrong"), 401)
    got = c.status("MFA: code with the receipt", keystone.authenticate(c.bed, keystone.totp("erin", secret, c.domain), headers=receipt), 201)
    c.fact("methods of the token", sorted(got.json["token"]["methods"]) == ["password", "totp"], got.json["token"]["methods"])


def credentials(c):
    for name, expected in (("full", 201), ("read-only", 201), ("reader", 201), ("member", 201), ("expired", 401), ("revoked", 404)):
        c.status(f"application credential {name}", c.credential(name), expected)
    one = c.ids["application_credentials"]["full"]
    c.status("application credential, wrong secret", keystone.authenticate(c.bed, keystone.application_credential(one["id"], "wrong")), 401)


def groups(c):
    token = c.login("frank").headers["X-Subject-Token"]
    got = keystone.request("GET", f"{c.bed.keystone}/v3/users/{c.ids['users']['frank']['id']}/groups", token=token)
    c.fact("own groups with an unscoped token", [g["name"] for g in got.json["groups"]] == ["netops"], [g["name"] for g in got.json["groups"]])
    scoped = c.login("frank", scope={"project": {"id": c.ids["projects"]["shop"]}})
    c.status("a role held through a group gives a token", scoped, 201)
    c.fact("its roles", "load-balancer_observer" in [r["name"] for r in scoped.json["token"]["roles"]], [r["name"] for r in scoped.json["token"]["roles"]])


def reading(c):
    admin = keystone.token_of(c.bed, "carol")
    listed = c.status("amphorae as administrator", c.get(admin, AMPHORAE), 200).json["amphorae"]
    states = {}
    for one in listed:
        states[one["status"]] = states.get(one["status"], 0) + 1
    c.fact("no DELETED amphora is listed", states and "DELETED" not in states, states)
    gone = next(a["id"] for lb in c.ids["load_balancers"] for a in lb["amphorae"] if a["status"] == "DELETED")
    c.status("a DELETED amphora", c.get(admin, f"{AMPHORAE}/{gone}"), 404)
    webs = c.get(admin, f"{BALANCERS}?name=web").json["loadbalancers"]
    c.fact("two load balancers have one name", len({lb["project_id"] for lb in webs}) == 2, [lb["id"][-4:] for lb in webs])
    limited = keystone.token_of(c.bed, "read-only")
    c.status("access rules: amphorae", c.get(limited, AMPHORAE), 200)
    c.status("access rules: one load balancer", c.get(limited, f"{BALANCERS}/{webs[0]['id']}"), 200)
    c.status("access rules: failover", keystone.request("PUT", f"{c.bed.octavia}{AMPHORAE}/{listed[0]['id']}/failover", token=limited), 401)
    c.status("access rules: listeners", c.get(limited, "/v2/lbaas/listeners"), 401)
    c.status("rules that name no amphorae", c.get(keystone.token_of(c.bed, "wrong-rules"), AMPHORAE), 401)
    c.status("role of the reader's policy", c.get(keystone.token_of(c.bed, "reader"), AMPHORAE), 200 if c.bed.policy == "reader" else 403)
    c.status("amphorae as member", c.get(keystone.token_of(c.bed, "member"), AMPHORAE), 403)
    c.status("amphorae with an unscoped token", c.get(c.login("grace").headers["X-Subject-Token"], AMPHORAE), 403)
    c.status("amphorae without a token", c.get(None, AMPHORAE), 401)


def paging(c):
    """Our own marker on every page: the `next` link has lost the filters."""
    admin = keystone.token_of(c.bed, "full")
    shop = c.ids["projects"]["shop"]
    first = c.get(admin, f"{BALANCERS}?project_id={shop}&limit=1").json
    link = next(one["href"] for one in first["loadbalancers_links"] if one["rel"] == "next")
    c.fact("`next` loses the filter", "project_id" not in urllib.parse.parse_qs(urllib.parse.urlsplit(link).query), link.partition("?")[2])
    second = c.get(admin, f"{BALANCERS}?project_id={shop}&limit=1&marker={first['loadbalancers'][0]['id']}").json
    names = [page["loadbalancers"][0]["name"] for page in (first, second)]
    c.fact("two pages", sorted(names) == ["cmp-was-lb", "web"], names)


def tokens(c):
    token = keystone.token_of(c.bed, "full")
    c.status("token, before", c.get(token, AMPHORAE), 200)
    keystone.request("DELETE", f"{c.bed.keystone}/v3/auth/tokens", token=token, headers={"X-Subject-Token": token})
    c.status("token, revoked", c.get(token, AMPHORAE), 401)


def failover(c):
    """On a load balancer that no test uses a real amphora of; the seed is put back by its inverse."""
    admin = keystone.token_of(c.bed, "full")
    lb = next(lb for lb in c.ids["load_balancers"] if lb["name"] == "edge")
    old = lb["amphorae"][0]
    new, path = inventory.new_id(), f"{AMPHORAE}?loadbalancer_id={lb['id']}&fields=id&fields=status"
    there = inventory.Failover(c.bed, lb["id"], False, old["id"], new, "172.24.0.95")
    there.run(there.STEPS[:2])
    seen = sorted(one["status"] for one in c.get(admin, path).json["amphorae"])
    c.fact("in a failover there are two", seen == ["BOOTING", "PENDING_DELETE"], seen)
    there.run(there.STEPS[2:])
    seen = c.get(admin, path).json["amphorae"]
    c.fact("after it there is the new one", seen == [{"id": new, "status": "ALLOCATED"}], seen)
    inventory.write_amphora(c.bed, old["id"], {"status": old["status"]})
    inventory.delete_amphora(c.bed, new)
