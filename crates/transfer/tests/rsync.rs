//! In: rsync as real programs speak it, and what pretends to be. Out: content where there is content, under the right name.
//! Never: a conversation of our own making: the bytes are rsync's, tapped on their way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ampgate_transfer::{Completeness, Rsync, RsyncCommand, RsyncFile, Understood};
use proptest::prelude::*;

/// (is it the client, bytes)
type Said = (bool, Vec<u8>);

/// What a conversation was, and what was made of it.
#[derive(Default)]
struct Seen {
    talk: Vec<Said>,
    content: Vec<u8>,
    other: Vec<u8>,
    files: Vec<RsyncFile>,
    named: Vec<Vec<u8>>,
    is_rsync: bool,
}

impl Seen {
    fn take(&mut self, rsync: &mut Rsync, from_client: bool, data: &[u8]) {
        let piece = data.to_vec().into();
        let runs = match from_client {
            true => rsync.client(piece),
            false => rsync.amphora(piece),
        };
        let mut again = Vec::new();
        for run in runs {
            let (Understood::Content(bytes) | Understood::Other(bytes)) = &run;
            again.extend_from_slice(bytes);
            match run {
                Understood::Content(bytes) => self.content.extend_from_slice(&bytes),
                Understood::Other(bytes) => self.other.extend_from_slice(&bytes),
            }
        }
        assert_eq!(again, data, "bytes lost or made");
        self.files.extend(rsync.happened());
        self.named.extend(rsync.named());
        self.is_rsync = rsync.is_rsync();
    }
}

/// A directory that goes when the test does.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rsync-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Runs a real client and a real server, with ourselves in between.
fn tapped(options: &[&str], from: &str, to: &str) -> (String, Seen) {
    let place = Place::new();
    let at = |name: &str| place.0.join(name);
    for fifo in ["in", "out"] {
        let made = Command::new("mkfifo").arg(at(fifo)).status().unwrap();
        assert!(made.success());
    }
    let dir = place.0.display();
    fs::write(
        at("rsh"),
        format!(
            "#!/bin/sh\nshift\necho \"$*\" >{dir}/command\nexec 3<&0\ncat <&3 >{dir}/in &\ncat {dir}/out\nkill $!\n"
        ),
    )
    .unwrap();
    fs::set_permissions(at("rsh"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut client = Command::new("timeout")
        .args(["20", "rsync", "-e"])
        .arg(at("rsh"))
        .args(options)
        .args([from, to])
        .spawn()
        .unwrap();
    let mut from_client = File::open(at("in")).unwrap();
    let mut to_client = OpenOptions::new().write(true).open(at("out")).unwrap();
    let command = fs::read_to_string(at("command")).unwrap();
    let command = command.trim_end_matches('\n').to_owned();
    let mut server = Command::new("sh")
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to_server, mut from_server) =
        (server.stdin.take().unwrap(), server.stdout.take().unwrap());
    let parsed = RsyncCommand::parse(command.as_bytes());
    let parsed = parsed.unwrap_or_else(|| panic!("an ordinary command: {command}"));
    let both = Mutex::new((Rsync::new(&parsed), Seen::default()));
    let relay = |is_client: bool, from: &mut dyn Read, to: &mut dyn Write| {
        let mut buffer = vec![0; 40_000];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                return;
            }
            let data = &buffer[..count];
            {
                let (rsync, seen) = &mut *both.lock().unwrap();
                seen.talk.push((is_client, data.to_vec()));
                seen.take(rsync, is_client, data);
            }
            to.write_all(data).ok();
        }
    };
    thread::scope(|threads| {
        threads.spawn(|| {
            relay(true, &mut from_client, &mut to_server);
            drop(to_server);
        });
        relay(false, &mut from_server, &mut to_client);
        drop(to_client);
    });
    assert!(client.wait().unwrap().success(), "{options:?}");
    assert!(server.wait().unwrap().success(), "{options:?}");
    let (mut rsync, mut seen) = both.into_inner().unwrap();
    rsync.finish();
    seen.files.extend(rsync.happened());
    (command, seen)
}

