//! In: any bytes as both sides of an scp of old, in pieces; any command. Out: all of them again, as content or not.
//! Never: a panic; a command that policy would not know for one; a byte lost or made; content after it was no scp; a command with anything for a shell in it.
#![no_main]

use ampgate_access::Transfer;
use ampgate_transfer::{Command, Direction, Scp, Understood};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|talk: &[u8]| {
    if let Some(command) = Command::parse(talk) {
        assert!(Transfer::in_command(talk).contains(&Transfer::Scp));
        assert!(command.path.bytes().all(|b| b.is_ascii_graphic() && !b"$`'\"\\|&;<>()*?[]{}~#!^".contains(&b)));
    }
    for direction in [Direction::ToAmphora, Direction::FromAmphora] {
        let mut scp = Scp::new(direction);
        let mut rest = talk;
        while let [side, length, more @ ..] = rest {
            let (piece, later) = more.split_at(more.len().min(usize::from(*length)));
            rest = later;
            let (was_scp, data) = (scp.is_scp(), Bytes::copy_from_slice(piece));
            let runs = if side & 1 == 0 { scp.client(data) } else { scp.amphora(data) };
            let mut again = Vec::new();
            for run in runs {
                match run {
                    Understood::Content(bytes) => {
                        assert!(was_scp);
                        again.extend_from_slice(&bytes);
                    }
                    Understood::Other(bytes) => again.extend_from_slice(&bytes),
                }
            }
            assert_eq!(again, piece);
        }
        scp.finish();
    }
});
