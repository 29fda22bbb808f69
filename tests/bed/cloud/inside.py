"""In: a command of tests/bed/openstack. Out: what only the services' own Python can do.
Never: run by another interpreter than that of the services' venv.

    inside.py schema CONFDIR             octavia's tables in SQLite, from its models
    inside.py execute SOCKET DATABASE    statements from standard input, as JSON, in one MariaDB transaction
    inside.py expired CONFDIR …          a real token that ran out
"""
import datetime
import json
import sys


def schema(conf):
    """The models' tables and the rows they refer to. Octavia's migrations alter constraints, which SQLite cannot."""
    sys.path.insert(0, conf + "/wsgi")
    import octavia_conf  # noqa: F401
    from octavia.common import config, constants as c
    config.init(["--config-file", conf + "/octavia.conf"])
    from octavia.db import api, base_models, models as m
    base_models.BASE.metadata.create_all(api.get_engine())
    words = [
        (c.SUPPORTED_PROVISIONING_STATUSES, m.ProvisioningStatus), (c.SUPPORTED_OPERATING_STATUSES, m.OperatingStatus),
        (c.SUPPORTED_AMPHORA_ROLES, m.AmphoraRoles), (c.SUPPORTED_LB_TOPOLOGIES, m.LBTopology),
        (c.SUPPORTED_PROTOCOLS, m.Protocol), (c.SUPPORTED_LB_ALGORITHMS, m.Algorithm),
        (c.SUPPORTED_HEALTH_MONITOR_TYPES, m.HealthMonitorType), (c.SUPPORTED_SP_TYPES, m.SessionPersistenceType),
        (c.SUPPORTED_VRRP_AUTH, m.VRRPAuthMethod), (c.SUPPORTED_L7RULE_TYPES, m.L7RuleType),
        (c.SUPPORTED_L7RULE_COMPARE_TYPES, m.L7RuleCompareType), (c.SUPPORTED_L7POLICY_ACTIONS, m.L7PolicyAction),
        (c.SUPPORTED_CLIENT_AUTH_MODES, m.ClientAuthenticationMode),
    ]
    session = api.get_session()
    with session.begin():
        session.add_all(model(name=name) for names, model in words for name in names)


def execute(socket, database):
    """[[statement, [row, …]], …] in; the last statement's rows out, as JSON."""
    import pymysql
    link = pymysql.connect(unix_socket=socket, user="root", database=database or None, charset="utf8mb4", connect_timeout=10)
    rows = []
    with link, link.cursor() as cursor:
        for statement, parameters in json.load(sys.stdin):
            if len(parameters) > 1:
                cursor.executemany(statement.replace("?", "%s"), parameters)
            elif parameters:
                cursor.execute(statement.replace("?", "%s"), parameters[0])
            else:
                cursor.execute(statement)
            rows = cursor.fetchall()
        link.commit()
    json.dump([list(row) for row in rows], sys.stdout, default=str)


def expired(conf, user, project, age):
    """A token made with Keystone's own key, which ran out `age` seconds ago."""
    import keystone.conf
    from keystone.server import backends
    keystone.conf.configure()
    keystone.conf.CONF([], project="keystone", default_config_files=[conf + "/keystone.conf"])
    backends.load_backends()
    from keystone.token import token_formatters as tf
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=int(age))
    print(tf.TokenFormatter().create_token(
        user, when.strftime("%Y-%m-%dT%H:%M:%S.000000Z"), ["YmVkLWV4cGlyZWQtdG9rZQ"], tf.ProjectScopedPayload,
        methods=["password"], project_id=project))


if __name__ == "__main__":
    {"schema": schema, "execute": execute, "expired": expired}[sys.argv[1]](*sys.argv[2:])
