//! In: paths in every spelling. Out: what their letters say.
//! Never: a `.`, a `..` or a second slash.
#![allow(clippy::unwrap_used, missing_docs)]

use ampgate_transfer::{absolute, last_of};
use proptest::prelude::*;

#[test]
fn letters() {
    for (base, path, expected) in [
        ("/home/u", "x", "/home/u/x"),
        ("/home/u", "/x", "/x"),
        ("/home/u", "", "/home/u"),
        ("/home/u", "../../..", "/"),
        ("/", "a/./b//c/../d/", "/a/b/d"),
        ("/x", "/../../etc", "/etc"),
    ] {
        let made = absolute(base.as_bytes(), path.as_bytes());
        assert_eq!(String::from_utf8_lossy(&made), expected, "{base} {path}");
    }
    for (path, expected) in [
        ("/a/b", Some(("/a", "b"))),
        ("/a", Some(("/", "a"))),
        ("a", Some((".", "a"))),
        ("a//b//", Some(("a", "b//"))),
        ("/a/..", None),
        ("/a/.", None),
        ("..", None),
        ("/", None),
        ("", None),
    ] {
        let last = last_of(path.as_bytes());
        let found = last.map(|l| {
            (
                String::from_utf8(l.parent).unwrap(),
                String::from_utf8(l.name).unwrap(),
            )
        });
        let expected = expected.map(|(p, n)| (p.to_owned(), n.to_owned()));
        assert_eq!(found, expected, "{path}");
    }
}

proptest! {
    #[test]
    fn no_way_up_is_left(path in "[a./]{0,40}") {
        let made = String::from_utf8(absolute(b"/base", path.as_bytes())).unwrap();
        prop_assert!(made.starts_with('/'));
        prop_assert!(!made.contains("//"));
        prop_assert!(made.split('/').all(|part| part != "." && part != ".."));
        prop_assert_eq!(absolute(b"/", made.as_bytes()), made.as_bytes());
    }
}
