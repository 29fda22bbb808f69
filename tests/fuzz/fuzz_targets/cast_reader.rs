//! In: any bytes, as a recording. Out: events, a verdict, both exports, without a panic. Never: "intact" by chance.
#![no_main]

use ampgate_recording::{Format, PublicKey, Reader, Verdict, export, raw, verify_stream};
use libfuzzer_sys::fuzz_target;

/// A good first line, so that the fuzzer need not find one to reach the events.
const HEADER: &str = include_str!("../../../crates/recording/fixtures/full.cast");

fuzz_target!(|data: &[u8]| {
    let first = HEADER.lines().next().unwrap_or_default();
    for file in [data.to_vec(), [first.as_bytes(), b"\n", data].concat()] {
        if let Ok(reader) = Reader::open(&file[..]) {
            // Every byte of output comes from the file, in which hex and base 64 only take more room.
            let size: usize = raw(reader).filter_map(Result::ok).map(|(_, _, bytes)| bytes.len()).sum();
            assert!(size <= file.len());
        }
        for format in [Format::V2, Format::V3] {
            if let Ok(reader) = Reader::open(&file[..]) {
                let mut out = Vec::new();
                let _ = export(reader, &mut out, format);
                let text = String::from_utf8(out).expect("exports are UTF-8");
                assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
            }
        }
        let stranger = PublicKey::from_raw([0x42; 32]);
        for trusted in [None, Some(&stranger)] {
            let verdict = verify_stream(&file[..], trusted, None).expect("memory can be read");
            assert!(trusted.is_none() || !matches!(verdict, Verdict::Intact { .. }));
        }
    }
});
