//! In: any bytes as a journal's only or last segment.
//! Out: a report; a journal that opens, or is refused with a reason.
//! Never: a panic, or a journal that is called intact when its bytes are not lines of a chain.
#![no_main]

use ampgate_audit::{Envelope, Event, Journal, VerifyOptions, verify_journal};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

thread_local! {
    static DIR: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = serde_json::from_slice::<Event>(line);
        if let Some(envelope) = Envelope::parse(line) {
            let _ = envelope.prev();
        }
    }
    DIR.with_borrow_mut(|dir| {
        let dir = dir.get_or_insert_with(|| tempfile::tempdir().expect("a directory"));
        for entry in std::fs::read_dir(dir.path()).expect("listing") {
            let _ = std::fs::remove_file(entry.expect("an entry").path());
        }
        std::fs::write(dir.path().join("journal-2999-01-01.jsonl"), bytes).expect("a segment");
        let report = verify_journal(dir.path(), &VerifyOptions::default()).expect("a report");
        assert!(report.is_intact() || !report.faults.is_empty());
        if let Ok(journal) = Journal::open(dir.path()) {
            let before = journal.head();
            let _ = verify_journal(
                dir.path(),
                &VerifyOptions {
                    anchors: vec![before],
                    ..VerifyOptions::default()
                },
            );
        }
    });
});
