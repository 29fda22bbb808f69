//! In: any text as a target or a user name.
//! Out: names that read back to themselves, or refusals.
//! Never: a panic, or a name with a character that acts.
#![no_main]

use ampgate_access::{LoginUser, TargetName, UserName, landing_of_user, parse_direct};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = TargetName::parse(text) {
        let shown = name.to_string();
        assert_eq!(TargetName::parse(&shown).as_ref(), Ok(&name));
        assert!(
            !shown
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || "'\"`$\\;&|<>/".contains(c))
        );
    }
    if let Ok(direct) = parse_direct(text) {
        assert_eq!(
            TargetName::parse(&direct.target.to_string()),
            Ok(direct.target)
        );
    }
    if let (Ok(kim), Ok(image)) = (UserName::parse("kim"), LoginUser::parse("cloud-user")) {
        let _ = landing_of_user(text, &kim, &image);
    }
});
