//! In: files, moved by every client that operators have; paths in every spelling. Out: the right hash in the journal,
//! content in no recording, a denied path denied.
//! Never: our own idea of a hash or of a path: sha256sum and the amphora say what is right.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use ampgate_tests::{
    A, Client, Gateway, Land, Via,
    bed::{bed, tool},
    gateway::{files_below, program as program_of},
    outcome::{run, until},
};
use serde_json::Value;

use super::{
    attacks::leaves,
    sealed::{identity, seal_to},
};

/// The tests' own rules, and the one about tenants' keys that `ampgate init` writes.
const CERTS: &str = r#"
@id("certs") forbid (principal, action in [Action::"read", Action::"write", Action::"list", Action::"delete"], resource)
  when { context.path like "/var/lib/octavia/certs/*" };
"#;

fn content() -> Vec<u8> {
    (0..3_000_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(3_000_001)
        .collect()
}

fn sha256(path: &Path) -> String {
    let mut sum = Command::new("sha256sum");
    sum.arg(path);
    run(sum, b"").good().out()[..64].to_owned()
}

fn events(gateway: &Gateway, name: &str) -> Vec<Value> {
    let all = gateway.journal().into_iter();
    all.filter(|event| event["event"] == name).collect()
}

fn program(client: &Client, program: &str, args: &[&str]) -> Command {
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let mut command = client.command(program);
    command.args(way);
    command.args(args.iter().map(|arg| arg.replace("HOST", &host)));
    command
}

/// What the last closed file was: path, direction, completeness, hash.
#[track_caller]
fn last_file(gateway: &Gateway, path: &str, direction: &str) -> (String, String) {
    gateway.quiet();
    let files = events(gateway, "file.closed");
    let file = files.last().expect("a file in the journal");
    assert_eq!(
        (file["path"].as_str(), file["result"].as_str()),
        (Some(path), Some("ok")),
        "{file}"
    );
    let text = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
    (text(direction), text(&format!("{direction}_sha256")))
}

#[test]
fn every_client_leaves_the_right_hash_and_no_content() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let file = client.file("source", content());
    let (sum, from) = (sha256(&file), file.display().to_string());
    bed().inside(&A, "rm -f /tmp/t-*").good();
    let moved = |there: &str, direction: &str, run_it: &dyn Fn()| {
        run_it();
        let whole = ("whole".to_owned(), sum.clone());
        assert_eq!(
            last_file(&gateway, there, direction),
            whole,
            "{there} {direction}"
        );
    };
    for (name, option) in [("sftp", "-s"), ("old", "-O")] {
        let there = format!("/tmp/t-scp-{name}");
        let (host, back) = (format!("HOST:{there}"), client.home().join(name));
        moved(&there, "written", &|| {
            run(program(&client, "scp", &["-q", option, &from, &host]), b"").good();
        });
        moved(&there, "read", &|| {
            let to = back.display().to_string();
            run(program(&client, "scp", &["-q", option, &host, &to]), b"").good();
            assert_eq!(sha256(&back), sum);
        });
    }
    let batch = client.file("batch", format!("put {from} /tmp/t-batch\n"));
    let batch = batch.display().to_string();
    moved("/tmp/t-batch", "written", &|| {
        run(program(&client, "sftp", &["-q", "-b", &batch, "HOST"]), b"").good();
    });
    let there = bed().inside(&A, "sha256sum /tmp/t-*").good().out();
    assert!(
        there.lines().count() == 3 && there.lines().all(|line| line.starts_with(&sum)),
        "{there}"
    );
    // What is in the recordings is the story, not the content; and nothing was relayed that is not accounted for.
    for seen in gateway.seen() {
        assert!(
            seen.stdout.len() < 10_000,
            "{} bytes in {:?}",
            seen.stdout.len(),
            seen.path
        );
        assert!(fs::metadata(&seen.path).unwrap().len() < 100_000);
        assert!(
            seen.markers.iter().any(|line| line.contains(&sum)),
            "{:?}",
            seen.markers
        );
    }
    for closed in events(&gateway, "recording.closed") {
        assert_eq!(closed["recorded"], closed["relayed"], "{closed}");
    }
}

