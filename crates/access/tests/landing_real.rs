//! In: the requests that landings become.
//! Out: what real shells, sudo, ip and sftp-server make of them: the operator's command byte for byte, root as `sudo -i`
//! gives it, exit status and signal intact, each failure told apart.
//! Never: touches the machine's own password file or namespaces: all of it runs in a mount namespace of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ampgate_access::{
    Ask, Landing, LandingFailure, Nonce, Stream, UpstreamRequest, upstream_request,
};

const INSIDE: &str = "AMPGATE_LANDING_TEST_INSIDE";

/// Root and the programs are needed; the test starts itself again inside a mount namespace.
#[test]
fn landings_with_real_programs() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| {
        use std::os::unix::fs::MetadataExt;
        m.uid() == 0
    });
    if !root {
        eprintln!("skipped: needs root for mount and network namespaces");
        return;
    }
    let setup = "set -e; mount -t tmpfs tmpfs /run; mkdir -p /run/netns /run/sudo; mount -t tmpfs tmpfs /root; echo 'export FROM_PROFILE=yes' >/root/.profile; exec \"$0\" \"$@\"";
    // A background job of a shell without job control ignores SIGINT, and so would everything that it starts.
    let status = Command::new("env")
        .args(["--default-signal", "unshare"])
        .args(["--mount", "--propagation", "private", "sh", "-c", setup])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "landings_with_real_programs", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare starts");
    assert!(status.success());
}

fn inside() {
    let parts: [(&str, fn()); 7] = [
        ("byte for byte", commands_arrive_byte_for_byte),
        ("as sudo -i", feels_like_sudo_i),
        ("exit and signal", exit_status_and_signal_are_the_commands),
        ("streams", streams_stay_apart),
        ("shells", shells_and_terminals),
        ("sftp", sftp_answers),
        ("failures", failures_are_told_apart),
    ];
    for (name, part) in parts {
        let start = std::time::Instant::now();
        part();
        eprintln!("{name}: {:?}", start.elapsed());
    }
}

struct Ran {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    code: Option<i32>,
    signal: Option<i32>,
    failure: Option<LandingFailure>,
}

