"""In: statements with `?` for values. Out: rows; the same for SQLite and MariaDB.
Never: values inside of a statement's text."""
import json
import sqlite3

import services
import state


def execute(bed, database, statements):
    """All of [(statement, [row of values, …]), …] or nothing. Returns the rows of the last."""
    if bed.database == "mariadb":
        socket = bed.dir / "run/mariadb/sock"
        if not services.pids(bed, "mariadb"):
            state.fail(f"the database of {bed.dir} is down: try `openstack start {bed.dir} database`")
        out = services.run(bed, "mariadb", [state.VENV / "bin/python", "-I", state.HERE / "inside.py", "execute", socket, database],
                           json.dumps(statements))
        return json.loads(out)
    link = sqlite3.connect(bed.dir / "data" / f"{database}.sqlite", timeout=30)
    try:
        with link:
            for statement, rows in statements:
                done = link.executemany(statement, rows) if len(rows) > 1 else link.execute(statement, *rows)
            return done.fetchall()
    finally:
        link.close()


def insert(table, rows):
    """One statement that puts rows (dicts with the same keys) into a table."""
    names = list(rows[0])
    marks = ", ".join("?" for _ in names)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", [[row[name] for name in names] for row in rows]


def update(table, key, fields):
    """One statement that changes the row with this id."""
    return f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in fields)} WHERE id = ?", [[*fields.values(), key]]
