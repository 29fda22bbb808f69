//! In: any two texts as Octavia's lists. Out: amphorae under unique ids, or a sentence.
//! Never: a panic; two amphorae under one id; a sentence with an escape code in it.
#![no_main]

use std::collections::HashSet;

use ampgate_access::LoginUser;
use ampgate_inventory::{Settings, Source, of_bodies};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let (amphorae, balancers) = match text.iter().position(|byte| *byte == b'\n') {
        Some(at) => text.split_at(at),
        None => (text, text),
    };
    let Ok(user) = LoginUser::parse("ubuntu") else {
        return;
    };
    let settings = Settings::new(Source::Environment, user);
    if let Ok((found, unusable)) = of_bodies(amphorae, balancers, &settings) {
        let ids: HashSet<_> = found.iter().map(|amphora| amphora.id).collect();
        assert_eq!(ids.len(), found.len());
        assert!(unusable.named.len() <= unusable.count);
        for sentence in unusable.named {
            assert!(!sentence.chars().any(char::is_control) && sentence.len() < 1000);
        }
    }
});
