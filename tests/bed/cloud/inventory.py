"""In: load balancers and amphorae as JSON. Out: the rows which Octavia would have written, and its failover.
Never: the seed's ids by chance: what a test names is what the database holds."""
import datetime
import ipaddress
import json
import uuid

import sql
import state

START = datetime.datetime(2026, 1, 1, 12)
STAMP = "%Y-%m-%d %H:%M:%S"
TABLES = ("tags", "vip", "amphora", "load_balancer")
OF_LB = "SELECT id FROM load_balancer WHERE id = ? OR name = ?"
AMPHORA_FIELDS = ("load_balancer_id compute_id lb_network_ip vrrp_ip ha_ip role status vrrp_priority cached_zone image_id "
                  "cert_expiration").split()
LB_FIELDS = "name project_id description provisioning_status operating_status topology provider enabled".split()


def stamp(number):
    """Different for each row, so that a listing has one order."""
    return (START + datetime.timedelta(seconds=number)).strftime(STAMP)


def lb_row(lb, projects, number):
    return {
        "id": lb["id"], "name": lb["name"], "project_id": projects.get(lb["project"], lb["project"]), "description": lb.get("description", ""),
        "provisioning_status": lb.get("provisioning_status", "ACTIVE"), "operating_status": lb.get("operating_status", "ONLINE"),
        "topology": lb.get("topology", "SINGLE"), "enabled": True, "provider": lb.get("provider", "amphora"), "created_at": stamp(number)}


def vip_row(lb):
    return {"load_balancer_id": lb["id"], "ip_address": lb["vip"], "port_id": new_id(), "subnet_id": new_id(), "network_id": new_id(),
            "octavia_owned": True, "vnic_type": "normal"}


def amphora_row(amphora, lb, number):
    return {
        "id": amphora["id"], "load_balancer_id": lb and lb["id"], "status": amphora["status"],
        # Known by its amphora: a test of consoles can tell the server's id from the amphora's.
        "compute_id": amphora.get("compute_id", compute_id(amphora["id"])),
        "lb_network_ip": amphora.get("lb_network_ip"), "vrrp_ip": amphora.get("vrrp_ip"), "ha_ip": lb and lb["vip"],
        "vrrp_port_id": new_id(), "ha_port_id": new_id(), "cert_expiration": "2028-01-01 12:00:00", "cert_busy": False,
        "role": amphora.get("role"), "vrrp_interface": "eth1", "vrrp_id": 1, "vrrp_priority": amphora.get("vrrp_priority"),
        "cached_zone": amphora.get("cached_zone", "nova"), "image_id": amphora.get("image_id"), "compute_flavor": "65", "created_at": stamp(number)}


def new_id():
    return str(uuid.uuid4())


def compute_id(amphora):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, amphora))


def seed(bed, plan, projects):
    """Empties Octavia's tables and fills them with the plan."""
    balancers = plan["load_balancers"]
    amphorae = [(one, lb) for lb in balancers for one in lb["amphorae"]] + [(one, None) for one in plan.get("spare_amphorae", [])]
    rows = {
        "load_balancer": [lb_row(lb, projects, n) for n, lb in enumerate(balancers)],
        "vip": [vip_row(lb) for lb in balancers],
        "tags": [{"resource_id": lb["id"], "tag": tag} for lb in balancers for tag in lb.get("tags", [])],
        "amphora": [amphora_row(one, lb, 1000 + n) for n, (one, lb) in enumerate(amphorae)],
    }
    sql.execute(bed, "octavia", [*((f"DELETE FROM {table}", []) for table in TABLES), *fill(rows)])
    return summary(plan)


def fill(rows):
    return [sql.insert(table, some) for table, some in rows.items() if some]


def summary(plan):
    """What endpoints.json says of the inventory."""
    return {"load_balancers": plan["load_balancers"], "spare_amphorae": plan.get("spare_amphorae", [])}


def many(bed, count, projects):
    """`count` more load balancers with one amphora each, in one transaction."""
    (before,), = sql.execute(bed, "octavia", [("SELECT count(*) FROM load_balancer WHERE name LIKE 'many-%'", [])])
    network = ipaddress.ip_address("172.24.100.0")
    rows = {"load_balancer": [], "vip": [], "tags": [], "amphora": []}
    for n in range(before, before + count):
        lb = {"id": new_id(), "name": f"many-{n:06d}", "project": projects["shop" if n % 2 else "bank"], "vip": str(ipaddress.ip_address("10.64.0.0") + n)}
        amphora = {"id": new_id(), "lb_network_ip": str(network + n), "role": "STANDALONE", "status": "ALLOCATED"}
        rows["load_balancer"].append(lb_row(lb, {}, 10000 + n))
        rows["vip"].append(vip_row(lb))
        rows["tags"].append({"resource_id": lb["id"], "tag": "many"})
        rows["amphora"].append(amphora_row(amphora, lb, 10000 + n))
    sql.execute(bed, "octavia", fill(rows))
    return {"load_balancers": before + count, "amphorae": before + count}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime(STAMP)