/// Other vendors' clients pipeline in other ways: paramiko asks for a whole file at once, asyncssh for many pieces.
#[test]
fn other_clients_leave_the_right_hash() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let file = client.file("source", content());
    let sum = sha256(&file);
    let script = client.file(
        "clients.py",
        r#"
import asyncio, os, sys
import paramiko
key, port, target, source = sys.argv[1:5]
def paramiko_both():
    out = paramiko.Transport(("127.0.0.1", int(port)))
    out.connect(username="alice", pkey=paramiko.Ed25519Key.from_private_key_file(key))
    channel = out.open_channel("direct-tcpip", (target, 22), ("127.0.0.1", 1))
    t = paramiko.Transport(channel)
    t.start_client()
    t.auth_none("cloud-user")
    sftp = paramiko.SFTPClient.from_transport(t)
    sftp.put(source, "/tmp/p-up")
    sftp.get("/tmp/p-up", source + ".paramiko")
    sftp.posix_rename("/tmp/p-up", "/tmp/p-moved")
    sftp.symlink("/tmp/p-moved", "/tmp/p-link")
    assert sftp.readlink("/tmp/p-link") == "/tmp/p-moved"
    assert sorted(n for n in sftp.listdir("/tmp") if n.startswith("p-")) == ["p-link", "p-moved"]
    sftp.remove("/tmp/p-link")
    sftp.remove("/tmp/p-moved")
    out.close()
async def asyncssh_both():
    import asyncssh
    async with asyncssh.connect("127.0.0.1", int(port), username="alice", client_keys=[key], known_hosts=None) as out:
        async with asyncssh.connect(target, tunnel=out, username="cloud-user", client_keys=[], known_hosts=None) as conn:
            async with conn.start_sftp_client() as sftp:
                await sftp.put(source, "/tmp/a-up")
                await sftp.get("/tmp/a-up", source + ".asyncssh")
                await sftp.remove("/tmp/a-up")
paramiko_both()
asyncio.run(asyncssh_both())
for name in ("paramiko", "asyncssh"):
    assert open(source, "rb").read() == open(f"{source}.{name}", "rb").read()
"#,
    );
    let mut python = bed().command(tool("python3"));
    python
        .arg(script)
        .arg(gateway.key("alice"))
        .arg(gateway.port.to_string());
    python.arg(A.target()).arg(&file);
    run(python, b"").good();
    gateway.quiet();
    let files = events(&gateway, "file.closed");
    for (path, direction) in [
        ("/tmp/p-up", "written"),
        ("/tmp/p-up", "read"),
        ("/tmp/a-up", "written"),
        ("/tmp/a-up", "read"),
    ] {
        let hash = &format!("{direction}_sha256");
        assert!(
            files
                .iter()
                .any(|file| file["path"] == path && file[hash] == sum.as_str()),
            "{path} {direction}: {files:#?}"
        );
    }
    let changed = events(&gateway, "path.changed");
    let told: Vec<_> = changed
        .iter()
        .map(|c| {
            (
                c["operation"].as_str().unwrap(),
                c["path"].as_str().unwrap(),
                c["result"].as_str().unwrap(),
            )
        })
        .collect();
    for operation in [
        ("posix-rename", "/tmp/p-up", "ok"),
        ("symlink", "/tmp/p-link", "ok"),
        ("remove", "/tmp/p-moved", "ok"),
        ("remove", "/tmp/a-up", "ok"),
    ] {
        assert!(
            told.contains(&operation),
            "{operation:?} is not among {told:?}"
        );
    }
}

