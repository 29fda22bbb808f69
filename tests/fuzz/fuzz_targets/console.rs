//! In: any text as a console. Out: keys that stand in it, one of each type, or the name of why there are none.
//! Never: a panic; a key that was not printed as a whole; two of one type.
#![no_main]

use std::collections::HashSet;

use ampgate_access::AmphoraId;
use ampgate_inventory::{Console, read_console};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(id) = AmphoraId::parse("a0000001-0000-4000-8000-000000000001") else {
        return;
    };
    if let Console::Keys(keys) = read_console(text, &id) {
        assert!(!keys.is_empty());
        let kinds: HashSet<_> = keys.iter().map(|key| key.kind()).collect();
        assert_eq!(kinds.len(), keys.len());
        for key in &keys {
            let (kind, base64) = key.as_openssh().split_once(' ').unwrap_or_default();
            assert!(text.contains(kind) && text.contains(base64));
        }
    }
});
