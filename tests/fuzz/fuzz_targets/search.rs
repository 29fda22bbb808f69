//! In: any bytes as a recording. Out: its screen searched and its commands told; what is found is what was looked for.
//! Never: a panic, ours or the virtual terminal's; more finds or longer lines than the limits.
#![no_main]

use std::sync::atomic::AtomicBool;

use ampgate_recording::Reader;
use ampgate_screen::{drawn, query, watch};
use libfuzzer_sys::fuzz_target;

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