/// Row 23: a denied path in every spelling, by every request, by way of links, of directories above it, in a race.
#[test]
fn row_23_a_denied_path_is_denied_in_all_its_spellings() {
    let gateway = Gateway::start(|setup| setup.policy += CERTS);
    bed()
        .inside(
            &A,
            "mkdir -p /var/lib/octavia/certs /tmp/attack/plain && echo secret >/var/lib/octavia/certs/web.pem && cd /tmp/attack && \
             ln -sfn /var/lib/octavia up && ln -sfn ../../var/lib/octavia/certs relative && ln -sfn /var/lib/octavia/certs/web.pem pem && \
             ln -sfn pem to-pem && echo mine >mine && rm -rf /tmp/new-link /tmp/stolen",
        )
        .good();
    let before = "sha256sum /var/lib/octavia/certs/web.pem; stat -c '%a %h' /var/lib/octavia/certs /var/lib/octavia/certs/web.pem; \
                  find /var/lib/octavia/certs /tmp/attack | sort; ls /tmp/new-link /tmp/stolen 2>&1";
    let there = bed().inside(&A, before).out();
    for operator in ["alice", "erin"] {
        let found = gateway.attacked("paths", operator, &[]);
        assert!(leaves(&found["denied"]).len() > 500, "{found:#}");
        for (group, all) in [("denied", &found["denied"]), ("above", &found["above"])] {
            for (what, status) in all.as_object().unwrap() {
                // `.` at the end of a path is a name for no request that takes one: refused as well, by another word.
                let no_name = what.ends_with("/.") && status == 4;
                assert!(
                    status == 3 || no_name,
                    "{operator} {group}: {what}: {status}"
                );
            }
        }
        for (n, race) in found["race"].as_object().unwrap() {
            let all = race.as_array().unwrap();
            assert_eq!(
                (&all[1], &all[3]),
                (&3.into(), &3.into()),
                "race {n}: {race}"
            );
        }
    }
    assert_eq!(
        bed().inside(&A, before).out(),
        there,
        "something was changed"
    );
    let refused = events(&gateway, "path.refused");
    assert!(
        refused.len() > 1000,
        "{} refusals in the journal",
        refused.len()
    );
    assert!(
        refused
            .iter()
            .all(|r| r["rules"].to_string().contains("certs"))
    );
    let bytes: Vec<u8> = gateway
        .seen()
        .into_iter()
        .flat_map(|seen| seen.stdout)
        .collect();
    assert!(!bytes.windows(6).any(|w| w == b"secret"));
}

