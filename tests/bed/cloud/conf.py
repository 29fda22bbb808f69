"""In: a bed. Out: the services' configuration, policy, keys and WSGI entry points under DIR/conf.
Never: a network address but the bed's own, a key that outlives the bed's template."""
import base64
import os

POLICIES = {
    # What octavia does with no policy of the deployer's.
    "stock": "{}\n",
    # Stock, plus one role that may read and nothing else.
    "reader": """\
"os_load-balancer_api:amphora:get_all": "rule:load-balancer:admin or role:ampgate_reader"
"os_load-balancer_api:amphora:get_one": "rule:load-balancer:admin or role:ampgate_reader"
"os_load-balancer_api:loadbalancer:get_all": "rule:load-balancer:read or role:ampgate_reader"
"os_load-balancer_api:loadbalancer:get_all-global": "rule:load-balancer:read-global or role:ampgate_reader"
"os_load-balancer_api:loadbalancer:get_one": "rule:load-balancer:read or role:ampgate_reader"
""",
}

KEYSTONE = """\
[DEFAULT]
log_file = {log}/keystone.log
public_endpoint = {keystone}/
[database]
connection = {keystone_db}
sqlite_synchronous = false
[token]
provider = fernet
expiration = {token_ttl}
[fernet_tokens]
key_repository = {conf}/fernet-keys
[fernet_receipts]
key_repository = {conf}/receipt-keys
[credential]
key_repository = {conf}/credential-keys
[auth]
methods = {methods}
[identity]
# Cheap hashes: a bed's passwords are public anyway.
password_hash_rounds = 4
[oslo_policy]
policy_file = {conf}/keystone-policy.yaml
"""

OCTAVIA = """\
[DEFAULT]
log_file = {log}/octavia.log
transport_url = fake://
[api_settings]
auth_strategy = keystone
api_base_uri = {octavia}
enabled_provider_drivers = amphora:The Octavia Amphora driver.
pagination_max_limit = {page_limit}
[database]
connection = {octavia_db}
sqlite_synchronous = false
[certificates]
cert_manager = local_cert_manager
[keystone_authtoken]
www_authenticate_uri = {keystone}/v3
# Without it, application credentials with access rules are refused for every path.
service_type = load-balancer
service_token_roles_required = true
# No cache, so that a revoked token is refused at once. Real clouds keep up to 300 s.
token_cache_time = -1
{service_user}
[service_auth]
{service_user}
[oslo_policy]
policy_file = {conf}/octavia-policy.yaml
enforce_new_defaults = true
"""

SERVICE_USER = """\
auth_type = password
auth_url = {keystone}/v3
region_name = {region}
username = octavia
password = {password}
user_domain_name = {domain}
project_name = service
project_domain_name = {domain}"""

# Both services read the command line when they are imported: they get their own, not gunicorn's.
KEYSTONE_WSGI = """\
import os, sys
sys.argv = ['keystone']
os.environ['OS_KEYSTONE_CONFIG_FILES'] = {conf!r} + '/keystone.conf'
from keystone.wsgi.api import application
"""

OCTAVIA_WSGI = """\
import sys
import octavia_conf
sys.argv = ['octavia-api', '--config-file', {conf!r} + '/octavia.conf']
from octavia.wsgi.api import application
"""

# Octavia sets a pool timeout, which SQLAlchemy refuses for a SQLite file.
OCTAVIA_CONF = """\
from oslo_config import cfg
from octavia.common import config
if {sqlite}:
    cfg.CONF.set_default('pool_timeout', None, group='database')
"""


def database_url(bed, name):
    """SQLAlchemy's name of a service's database."""
    if bed.database == "sqlite":
        return f"sqlite:///{bed.dir}/data/{name}.sqlite"
    return f"mysql+pymysql://root@localhost/{name}?unix_socket={bed.dir}/run/mariadb/sock&charset=utf8mb4"


def write(bed, seed):
    """Every file of DIR/conf but the keys."""
    conf = bed.dir / "conf"
    for part in ("conf/wsgi", "data", "log", "run"):
        (bed.dir / part).mkdir(parents=True, exist_ok=True)
    facts = {
        **bed.choices, "keystone": bed.keystone, "octavia": bed.octavia, "conf": str(conf), "log": bed.dir / "log",
        "keystone_db": database_url(bed, "keystone"), "octavia_db": database_url(bed, "octavia"), "sqlite": bed.database == "sqlite",
    }
    facts["service_user"] = SERVICE_USER.format(
        keystone=bed.keystone, region=seed["region"], domain=seed["domain"], password=seed["users"]["octavia"]["password"])
    files = {
        "keystone.conf": KEYSTONE, "octavia.conf": OCTAVIA,
        "wsgi/keystone_wsgi.py": KEYSTONE_WSGI, "wsgi/octavia_wsgi.py": OCTAVIA_WSGI, "wsgi/octavia_conf.py": OCTAVIA_CONF,
    }
    for name, text in files.items():
        (conf / name).write_text(text.format(**facts))
    (conf / "keystone-policy.yaml").write_text("{}\n")
    (conf / "octavia-policy.yaml").write_text(POLICIES[bed.policy])


def write_keys(bed):
    """What `keystone-manage …_setup` writes, without its seconds: a staged key 0 and a primary key 1, Fernet's form."""
    for repository in ("fernet-keys", "receipt-keys", "credential-keys"):
        directory = bed.dir / "conf" / repository
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        for number in ("0", "1"):
            key = directory / number
            key.touch(mode=0o600)
            key.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
