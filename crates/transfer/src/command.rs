//! In: the command of an exec. Out: the scp of old that it is, if it is exactly that.
//! Never: a command in which a shell could see anything else.

/// Which way the files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `-t`: from the operator.
    ToAmphora,
    /// `-f`: to the operator.
    FromAmphora,
}

/// `scp [-v] [-r] [-p] [-d] -t|-f [--] PATH`, as OpenSSH's client sends it for `scp -O`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which way.
    pub direction: Direction,
    /// Whole trees.
    pub recursive: bool,
    /// The path, without a character that means something to a shell.
    pub path: String,
}

impl Command {
    /// Reads a command. None: it is an ordinary one.
    pub fn parse(command: &[u8]) -> Option<Self> {
        let command = std::str::from_utf8(command).ok()?;
        let mut words = command.split(' ');
        if words.next() != Some("scp") {
            return None;
        }
        let (mut direction, mut recursive) = (None, false);
        let mut word = words.next()?;
        loop {
            match word {
                "-v" | "-p" | "-d" => {}
                "-r" => recursive = true,
                "-t" if direction.is_none() => direction = Some(Direction::ToAmphora),
                "-f" if direction.is_none() => direction = Some(Direction::FromAmphora),
                "--" => {
                    word = words.next()?;
                    break;
                }
                path if path.starts_with('-') => return None,
                _ => break,
            }
            word = words.next()?;
        }
        let good = is_plain(word) && words.next().is_none();
        good.then_some(Self {
            direction: direction?,
            recursive,
            path: word.to_owned(),
        })
    }
}

/// Whether a path is one, and means the same to every shell.
pub(crate) fn is_plain(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    !path.is_empty() && path.chars().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_openssh_sends_and_nothing_else() {
        for (command, direction, recursive, path) in [
            ("scp -t /tmp/x", Direction::ToAmphora, false, "/tmp/x"),
            ("scp -f /tmp/x", Direction::FromAmphora, false, "/tmp/x"),
            ("scp -v -r -p -d -t .", Direction::ToAmphora, true, "."),
            ("scp -r -f -- -odd", Direction::FromAmphora, true, "-odd"),
        ] {
            let read = Command::parse(command.as_bytes()).unwrap();
            assert_eq!(
                (read.direction, read.recursive, read.path.as_str()),
                (direction, recursive, path),
                "{command}"
            );
        }
        for command in [
            "scp",
            "scp -t",
            "scp -t ",
            "scp /tmp/x",
            "scp -t a b",
            "scp -t  a",
            "scp -t a ",
            " scp -t a",
            "scp -t a;id",
            "scp -t a\nid",
            "scp -t `id`",
            "scp -t $(id)",
            "scp -t $HOME",
            "scp -t ~/a",
            "scp -t a*",
            "scp -t a?",
            "scp -t [a]",
            "scp -t {a,b}",
            "scp -t 'a'",
            "scp -t \"a\"",
            "scp -t a\\b",
            "scp -t a|b",
            "scp -t a>b",
            "scp -t a&",
            "scp -t a#b!",
            "scp -t a^b",
            "scp -t -f a",
            "scp -S x -t a",
            "scp -t \u{e4}",
            "/usr/bin/scp -t a",
            "scp\t-t a",
            "SCP -t a",
            "X=1 scp -t a",
        ] {
            assert_eq!(Command::parse(command.as_bytes()), None, "{command:?}");
        }
    }
}
