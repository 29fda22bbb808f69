//! In: any bytes, as a sealed recording, and behind a good first line. Out: a verdict, and what opens, without a panic.
//! Never: a byte that opens without having been sealed; "intact" by chance.
#![no_main]

use std::io::Read;

use ampgate_recording::{Identities, PublicKey, Unsealer, Verdict, verify_stream};
use libfuzzer_sys::fuzz_target;

const SEALED: &[u8] = include_bytes!("../../../crates/recording/fixtures/sealed.sealed");
const AUDITOR: &str = include_str!("../../../crates/recording/fixtures/auditor-1.age");

fuzz_target!(|data: &[u8]| {
    let mut identities = Identities::default();
    identities.add(AUDITOR).expect("an identity");
    let first = SEALED.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut whole = Vec::new();
    let _ = Unsealer::open(SEALED, &identities).map(|mut cast| cast.read_to_end(&mut whole));
    for file in [data.to_vec(), [&SEALED[..first], data].concat()] {
        let mut cast = Vec::new();
        if let Ok(mut unsealer) = Unsealer::open(&file[..], &identities) {
            let _ = unsealer.read_to_end(&mut cast);
        }
        // Whatever else the file is: what opens is what was sealed, from its begin.
        assert!(whole.starts_with(&cast));
        let stranger = PublicKey::from_raw([0x42; 32]);
        let verdict = verify_stream(&file[..], Some(&stranger), None).expect("memory can be read");
        assert!(!matches!(verdict, Verdict::Intact { .. }));
    }
});