def write_amphora(bed, key, fields):
    """Changes an amphora, or makes one of this id."""
    check_names(fields, AMPHORA_FIELDS)
    if sql.execute(bed, "octavia", [("SELECT id FROM amphora WHERE id = ?", [[key]])]):
        return sql.execute(bed, "octavia", [sql.update("amphora", key, {**fields, "updated_at": now()})])
    row = amphora_row({"id": key, "status": "ALLOCATED"}, None, 20000)
    return sql.execute(bed, "octavia", [sql.insert("amphora", [{**row, "created_at": now(), **fields}])])


def write_load_balancer(bed, key, fields):
    """Changes a load balancer; tags=a,b replaces its tags."""
    tags = fields.pop("tags", None)
    check_names(fields, LB_FIELDS)
    change = [sql.update("load_balancer", key, {**fields, "updated_at": now()})]
    if tags is not None:
        rows = [{"resource_id": key, "tag": tag} for tag in tags.split(",") if tag]
        change += [("DELETE FROM tags WHERE resource_id = ?", [[key]]), *fill({"tags": rows})]
    sql.execute(bed, "octavia", change)


def check_names(fields, known):
    """Names of columns cannot be values of a statement: only those of a list come into one."""
    for name in fields:
        if name not in known:
            state.fail(f"no field {name}: there are {', '.join(known)}")


class Failover:
    """Octavia's failover of one amphora, in its four steps, so that a test can look between any two."""
    STEPS = ("delete", "boot", "allocate", "finish")

    def __init__(self, bed, lb, begun, old=None, new=None, address=None):
        """`begun`: the step `delete` was an earlier call's; its two amphorae are found again."""
        self.bed = bed
        found = sql.execute(bed, "octavia", [(OF_LB, [[lb, lb]])])
        if len(found) != 1:
            state.fail(f"{len(found)} load balancers are called {lb}: give an id")
        self.lb = found[0][0]
        self.old, self.role, self.priority, old_address = self.victim(old, begun)
        self.new, known = (new, None) if new or not begun else self.successor()
        self.new = self.new or new_id()
        self.address = address or known or old_address

    def victim(self, old, begun):
        """The named amphora, or the one which is going, or the first that serves: MASTER, then BACKUP, then STANDALONE."""
        rows = sql.execute(self.bed, "octavia", [(
            "SELECT id, role, vrrp_priority, lb_network_ip FROM amphora WHERE load_balancer_id = ? AND status <> 'DELETED' "
            "AND (status = 'PENDING_DELETE') = ? ORDER BY role = 'MASTER' DESC, role = 'BACKUP' DESC, created_at", [[self.lb, begun]])])
        for row in rows:
            if old in (None, row[0]):
                return row
        return state.fail(f"load balancer {self.lb} has no amphora {old or ''} that could fail over")

    def successor(self):
        rows = sql.execute(self.bed, "octavia", [(
            "SELECT id, lb_network_ip FROM amphora WHERE load_balancer_id = ? AND status IN ('PENDING_CREATE', 'BOOTING', 'ALLOCATED') "
            "ORDER BY created_at DESC", [[self.lb]])])
        return rows[0] if rows else state.fail(f"load balancer {self.lb} has no new amphora: the step `delete` comes first")

    def step(self, name):
        """One step: from `delete` to `finish` there are two amphorae."""
        write_load_balancer(self.bed, self.lb, {"provisioning_status": "ACTIVE" if name == "finish" else "PENDING_UPDATE"})
        if name == "delete":
            write_amphora(self.bed, self.old, {"status": "PENDING_DELETE"})
            write_amphora(self.bed, self.new, {"status": "PENDING_CREATE", "load_balancer_id": self.lb, "compute_id": None})
        elif name == "boot":
            write_amphora(self.bed, self.new, {"status": "BOOTING", "lb_network_ip": self.address, "compute_id": compute_id(self.new)})
        elif name == "allocate":
            write_amphora(self.bed, self.new, {"status": "ALLOCATED", "role": self.role, "vrrp_priority": self.priority})
        else:
            write_amphora(self.bed, self.old, {"status": "DELETED"})

    def run(self, steps):
        for name in steps:
            self.step(name)
        return {"load_balancer": self.lb, "old": self.old, "new": self.new, "lb_network_ip": self.address, "steps": list(steps)}


def listing(bed):
    """All amphorae as the database has them."""
    names = ("id", "status", "role", "lb_network_ip", "load_balancer_id", "compute_id")
    rows = sql.execute(bed, "octavia", [(f"SELECT {', '.join(names)} FROM amphora ORDER BY created_at", [])])
    return json.dumps([dict(zip(names, row)) for row in rows], indent=1)


def delete_amphora(bed, key):
    """As Octavia's housekeeping does with old DELETED rows."""
    sql.execute(bed, "octavia", [("DELETE FROM amphora WHERE id = ?", [[key]])])
