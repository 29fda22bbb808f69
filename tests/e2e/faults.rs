//! In: power that goes, disks that fail or fill, clocks that leap, in the middle of sessions. Out: what was shown is recorded.
//! Never: a recording that was whole before damaged by it; a session that goes on without one.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime},
};

use ampgate_tests::{
    A, Client, Disk, Gateway, Land, Outcome, Setup, Via,
    bed::{bed, project},
    disk::mount,
    gateway::{files_below, give, program, replay},
    outcome::{run, until},
    terminal::talk,
};

use crate::sealed::{identity, seal_to, second_reader};

/// Plain recordings, and sealed ones.
const KINDS: [&str; 2] = ["plain", "sealed"];

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn clock() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_nanos()).unwrap()
}

/// A gateway whose recordings are below `store`, sealed or not.
fn gateway_on(store: &Path, kind: &str, change: impl FnOnce(&mut Setup)) -> Gateway {
    Gateway::start(|setup| {
        setup.recordings(&store.join(kind).join("recordings"));
        if kind == "sealed" {
            seal_to(setup, &[1], 1);
        }
        change(setup);
    })
}

/// One line of a session: its number, when the amphora wrote it and when the operator had read it.
#[derive(Clone, Copy, Debug)]
struct Line {
    number: u64,
    written: u64,
    seen: u64,
}

/// An operator who reads numbered lines, each with the time at which it was written, and notes when each came.
struct Flow {
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
    client: Client,
}

impl Flow {
    fn start(gateway: &Gateway) -> Flow {
        Flow::of(gateway, "alice")
    }