/// The same conversation once more, in other pieces.
fn again(command: &str, talk: &[Said], cut: impl Fn(usize) -> usize) -> Seen {
    let mut rsync = Rsync::new(&RsyncCommand::parse(command.as_bytes()).unwrap());
    let (mut seen, mut turn) = (Seen::default(), 0);
    for (is_client, bytes) in talk {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(cut(turn).clamp(1, rest.len()));
            turn += 1;
            seen.take(&mut rsync, *is_client, piece);
            rest = later;
        }
    }
    rsync.finish();
    seen.files.extend(rsync.happened());
    seen
}

fn sha256(bytes: &[u8]) -> String {
    let sum = ring::digest::digest(&ring::digest::SHA256, bytes);
    sum.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// Names whose order is not the alphabet's, a deep tree, links, an empty file, a large one, a pipe.
fn tree(root: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut files = BTreeMap::new();
    let long = format!("d/{}", "x".repeat(200));
    let longer = format!("{long}/{}", "y".repeat(250));
    let names = [
        "a",
        "a-b/c",
        "a-b.txt",
        "a.b/c",
        "ab",
        "b/a0",
        "b/a-/x",
        "b/a/x",
        "b/a.x",
        "b/.hidden",
        "B",
        "b /x",
        "b!/x",
        "0/1/2/3/4/5",
        "0/1/2-/3",
        "0/1.2",
        "\u{e4}/\u{f6}",
        "z",
    ];
    let all = names.into_iter().chain([long.as_str(), longer.as_str()]);
    for (n, name) in all.enumerate() {
        let path = root.join(name);
        // The long one stands for a directory too.
        let path = if name == long {
            root.join("d/file")
        } else {
            path
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = format!("this is {name}\n").repeat(n + 1).into_bytes();
        fs::write(&path, &content).unwrap();
        let name = path.strip_prefix(root).unwrap();
        files.insert(name.to_str().unwrap().as_bytes().to_vec(), content);
    }
    for n in 0..300 {
        let name = format!("many/{n}");
        fs::create_dir_all(root.join("many")).unwrap();
        fs::write(root.join(&name), &name).unwrap();
        files.insert(name.clone().into_bytes(), name.into_bytes());
    }
    let large: Vec<u8> = (0..700_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::write(root.join("large"), &large).unwrap();
    files.insert(b"large".to_vec(), large);
    fs::write(root.join("empty"), b"").unwrap();
    files.insert(b"empty".to_vec(), vec![]);
    symlink("a", root.join("link")).unwrap();
    fs::create_dir_all(root.join("empty-dir")).unwrap();
    let pipe = Command::new("mkfifo").arg(root.join("pipe")).status();
    assert!(pipe.unwrap().success());
    files
}

/// Up and down, with the options that operators use, in each protocol: every file, its own content, once.
#[test]
fn every_file_of_a_tree_has_its_own_hash() {
    let place = Place::new();
    let source = place.0.join("source");
    let files = tree(&source);
    let mut runs = 0;
    for options in [
        &["-a"][..],
        &["-rlt"],
        &["-aH"],
        &["-ac"],
        &["-aW"],
        &["-av", "--stats", "--progress"],
        &["-ai", "--numeric-ids", "--timeout=30"],
        &["-a", "--no-inc-recursive"],
        &["-a", "--delete"],
        &["-a", "--delete-after"],
        &["-am", "--delete-excluded", "--exclude=nothing*"],
        &["-a", "--exclude=nothing*", "--partial", "--inplace"],
        &["-aS", "--protocol=31"],
        &["-a", "--protocol=30"],
        &["-aHc", "--protocol=30"],
        &["-aHc", "--protocol=29"],
        &["-a", "--delete", "--protocol=29"],
    ] {
        for down in [false, true] {
            let to = place.0.join(format!("to-{runs}"));
            runs += 1;
            fs::create_dir(&to).unwrap();
            fs::write(to.join("left over"), b"x").unwrap();
            let (from, to_text) = (format!("{}/", source.display()), to.display().to_string());
            let (command, seen) = match down {
                true => tapped(options, &format!("host:{from}"), &to_text),
                false => tapped(options, &from, &format!("host:{to_text}")),
            };
            assert!(seen.is_rsync, "{command} was not understood");
            let mut told = BTreeMap::new();
            for file in &seen.files {
                let content = &files[&file.name];
                let name = String::from_utf8_lossy(&file.name);
                assert_eq!(
                    (file.result, file.sum.completeness),
                    ("ok", Completeness::Whole)
                );
                assert_eq!(file.sum.bytes, content.len() as u64, "{command}: {name}");
                assert_eq!(
                    file.sum.sha256.as_deref(),
                    Some(sha256(content).as_str()),
                    "{command}: {name}: {}",
                    file.attributes
                );
                assert_eq!(told.insert(&file.name, ()), None, "{name} twice");
                let named = seen.named.iter().filter(|named| **named == file.name);
                assert_eq!(named.count(), 1, "{command}: {name}");
            }
            assert_eq!(told.len(), files.len(), "{command}");
            let small = seen.other.windows(12).any(|w| w == b"this is a-b/");
            assert!(!small, "{command}: content among what is recorded");
            let diff = Command::new("diff")
                .args([
                    "-r",
                    "--exclude=pipe",
                    "--exclude=left over",
                    "--exclude=empty-dir",
                ])
                .args([&source, &to])
                .status();
            assert!(diff.unwrap().success(), "{command}");
            for cuts in [&[1][..], &[3, 1, 70], &[5000, 2]] {
                let cut = again(&command, &seen.talk, |turn| cuts[turn % cuts.len()]);
                assert!(cut.is_rsync, "{command} in pieces of {cuts:?}");
                assert_eq!(cut.content, seen.content, "{command} in pieces of {cuts:?}");
                assert_eq!(cut.other, seen.other, "{command} in pieces of {cuts:?}");
                assert_eq!(cut.files, seen.files, "{command} in pieces of {cuts:?}");
            }
        }
    }
}

/// What the receiving side has already does not pass: what does has no hash, and says why.
#[test]
fn a_delta_says_that_it_is_one() {
    let place = Place::new();
    let (from, to) = (place.0.join("from"), place.0.join("to"));
    let old: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    let mut new = old.clone();
    new.splice(300_000..300_010, *b"something else");
    for down in [false, true] {
        fs::write(&from, &new).unwrap();
        fs::write(&to, &old).unwrap();
        let (source, target) = (from.display(), to.display());
        let (command, seen) = match down {
            true => tapped(&["-tI"], &format!("host:{source}"), &target.to_string()),
            false => tapped(&["-tI"], &source.to_string(), &format!("host:{target}")),
        };
        assert!(seen.is_rsync, "{command}");
        assert_eq!(fs::read(&to).unwrap(), new);
        let [file] = &seen.files[..] else {
            panic!("{:?}", seen.files)
        };
        assert_eq!((&file.name[..], file.result), (&b"from"[..], "ok"));
        assert_eq!(file.sum.sha256, None);
        assert_eq!(file.sum.completeness, Completeness::Partial);
        let kept = new.len() as u64 - file.sum.bytes;
        let says = format!("delta: {kept} bytes of the old file kept, ");
        assert!(file.attributes.contains(&says), "{}", file.attributes);
    }
}

/// Nothing passes, or nothing is there: no file is told.
#[test]
fn what_is_only_tried_or_already_there_is_no_file() {
    let place = Place::new();
    let source = place.0.join("source");
    tree(&source);
    let (from, to) = (format!("{}/", source.display()), place.0.join("to"));
    let to = to.display().to_string();
    fs::create_dir(&to).unwrap();
    for options in [&["-an"][..], &["-anv", "--delete"]] {
        for (from, to) in [
            (from.clone(), format!("host:{to}")),
            (format!("host:{from}"), to.clone()),
        ] {
            let (command, seen) = tapped(options, &from, &to);
            assert!(seen.is_rsync, "{command}");
            assert_eq!((seen.files.len(), seen.content.len()), (0, 0), "{command}");
        }
    }
    tapped(&["-a"], &from, &format!("host:{to}"));
    let (command, seen) = tapped(&["-ai"], &from, &format!("host:{to}"));
    assert!(seen.is_rsync, "{command}");
    assert_eq!((seen.files.len(), seen.content.len()), (0, 0));
    let (command, seen) = tapped(&["--list-only"], &format!("host:{from}"), "");
    assert!(seen.is_rsync && seen.content.is_empty(), "{command}");
}

/// One short conversation, for what is made of it.
fn short(down: bool) -> (String, Seen) {
    let place = Place::new();
    let (from, to) = (place.0.join("from"), place.0.join("to"));
    fs::write(&from, "what is in it\n".repeat(40)).unwrap();
    let (from, to) = (from.display().to_string(), to.display().to_string());
    match down {
        true => tapped(&["-a"], &format!("host:{from}"), &to),
        false => tapped(&["-a"], &from, &format!("host:{to}")),
    }
}

/// What is no rsync is recorded from its first byte on, and from then on nothing is content, whatever it looks like.
#[test]
fn what_is_no_rsync_is_never_content() {
    for down in [false, true] {
        let (command, seen) = short(down);
        assert!(seen.is_rsync && !seen.content.is_empty());
        let fakes: [(&str, Vec<Said>); 4] = [
            (
                "a shell",
                vec![(false, b"$ ".to_vec()), (true, b"id\n".to_vec())],
            ),
            (
                "a later protocol",
                vec![(false, vec![33, 0, 0, 0]), (true, vec![33, 0, 0, 0])],
            ),
            ("an old protocol", vec![(false, vec![28, 0, 0, 0])]),
            (
                "a client that answers before",
                vec![(true, [&[32, 0, 0, 0][..], &[0; 50]].concat())],
            ),
        ];
        for (what, fake) in fakes {
            let talk: Vec<Said> = fake.into_iter().chain(seen.talk.clone()).collect();
            let fake = again(&command, &talk, |_| usize::MAX);
            assert!(!fake.is_rsync, "{what} passed for rsync");
            assert_eq!(fake.content.len(), 0, "{what}");
        }
        // A file that nobody asked for, and one for which only somebody asked.
        for silent in [true, false] {
            let talk: Vec<Said> = seen
                .talk
                .iter()
                .filter(|said| said.0 != silent)
                .cloned()
                .collect();
            let half = again(&command, &talk, |_| usize::MAX);
            assert_eq!((half.content.len(), half.files.len()), (0, 0));
        }
    }
}

#[test]
fn a_file_that_breaks_off_is_told() {
    for down in [false, true] {
        let (command, seen) = short(down);
        let sender = !down;
        let at = seen.talk.iter().rposition(|(client, bytes)| {
            *client == sender && bytes.windows(13).any(|w| w == b"what is in it")
        });
        let mut talk = seen.talk[..=at.unwrap()].to_vec();
        let last = talk.last_mut().unwrap();
        let begins = last.1.windows(13).position(|w| w == b"what is in it");
        last.1.truncate(begins.unwrap() + 5);
        let cut = again(&command, &talk, |_| usize::MAX);
        let file = &cut.files[0];
        assert_eq!(
            (file.sum.bytes, file.sum.completeness, file.result),
            (5, Completeness::Beginning, "broken off")
        );
    }
}

/// In a delta that breaks off, bytes of the old file may stand between those that passed.
#[test]
fn a_delta_that_breaks_off_has_no_hash() {
    let place = Place::new();
    let (from, to) = (place.0.join("from"), place.0.join("to"));
    let old: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
    let mut new = old.clone();
    new.splice(30_000..30_010, *b"something else");
    fs::write(&from, &new).unwrap();
    fs::write(&to, &old).unwrap();
    let (from, to) = (from.display().to_string(), to.display().to_string());
    let (command, seen) = tapped(&["-tI"], &from, &format!("host:{to}"));
    let has = |(client, bytes): &Said| *client && bytes.windows(14).any(|w| w == b"something else");
    let at = seen.talk.iter().rposition(has).unwrap();
    let mut talk = seen.talk[..=at].to_vec();
    let last = &mut talk.last_mut().unwrap().1;
    let begins = last.windows(14).position(|w| w == b"something else");
    last.truncate(begins.unwrap() + 14);
    let cut = again(&command, &talk, |_| usize::MAX);
    let file = &cut.files[0];
    assert_eq!((file.result, &file.sum.sha256), ("broken off", &None));
    assert_eq!(file.sum.completeness, Completeness::Partial);
    assert!(file.attributes.contains("delta: "), "{file:?}");
}

/// Frames with nothing in them hold no content together: their lengths could be what somebody says.
#[test]
fn what_could_be_said_between_the_pieces_of_a_file_is_recorded() {
    for down in [false, true] {
        let (command, seen) = short(down);
        let begins = |bytes: &[u8]| bytes.windows(13).position(|w| w == b"what is in it");
        let at = seen
            .talk
            .iter()
            .position(|(client, bytes)| *client != down && begins(bytes).is_some())
            .unwrap();
        let mut talk = seen.talk.clone();
        let bytes = &mut talk[at].1;
        let cut = begins(bytes).unwrap() + 5;
        let length = |head: usize| {
            let word = [bytes[head], bytes[head + 1], bytes[head + 2], 0];
            u32::from_le_bytes(word) as usize
        };
        let head = (0..cut - 8)
            .rev()
            .find(|head| {
                let end = head + 4 + length(*head);
                bytes[head + 3] == 7 && end > cut && end <= bytes.len()
            })
            .unwrap();
        let frame = |length: usize| (length as u32 | 7 << 24).to_le_bytes();
        let (first, all) = (cut - head - 4, length(head));
        let between = [&frame(0).repeat(10_000)[..], &frame(all - first)].concat();
        bytes[head..head + 4].copy_from_slice(&frame(first));
        bytes.splice(cut..cut, between);
        let filled = again(&command, &talk, |_| usize::MAX);
        assert!(filled.is_rsync, "{command}");
        assert_eq!(filled.files, seen.files, "{command}");
        let more = filled.other.len() - seen.other.len();
        assert!(more >= 40_000, "{command}: {more} bytes recorded");
    }
}

/// Up to where the sending side has begun its list.
fn before_the_list() -> (Rsync, Seen) {
    let (command, seen) = short(true);
    let list = seen
        .talk
        .iter()
        .position(|(client, bytes)| !client && bytes.windows(4).any(|w| w == b"from"));
    let talk = &seen.talk[..list.unwrap()];
    let mut rsync = Rsync::new(&RsyncCommand::parse(command.as_bytes()).unwrap());
    let mut taken = Seen::default();
    for (client, bytes) in talk {
        taken.take(&mut rsync, *client, bytes);
    }
    (rsync, taken)
}

/// A list with no names takes memory too.
#[test]
fn lists_without_an_end_are_not_kept() {
    let (mut rsync, mut taken) = before_the_list();
    let framed = |body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap() | 7 << 24;
        [&length.to_le_bytes()[..], body].concat()
    };
    // The end of the first list; a list of the first directory (-101, said as its distance from -1), and its end.
    taken.take(&mut rsync, false, &framed(&[0, 0, 0xff, 100, 0, 0]));
    for _ in 0..65 {
        assert!(rsync.is_rsync());
        taken.take(&mut rsync, false, &framed(&[0xff, 0, 0, 0].repeat(1000)));
    }
    assert!(rsync.is_rsync());
    taken.take(&mut rsync, false, &framed(&[0xff, 0, 0, 0].repeat(1000)));
    assert!(!rsync.is_rsync(), "more than 65536 lists are kept");
    assert_eq!(taken.content.len(), 0);
}

/// More names than are kept.
#[test]
fn a_list_without_an_end_is_not_kept() {
    let (mut rsync, mut taken) = before_the_list();
    // All attributes as before, a name of one letter.
    let first = [
        &[0x19, 1, b'x'][..],
        &[0, 1, 0],
        &[0, 1, 2, 3, 4],
        &[0xa4, 0x81, 0, 0],
    ]
    .concat();
    let mut list = first;
    list[0] = 0x18;
    for _ in 0..300_000 {
        list.extend_from_slice(&[0x80, 0x9a, 1, b'x', 0, 1, 0]);
    }
    for body in list.chunks(60_000) {
        let length = u32::try_from(body.len()).unwrap() | 7 << 24;
        let frame = [&length.to_le_bytes()[..], body].concat();
        taken.take(&mut rsync, false, &frame);
    }
    assert!(!rsync.is_rsync());
    assert_eq!(taken.content.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is changed on the way: all bytes come out again, as one or the other.
    #[test]
    fn any_bytes_come_out_again(down: bool, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in 1usize..90) {
        static TALKS: std::sync::OnceLock<[(String, Vec<Said>); 2]> = std::sync::OnceLock::new();
        let talks = TALKS.get_or_init(|| [false, true].map(|down| {
            let (command, seen) = short(down);
            (command, seen.talk)
        }));
        let (command, talk) = &talks[usize::from(down)];
        let mut talk = talk.clone();
        for (at, byte) in changes {
            let said = at.index(talk.len());
            let at = at.index(talk[said].1.len());
            talk[said].1[at] = byte;
        }
        let seen = again(command, &talk, |_| cut);
        let all: usize = talk.iter().map(|(_, bytes)| bytes.len()).sum();
        prop_assert_eq!(seen.content.len() + seen.other.len(), all);
    }
}
