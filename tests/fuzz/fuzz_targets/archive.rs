//! In: any text as a name in an object store, any bytes as a manifest. Out: a file that is archived, or nothing.
//! Never: a panic; a path that leads elsewhere; a name that means something else when it is written again.
#![no_main]

use std::path::{Component, Path};

use ampgate_archive::{Key, Manifest, What, read_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some((key, what)) = read_name(text) {
        let path = key.path(Path::new("/recordings"), Path::new("/journal"));
        assert!(path.is_absolute() && !path.components().any(|c| c == Component::ParentDir));
        assert_eq!(Key::parse(&key.to_string()).as_ref(), Some(&key));
        assert!(text.starts_with(&key.to_string()));
        if what == What::Manifest {
            assert_eq!(key.manifest(), text);
        }
    }
    if let Some(key) = Key::parse("journal/journal-2026-11-23.jsonl") {
        let _ = Manifest::read(&key, text.as_bytes());
    }
});