    fn of(gateway: &Gateway, operator: &str) -> Flow {
        let client = gateway.client(operator);
        let err = fs::File::create(client.home().join("err")).unwrap();
        let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-T"]);
        let mut child = ssh
            .arg("n=0; while printf 'line %d %s\\n' $n $EPOCHREALTIME; do n=$((n+1)); sleep 0.02; done")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(err)
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (out, into) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let seen = clock();
                if let Some(line) = read_line(&line, seen) {
                    into.lock().unwrap().push(line);
                }
            }
        });
        Flow {
            child,
            lines,
            client,
        }
    }

    fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    #[track_caller]
    fn until_it_has(&self, lines: usize) {
        until("lines come", Duration::from_secs(60), || {
            self.lines.lock().unwrap().len() >= lines
        });
    }

    /// Exit status, and what was said on standard error.
    #[track_caller]
    fn ends(&mut self) -> (Option<i32>, String) {
        until("the session ended", Duration::from_secs(60), || {
            self.child.try_wait().unwrap().is_some()
        });
        let said = fs::read_to_string(self.client.home().join("err")).unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    fn leaves(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read_line(line: &str, seen: u64) -> Option<Line> {
    let mut words = line.strip_prefix("line ")?.split(' ');
    let number = words.next()?.parse().ok()?;
    let (seconds, micros) = words.next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let micros: u64 = micros.parse().ok()?;
    Some(Line {
        number,
        written: (seconds * 1_000_000 + micros) * 1000,
        seen,
    })
}

/// The last line that a disk which stopped at `at` must have: the operator had it a whole second before another was even
/// written that he also saw by then. The gateway lets nothing go on while something a second old is not on the disk, so
/// this holds however slow the machine is.
fn owed(lines: &[Line], at: u64) -> Option<u64> {
    let last = lines.iter().rev().find(|line| line.seen <= at)?;
    let before = last.written.checked_sub(1_000_000_000)?;
    lines
        .iter()
        .rev()
        .find(|line| line.seen < before)
        .map(|line| line.number)
}

/// The numbers that a recording has, which must be 0, 1, 2, …; how many.
fn recorded(path: &Path) -> u64 {
    let out = replay(&["cat", "--raw", "--identity", &identity(1), &text(path)]).out();
    let whole = out.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut count = 0;
    for line in whole.lines() {
        let line = read_line(line, 0).unwrap_or_else(|| panic!("{line:?} was never shown"));
        assert_eq!(line.number, count, "in {}", path.display());
        count += 1;
    }
    count
}

/// The recording of an operator's flow, which is the largest by far.
fn largest(dir: &Path) -> PathBuf {
    let all = files_below(dir).into_iter();
    all.max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

fn verify(gateway: &Gateway, args: &[&str]) -> Outcome {
    let key = text(&gateway.dir.join("keys/sealing.pub"));
    replay(&[&["verify", "--verbose", "--key", &key], args].concat())
}

/// Numbers by a rule, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (self.0 >> 33) % end
    }
}

/// How often the power goes.
const CUTS: u64 = 120;
/// Every so many of them the gateways are started on what is left.
const STARTS: u64 = 60;

/// The power goes at any moment, and the disk loses any part of what it was not told to flush: of what an operator saw more
/// than a second before, everything is recorded; nothing is called forged; what was sealed stays whole; gateways start.
#[test]
fn the_power_goes() {
    let mut disk = Disk::new("power", 48);
    let mut gateways = KINDS.map(|kind| {
        let place = disk.store().join(kind);
        gateway_on(&disk.store(), kind, |setup| {
            let state = place.join("state");
            fs::create_dir(&state).unwrap();
            give(&state, &setup.dir.join("state"));
            setup.set("", &format!("state = {:?}", text(&state)));
        })
    });
    disk.log();
    // Sessions that end meanwhile: from when on each is sealed.
    let mut sealed: BTreeMap<PathBuf, u64> = BTreeMap::new();
    let mut flows = gateways.each_ref().map(Flow::start);
    for round in 1..=5 {
        for gateway in &gateways {
            let shell = format!("echo round {round}");
            let client = gateway.client("alice");
            client.exec(Via::Jump, Land::Plain, &A, &shell, b"").good();
            let mut row = None;
            until("it is sealed", Duration::from_secs(30), || {
                let rows = gateway.sessions(&[]);
                row = rows.into_iter().find(|row| row["command"] == *shell);
                row.as_ref().is_some_and(|row| row["sealed"] == true)
            });
            let path = row.unwrap()["recording"].as_str().unwrap().to_owned();
            sealed.insert(gateway.recordings().join(path), clock());
        }
        for flow in &flows {
            flow.until_it_has(round * 60);
        }
    }
    let end = disk.entries();
    flows.iter_mut().for_each(Flow::leaves);
    gateways.iter_mut().for_each(Gateway::kill);
    let names = gateways
        .each_ref()
        .map(|gateway| largest(&gateway.recordings()));
    disk.unmount();

    let (mut dice, mut verdicts, mut owing) = (Dice(7), BTreeMap::<String, u64>::new(), 0);
    for round in 1..=CUTS {
        let entries = 1 + dice.below(end);
        let (name, at) = disk.cut(entries, round);
        disk.mount(&name);
        for ((gateway, flow), recording) in gateways.iter_mut().zip(&flows).zip(&names) {
            let told = format!("{} {name}", recording.display());
            if let Some(number) = owed(&flow.lines(), at) {
                let has = recorded(recording);
                assert!(
                    has > number,
                    "{told}: line {number} is owed, {has} are there"
                );
                owing += 1;
            }
            let journal = text(&recording.ancestors().nth(5).unwrap().join("state/journal"));
            let store = text(&gateway.recordings());
            let all = ["--journal", journal.as_str(), "--store", store.as_str()];
            let verdict = verify(gateway, &all);
            check(&verdict, &told);
            for path in sealed
                .iter()
                .filter(|(path, since)| path.starts_with(&store) && **since <= at)
            {
                verify(gateway, &[&text(path.0)]).good().says("intact");
            }
            let worst = verdict.code.map(|code| code.to_string());
            *verdicts.entry(worst.unwrap_or_default()).or_default() += 1;
            if round % STARTS == 0 {
                gateway.restart();
                let client = gateway.client("alice");
                client
                    .exec(Via::Jump, Land::Plain, &A, "echo again", b"")
                    .good();
                gateway.quiet();
                assert!(!gateway.sessions(&[]).is_empty());
                let after = verify(gateway, &all);
                check(&after, &told);
                // What the journal lost with the last second is no riddle once it says that there was a crash.
                assert!(!after.out().contains("unknown"), "{told}: {after:?}");
                gateway.kill();
            }
        }
        disk.unmount();
    }
    assert!(
        owing > CUTS && verdicts.contains_key("12"),
        "{CUTS} cuts of {end} writes show too little: {owing} times something was owed; verify said {verdicts:?}"
    );
}

/// What may be said of a store after a cut: nothing that a forger could have done.
#[track_caller]
fn check(verdict: &Outcome, told: &str) {
    let said = verdict.out();
    for forged in [
        "altered",
        "bad signature",
        "foreign key",
        "misfiled",
        "missing",
    ] {
        assert!(!said.contains(forged), "{told}: {said}");
    }
    assert!(
        verdict.code.is_some_and(|code| code <= 17),
        "{told}: {verdict:?}"
    );
}

/// The disk answers EIO from some moment on: sessions end with the sentence, new ones are refused; with the disk mounted
/// again everything goes on without a restart, and what the operators saw is there.
#[test]
fn the_disk_fails_and_is_mounted_again() {
    let mut disk = Disk::new("failing", 48);
    let mut gateways = KINDS.map(|kind| gateway_on(&disk.store(), kind, |_| {}));
    disk.log();
    let mut flows = gateways.each_ref().map(Flow::start);
    flows.iter().for_each(|flow| flow.until_it_has(100));
    disk.fail();
    for ((gateway, flow), kind) in gateways.iter_mut().zip(&mut flows).zip(KINDS) {
        let (code, said) = flow.ends();
        assert_eq!(code, Some(254), "{kind}: {said}");
        assert!(
            said.contains(
                "ampgate: the recording cannot be written, and nothing goes on unrecorded"
            ),
            "{kind}: {said}"
        );
        let refused = gateway
            .client("alice")
            .exec(Via::Jump, Land::Plain, &A, "echo never", b"");
        assert_eq!(
            (refused.code, refused.out()),
            (Some(254), String::new()),
            "{kind}: {refused:?}"
        );
        refused.complains("ampgate: the recording cannot be written");
        assert!(gateway.alive());
        let ended = gateway
            .journal()
            .into_iter()
            .filter(|event| event["event"] == "session.closed");
        let words: Vec<_> = ended.map(|event| event["outcome"].clone()).collect();
        assert_eq!(words, ["recorder-failed"], "{kind}");
    }
    disk.heal();
    disk.unmount();
    let entries = disk.entries();
    let (name, at) = disk.cut(entries, 1);
    disk.mount(&name);
    for ((gateway, flow), kind) in gateways.iter().zip(&flows).zip(KINDS) {
        let recording = largest(&gateway.recordings());
        let number = owed(&flow.lines(), at).expect("the session was longer than a second");
        let has = recorded(&recording);
        assert!(
            has > number,
            "{kind}: line {number} is owed, {has} are there"
        );
        check(&verify(gateway, &[&text(&recording)]), kind);
        gateway
            .client("alice")
            .exec(Via::Jump, Land::Plain, &A, "true", b"")
            .good();
        gateway.quiet();
        let all = files_below(&gateway.recordings());
        assert!(
            all.len() > 1,
            "{kind}: a new recording on the new mount: {all:?}"
        );
    }
}

/// Each call that the recorder of a sealed session makes fails, as on a broken disk and as on one that turned read-only.
#[test]
fn row_02_a_write_error_ends_a_sealed_session_too() {
    for (call, error) in [
        ("write", "EIO"),
        ("write", "EROFS"),
        ("fdatasync,fsync", "EIO"),
    ] {
        let gateway = Gateway::start(|setup| seal_to(setup, &[1], 1));
        let mut flow = Flow::start(&gateway);
        flow.until_it_has(60);
        let recording = largest(&gateway.recordings());
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-o", "/dev/null", "-p"])
            .arg(gateway.relay().as_raw_nonzero().to_string())
            .arg("-P")
            .arg(&recording)
            .args([
                "-e",
                &format!("trace={call}"),
                "-e",
                &format!("inject={call}:error={error}"),
            ]);
        let mut strace = strace
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (code, said) = flow.ends();
        strace.kill().ok();
        strace.wait().ok();
        assert_eq!(code, Some(254), "{call} {error}: {said}");
        assert!(
            said.contains("ampgate: the recording cannot be written"),
            "{call} {error}: {said}"
        );
        let (lines, has) = (flow.lines(), recorded(&recording));
        let number = owed(&lines, u64::MAX).expect("more than a second");
        assert!(
            has > number,
            "{call} {error}: line {number} is owed, {has} are there"
        );
        check(&verify(&gateway, &[&text(&recording)]), call);
        gateway
            .client("alice")
            .exec(Via::Jump, Land::Plain, &A, "true", b"")
            .good();
    }
}

/// What was shown and what was typed in a sealed session is nowhere on the disk: its raw bytes are searched, so that a file
/// which is gone, a journal of the file system or a block given back counts too.
#[test]
fn no_plaintext_of_a_sealed_session_is_ever_on_the_disk() {
    let image = bed().directory("images").join("sealed.img");
    fs::File::create(&image).unwrap().set_len(96 << 20).unwrap();
    let mut format = Command::new("mkfs.ext4");
    format.args(["-q", "-F"]).arg(&image);
    run(format, b"").good();
    // Everything of this gateway: keys, state, recordings, sockets, log.
    let gateway = Gateway::start(|setup| {
        let aside = bed().directory("images").join("new");
        fs::create_dir(&aside).unwrap();
        mount(&["-o", "loop"], &image, &aside);
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(setup.dir.join(".")).arg(&aside);
        run(copy, b"").good();
        unmount(&aside);
        mount(&["-o", "loop"], &image, &setup.dir);
        seal_to(setup, &[1], 1);
        setup.set("recording", "input = \"echoed\"");
    });
    // Numbers that no command line holds.
    let (shown, typed) = (
        (41_253_671_u64 * 97).to_string(),
        (52_364_783_u64 * 89).to_string(),
    );
    let client = gateway.client("alice");
    let mut ssh = client.ssh(Via::Jump, Land::Plain, &A, &["-tt"]);
    ssh.arg(
        "echo ready; read -rs quietly; echo once $((41253671 * 97)); read -r loudly; echo twice",
    );
    let send = format!("send {typed}\\r");
    let seen = talk(
        &ssh,
        "24x80",
        &["expect ready", &send, "expect once", &send, "expect twice"],
    );
    assert!(
        seen.out().contains(&shown) && seen.out().contains(&typed),
        "{seen:?}"
    );
    gateway.quiet();
    let (store, one) = (text(&gateway.recordings()), identity(1));
    replay(&["search", "--identity", &one, &shown, &store])
        .good()
        .says("alice");
    replay(&["index", "--identity", &one, &store]).good();
    replay(&["search", "--identity", &one, &typed, &store])
        .good()
        .says("alice");
    let recording = text(&largest(&gateway.dir.join("recordings")));
    let cast = second_reader(&["cast", "--identity", &one, &recording])
        .good()
        .out();
    assert!(
        cast.contains(&shown) && cast.contains(&typed),
        "the recording has both"
    );
    let session = gateway.sessions(&[])[0]["id"].as_str().unwrap().to_owned();
    let dir = gateway.dir.clone();
    drop(gateway);
    unmount(&dir);
    let disk = fs::read(&image).unwrap();
    let count = |what: &str| {
        disk.windows(what.len())
            .filter(|part| *part == what.as_bytes())
            .count()
    };
    assert!(count(&session) > 3, "the search finds nothing at all");
    assert_eq!(
        (count(&shown), count(&typed)),
        (0, 0),
        "on the disk in clear"
    );
}

fn unmount(place: &Path) {
    let mut umount = Command::new("umount");
    umount.arg(place);
    run(umount, b"").good();
}

/// What node_exporter will read.
fn metric(file: &Path, name: &str) -> i64 {
    let text = fs::read_to_string(file).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .trim()
        .parse()
        .unwrap()
}

/// deploy/ampgate-verify.service, as it stands there: only where things are differs. A whole store and one day of it.
#[test]
fn row_15_the_nightly_verify_runs_as_its_unit_says() {
    let mut gateway = Gateway::start(|_| {});
    let client = gateway.client("alice");
    client
        .exec(Via::Jump, Land::Plain, &A, "echo one", b"")
        .good();
    gateway.quiet();
    let unit = fs::read_to_string(project().join("deploy/ampgate-verify.service")).unwrap();
    let setting = |name: &str| {
        let lines: Vec<_> = unit
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .collect();
        assert_eq!(lines.len(), 1, "{name}");
        lines[0].to_owned()
    };
    let metrics = gateway.dir.join("metrics");
    fs::create_dir(&metrics).unwrap();
    give(&metrics, &gateway.dir.join("recordings"));
    assert_eq!(
        (setting("StateDirectory"), setting("StateDirectoryMode")),
        ("ampgate-metrics".into(), "0755".into())
    );
    let good: Vec<_> = setting("SuccessExitStatus")
        .split(' ')
        .map(|code| code.parse::<i32>().unwrap())
        .collect();
    let command = setting("ExecStart")
        .replace("/usr/bin/ampgate-replay", &text(&program("ampgate-replay")))
        .replace("/etc/ampgate/keys", &text(&gateway.dir.join("keys")))
        .replace("/var/lib/ampgate-metrics", &text(&metrics))
        .replace("/var/lib/ampgate/recordings", &text(&gateway.recordings()))
        .replace(
            "/var/lib/ampgate/journal",
            &text(&gateway.dir.join("state/journal")),
        );
    assert!(!command.contains("/var/lib/ampgate"), "{command}");
    let night = || {
        let mut unit = Command::new("setpriv");
        unit.args([
            "--reuid=nobody",
            "--regid=nogroup",
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set=-all",
        ])
        .args(command.split(' '));
        run(unit, b"")
    };
    let file = metrics.join("ampgate.prom");
    night().good().says("1 recording: 1 intact");
    let first = metric(&file, "ampgate_verify_last_success_timestamp_seconds");
    assert!(first > 1_700_000_000);
    assert_eq!(
        metric(&file, "ampgate_verify_recordings{verdict=\"intact\"}"),
        1
    );
    assert_eq!(metric(&file, "ampgate_verify_unsealed_recordings"), 0);
    // A gateway that dies leaves one unsealed: good, and counted.
    let mut flow = Flow::start(&gateway);
    flow.until_it_has(60);
    gateway.kill();
    flow.leaves();
    let second = night();
    assert!(
        second.code == Some(0) || good.contains(&second.code.unwrap()),
        "{second:?}"
    );
    assert_eq!(metric(&file, "ampgate_verify_unsealed_recordings"), 1);
    // One day of the store, without the journal.
    let day = gateway.casts()[0].parent().unwrap().to_owned();
    verify(&gateway, &[&text(&day)])
        .exits(12)
        .says("2 recordings: 1 intact, 1 unsealed");
    // A forgery is a failure of the unit, and leaves the last good night where it was.
    let cast = &gateway.casts()[0];
    let forged = fs::read_to_string(cast).unwrap().replacen("one", "two", 2);
    fs::write(cast, forged).unwrap();
    let third = night();
    assert!(
        !good.contains(&third.code.unwrap()) && third.code != Some(0),
        "{third:?}"
    );
    assert_eq!(
        metric(&file, "ampgate_verify_worst_status"),
        i64::from(third.code.unwrap())
    );
    assert!(metric(&file, "ampgate_verify_last_success_timestamp_seconds") >= first);
    assert_eq!(
        metric(&file, "ampgate_verify_recordings{verdict=\"altered\"}"),
        1
    );
}

/// Every unit of deploy/, as systemd reads it: a typing error in one would be found on the first bad night.
#[test]
fn systemd_understands_every_unit() {
    let place = bed().directory("units");
    let deploy = project().join("deploy");
    let mut units = Vec::new();
    for from in files_below(&deploy) {
        let name = from.file_name().unwrap().to_str().unwrap().to_owned();
        if !(name.ends_with(".service") || name.ends_with(".timer")) {
            continue;
        }
        // The programs are not installed here.
        let unit = fs::read_to_string(&from).unwrap();
        let unit = unit
            .replace("/usr/bin/ampgate-replay", &text(&program("ampgate-replay")))
            .replace(
                "/usr/bin/ampgate ",
                &format!("{} ", text(&program("ampgate"))),
            );
        fs::write(place.join(&name), unit).unwrap();
        units.push(place.join(name));
    }
    assert!(units.len() >= 6, "{units:?}");
    let mut check = Command::new("systemd-analyze");
    check
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(&units);
    let said = run(check, b"").good();
    let about: Vec<_> = said
        .err()
        .lines()
        .filter(|line| line.contains("ampgate"))
        .map(str::to_owned)
        .collect();
    assert_eq!(about, Vec::<String>::new());
}

/// The clock of the gateway's host goes an hour back and then a year on, in the middle of sessions. A recording counts its
/// own time, so it stays whole and in order; who may be in until a day is out when the clock says so; the journal's order is
/// its own.
#[test]
fn the_clock_leaps() {
    let clock = bed().directory("clock").join("offset");
    fs::write(&clock, "+0\n").unwrap();
    let mut days = String::new();
    let gateway = Gateway::start(|setup| {
        let library = ["x86_64", "aarch64"]
            .map(|cpu| format!("/usr/lib/{cpu}-linux-gnu/faketime/libfaketimeMT.so.1"));
        let library = library
            .iter()
            .find(|path| Path::new(path).exists())
            .expect("libfaketime: run `make setup`");
        setup.env("LD_PRELOAD", library);
        setup.env("FAKETIME_TIMESTAMP_FILE", &text(&clock));
        setup.env("FAKETIME_NO_CACHE", "1");
        setup.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        setup.env("FAKETIME_DISABLE_SHM", "1");
        let half_a_year = SystemTime::now() + Duration::from_secs(182 * 86400);
        let mut date = Command::new("date");
        let second = half_a_year
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        date.args(["-u", "+%F", "-d", &format!("@{second}")]);
        days = run(date, b"").good().out().trim().to_owned();
        setup.users = setup.users.replace(
            "name = \"dave\"\n",
            &format!("name = \"dave\"\nexpires = {days}\n"),
        );
    });
    assert!(!days.is_empty());
    let mut stays = Flow::start(&gateway);
    let mut expires = Flow::of(&gateway, "dave");
    for flow in [&stays, &expires] {
        flow.until_it_has(20);
    }
    fs::write(&clock, "-1h\n").unwrap();
    until(
        "the gateway's clock went back",
        Duration::from_secs(30),
        || {
            gateway
                .client("bob")
                .exec(Via::Jump, Land::Plain, &A, "true", b"");
            let times: Vec<_> = gateway
                .journal()
                .iter()
                .map(|event| event["time"].to_string())
                .collect();
            !times.is_sorted()
        },
    );
    for flow in [&stays, &expires] {
        flow.until_it_has(flow.lines().len() + 20);
    }
    fs::write(&clock, "+365d\n").unwrap();
    let (code, said) = expires.ends();
    assert_eq!(code, Some(253), "{said}");
    assert!(said.contains("access has expired"), "{said}");
    stays.until_it_has(stays.lines().len() + 100);
    fs::write(&clock, "+0\n").unwrap();
    stays.until_it_has(stays.lines().len() + 20);
    stays.leaves();
    gateway.quiet();
    let all = [
        "--journal",
        &text(&gateway.dir.join("state/journal")),
        "--store",
        &text(&gateway.recordings()),
    ];
    verify(&gateway, &all).good();
    for path in gateway.casts() {
        let cast = fs::read_to_string(&path).unwrap();
        let mut seconds = 0.0;
        for event in cast.lines().skip(1).filter(|line| line.starts_with('[')) {
            let event: serde_json::Value = serde_json::from_str(event).unwrap();
            let passed = event[0].as_f64().unwrap();
            assert!(passed >= 0.0, "{event}");
            seconds += passed;
        }
        assert!(
            seconds < 3000.0,
            "{}: {seconds} s by the wall's clock",
            path.display()
        );
    }
    recorded(&largest(&gateway.recordings()));
}
