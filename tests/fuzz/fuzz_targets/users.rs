//! In: any text as `users.toml` or as a key line in one.
//! Out: users, or faults with places in the text.
//! Never: a panic, or a fault outside the text.
#![no_main]

use ampgate_access::Users;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let key_line = format!("[[user]]\nname = \"kim\"\nkeys = [{}]\n", toml_string(text));
    for file in [text, &key_line] {
        match Users::parse("users.toml", file) {
            Ok(users) => assert!(users.iter().all(|user| users.get(user.name()).is_some())),
            Err(faults) => {
                assert!(!faults.is_empty());
                for fault in faults {
                    assert!(fault.line >= 1 && fault.line <= file.matches('\n').count() + 1);
                    assert!(!fault.to_string().contains('\u{1b}'));
                }
            }
        }
    }
});

fn toml_string(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| format!("\\U{:08x}", u32::from(c)))
        .collect();
    format!("\"{escaped}\"")
}
