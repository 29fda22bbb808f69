//! In: a full file system, a limit on file sizes, a store that is not ours alone. Out: a sentence, and a dead recording.
//! Never: a recording that goes on after a failed write.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod bed;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use ampgate_recording::{LiveRecording, RecordingError, Store, Stream, Unsealed, Verdict, verify};
use bed::{SESSION, SealingKey, begin, header, prove, seal, streams};

/// A file system of one MiB; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(dir.path())
            .status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("skipped: mounting a small tmpfs is not permitted here");
            return None;
        }
        Some(Self(dir))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Records until it fails, counting what was committed.
fn fill(live: &mut LiveRecording, chunk: &[u8]) -> (Vec<u8>, RecordingError) {
    let mut committed = Vec::new();
    for _ in 0..10_000 {
        live.output(Stream::Stdout, chunk);
        match live.commit() {
            Ok(()) => committed.extend_from_slice(chunk),
            Err(e) => return (committed, e),
        }
    }
    panic!("the disk never filled");
}

/// The verdict once nobody has the file open: for a moment a child process that another test starts has it too, between
/// fork and exec.
fn settled(path: &Path) -> Verdict {
    loop {
        match verify(path, None).unwrap() {
            Verdict::Unsealed {
                reason: Unsealed::StillOpen,
                ..
            } => std::thread::yield_now(),
            verdict => return verdict,
        }
    }
}

/// What must hold after a failed write, whatever failed it.
fn dead_but_readable(live: &mut LiveRecording, committed: &[u8]) {
    live.output(Stream::Stdout, b"not recorded");
    assert!(matches!(live.commit(), Err(RecordingError::Dead(_))));
    assert!(matches!(live.head(), Err(RecordingError::Dead(_))));
    assert_eq!(live.bytes_recorded(Stream::Stdout), committed.len() as u64);
    let file = fs::read(live.path()).unwrap();
    assert_eq!(streams(&file)[0], committed, "exactly what was committed");
    assert!(file.ends_with(b"\n"), "no half line is left");
}

#[test]
fn a_full_disk_kills_the_recording_and_says_so() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    for chunk in [&b"a line of output\r\n"[..], &[0xFF; 40_000]] {
        let mut live = begin(&disk.store(), &header(false));
        prove(&mut live, &SealingKey::new(1));
        let (committed, error) = fill(&mut live, &chunk.repeat(7));
        assert!(matches!(error, RecordingError::Full { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("No space left on device") && text.contains("free space"),
            "{text}"
        );
        dead_but_readable(&mut live, &committed);
        let path = live.path().to_owned();
        drop(live);
        let verdict = settled(&path);
        assert!(
            matches!(
                verdict,
                Verdict::Unsealed {
                    reason: Unsealed::RecorderDied(_) | Unsealed::Crashed,
                    proven: 1..,
                    ..
                }
            ),
            "{verdict:?}"
        );
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_full_disk_fails_the_opening_and_the_seal() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let live = begin(&disk.store(), &header(false));
    // The header's page still has room for a proof; the ending fills it.
    let ballast = disk.0.path().join("ballast");
    let _ = fs::write(&ballast, vec![0; 2 << 20]);
    let big = "x".repeat(8192);
    assert!(matches!(live.close(&big), Err(RecordingError::Full { .. })));
    let other = ampgate_recording::Header {
        session: "01KAS2J5Y8AAAAAAAAAAAAAAAA".into(),
        ..header(false)
    };
    let store = Store::open(disk.store(), 0).unwrap();
    assert!(matches!(
        LiveRecording::open(&store, &other),
        Err(RecordingError::Full { .. })
    ));
}

#[test]
fn new_sessions_are_refused_before_the_disk_is_full() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let store = Store::open(disk.store(), 512 << 10).unwrap();
    store.admit().unwrap();
    let mut live = LiveRecording::open(&store, &header(false)).unwrap();
    fs::write(disk.0.path().join("ballast"), vec![0; 700 << 10]).unwrap();
    let refusal = store.admit().unwrap_err();
    assert!(matches!(refusal, RecordingError::BelowReserve { .. }));
    assert!(
        refusal.to_string().contains("in reserve; free space"),
        "{refusal}"
    );
    // Who is in already goes on, to the end.
    live.output(Stream::Stdout, b"still here");
    live.commit().unwrap();
    seal(live.close("done").unwrap().0, &SealingKey::new(1));
}

/// RLIMIT_FSIZE makes write(2) short, then fail: the same way as a disk quota.
#[test]
fn a_file_size_limit_kills_the_recording() {
    const CHILD: &str = "AMPGATE_TEST_FILE_LIMIT";
    if std::env::var_os(CHILD).is_none() {
        let program = std::env::current_exe().unwrap();
        let script =
            "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact a_file_size_limit_kills_the_recording";
        let done = Command::new("sh")
            .args(["-c", script])
            .arg(program)
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stdout)
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut live = begin(dir.path(), &header(true));
    let (committed, error) = fill(&mut live, &b"a line of output\r\n".repeat(100));
    assert!(matches!(error, RecordingError::Full { .. }), "{error}");
    assert!(!committed.is_empty());
    dead_but_readable(&mut live, &committed);
}

#[test]
fn files_are_private_and_never_reused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("recordings"), 0).unwrap();
    let live = LiveRecording::open(&store, &header(true)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(live.path(), store.path_of(SESSION).unwrap());
    assert_eq!(
        live.path().strip_prefix(store.dir()).unwrap(),
        Path::new("2025/11/23").join(format!("{SESSION}.cast"))
    );
    assert_eq!(mode(live.path()), 0o600);
    for above in live.path().ancestors().skip(1).take(4) {
        assert_eq!(mode(above), 0o700, "{}", above.display());
    }
    let again = LiveRecording::open(&store, &header(true))
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(again, RecordingError::Exists(_)));
    let listed: Vec<_> = Store::recordings(store.dir()).map(Result::unwrap).collect();
    assert_eq!(listed, [live.path()]);
}

