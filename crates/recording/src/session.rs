//! In: the text of a session id.
//! Out: whether it is a ULID, and the time inside it.
//! Never: any other text as (part of) a path.

/// Length of a session id in characters.
const LENGTH: usize = 26;

/// Whether `text` is a session id: a ULID in upper case (<https://github.com/ulid/spec>), which is safe in any path.
#[must_use]
pub fn is_session_id(text: &str) -> bool {
    // The first character carries only three bits of the 128.
    text.len() == LENGTH
        && text.bytes().all(|b| value(b).is_some())
        && text.as_bytes().first() <= Some(&b'7')
}

/// The time in a session id, in milliseconds since 1970 UTC; `None` if it is none.
#[must_use]
pub fn session_millis(id: &str) -> Option<u64> {
    if !is_session_id(id) {
        return None;
    }
    id.bytes()
        .take(10)
        .try_fold(0u64, |sum, b| Some(sum << 5 | u64::from(value(b)?)))
}

/// A digit of Crockford's base 32, upper case only: one id has one spelling, hence one path.
fn value(digit: u8) -> Option<u8> {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    DIGITS
        .iter()
        .position(|&d| d == digit)
        .and_then(|at| u8::try_from(at).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ulids_are_ids() {
        assert!(is_session_id("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
        for bad in [
            "",
            "../../../../../../etc/passw",
            "01ARZ3NDEKTSV4RRFFQ69G5FA",
            "01arz3ndektsv4rrffq69g5fav",
            "81ARZ3NDEKTSV4RRFFQ69G5FAV",
            "01ARZ3NDEKTSV4RRFFQ69G5FA/",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU",
            "01ARZ3NDEKTSV4RRFFQ69G5F\u{e9}",
        ] {
            assert!(!is_session_id(bad), "{bad}");
        }
    }

    #[test]
    fn time_is_read_from_the_id() {
        assert_eq!(
            session_millis("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            Some(1_469_922_850_259)
        );
        assert_eq!(session_millis("nonsense"), None);
    }
}