/// Reading, writing, listing and deleting are allowed apart; who is permitted sftp is permitted all.
#[test]
fn what_is_not_permitted_is_said_by_the_client() {
    let gateway = Gateway::start(|setup| {
        setup.policy = r#"
permit (principal == User::"bob", action in [Action::"connect", Action::"read", Action::"list"], resource);
permit (principal == User::"erin", action == Action::"connect", resource);
permit (principal == User::"erin", action == Action::"sftp", resource);
permit (principal == User::"dave", action in [Action::"connect", Action::"sftp"], resource);
@id("unread") forbid (principal == User::"dave", action == Action::"read", resource) when { context.path like "/tmp/keep/*" };
@id("keep") forbid (principal == User::"erin", action == Action::"delete", resource) when { context.path like "/tmp/keep/*" };
"#
        .to_owned();
    });
    bed().inside(&A, "rm -rf /tmp/keep /tmp/apart; mkdir -p /tmp/keep; echo it >/tmp/keep/it; chown -R cloud-user /tmp/keep").good();
    let batch = |operator: &str, lines: &str| {
        let client = gateway.client(operator);
        let batch = client.file("batch", lines).display().to_string();
        run(program(&client, "sftp", &["-q", "-b", &batch, "HOST"]), b"")
    };
    batch("bob", "ls /tmp/keep\nget /tmp/keep/it\n")
        .good()
        .says("/tmp/keep/it");
    for denied in [
        "put batch /tmp/apart",
        "rm /tmp/keep/it",
        "mkdir /tmp/apart",
        "rename /tmp/keep/it /tmp/apart",
        "chmod 600 /tmp/keep/it",
        "symlink /tmp/keep/it /tmp/apart",
    ] {
        let said = batch("bob", &format!("{denied}\n"));
        assert_ne!(said.code, Some(0), "{denied} passed");
        assert!(
            said.err().to_lowercase().contains("permission denied"),
            "{denied}: {said:?}"
        );
    }
    batch(
        "erin",
        "get /tmp/keep/it\nput batch /tmp/apart\nrm /tmp/apart\n",
    )
    .good();
    // Under another name it could be read.
    for denied in [
        "get /tmp/keep/it",
        "rename /tmp/keep/it /tmp/apart",
        "ln /tmp/keep/it /tmp/apart",
        "symlink /tmp/keep/it /tmp/apart",
    ] {
        assert_ne!(
            batch("dave", &format!("{denied}\n")).code,
            Some(0),
            "{denied} passed"
        );
    }
    for denied in [
        "rm /tmp/keep/it",
        "rename /tmp/keep/it /tmp/apart",
        "rename /tmp/keep /tmp/apart",
    ] {
        assert_ne!(
            batch("erin", &format!("{denied}\n")).code,
            Some(0),
            "{denied} passed"
        );
    }
    assert_eq!(
        bed()
            .inside(&A, "cat /tmp/keep/it; ls -d /tmp/apart 2>/dev/null")
            .out(),
        "it\n"
    );
    gateway
        .ampgate(&[
            "explain",
            "erin",
            &A.target(),
            "plain",
            "sftp",
            "--operation",
            "delete",
            "--path",
            "/tmp/x/../keep",
        ])
        .exits(1)
        .says("keep");
    gateway
        .ampgate(&[
            "explain",
            "bob",
            &A.target(),
            "plain",
            "sftp",
            "--operation",
            "read",
            "--path",
            "/etc/hosts",
        ])
        .good()
        .says("yes");
    gateway
        .ampgate(&[
            "explain",
            "bob",
            &A.target(),
            "plain",
            "sftp",
            "--operation",
            "write",
            "--path",
            "/etc/hosts",
        ])
        .exits(1)
        .says("no rule permits write");
}

#[test]
fn what_is_no_sftp_ends_with_a_sentence() {
    let gateway = Gateway::start(|_| {});
    let found = gateway.attacked("garbage", "alice", &[]);
    for (what, said) in leaves(&found) {
        assert!(
            said.starts_with("249 ampgate: the file transfer ends"),
            "{what}: {said}"
        );
    }
}

/// An scp whose path cannot be known, or must not be read, is an ordinary command: what `exec` allows, recorded in full.
#[test]
fn an_scp_that_might_be_something_else_is_recorded_in_full() {
    let gateway = Gateway::start(|setup| setup.policy += CERTS);
    bed()
        .inside(
            &A,
            "mkdir -p /var/lib/octavia/certs /tmp/old && echo secret-of-a-tenant | tee /tmp/old/f >/var/lib/octavia/certs/f",
        )
        .good();
    let client = gateway.client("alice");
    // The first is no scp either: its client answers before anything was said.
    for command in [
        "scp -f /tmp/old/f",
        "scp -f /tmp/old/f*",
        "scp -f /tmp/../tmp/old/f",
        "scp -f ~/../../tmp/old/f",
        "scp -f /tmp/old/f;true",
    ] {
        let early = b"\0\0\0\0\0\0";
        client
            .exec(Via::Jump, Land::Plain, &A, command, early)
            .good();
        until("it is closed", Duration::from_secs(10), || {
            gateway.seen_as(command).sealed()
        });
        let seen = gateway.seen_as(command).stdout;
        let recorded = seen.windows(6).any(|w| w == b"secret");
        assert!(recorded, "{command}: {:?}", String::from_utf8_lossy(&seen));
    }
    // A real scp of a denied path, and of a directory above it, by somebody who may run commands as root.
    let (way, host) = client.way(Via::Jump, Land::Root, &A);
    for (path, to) in [
        ("/var/lib/octavia/certs/f", "one"),
        ("/var/lib/octavia", "all"),
    ] {
        let mut scp = client.command("scp");
        scp.args(way.clone()).args(["-q", "-O", "-r"]);
        scp.arg(format!("{host}:{path}")).arg(to);
        // A socket among the files is a complaint of scp's own: what arrived is what counts.
        let said = run(scp, b"");
        assert!(client.home().join(to).exists(), "{said:?}");
        gateway.quiet();
        let seen = gateway.seen_as(&format!("scp -r -f {path}")).stdout;
        assert!(seen.windows(6).any(|w| w == b"secret"), "{path}");
    }
}