#[test]
fn symbolic_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 0).unwrap();
    symlink(elsewhere.path(), dir.path().join("2025")).unwrap();
    assert!(LiveRecording::open(&store, &header(true)).is_err());
    fs::remove_file(dir.path().join("2025")).unwrap();

    let path = store.path_of(SESSION).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(elsewhere.path().join("planted"), &path).unwrap();
    assert!(LiveRecording::open(&store, &header(true)).is_err());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_store_that_others_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let refusal = Store::open(dir.path(), 0).unwrap_err().to_string();
    assert!(refusal.contains("chmod go-w"), "{refusal}");
}

/// Ids only in paths: whatever else is offered as one makes no file.
#[test]
fn names_are_no_paths() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), 0).unwrap();
    for name in [
        "../../../tmp/x",
        "$(id)",
        "a;b",
        "a\nb",
        "",
        "\u{202e}abc",
        &"A".repeat(65536),
        "../../../../../../etc/passw",
    ] {
        assert!(store.path_of(name).is_none());
        let header = ampgate_recording::Header {
            session: name.into(),
            ..header(true)
        };
        assert!(matches!(
            LiveRecording::open(&store, &header),
            Err(RecordingError::SessionId(_))
        ));
    }
    // Everywhere else any text is welcome, and comes back.
    let odd = "../x\n\u{202e}\u{9b}2J$(id);".repeat(100);
    let header = ampgate_recording::Header {
        target: odd.clone(),
        user: odd.clone(),
        term: Some(odd.clone()),
        command: Some(b"\xff\0 odd \n".to_vec()),
        cols: u32::MAX,
        ..header(true)
    };
    let live = LiveRecording::open(&store, &header).unwrap();
    assert_eq!(
        ampgate_recording::Reader::open_path(live.path())
            .unwrap()
            .header(),
        &header
    );
    assert!(
        !fs::read_to_string(live.path())
            .unwrap()
            .trim_end()
            .chars()
            .any(|c| c.is_control() || c == '\u{202e}')
    );
}

#[test]
fn syncs_only_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut live = begin(dir.path(), &header(true));
    let sync = live.sync_handle();
    assert!(sync.sync().unwrap());
    assert!(!sync.sync().unwrap());
    live.commit().unwrap();
    assert!(!sync.is_dirty(), "nothing was pending");
    live.output(Stream::Stdout, b"x");
    live.commit().unwrap();
    assert!(sync.sync().unwrap());
}
