//! In: any bytes as both sides of an rsync, in pieces; any command. Out: all of them again, as content or not.
//! Never: a panic; a command that policy would not know for one; a byte lost or made; content after it was no rsync; a command with anything for a shell in it.
#![no_main]

use ampgate_access::Transfer;
use ampgate_transfer::{Rsync, RsyncCommand, Understood};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|talk: &[u8]| {
    if RsyncCommand::parse(talk).is_some() {
        assert!(Transfer::in_command(talk).contains(&Transfer::Rsync));
        assert!(talk.iter().all(|b| b.is_ascii_graphic() && !b"$`'\"\\|&;<>()*?[]{}~#!^".contains(b) || *b == b' '));
    }
    for command in ["rsync --server -logDtpre.iLsfxCIvu --delete . /a", "rsync --server --sender -logDtpcHre.LsfxCIvu . /a"] {
        let Some(command) = RsyncCommand::parse(command.as_bytes()) else { panic!("{command}") };
        // Both greetings are given, so that what is tried is the conversation.
        for able in [&[0x81, 0xff][..], &[0x7f], &[0]] {
            let mut rsync = Rsync::new(&command);
            let packed = able == [0x81, 0xff];
            let sums: &[u8] = if packed { b"\x03md5" } else { b"" };
            rsync.client(Bytes::from_static(&[31, 0, 0, 0]));
            rsync.amphora(Bytes::from([&[31, 0, 0, 0], able, sums].concat()));
            rsync.client(Bytes::copy_from_slice(sums));
            rsync.amphora(Bytes::from_static(&[1, 2, 3, 4]));
            assert!(rsync.is_rsync());
            let mut rest = talk;
            while let [side, length, more @ ..] = rest {
                let (piece, later) = more.split_at(more.len().min(usize::from(*length)));
                rest = later;
                let was_rsync = rsync.is_rsync();
                // Half of the pieces in a frame of their own.
                let framed = u32::from(*length) | 7 << 24;
                let data = if side & 2 == 0 { [&framed.to_le_bytes(), piece].concat() } else { piece.to_vec() };
                let sent = Bytes::from(data.clone());
                let runs = if side & 1 == 0 { rsync.client(sent) } else { rsync.amphora(sent) };
                let mut again = Vec::new();
                for run in runs {
                    match run {
                        Understood::Content(bytes) => {
                            assert!(was_rsync);
                            again.extend_from_slice(&bytes);
                        }
                        Understood::Other(bytes) => again.extend_from_slice(&bytes),
                    }
                }
                assert_eq!(again, data);
            }
            rsync.finish();
        }
    }
});
