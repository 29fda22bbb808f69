//! In: any text as a policy, alone and after a rule that permits everything.
//! Out: rules with names and lines, or faults with places.
//! Never: a panic; a policy in force without a rule; an allow that an added forbid brought.
#![no_main]

use ampgate_access::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Cedar's parser takes its time over deep nesting; a policy is written by administrators.
    if text.len() > 2000 {
        return;
    }
    let more = format!("@id(\"first\") permit (principal, action, resource);\n{text}");
    for file in [text, &more] {
        match Policy::parse("policy.cedar", file) {
            Ok(policy) => {
                let rules = policy.rules();
                assert!(!rules.is_empty());
                let lines = file.matches('\n').count() + 1;
                assert!(
                    rules
                        .iter()
                        .all(|rule| (1..=lines).contains(&rule.line) && !rule.id.is_empty())
                );
            }
            Err(faults) => assert!(!faults.is_empty()),
        }
    }
});
