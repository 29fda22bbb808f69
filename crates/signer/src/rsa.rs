//! In: an RSA key as OpenSSH writes it: without the two exponents that signing by the Chinese remainder theorem needs.
//! Out: a key pair of `ring`, whose RSA runs in constant time (the `rsa` crate's does not: RUSTSEC-2023-0071).
//! Never: leaves an exponent behind in memory that it freed.

use ring::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use ssh_key::private::RsaKeypair;
use zeroize::Zeroizing;

/// The key pair, or why not.
pub(crate) fn key_pair(key: &RsaKeypair) -> Result<KeyPair, String> {
    let number = |number: &'_ ssh_key::Mpint| {
        number
            .as_positive_bytes()
            .map(<[u8]>::to_vec)
            .map(Zeroizing::new)
    };
    let read = || -> Option<KeyPairComponents<Vec<u8>, Zeroizing<Vec<u8>>>> {
        let (public, private) = (key.public(), key.private());
        let (d, p, q) = (
            number(private.d())?,
            number(private.p())?,
            number(private.q())?,
        );
        Some(KeyPairComponents {
            public_key: PublicKeyComponents {
                n: number(public.n())?.to_vec(),
                e: number(public.e())?.to_vec(),
            },
            dP: remainder(&d, &minus_one(&p)),
            dQ: remainder(&d, &minus_one(&q)),
            qInv: number(private.iqmp())?,
            d,
            p,
            q,
        })
    };
    let components = read().ok_or("the RSA key has a number that is not positive")?;
    KeyPair::from_components(&components).map_err(|fault| {
        format!(
            "this RSA key cannot be used ({fault}): 2048 to 4096 bits with a public exponent of 65537 are. \
             Put an ed25519 key (ssh-keygen -t ed25519) into new amphorae; this one needs another agent"
        )
    })
}

/// An odd number minus one: a prime, so nothing is borrowed.
fn minus_one(odd: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut even = Zeroizing::new(odd.to_vec());
    if let Some(last) = even.last_mut() {
        *last &= 0xfe;
    }
    even
}

/// `number mod divisor`, big-endian, by shifting and subtracting. Only done when a key is read.
fn remainder(number: &[u8], divisor: &[u8]) -> Zeroizing<Vec<u8>> {
    // One byte more than the divisor, so that a shifted remainder always fits.
    let divisor = Zeroizing::new([&[0], divisor].concat());
    let mut rest = Zeroizing::new(vec![0u8; divisor.len()]);
    for bit in number
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        let mut carry = bit;
        for byte in rest.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        if rest.as_slice() >= divisor.as_slice() {
            subtract(&mut rest, &divisor);
        }
    }
    let leading = rest.iter().take_while(|byte| **byte == 0).count();
    Zeroizing::new(rest.get(leading..).unwrap_or_default().to_vec())
}

fn subtract(from: &mut [u8], what: &[u8]) {
    let mut borrow = false;
    for (byte, less) in from.iter_mut().rev().zip(what.iter().rev()) {
        let (once, first) = byte.overflowing_sub(*less);
        let (twice, second) = once.overflowing_sub(u8::from(borrow));
        (*byte, borrow) = (twice, first || second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn remainder_is_that_of_the_machine(number: u128, divisor in 1u128..) {
            let bytes = remainder(&number.to_be_bytes(), &divisor.to_be_bytes());
            let value = bytes.iter().fold(0u128, |value, byte| value << 8 | u128::from(*byte));
            prop_assert_eq!(value, number % divisor);
        }
    }
}
