//! In: files and trees. Out: the same files at the other end, with every program that operators move them with.
//! Never: only a status: what arrived is hashed there and here.

use std::{fs, process::Command};

use ampgate_tests::{A, Client, Land, Outcome, Via, bed::tool, run};

use super::{noise, same};

/// Runs a program of the OpenSSH family with `args`, where HOST stands for the amphora.
fn with_host(client: &Client, via: Via, program: &str, args: &[&str]) -> Outcome {
    run(with_host_command(client, via, program, args), b"")
}

fn with_host_command(client: &Client, via: Via, program: &str, args: &[&str]) -> Command {
    let (way, host) = client.way(via, Land::Plain, &A);
    let mut command = client.command(program);
    command.args(way).args(
        args.iter()
            .map(|a| a.replace("HOST", &host).replace("VIA", &format!("{via:?}"))),
    );
    command
}

fn there(client: &Client, shell: &str) -> Outcome {
    client.exec(Via::Direct, Land::Plain, &A, shell, b"").good()
}

fn tree(client: &Client) -> String {
    let top = client.home().join("tree");
    fs::create_dir_all(top.join("deep/er")).unwrap();
    for (name, len) in [
        ("empty", 0),
        ("small", 10),
        ("a b'c\"$d", 1000),
        ("deep/er/big", 3_000_000),
        ("\u{fc}ml\u{e4}ut", 77),
    ] {
        fs::write(top.join(name), noise(len)).unwrap();
    }
    top.display().to_string()
}

const HASHES: &str = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum";

fn scp_both_ways(option: &str) {
    same(|client, via| {
        let tree = tree(client);
        let there_is = format!("/tmp/scp{option}-{via:?}");
        there(client, &format!("rm -rf {there_is}"));
        let up = with_host(
            client,
            via,
            "scp",
            &["-q", option, "-r", &tree, &format!("HOST:{there_is}")],
        )
        .good();
        let back = client.home().join(format!("back{option}{via:?}"));
        fs::remove_dir_all(&back).ok();
        with_host(
            client,
            via,
            "scp",
            &[
                "-q",
                option,
                "-r",
                &format!("HOST:{there_is}"),
                &back.display().to_string(),
            ],
        )
        .good();
        let mut hashes = client.command("bash");
        hashes.current_dir(&back).args(["-c", HASHES]);
        let here = run(hashes, b"").good();
        assert_eq!(
            there(client, &format!("cd {there_is} && {HASHES}")).out(),
            here.out()
        );
        assert_eq!(up.stdout, b"");
        here
    });
}

#[test]
fn scp_as_of_old() {
    scp_both_ways("-O");
}

#[test]
fn scp_over_sftp() {
    scp_both_ways("-s");
}

#[test]
fn scp_of_a_missing_file() {
    same(|c, v| with_host(c, v, "scp", &["-O", "-q", "HOST:/no/such/file", "."]));
    same(|c, v| with_host(c, v, "scp", &["-s", "-q", "HOST:/no/such/file", "."]));
}

#[test]
fn sftp_batch() {
    same(|client, via| {
        let file = client
            .file("upload", noise(5_000_000))
            .display()
            .to_string();
        let batch = format!(
            "-rm /tmp/sftp-same\nput {file} /tmp/sftp-same\nchmod 600 /tmp/sftp-same\nget /tmp/sftp-same {home}/got-{via:?}\n\
             rename /tmp/sftp-same /tmp/sftp-moved\nrm /tmp/sftp-moved\nmkdir /tmp/sftp-dir\nls -1 /var/lib/octavia\nrmdir /tmp/sftp-dir\n",
            home = client.home().display()
        );
        let batch = client.file("batch", batch).display().to_string();
        let mut all = with_host(client, via, "sftp", &["-q", "-b", &batch, "HOST"]).good();
        assert_eq!(
            fs::read(client.home().join(format!("got-{via:?}"))).unwrap(),
            noise(5_000_000)
        );
        all.stdout = all.out().replace(&format!("{via:?}"), "").into_bytes();
        all.stderr = Vec::new();
        all
    });
}

#[test]
fn sftp_of_what_is_not_there() {
    same(|client, via| {
        let batch = client
            .file("batch", "get /no/such/file\n")
            .display()
            .to_string();
        with_host(client, via, "sftp", &["-q", "-b", &batch, "HOST"])
    });
}

#[test]
fn rsync_push_and_pull() {
    same(|client, via| {
        let tree = tree(client);
        let (way, host) = client.way(via, Land::Plain, &A);
        let ssh = format!("ssh {}", way.join(" "));
        let rsync = |args: &[&str]| {
            let mut command = client.command("rsync");
            command.args(["-a", "--delete", "-e", &ssh]).args(args);
            run(command, b"").good()
        };
        rsync(&[&format!("{tree}/"), &format!("{host}:/tmp/rsync-same/")]);
        let back = client.home().join(format!("rsync{via:?}"));
        rsync(&[
            &format!("{host}:/tmp/rsync-same/"),
            &format!("{}/", back.display()),
        ]);
        let mut hashes = client.command("bash");
        hashes.current_dir(&back).args(["-c", HASHES]);
        let here = run(hashes, b"").good();
        assert_eq!(
            there(
                client,
                &format!("cd /tmp/rsync-same && {HASHES}; rm -rf /tmp/rsync-same")
            )
            .out(),
            here.out()
        );
        here
    });
}

#[test]
fn tar_through_a_pipe() {
    same(|client, via| {
        let tree = tree(client);
        let (way, host) = client.way(via, Land::Plain, &A);
        let mut bash = client.command("bash");
        bash.args(["-c", "set -o pipefail; cd \"$1\"; shift; tar cf - --sort=name --mtime=@0 . | ssh \"$@\" 'tar xf - -O | sha256sum'", "-", &tree]).args(way).arg(host);
        run(bash, b"").good()
    });
}

#[test]
fn ansible_ping_and_command() {
    same(|client, via| {
        let (way, host) = client.way(via, Land::Plain, &A);
        let (user, name) = host.rsplit_once('@').unwrap();
        let inventory = client.file(
            "hosts",
            format!("it ansible_host={name} ansible_user={user} ansible_python_interpreter=/usr/bin/python3 ansible_ssh_common_args='{}'\n", way.join(" ")),
        );
        let mut both = Vec::new();
        for module in [
            &["-m", "ping"][..],
            &["-m", "command", "-a", "id -un"],
            &["-b", "-m", "command", "-a", "id -un"],
        ] {
            let mut ansible = client.command(tool("ansible"));
            ansible
                .env("ANSIBLE_NOCOLOR", "1")
                .env("ANSIBLE_LOCALHOST_WARNING", "0")
                .env("LC_ALL", "C.UTF-8");
            ansible.arg("-i").arg(&inventory).arg("it").args(module);
            both.push(run(ansible, b"").good().out());
        }
        assert!(
            both[0].contains("pong") && both[2].contains("root"),
            "{both:?}"
        );
        Outcome {
            stdout: both.concat().into_bytes(),
            stderr: vec![],
            code: Some(0),
            signal: None,
            hung: false,
        }
    });
}
