//! In: any bytes as both sides of an sftp channel, in pieces. Out: understood or refused.
//! Never: a panic; a request with a path that goes on undecided; more bytes to the amphora than the client sent, but for
//! what was allowed.
#![no_main]

use ampgate_transfer::{Asked, FromAmphora, FromClient, Place, Sftp};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fn places(asked: &Asked) -> Vec<Place> {
    let named = asked.named();
    named
        .iter()
        .map(|named| Place { real: named.path.to_vec(), sent: named.path.to_vec() })
        .collect()
}

fuzz_target!(|talk: &[u8]| {
    let mut sftp = Sftp::default();
    // A channel that has begun; the rest is the fuzzer's, each piece behind its side and length.
    let mut init = Bytes::from_static(b"\0\0\0\x05\x01\0\0\0\x03");
    let _ = sftp.client(&mut init);
    let mut version = Bytes::from_static(b"\0\0\0\x05\x02\0\0\0\x03");
    let _ = sftp.amphora(&mut version);
    let (mut from_client, mut to_amphora) = (0, 0);
    let mut rest = talk;
    while let [side, length, more @ ..] = rest {
        let (piece, later) = more.split_at(more.len().min(usize::from(*length)));
        rest = later;
        let mut data = Bytes::copy_from_slice(piece);
        if side & 1 == 0 {
            from_client += piece.len();
            loop {
                match sftp.client(&mut data) {
                    Ok(Some(FromClient::Pass(bytes))) => to_amphora += bytes.len(),
                    Ok(Some(FromClient::Decide(asked))) if side & 2 == 0 => {
                        assert!(!asked.named().is_empty());
                        let places = places(&asked);
                        to_amphora += sftp.allow(asked, places, Default::default()).len();
                    }
                    Ok(Some(FromClient::Decide(_) | FromClient::Answer(_))) => {}
                    Ok(Some(FromClient::Wait)) | Ok(None) => break,
                    Err(_) => return,
                }
            }
            assert!(to_amphora <= from_client);
        } else {
            loop {
                match sftp.amphora(&mut data) {
                    Ok(Some(FromAmphora::Pass(_) | FromAmphora::Path(_))) => {}
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
        let _ = sftp.happened();
    }
    sftp.finish();
});