/// rsync as operators use it: a tree up and down, once more after a change, and nothing of it in the recording.
#[test]
fn rsync_leaves_a_hash_for_each_file_and_no_content() {
    let gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    let tree = client.home().join("tree");
    fs::create_dir_all(tree.join("below/deep")).unwrap();
    for (name, content) in [
        ("a", content()),
        ("below/a.b", b"content of a small file".to_vec()),
        ("below/deep/a b", vec![]),
    ] {
        fs::write(tree.join(name), content).unwrap();
    }
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let shell = format!("ssh -q {}", way.join(" "));
    let (from, there) = (
        format!("{}/", tree.display()),
        format!("{host}:/tmp/synced/"),
    );
    let back = format!("{}/", client.home().join("back").display());
    bed().inside(&A, "rm -rf /tmp/synced && mkdir /tmp/synced && touch /tmp/synced/old && chown -R cloud-user /tmp/synced").good();
    let sync = |args: &[&str]| {
        let mut rsync = client.command("rsync");
        rsync.args(["-e", &shell]).args(args);
        run(rsync, b"").good();
        gateway.quiet();
    };
    sync(&["-a", "--delete", &from, &there]);
    sync(&["-aH", &there, &back]);
    let files = events(&gateway, "file.closed");
    for direction in ["written", "read"] {
        for name in ["a", "below/a.b", "below/deep/a b"] {
            let sum = sha256(&tree.join(name));
            let told = files.iter().any(|file| {
                file["protocol"] == "rsync"
                    && file["name"] == name
                    && file[direction] == "whole"
                    && file[format!("{direction}_sha256")] == sum.as_str()
            });
            assert!(told, "{direction} {name}: {files:#?}");
        }
    }
    assert_eq!(files.len(), 6);
    let both = [&tree, &client.home().join("back")].map(|path| path.display().to_string());
    let mut diff = Command::new("diff");
    diff.arg("-r").args(&both);
    run(diff, b"").good();
    assert_ne!(bed().inside(&A, "ls /tmp/synced/old").code, Some(0));
    for seen in gateway.seen() {
        assert!(seen.stdout.len() < 10_000, "{:?}", seen.path);
        assert!(!seen.stdout.windows(10).any(|w| w == b"content of"));
    }
    for closed in events(&gateway, "recording.closed") {
        assert_eq!(closed["recorded"], closed["relayed"], "{closed}");
    }
    // What is there already does not pass again: no hash, and why.
    let mut changed = content();
    changed.extend_from_slice(b"and some more");
    fs::write(tree.join("a"), changed).unwrap();
    sync(&["-a", &from, &there]);
    let files = events(&gateway, "file.closed");
    let last = files.last().unwrap();
    assert_eq!(
        (&last["name"], &last["written"], &last["written_sha256"]),
        (&"a".into(), &"partial".into(), &Value::Null)
    );
    let attributes = last["attributes"].as_str().unwrap();
    assert!(attributes.contains("delta: "), "{attributes}");
}