impl Ran {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs what the amphora's sshd would run: the login user's shell with `-c`.
fn run(shell: &[&str], landing: Landing, ask: Ask, stdin: &[u8]) -> Ran {
    run_with(shell, landing, ask, stdin, |_| {})
}

fn run_with(
    shell: &[&str],
    landing: Landing,
    ask: Ask,
    stdin: &[u8],
    change: impl FnOnce(&mut Command),
) -> Ran {
    let nonce = Nonce::new(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
    let (request, mut probe) = upstream_request(landing, &ask, false, nonce);
    let UpstreamRequest::Exec(line) = request else {
        panic!("root and netns are always exec");
    };
    use std::os::unix::ffi::OsStrExt;
    let mut command = Command::new(shell[0]);
    command
        .args(&shell[1..])
        .arg("-c")
        .arg(std::ffi::OsStr::from_bytes(&line))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    change(&mut command);
    let mut child = command.spawn().expect("the shell starts");
    let mut to_child = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    let writer = std::thread::spawn(move || drop(to_child.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let mut stdout = probe.feed(Stream::Stdout, &output.stdout).pass.into_owned();
    let mut stderr = Vec::new();
    for byte in &output.stderr {
        stderr.extend_from_slice(&probe.feed(Stream::Stderr, std::slice::from_ref(byte)).pass);
    }
    let exit = output.status.code().map(|c| u32::try_from(c).unwrap());
    let (on, rest, failure) = probe.finish(exit);
    match on {
        Stream::Stdout => stdout.extend(rest),
        Stream::Stderr => stderr.extend(rest),
    }
    Ran {
        stdout,
        stderr,
        code: output.status.code(),
        signal: output.status.signal(),
        failure,
    }
}

fn exec(command: impl Into<Vec<u8>>) -> Ask {
    Ask::Exec(command.into())
}

/// Makes `shell` root's login shell, in this mount namespace only, while `during` runs.
fn with_root_shell(shell: &str, during: impl FnOnce()) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let changed: String = passwd
        .lines()
        .map(|line| match line.rsplit_once(':') {
            Some((before, _)) if line.starts_with("root:") => format!("{before}:{shell}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write("/run/passwd", changed).unwrap();
    system("mount --bind /run/passwd /etc/passwd");
    during();
    system("umount /etc/passwd");
}

fn system(line: &str) {
    let status = Command::new("sh").args(["-ec", line]).status().unwrap();
    assert!(status.success(), "{line}");
}

/// More than 200 commands that have gone wrong somewhere, or might.
fn nasty() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "",
        " ",
        "  a  b  ",
        "'",
        "''",
        "'''",
        "\"",
        "\\",
        "\\\\",
        "\\'",
        "'\\''",
        "'\"'\"'",
        "`",
        "$",
        "$$",
        "$(id)",
        "`id`",
        "${IFS}",
        "$HOME",
        "$1",
        "$2",
        "$@",
        "$((1+1))",
        "~",
        "~root",
        "*",
        "?",
        "[a-z]*",
        "{a,b}",
        "!",
        "!!",
        "!$",
        "#",
        "# no comment",
        "a # b",
        ";",
        "a;b",
        "&",
        "&&",
        "|",
        "||",
        ">",
        "< /etc/passwd",
        ">&2",
        "2>&1",
        "(",
        ")",
        "()",
        "{",
        "}",
        "(id)",
        "-",
        "--",
        "-c",
        "-l",
        "-n",
        "-i",
        "--help",
        "-e id",
        "\n",
        "\n\n",
        "a\nb",
        "a\\\nb",
        "a\n",
        "\na",
        "\r",
        "\r\n",
        "\t",
        "\t\n\r \t",
        "exit 7",
        "exec id",
        "true && false",
        "a=b",
        "a=b c",
        "if",
        "then fi",
        "case x in",
        "esac",
        "<<EOF\nx\nEOF\n",
        "cat <<'EOF'\n$x\nEOF",
        "scp -t /tmp",
        "scp -t x; bash",
        "rsync --server -e.LsfxC . /",
        "sudo -i",
        "ampgate",
        "ampgate-123456789abcdef00fedcba987654321=ready;",
        "%s%n",
        "\\n",
        "\\0101",
        "\\x41",
        "\\c",
        "a\\",
        "a\\\\",
        "\\\n",
        "\\\n\\\n",
        "'\n'",
        "\"\n\"",
        "$'\\n'",
        "$\"x\"",
        "a'b\"c`d$e\\f!g#h",
        "../x",
        "../../etc/passwd",
        "ä",
        "ünïcödé",
        "日本語",
        "\u{202e}txt.exe",
        "\u{200b}",
        "🦀",
        "\u{feff}",
        "e\u{301}",
        "\u{1b}[2J",
        "\u{1b}]0;x\u{7}",
        "\u{7f}",
        "\u{1}",
        "\u{1}\u{1}",
        "\u{1}\u{7f}",
        "a b  c   d",
        "''''''''",
        "\"\"\"\"",
        "'a'b'c'",
        "it's",
        "don't won't",
        "'; id; '",
        "\"; id; \"",
        "$(printf x)",
        "$(( $(id -u) ))",
        "<(id)",
        ">(id)",
        "=(id)",
        "=id",
        "^a^b",
        "%1",
        "a~b",
        "~+",
        "x=${y:-'z'}",
        "x=\"${y}\"",
        "echo 'a b' \"c d\" e\\ f",
        "awk '{print $1}' /etc/passwd",
        "sed -e 's/a/b/;s/\\//|/g'",
        "perl -e 'print \"x\\n\"'",
        "python3 -c 'import os; print(os.getcwd())'",
        "sh -c 'echo \"$0\" \"$@\"' a b c",
        "find . -name '*.c' -exec grep -H x {} \\;",
        "for i in 1 2 3; do echo $i; done",
        "while read -r a; do :; done </dev/null",
        "f() { echo \"$1\"; }; f 'x y'",
        "set -- a b; echo $#",
        "trap 'echo x' EXIT",
        "(exit 3)",
        "! true",
        "[[ a == a ]]",
        "[ -n \"$x\" ]",
        "let a=1",
        "echo $'a\\tb'",
        "printf '%s\\n' \"$@\"",
    ]
    .iter()
    .map(|s| s.as_bytes().to_vec())
    .collect();
    // Each byte that is not a letter or digit, alone and between others.
    for b in (1u8..=255).filter(|b| !b.is_ascii_alphanumeric()) {
        if b.is_ascii() {
            all.push(vec![b'x', b, b'y']);
        } else if b.is_multiple_of(16) {
            all.push(vec![b, b]);
        }
    }
    all.push((1u8..=255).collect());
    all.push((1u8..=255).rev().collect());
    all.push((1u8..=255).flat_map(|b| [b, b'\'']).collect());
    all.push((1u8..=255).flat_map(|b| [b'\\', b]).collect());
    // Cut UTF-8, overlong UTF-8, surrogates.
    for bytes in [
        &b"\xc3"[..],
        b"\xe2\x82",
        b"\xf0\x9f\xa6",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xff\xfe",
        b"a\xc3'b",
        b"\xc3\n",
        b"\xe2'\x82'\xac",
    ] {
        all.push(bytes.to_vec());
    }
    // 100 kB: plain, only quotes, only newlines, only backslashes, mixed.
    all.push(vec![b'a'; 100_000]);
    all.push(vec![b'\''; 100_000]);
    all.push(vec![b'\n'; 100_000]);
    all.push(vec![b'\\'; 100_000]);
    all.push(
        b"echo 'a b' \"$c\"; "
            .iter()
            .copied()
            .cycle()
            .take(100_000)
            .collect(),
    );
    // Pseudorandom bytes, the same each time.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for length in [
        1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 4000,
    ] {
        let random = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            u8::try_from((state >> 33) % 255 + 1).unwrap()
        });
        all.push(random.take(length).collect());
    }
    all
}

fn commands_arrive_byte_for_byte() {
    // A login shell that only says with which arguments it was started.
    let tell = "/run/tell-arguments";
    std::fs::write(tell, "#!/bin/sh\nexec printf '%s\\0' \"$@\"\n").unwrap();
    system("chmod 755 /run/tell-arguments; ip netns add amphora-haproxy");
    let nasty = nasty();
    assert!(nasty.len() > 200, "{}", nasty.len());
    with_root_shell(tell, || {
        for (n, command) in nasty.iter().enumerate() {
            for (shell, landing) in [
                (&["/bin/bash"][..], Landing::Root),
                (&["/bin/dash"], Landing::Root),
                (&["/bin/bash", "--posix"], Landing::Netns),
            ] {
                // Dash and the namespace on samples: what is parsed is the same line.
                let sample = if shell == ["/bin/bash"] { 1 } else { 4 };
                if n % sample != 0 {
                    continue;
                }
                let ran = run(shell, landing, exec(command.clone()), b"");
                let shown = String::from_utf8_lossy(&command[..command.len().min(60)]);
                let said = String::from_utf8_lossy(&ran.stderr);
                assert_eq!(ran.failure, None, "{shell:?} {shown:?}: {said}");
                let expected = [&b"-l\0-c\0"[..], command, b"\0"].concat();
                assert!(
                    ran.stdout == expected,
                    "{shell:?} {landing} changed {shown:?}: {said}"
                );
                assert_eq!(said, "", "{shown:?}");
            }
        }
    });
}

fn feels_like_sudo_i() {
    let what = "pwd; id -un; echo \"$FROM_PROFILE $HOME $SHELL $USER $LOGNAME $PATH\"; shopt -q login_shell && echo login; umask; ulimit -n";
    let ours = run(&["/bin/sh"], Landing::Root, exec(what), b"");
    // `sudo -i` would change the text of the command, so it is given on stdin.
    let mut theirs = Command::new("sudo");
    theirs
        .args(["-n", "-i", "bash", "-l"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut theirs = theirs.spawn().unwrap();
    theirs
        .stdin
        .take()
        .unwrap()
        .write_all(what.as_bytes())
        .unwrap();
    let theirs = theirs.wait_with_output().unwrap();
    assert_eq!(ours.text(), String::from_utf8_lossy(&theirs.stdout));
    assert!(
        ours.text().starts_with("/root\nroot\nyes /root "),
        "{}",
        ours.text()
    );

    // Same variables as `sudo -i`, but for sudo's own record of the command and bash's count of shells.
    let names = |env: &[u8]| -> Vec<String> {
        let mut lines: Vec<String> = String::from_utf8_lossy(env)
            .lines()
            .filter(|l| {
                !["SUDO_COMMAND=", "SHLVL=", "_="]
                    .iter()
                    .any(|p| l.starts_with(p))
            })
            .map(|l| {
                if l.starts_with("PATH=") {
                    "PATH".to_owned()
                } else {
                    l.to_owned()
                }
            })
            .collect();
        lines.sort();
        lines
    };
    let ours = run(&["/bin/sh"], Landing::Root, exec("env"), b"");
    let theirs = Command::new("sudo")
        .args(["-n", "-i", "env"])
        .output()
        .unwrap();
    assert_eq!(names(&ours.stdout), names(&theirs.stdout));

    // Nothing stands between sudo and the login shell; ip replaces itself too.
    for landing in [Landing::Root, Landing::Netns] {
        let ran = run(
            &["/bin/sh"],
            landing,
            exec("read -r x </proc/$PPID/comm; echo $x; true"),
            b"",
        );
        assert_eq!(ran.text(), "sudo\n");
    }
    let ran = run(
        &["/bin/sh"],
        Landing::Netns,
        exec("ip netns identify; pwd; ip -o link | wc -l"),
        b"",
    );
    assert_eq!(ran.text(), "amphora-haproxy\n/root\n1\n");
}

fn exit_status_and_signal_are_the_commands() {
    for landing in [Landing::Root, Landing::Netns] {
        for code in [0, 1, 2, 7, 42, 126, 127, 128, 130, 143, 254, 255] {
            let ran = run(&["/bin/sh"], landing, exec(format!("exit {code}")), b"");
            assert_eq!((ran.code, ran.failure), (Some(code), None));
        }
        for (name, number) in [
            ("HUP", 1),
            ("INT", 2),
            ("SEGV", 11),
            ("KILL", 9),
            ("TERM", 15),
            ("USR1", 10),
        ] {
            let ran = run(
                &["/bin/sh"],
                landing,
                exec(format!("kill -{name} $$; sleep 1")),
                b"",
            );
            assert_eq!((ran.signal, ran.failure), (Some(number), None), "{name}");
        }
    }
}

fn streams_stay_apart() {
    let all: Vec<u8> = (0u8..=255).cycle().take(300_000).collect();
    let ran = run(
        &["/bin/bash"],
        Landing::Root,
        exec("cat; echo err >&2; exit 3"),
        &all,
    );
    assert_eq!((ran.code, ran.failure), (Some(3), None));
    assert!(ran.stdout == all);
    assert_eq!(ran.stderr, b"err\n");
    // An operator's own text that looks like a marker is the operator's.
    let imitation = "printf 'ampgate-00000000000000000000000000000000=no-namespace;' >&2";
    let ran = run(&["/bin/sh"], Landing::Root, exec(imitation), b"");
    assert_eq!(ran.failure, None);
    assert_eq!(
        ran.stderr,
        b"ampgate-00000000000000000000000000000000=no-namespace;"
    );
}

fn shells_and_terminals() {
    let ran = run(
        &["/bin/sh"],
        Landing::Root,
        Ask::Shell,
        b"pwd\nshopt -q login_shell && echo login\nexit 5\n",
    );
    assert_eq!(
        (ran.text().as_str(), ran.code, ran.failure),
        ("/root\nlogin\n", Some(5), None)
    );
    // On a terminal the marker comes with the output, and `ready` is the first thing said.
    let nonce = Nonce::new(7);
    let (request, mut probe) = upstream_request(
        Landing::Root,
        &exec("tty; stty -a | head -1; echo out; exit 6"),
        true,
        nonce,
    );
    let UpstreamRequest::Exec(line) = request else {
        panic!()
    };
    std::fs::write("/run/line", &line).unwrap();
    let output = Command::new("script")
        .args(["-qec", "exec sh /run/line", "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let fed = probe.feed(Stream::Stdout, &output.stdout);
    assert_eq!(fed.verdict, Some(Ok(())));
    let text = String::from_utf8_lossy(&fed.pass);
    assert!(
        text.contains("/dev/pts/") && text.ends_with("out\r\n"),
        "{text:?}"
    );
    assert_eq!(output.status.code(), Some(6));
}

fn sftp_answers() {
    let init = b"\x00\x00\x00\x05\x01\x00\x00\x00\x03";
    for landing in [Landing::Root, Landing::Netns] {
        let (request, mut probe) = upstream_request(landing, &Ask::Sftp, false, Nonce::new(9));
        let UpstreamRequest::Exec(line) = request else {
            panic!("root and netns are always exec");
        };
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(String::from_utf8(line).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The server does not answer what it reads together with the end: the end comes after the answer.
        let mut to_child = child.stdin.take().unwrap();
        to_child.write_all(init).unwrap();
        let mut answer = [0; 9];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut answer)
            .unwrap();
        drop(to_child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(answer[4..], *b"\x02\x00\x00\x00\x03");
        let fed = probe.feed(Stream::Stderr, &output.stderr);
        assert_eq!((fed.verdict, &*fed.pass), (Some(Ok(())), &b""[..]));
        assert_eq!(output.status.code(), Some(0));
    }
}

fn failures_are_told_apart() {
    let asks = || [Ask::Shell, exec("echo never"), Ask::Sftp];
    let never = |ran: &Ran| assert!(!ran.text().contains("never"));

    system("mount -t tmpfs tmpfs /run/netns");
    for ask in asks() {
        let ran = run(&["/bin/sh"], Landing::Netns, ask, b"");
        assert_eq!(ran.failure, Some(LandingFailure::NoNamespace));
        never(&ran);
    }
    system("umount /run/netns");

    with_root_shell("/usr/sbin/nologin", || {
        let ran = run(&["/bin/sh"], Landing::Root, Ask::Shell, b"");
        assert_eq!(ran.failure, Some(LandingFailure::NoShell));
    });
    with_root_shell("/bin/removed-shell", || {
        let ran = run(&["/bin/sh"], Landing::Root, exec("echo never"), b"");
        assert_eq!(ran.failure, Some(LandingFailure::NoShell));
        never(&ran);
    });

    let sftp = Path::new("/usr/lib/openssh");
    assert!(sftp.exists(), "the test machine has Debian's sftp-server");
    system("mount -t tmpfs tmpfs /usr/lib/openssh");
    let ran = run(&["/bin/sh"], Landing::Root, Ask::Sftp, b"");
    assert_eq!(ran.failure, Some(LandingFailure::NoSftpServer));
    system("umount /usr/lib/openssh");

    // A user whom sudoers does not know. sudo's own words stay for the operator to read.
    let stranger = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "sh",
    ];
    for ask in asks() {
        let ran = run(&stranger, Landing::Root, ask, b"");
        assert_eq!(ran.failure, Some(LandingFailure::SudoRefused));
        assert!(String::from_utf8_lossy(&ran.stderr).contains("sudo:"));
        never(&ran);
    }
    for shell in ["/bin/bash", "/bin/dash"] {
        let ran = run_with(&[shell], Landing::Root, exec("echo never"), b"", |c| {
            c.env("PATH", "/nonexistent");
        });
        assert_eq!(ran.failure, Some(LandingFailure::NoSudo), "{shell}");
        never(&ran);
    }
    // No `ip` in root's path.
    let hide = "for f in /usr/sbin/ip /usr/bin/ip /sbin/ip /bin/ip; do [ -e $f ] && mount --bind /run/tell-plain $(readlink -f $f); done; true";
    std::fs::write("/run/tell-plain", "").unwrap();
    system(hide);
    let ran = run(&["/bin/sh"], Landing::Netns, exec("echo never"), b"");
    assert_eq!(ran.failure, Some(LandingFailure::NoIp));
    never(&ran);
}
