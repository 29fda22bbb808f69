//! In: what `ip -o addr show` printed on an amphora; any bytes.
//! Out: the addresses on its interfaces.
//! Never: a comparison of texts: 10.10.10.5 is not the beginning of 10.10.10.50.

use std::net::IpAddr;

/// The addresses in the output of `ip -o addr show`. A line of another form (root's profile may greet) has none.
///
/// ```text
/// 2: eth1    inet 10.10.10.50/24 scope global secondary eth1:0\       valid_lft forever preferred_lft forever
/// ```
pub fn addresses_of(output: &[u8]) -> Vec<IpAddr> {
    let lines = output.split(|byte| *byte == b'\n');
    lines.filter_map(address_of).collect()
}

fn address_of(line: &[u8]) -> Option<IpAddr> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next()?.strip_suffix(':')?.parse::<u32>().ok()?;
    let _interface = words.next()?;
    if !matches!(words.next()?, "inet" | "inet6") {
        return None;
    }
    let address = words.next()?;
    let address = address.split_once('/').map_or(address, |(ip, _)| ip);
    address.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const REAL: &[u8] = b"Welcome, inet 10.10.10.7/24 is no address\n\
        1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n\
        1: lo    inet6 ::1/128 scope host proto kernel_lo \\       valid_lft forever preferred_lft forever\n\
        3: eth1    inet 10.10.10.5/24 scope global eth1\\       valid_lft forever preferred_lft forever\n\
        3: eth1    inet 10.10.10.50/24 scope global secondary eth1:0\\       valid_lft forever preferred_lft forever\n\
        4: tun0    inet 10.0.0.1 peer 10.0.0.2/32 scope global tun0\\       valid_lft forever preferred_lft forever\n\
        3: eth1    inet6 fd00::50/64 scope global nodad \\       valid_lft forever preferred_lft forever\n";

    fn texts(output: &[u8]) -> Vec<String> {
        addresses_of(output)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_address_is_read_whole_and_nothing_else_is_one() {
        let expected = [
            "127.0.0.1",
            "::1",
            "10.10.10.5",
            "10.10.10.50",
            "10.0.0.1",
            "fd00::50",
        ];
        assert_eq!(texts(REAL), expected);
        for nothing in [
            &b""[..],
            b"eth1 inet 10.0.0.1/24",
            b"3: eth1 link/ether 10.0.0.1/24",
            b"3: eth1 inet 10.0.0.1.2/24",
            b"x: eth1 inet 10.0.0.1/24",
            b"3: eth1 inet \xff10.0.0.1/24",
        ] {
            assert!(addresses_of(nothing).is_empty(), "{nothing:?}");
        }
    }
}