/// A rule that speaks of files wherever they lie ends the channel before their content passes; one that speaks of the path,
/// and options that are not read, make it an ordinary command.
#[test]
fn an_rsync_of_a_denied_path_is_ended_or_recorded_in_full() {
    const KEYS: &str = r#"
@id("keys") forbid (principal, action in [Action::"read", Action::"write"], resource) when { context.path like "*.secret" };
"#;
    let gateway = Gateway::start(|setup| setup.policy += &format!("{CERTS}{KEYS}"));
    bed()
        .inside(
            &A,
            "mkdir -p /var/lib/octavia/certs /tmp/some && echo secret-of-a-tenant | tee /tmp/some/b.secret /tmp/some/a >/var/lib/octavia/certs/f",
        )
        .good();
    let client = gateway.client("alice");
    let rsync = |land: Land, args: &[&str]| {
        let (way, host) = client.way(Via::Jump, land, &A);
        let shell = format!("ssh -q {}", way.join(" "));
        let mut rsync = client.command("rsync");
        rsync.args(["-e", &shell]);
        rsync.args(args.iter().map(|arg| arg.replace("HOST", &host)));
        let said = run(rsync, b"");
        gateway.quiet();
        said
    };
    let home = client.home().display().to_string();
    let down = rsync(Land::Plain, &["-a", "HOST:/tmp/some", &home]);
    assert_ne!(down.code, Some(0));
    assert!(down.err().contains("/tmp/some/b.secret"), "{down:?}");
    assert!(!client.home().join("some/b.secret").exists());
    let mine = client.file("mine.secret", b"mine").display().to_string();
    let up = rsync(Land::Plain, &["-a", &mine, "HOST:/tmp/some/"]);
    assert!(up.err().contains("/tmp/some/mine.secret"), "{up:?}");
    bed().inside(&A, "test ! -e /tmp/some/mine.secret").good();
    // By a protocol that is not read nobody leaves the rules: the channel ends.
    let old = rsync(
        Land::Plain,
        &["-a", "--protocol=28", &mine, "HOST:/tmp/some/"],
    );
    assert_ne!(old.code, Some(0));
    let sentence = "the gateway reads rsync's protocols 29 to 32";
    assert!(old.err().contains(sentence), "{old:?}");
    bed().inside(&A, "test ! -e /tmp/some/mine.secret").good();
    let refused = events(&gateway, "path.refused");
    assert!(
        refused.len() == 2
            && refused
                .iter()
                .all(|r| r["rules"].to_string().contains("keys"))
    );
    for (options, path) in [("-a", "/var/lib/octavia/certs/f"), ("-aX", "/tmp/some/a")] {
        rsync(Land::Root, &[options, &format!("HOST:{path}"), &home]).good();
        let seen = gateway.seen().into_iter().map(|seen| seen.stdout);
        let recorded = seen
            .filter(|bytes| bytes.windows(18).any(|w| w == b"secret-of-a-tenant"))
            .count();
        assert!(recorded > 0, "{path}");
    }
}

