//! In: any bytes as what is typed behind `ssh gateway`. Out: a wish that says nothing but words it may, or a sentence.
//! Never: a panic; a reason or a sentence that acts on a terminal; an id that could be a path.
#![no_main]

use ampgate_screen::text::acts_or_hides;
use libfuzzer_sys::fuzz_target;

// The gateway is a program, not a library: its file is compiled here as it is.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/gateway/src/wish.rs"]
mod wish;

fuzz_target!(|bytes: &[u8]| {
    match wish::parse(bytes) {
        Ok(wish::Wish::Kill(session, reason)) => {
            plain(&session);
            assert!(!reason.into_text().contains(acts_or_hides));
        }
        Ok(wish::Wish::Watch(session) | wish::Wish::Replay { session, .. }) => plain(&session),
        Ok(_) => {}
        Err(sentence) => assert!(!sentence.contains(acts_or_hides)),
    }
});

fn plain(session: &wish::SessionWord) {
    let id = session.as_str();
    assert!((8..=26).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()));
}
