//! In: any text as ampgate.toml. Out: a configuration that prints itself and reads back to the same, or faults.
//! Never: a panic; a fault without a place; a printed configuration that means something else.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

// The gateway is a program, not a library: its file is compiled here as it is (fuzz_targets/config* are links to it).
#[allow(dead_code, unreachable_pub, unused_imports)]
mod config;

fuzz_target!(|text: &str| {
    let file = Path::new("/etc/ampgate/ampgate.toml");
    match config::Config::parse(file, text) {
        Ok(config) => {
            let printed = config.to_toml();
            let again = config::Config::parse(file, &printed).unwrap_or_else(|f| panic!("{printed}\n{}", f[0]));
            assert_eq!(again, config, "{printed}");
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(fault.to_string().contains("ampgate.toml:"));
            }
        }
    }
});