/// Where content is to be kept rsync does not pass, in neither direction; beside it, it does.
#[test]
fn rsync_does_not_pass_where_content_is_kept() {
    let gateway = Gateway::start(|setup| {
        seal_to(setup, &[1], 1);
        setup.policy += r#"
@id("kept") @keep("contents")
permit (principal, action in [Action::"read", Action::"write"], resource) when { context.path like "*/kept.cfg" };
"#;
    });
    bed()
        .inside(
            &A,
            "rm -rf /tmp/mixed; mkdir -m 777 /tmp/mixed; echo there >/tmp/mixed/kept.cfg",
        )
        .good();
    let client = gateway.client("alice");
    let mine = client.file("kept.cfg", b"mine").display().to_string();
    let other = client.file("other.cfg", b"other").display().to_string();
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let shell = format!("ssh -q {}", way.join(" "));
    let rsync = |args: [&str; 2]| {
        let mut rsync = client.command("rsync");
        rsync.args(["-a", "-e", &shell]);
        rsync.args(args.map(|arg| arg.replace("HOST", &host)));
        run(rsync, b"")
    };
    let place = client.home().join("down");
    let down = place.display().to_string();
    for args in [
        [mine.as_str(), "HOST:/tmp/mixed/"],
        ["HOST:/tmp/mixed/", &down],
    ] {
        let said = rsync(args);
        assert!(
            said.code != Some(0) && said.err().contains("by sftp or scp"),
            "{said:?}"
        );
    }
    assert!(!place.join("kept.cfg").exists());
    bed().inside(&A, "grep -q there /tmp/mixed/kept.cfg").good();
    rsync([&other, "HOST:/tmp/mixed/"]).good();
    bed().inside(&A, "test -e /tmp/mixed/other.cfg").good();
}

/// A rule about the tool of a command: rsync and the scp of old are refused with the rule's reason in the journal, and what
/// else the operator may do goes on.
#[test]
fn a_rule_refuses_rsync_and_the_scp_of_old() {
    const TOOLS: &str = r#"
@id("by sftp only") forbid (principal, action == Action::"exec", resource) when { context has transfer };
"#;
    let gateway = Gateway::start(|setup| setup.policy += TOOLS);
    bed()
        .inside(
            &A,
            "rm -rf /tmp/tools && mkdir /tmp/tools && chown cloud-user /tmp/tools",
        )
        .good();
    let client = gateway.client("alice");
    let from = client.file("source", b"by sftp only").display().to_string();
    let (way, host) = client.way(Via::Jump, Land::Plain, &A);
    let shell = format!("ssh -q {}", way.join(" "));
    let there = |name: &str| format!("{host}:/tmp/tools/{name}");
    let mut refused = Vec::new();
    for options in [&["-a"][..], &["-az"], &["-a", "--rsync-path=sudo rsync"]] {
        let mut rsync = client.command("rsync");
        rsync.args(["-e", &shell]).args(options);
        rsync.args([&from, &there("rsync")]);
        refused.push(run(rsync, b""));
    }
    refused.push(run(
        program(&client, "scp", &["-q", "-O", &from, "HOST:/tmp/tools/scp"]),
        b"",
    ));
    for said in refused {
        assert!(
            said.code != Some(0) && said.err().contains("the policy does not allow you exec of"),
            "{said:?}"
        );
    }
    let left = bed().inside(&A, "ls /tmp/tools").good().out();
    assert_eq!(left.trim(), "", "nothing was moved");
    client.exec(Via::Jump, Land::Plain, &A, "id", b"").good();
    run(
        program(&client, "scp", &["-q", &from, "HOST:/tmp/tools/scp"]),
        b"",
    )
    .good();
    let there = bed().inside(&A, "cat /tmp/tools/scp").good().out();
    assert_eq!(there.trim(), "by sftp only");
    let refused = events(&gateway, "grant.refused");
    assert!(
        refused.len() == 4
            && refused
                .iter()
                .all(|event| event["rules"].to_string().contains("by sftp only")),
        "{refused:#?}"
    );
    let (target, asked) = (A.target(), ["plain", "exec", "--transfer", "rsync"]);
    let explain = |more: &[&str]| gateway.ampgate(&[&["explain", "alice", &target], more].concat());
    assert!(explain(&asked).exits(1).out().contains("by sftp only"));
    explain(&asked[..2]).good();
    assert!(
        explain(&["plain", "sftp", "--transfer", "scp"])
            .exits(1)
            .err()
            .contains("about exec")
    );
}

