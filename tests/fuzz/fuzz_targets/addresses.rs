//! In: any bytes as what `ip -o addr show` printed. Out: addresses.
//! Never: a panic; an address that is not written in the line that it was read from.
#![no_main]

use std::net::IpAddr;

use ampgate_access::addresses_of;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|output: &[u8]| {
    let found = addresses_of(output);
    assert!(found.len() <= output.split(|byte| *byte == b'\n').count());
    let text = String::from_utf8_lossy(output);
    let mut words = text.split(|c: char| c.is_ascii_whitespace() || c == '/');
    for address in found {
        let read = |word: &str| word.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == address);
        assert!(words.any(read), "{address} is nowhere");
    }
});
