//! In: any bytes as a recording. Out: its screen searched and its commands told; what is found is what was looked for.
//! Never: a panic, ours or the virtual terminal's; more finds or longer lines than the limits.
#![no_main]

use std::sync::atomic::AtomicBool;

use ampgate_recording::Reader;
use ampgate_screen::{glyph, screen};
use libfuzzer_sys::fuzz_target;

// The auditor's tool is a program, not a library: its files are compiled here as they are.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/replay/src/drawn.rs"]
mod drawn;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/replay/src/query.rs"]
mod query;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/replay/src/rendered.rs"]
mod rendered;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/replay/src/shell.rs"]
mod shell;
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../../crates/replay/src/text.rs"]
mod text;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../crates/replay/src/watch.rs"]
mod watch;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = Reader::open(bytes) else {
        return;
    };
    let query = query::Query::new("a", false, false).unwrap();
    let watch = watch::Watch::new(Box::new(query), 2, 50).with_shell();
    let drawn = drawn::draw(reader, watch, &AtomicBool::new(false));
    assert_eq!(drawn.failures, 0, "the virtual terminal failed");
    assert!(drawn.finds.len() <= 50);
    for find in &drawn.finds {
        assert!(find.line.len() <= 4 << 10);
        let found = &find.line[find.range.clone()];
        assert!(found.eq_ignore_ascii_case("a"), "{found:?}");
    }
});
