//! In: any text as a clouds.yaml. Out: a cloud, or faults.
//! Never: a panic, a long wait, a fault that quotes the text.
#![no_main]

use ampgate_inventory::Cloud;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(faults) = Cloud::of_clouds_yaml(text, "a") {
        assert!(!faults.is_empty());
        for fault in faults {
            assert!(fault.len() < 300 && !fault.chars().any(char::is_control));
        }
    }
});