/// Content is kept where a rule says so, sealed, up to the cap, and nowhere else.
#[test]
fn content_is_kept_where_policy_asks() {
    let gateway = Gateway::start(|setup| {
        seal_to(setup, &[1], 1);
        setup.set("recording", "keep_file = \"1MiB\"");
        setup.policy += r#"
@id("kept") @keep("contents")
permit (principal, action in [Action::"read", Action::"write"], resource) when { context.path like "/tmp/kept/*" };
"#;
    });
    bed()
        .inside(
            &A,
            "rm -rf /tmp/kept /tmp/unkept; mkdir -m 777 /tmp/kept /tmp/unkept",
        )
        .good();
    let client = gateway.client("alice");
    let small = [b"tenant-".repeat(3000), (0..=255).collect()].concat();
    let file = client.file("small", &small).display().to_string();
    let large = client.file("large", content()).display().to_string();
    let back = client.home().join("back").display().to_string();
    for args in [
        ["-s", &file, "HOST:/tmp/kept/sftp"],
        ["-s", "HOST:/tmp/kept/sftp", &back],
        ["-O", &file, "HOST:/tmp/kept/scp"],
        ["-O", "HOST:/tmp/kept/scp", &back],
        ["-s", &file, "HOST:/tmp/unkept/sftp"],
        ["-O", &file, "HOST:/tmp/unkept/scp"],
        ["-s", &large, "HOST:/tmp/kept/large"],
    ] {
        run(program(&client, "scp", &[&["-q"], &args[..]].concat()), b"").good();
        assert_eq!(fs::read(&back).unwrap_or_else(|_| small.clone()), small);
    }
    gateway.quiet();
    let files = events(&gateway, "file.closed");
    assert_eq!(files.len(), 7, "{files:#?}");
    let raw = |name: &Value| {
        let path = gateway.recordings().join(name.as_str().unwrap());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let path = path.display().to_string();
        let key = identity(1);
        let args = ["export", "--format", "raw", "--identity", &key, &path];
        ampgate_tests::gateway::replay(&args).good().stdout
    };
    for (file, direction) in files.iter().zip(["written", "read", "written", "read"]) {
        assert!(raw(&file[format!("{direction}_kept")]) == small, "{file}");
        assert_eq!(
            (&file["bytes_kept"], &file["not_kept"]),
            (&small.len().into(), &Value::Null)
        );
    }
    for file in &files[4..6] {
        assert_eq!(
            (&file["written_kept"], &file["bytes_kept"]),
            (&Value::Null, &0.into()),
            "{file}"
        );
    }
    let cut = raw(&files[6]["written_kept"]);
    assert!(cut == content()[..1 << 20], "{} bytes", cut.len());
    assert_eq!(files[6]["bytes_kept"], 1 << 20);
    assert!(files[6]["not_kept"].as_str().unwrap().contains("keep_file"));
    assert_eq!(events(&gateway, "content.opened").len(), 5);
    let mut verify = Command::new(program_of("ampgate-replay"));
    verify
        .args(["verify", "--key"])
        .arg(gateway.dir.join("keys/sealing.pub"));
    verify
        .arg("--journal")
        .arg(gateway.dir.join("state/journal"));
    verify.arg("--store").arg(gateway.recordings());
    run(verify, b"").good().says("12 recordings: 12 intact");
    assert_eq!(gateway.sessions(&[]).len(), 7);
    for path in files_below(&gateway.dir) {
        let plain = fs::read(&path).unwrap_or_default();
        assert!(
            !plain.windows(14).any(|w| w == b"tenant-tenant-"),
            "{path:?}"
        );
    }
    let explain = |path: &str| {
        let target = A.target();
        let args = [
            "explain",
            "alice",
            &target,
            "plain",
            "sftp",
            "--operation",
            "write",
            "--path",
            path,
        ];
        gateway.ampgate(&args).good()
    };
    explain("/tmp/kept/x").says("its content is kept");
    assert!(!explain("/tmp/unkept/x").out().contains("is kept"));
}
