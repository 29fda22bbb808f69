//! In: any text as an inventory. Out: amphorae under unique names, or faults with places inside the text.
//! Never: a panic; two amphorae under one id; a fault that points outside the file.
#![no_main]

use std::collections::HashSet;

use ampgate_inventory::Fixed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Fixed::parse("inventory.toml", text) {
        Ok(inventory) => {
            let all = inventory.known().all();
            let ids: HashSet<_> = all.iter().map(|a| a.id).collect();
            assert_eq!(ids.len(), all.len());
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(fault.to_string().contains("inventory.toml:"));
            }
        }
    }
});
