//! In: conversations as clients and servers have them, cut anywhere. Out: the same bytes and the same story.
//! Never: a cut that makes a difference.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use ampgate_transfer::{
    Asked, ClosedFile, Completeness, FromAmphora, FromClient, Happened, Keep, Malformed, Place,
    Sftp, Status,
};
use bytes::Bytes;
use proptest::prelude::*;
use ring::digest;

fn packet(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body: Vec<u8> = fields.concat();
    let length = u32::try_from(body.len() + 1).unwrap();
    [&length.to_be_bytes()[..], &[kind], &body].concat()
}

fn n(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

fn n8(value: u64) -> [u8; 8] {
    value.to_be_bytes()
}

fn s(text: &[u8]) -> Vec<u8> {
    [&n(u32::try_from(text.len()).unwrap())[..], text].concat()
}

fn status(id: u32, code: u32) -> Vec<u8> {
    packet(101, &[&n(id), &n(code), &s(b"said"), &s(b"")])
}

fn sha(bytes: &[u8]) -> String {
    let sum = digest::digest(&digest::SHA256, bytes);
    sum.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// Both sides of one channel; every request is allowed where it is.
#[derive(Default)]
struct Channel {
    sftp: Sftp,
    keep: Keep,
    up: Vec<u8>,
    down: Vec<u8>,
    told: Vec<Happened>,
}

fn as_it_is(asked: &Asked) -> Vec<Place> {
    let named = asked.named();
    named
        .iter()
        .map(|named| Place {
            real: named.path.to_vec(),
            sent: named.path.to_vec(),
        })
        .collect()
}

impl Channel {
    fn begun() -> Self {
        let mut channel = Self::default();
        channel.client(&packet(1, &[&n(3)])).unwrap();
        channel.amphora(&packet(2, &[&n(3)])).unwrap();
        channel.up.clear();
        channel.down.clear();
        channel
    }

    fn client(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut data = Bytes::copy_from_slice(bytes);
        while let Some(next) = self.sftp.client(&mut data)? {
            match next {
                FromClient::Pass(bytes) => self.up.extend_from_slice(&bytes),
                FromClient::Decide(asked) => {
                    let places = as_it_is(&asked);
                    let packet = self.sftp.allow(asked, places, self.keep);
                    self.up.extend_from_slice(&packet);
                }
                FromClient::Answer(bytes) => self.down.extend_from_slice(&bytes),
                FromClient::Wait => panic!("nothing answers here"),
            }
        }
        self.told.extend(self.sftp.happened());
        Ok(())
    }

    fn amphora(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut data = Bytes::copy_from_slice(bytes);
        while let Some(next) = self.sftp.amphora(&mut data)? {
            match next {
                FromAmphora::Pass(bytes) => self.down.extend_from_slice(&bytes),
                FromAmphora::Path(_) => panic!("nothing was asked"),
            }
        }
        self.told.extend(self.sftp.happened());
        Ok(())
    }

    fn files(&self) -> Vec<&ClosedFile> {
        let files = self.told.iter().filter_map(|told| match told {
            Happened::File(file) => Some(&**file),
            _ => None,
        });
        files.collect()
    }
}

fn open(id: u32, path: &[u8], flags: u32) -> Vec<u8> {
    packet(3, &[&n(id), &s(path), &n(flags), &n(0)])
}

fn handle(id: u32, handle: &[u8]) -> Vec<u8> {
    packet(102, &[&n(id), &s(handle)])
}

fn read(id: u32, handle: &[u8], offset: u64, length: u32) -> Vec<u8> {
    packet(5, &[&n(id), &s(handle), &n8(offset), &n(length)])
}

fn data(id: u32, content: &[u8]) -> Vec<u8> {
    packet(103, &[&n(id), &s(content)])
}

fn write(id: u32, handle: &[u8], offset: u64, content: &[u8]) -> Vec<u8> {
    packet(6, &[&n(id), &s(handle), &n8(offset), &s(content)])
}

fn close(id: u32, handle: &[u8]) -> Vec<u8> {
    packet(4, &[&n(id), &s(handle)])
}

const READ: u32 = 1;
const WRITE: u32 = 2;
const CREATE: u32 = 8;
const TRUNCATE: u32 = 16;

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// A download whose answers come in any order has one hash; a short answer, mended later, too.
#[test]
fn answers_in_another_order_are_hashed_in_the_order_of_the_file() {
    let file = noise(250);
    let mut channel = Channel::begun();
    channel.client(&open(1, b"/f", READ)).unwrap();
    channel.amphora(&handle(1, b"h")).unwrap();
    for (id, offset) in [(2, 0), (3, 100), (4, 200), (5, 250)] {
        channel.client(&read(id, b"h", offset, 100)).unwrap();
    }
    channel.amphora(&data(4, &file[200..])).unwrap();
    channel.amphora(&data(3, &file[100..180])).unwrap();
    channel.amphora(&status(5, 1)).unwrap();
    channel.amphora(&data(2, &file[..100])).unwrap();
    channel.client(&read(6, b"h", 180, 20)).unwrap();
    channel.amphora(&data(6, &file[180..200])).unwrap();
    channel.client(&close(7, b"h")).unwrap();
    channel.amphora(&status(7, 0)).unwrap();
    let files = channel.files();
    let sum = files[0].read.as_ref().unwrap();
    assert_eq!(
        (sum.bytes, sum.completeness, sum.sha256.clone()),
        (250, Completeness::Whole, Some(sha(&file)))
    );
    assert_eq!((files[0].result.as_str(), &files[0].written), ("ok", &None));
}

#[test]
fn what_is_not_the_whole_file_is_called_so() {
    let file = noise(100);
    // Which pieces are read, whether the end is seen, and what is said of it.
    type Case = (&'static [(u64, u64)], bool, Completeness, bool);
    let cases: [Case; 6] = [
        (&[(0, 50), (50, 50)], true, Completeness::Whole, true),
        (&[(0, 50), (50, 50)], false, Completeness::Beginning, true),
        (&[(0, 50)], false, Completeness::Beginning, true),
        (&[(50, 50)], true, Completeness::Partial, false),
        (&[(0, 50), (0, 50)], false, Completeness::Partial, false),
        (&[(0, 50), (60, 40)], true, Completeness::Partial, false),
    ];
    for (pieces, end, expected, hashed) in cases {
        let mut channel = Channel::begun();
        channel.client(&open(1, b"/f", READ)).unwrap();
        channel.amphora(&handle(1, b"h")).unwrap();
        for (offset, length) in pieces {
            channel.client(&read(2, b"h", *offset, 100)).unwrap();
            let piece = &file[*offset as usize..(offset + length) as usize];
            channel.amphora(&data(2, piece)).unwrap();
        }
        if end {
            channel.client(&read(2, b"h", 100, 100)).unwrap();
            channel.amphora(&status(2, 1)).unwrap();
        }
        channel.client(&close(3, b"h")).unwrap();
        channel.amphora(&status(3, 0)).unwrap();
        let sum = channel.files()[0].read.clone().unwrap();
        assert_eq!(
            (sum.completeness, sum.sha256.is_some()),
            (expected, hashed),
            "{pieces:?}"
        );
    }
}

/// An upload: new, over an old file, with its size set at the end, with one write that fails.
#[test]
fn what_is_written_is_hashed_as_it_goes() {
    let file = noise(70_000);
    for (flags, size, failed, expected) in [
        (WRITE | CREATE | TRUNCATE, None, false, Completeness::Whole),
        (WRITE | CREATE, None, false, Completeness::Beginning),
        (WRITE | CREATE, Some(70_000), false, Completeness::Whole),
        (WRITE | CREATE, Some(1), false, Completeness::Beginning),
        (WRITE | TRUNCATE, None, true, Completeness::Partial),
    ] {
        let mut channel = Channel::begun();
        channel.client(&open(1, b"/f", flags)).unwrap();
        channel.amphora(&handle(1, b"h")).unwrap();
        let sent = [
            write(2, b"h", 0, &file[..40_000]),
            write(3, b"h", 40_000, &file[40_000..]),
        ]
        .concat();
        channel.up.clear();
        for piece in sent.chunks(1000) {
            channel.client(piece).unwrap();
        }
        assert_eq!(channel.up, sent);
        channel.amphora(&status(2, 0)).unwrap();
        channel
            .amphora(&status(3, if failed { 4 } else { 0 }))
            .unwrap();
        if let Some(size) = size {
            let set = packet(10, &[&n(4), &s(b"h"), &n(1), &n8(size)]);
            channel.client(&set).unwrap();
            channel.amphora(&status(4, 0)).unwrap();
        }
        channel.client(&close(5, b"h")).unwrap();
        channel.amphora(&status(5, 0)).unwrap();
        let closed = channel.files()[0].clone();
        let sum = closed.written.unwrap();
        assert_eq!((sum.bytes, sum.completeness), (70_000, expected));
        assert_eq!(sum.sha256, (!failed).then(|| sha(&file)));
        assert_eq!(closed.result, if failed { "failure" } else { "ok" });
    }
}

#[test]
fn what_is_no_sftp_ends_the_channel() {
    let long = [&n(300_000)[..], &[5]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "a length of nothing",
            n(0).to_vec().into_iter().chain([0]).collect(),
        ),
        ("a packet that is too long", long),
        ("a second INIT", packet(1, &[&n(3)])),
        (
            "a path that is cut short",
            packet(17, &[&n(1), &n(9), b"/x"]),
        ),
        ("a NUL in a path", packet(17, &[&n(1), &s(b"/x\0y")])),
        ("a field too many", packet(17, &[&n(1), &s(b"/x"), &n(0)])),
        (
            "attributes of no kind",
            packet(9, &[&n(1), &s(b"/x"), &n(0x40)]),
        ),
        ("a request without a number", packet(13, &[b"a"])),
        (
            "content that is longer than its packet",
            packet(6, &[&n(1), &s(b"h"), &n8(0), &n(9), b"short"]),
        ),
        (
            "a handle that is too long",
            packet(6, &[&n(1), &n(257), &[0; 300]]),
        ),
    ];
    for (what, bytes) in cases {
        let mut channel = Channel::begun();
        assert!(channel.client(&bytes).is_err(), "{what} passed");
    }
    assert!(Channel::default().client(&open(1, b"/", READ)).is_err());
    assert!(Channel::default().client(&packet(1, &[&n(2)])).is_err());
    let mut twice = Channel::begun();
    twice.client(&packet(17, &[&n(1), &s(b"/a")])).unwrap();
    assert!(twice.client(&packet(17, &[&n(1), &s(b"/b")])).is_err());
}

#[test]
fn an_amphora_that_answers_what_nobody_asked_ends_the_channel() {
    let stat = packet(17, &[&n(1), &s(b"/a")]);
    for (what, bytes) in [
        ("an answer to nothing", status(9, 0)),
        ("a handle for a question", handle(1, b"h")),
        ("content for a question", data(1, b"x")),
        ("a second version", packet(2, &[&n(3)])),
        ("an answer of no kind", packet(120, &[&n(1)])),
    ] {
        let mut channel = Channel::begun();
        channel.client(&stat).unwrap();
        assert!(channel.amphora(&bytes).is_err(), "{what} passed");
    }
    let mut other = Channel::default();
    other.client(&packet(1, &[&n(6)])).unwrap();
    assert!(other.amphora(&packet(2, &[&n(6)])).is_err());
    // More than was asked for, and the handle of another file.
    let mut channel = Channel::begun();
    channel.client(&open(1, b"/a", READ)).unwrap();
    channel.amphora(&handle(1, b"h")).unwrap();
    channel.client(&open(2, b"/b", READ)).unwrap();
    assert!(channel.amphora(&handle(2, b"h")).is_err());
    let mut channel = Channel::begun();
    channel.client(&open(1, b"/a", READ)).unwrap();
    channel.amphora(&handle(1, b"h")).unwrap();
    channel.client(&read(2, b"h", 0, 3)).unwrap();
    assert!(channel.amphora(&data(2, b"four")).is_err());
}

/// Nothing of these reaches the amphora, and the next request is understood again.
#[test]
fn what_nobody_can_allow_is_answered_here() {
    let mut channel = Channel::begun();
    for bytes in [
        packet(99, &[&n(1), b"anything"]),
        packet(200, &[&n(2), &s(b"check-file-handle"), &s(b"h")]),
        read(3, b"none", 0, 10),
        write(4, b"none", 0, b"content that goes nowhere"),
        close(5, b"none"),
        packet(12, &[&n(6), &s(b"none")]),
        packet(8, &[&n(7), &s(b"none")]),
        packet(200, &[&n(8), &s(b"fsync@openssh.com"), &s(b"none")]),
    ] {
        channel.client(&bytes).unwrap();
    }
    assert_eq!(channel.up, b"");
    assert!(!channel.down.is_empty());
    let stat = packet(17, &[&n(9), &s(b"/x")]);
    channel.client(&stat).unwrap();
    assert_eq!(channel.up, stat);
    // A file that is open for reading cannot be written, whatever the amphora would say.
    let mut channel = Channel::begun();
    channel.client(&open(1, b"/a", READ)).unwrap();
    channel.amphora(&handle(1, b"h")).unwrap();
    channel.up.clear();
    channel.client(&write(2, b"h", 0, b"no")).unwrap();
    assert_eq!(channel.up, b"");
}

#[test]
fn the_gateways_own_question_is_answered_to_the_gateway() {
    let mut sftp = Channel::begun().sftp;
    let asked = sftp.question(b"/a/../b", false);
    let id = &asked[5..9];
    let mut named = packet(104, &[id, &n(1), &s(b"/b"), &s(b"/b"), &n(0)]).into();
    assert_eq!(
        sftp.amphora(&mut named).unwrap(),
        Some(FromAmphora::Path(Ok(b"/b".to_vec())))
    );
    let again = sftp.question(b"/c", false);
    let id = u32::from_be_bytes(again[5..9].try_into().unwrap());
    let mut failed = status(id, 2).into();
    let no = Status {
        code: 2,
        message: b"said".to_vec(),
    };
    assert_eq!(
        sftp.amphora(&mut failed).unwrap(),
        Some(FromAmphora::Path(Err(no)))
    );
}

/// Uploads, downloads, names, a refusal, an unknown request: both directions whole.
fn conversation() -> Vec<(bool, Vec<u8>)> {
    let file = noise(40_000);
    vec![
        (true, packet(1, &[&n(3)])),
        (
            false,
            packet(2, &[&n(3), &s(b"posix-rename@openssh.com"), &s(b"1")]),
        ),
        (true, open(1, b"/f", READ)),
        (false, handle(1, b"\0\0\0\0")),
        (
            true,
            [
                read(2, b"\0\0\0\0", 0, 32768),
                read(3, b"\0\0\0\0", 32768, 32768),
                read(4, b"\0\0\0\0", 40_000, 100),
            ]
            .concat(),
        ),
        (
            false,
            [
                data(2, &file[..32768]),
                data(3, &file[32768..]),
                status(4, 1),
            ]
            .concat(),
        ),
        (
            true,
            [
                close(5, b"\0\0\0\0"),
                open(6, b"/g", WRITE | CREATE | TRUNCATE),
            ]
            .concat(),
        ),
        (false, [status(5, 0), handle(6, b"\0\0\0\x01")].concat()),
        (
            true,
            [
                write(7, b"\0\0\0\x01", 0, &file),
                packet(99, &[&n(8)]),
                write(9, b"no", 0, &file[..99]),
                close(10, b"\0\0\0\x01"),
            ]
            .concat(),
        ),
        (false, [status(7, 0), status(10, 0)].concat()),
        (
            true,
            packet(
                200,
                &[
                    &n(11),
                    &s(b"posix-rename@openssh.com"),
                    &s(b"/g"),
                    &s(b"/h"),
                ],
            ),
        ),
        (false, status(11, 0)),
        (true, packet(11, &[&n(12), &s(b"/")])),
        (false, handle(12, b"d")),
        (true, packet(12, &[&n(13), &s(b"d")])),
        (
            false,
            packet(104, &[&n(13), &n(1), &s(b"a"), &s(b"a"), &n(0)]),
        ),
        (true, close(14, b"d")),
        (false, status(14, 0)),
    ]
}

fn played(conversation: &[(bool, Vec<u8>)], cut: impl Fn(usize) -> usize) -> Channel {
    let mut channel = Channel::default();
    let mut turn = 0;
    for (is_client, bytes) in conversation {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(cut(turn).clamp(1, rest.len()));
            turn += 1;
            match is_client {
                true => channel.client(piece).unwrap(),
                false => channel.amphora(piece).unwrap(),
            }
            rest = later;
        }
    }
    channel.sftp.finish();
    channel.told.extend(channel.sftp.happened());
    channel
}

#[test]
fn the_conversation_is_told_in_full() {
    let whole = played(&conversation(), |_| usize::MAX);
    let file = noise(40_000);
    assert_eq!(whole.files().len(), 2);
    for (closed, path) in whole.files().into_iter().zip([b"/f", b"/g"]) {
        assert_eq!(
            (closed.path.as_slice(), closed.result.as_str()),
            (&path[..], "ok")
        );
        let sum = closed.read.as_ref().or(closed.written.as_ref()).unwrap();
        assert_eq!(sum.sha256, Some(sha(&file)));
        assert_eq!(sum.completeness, Completeness::Whole);
    }
    assert!(whole.told.iter().any(|told| matches!(told, Happened::Changed(change)
        if change.operation == "posix-rename" && change.to.as_deref() == Some(b"/h") && change.result == "ok")));
    assert!(whole.told.iter().any(
        |told| matches!(told, Happened::Directory { entries: 1, result, .. } if result == "ok")
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However the bytes are cut, the same bytes go on and the same story is told.
    #[test]
    fn any_cut_is_alike(cuts in prop::collection::vec(1usize..5000, 1..40)) {
        let conversation = conversation();
        let whole = played(&conversation, |_| usize::MAX);
        let cut = played(&conversation, |turn| cuts[turn % cuts.len()]);
        prop_assert_eq!(whole.up, cut.up);
        prop_assert_eq!(whole.down, cut.down);
        prop_assert_eq!(whole.told, cut.told);
    }

    /// Any bytes, in any state, from either side: understood or refused, and no more of them out than in.
    #[test]
    fn any_bytes_are_no_harm(pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 0..20)) {
        let mut channel = played(&conversation()[..9], |_| usize::MAX);
        for (is_client, bytes) in pieces {
            let outcome = if is_client { channel.client(&bytes) } else { channel.amphora(&bytes) };
            if outcome.is_err() {
                break;
            }
        }
    }
}

/// What is kept is what is hashed: in order, each byte once, whatever order the pieces come in; and of no other direction.
#[test]
fn kept_content_is_the_hashed_content() {
    let mut channel = Channel {
        keep: Keep {
            read: true,
            written: false,
        },
        ..Channel::begun()
    };
    channel.client(&open(1, b"/kept", 3)).unwrap();
    channel.amphora(&handle(1, b"h")).unwrap();
    for (id, offset) in [(2, 0), (3, 4), (4, 8)] {
        channel.client(&read(id, b"h", offset, 4)).unwrap();
    }
    for (id, content) in [(4, b"last"), (2, b"1st "), (3, b"2nd ")] {
        channel.amphora(&data(id, content)).unwrap();
    }
    let write = packet(6, &[&n(5), &s(b"h"), &n8(0), &s(b"not kept")]);
    channel.client(&write).unwrap();
    channel.sftp.finish();
    channel.told.extend(channel.sftp.happened());
    let mut kept = Vec::new();
    for told in &channel.told {
        if let Happened::Content {
            number,
            path,
            is_written,
            bytes,
        } = told
        {
            assert_eq!(
                (*number, path.as_slice(), *is_written),
                (1, &b"/kept"[..], false)
            );
            kept.extend_from_slice(bytes);
        }
    }
    assert_eq!(kept, b"1st 2nd last");
    let file = channel.files()[0];
    assert_eq!(file.number, 1);
    assert_eq!(file.read.as_ref().unwrap().sha256, Some(sha(&kept)));
}
