//! In: the command of an exec. Out: the rsync that it is, if it is exactly what an rsync client sends.
//! Never: a command in which a shell could see anything else; an option that changes the bytes in a way not read here.

use crate::command::{Direction, is_plain};

/// `rsync --server [--sender] -FLAGS.eCAPABILITIES [OPTIONS] . PATH`, of rsync 3.0 and newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsyncCommand {
    /// Which way the files go.
    pub direction: Direction,
    /// The path, without a character that means something to a shell.
    pub path: String,
    /// Files that the operator does not have are removed.
    pub deletes: bool,
    pub(crate) options: Options,
}

/// What of the options decides how the bytes are to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Nothing is transferred.
    pub(crate) dry_run: bool,
    pub(crate) links: bool,
    pub(crate) owner: bool,
    pub(crate) group: bool,
    pub(crate) devices: bool,
    pub(crate) hard_links: bool,
    /// The list of files carries checksums.
    pub(crate) checksums: bool,
    pub(crate) numeric_ids: bool,
    /// Who receives needs the filter rules.
    pub(crate) filters: bool,
}

/// Long options that change nothing in how the bytes are read, and name no other path.
const HARMLESS: &[&str] = &[
    "--copy-unsafe-links",
    "--existing",
    "--force",
    "--fsync",
    "--ignore-errors",
    "--ignore-existing",
    "--ignore-missing-args",
    "--inplace",
    "--list-only",
    "--log-format=%i",
    "--log-format=%i%I",
    "--log-format=%o",
    "--log-format=X",
    "--mkpath",
    "--msgs2stderr",
    "--no-W",
    "--no-msgs2stderr",
    "--no-r",
    "--partial",
    "--preallocate",
    "--safe-links",
    "--size-only",
    "--stats",
    "--super",
    "--use-qsort",
];

/// Long options by which files are removed that the operator does not have.
const DELETING: &[&str] = &[
    "--delete",
    "--delete-after",
    "--delete-before",
    "--delete-delay",
    "--delete-during",
    "--delete-excluded",
];

/// The same with a number.
const NUMBERED: &[&str] = &["--bwlimit=", "--max-delete=", "--timeout=", "-B"];

impl RsyncCommand {
    /// Reads a command. None: it is an ordinary one.
    pub fn parse(command: &[u8]) -> Option<Self> {
        let command = std::str::from_utf8(command).ok()?;
        let mut words = command.split(' ').peekable();
        if (words.next(), words.next()) != (Some("rsync"), Some("--server")) {
            return None;
        }
        let sender = words.next_if_eq(&"--sender").is_some();
        let direction = match sender {
            true => Direction::FromAmphora,
            false => Direction::ToAmphora,
        };
        let mut options = Options::default();
        short(words.next()?, &mut options)?;
        let mut deletes = false;
        for word in words.by_ref() {
            match word {
                "." => break,
                "--numeric-ids" => options.numeric_ids = true,
                _ if DELETING.contains(&word) => deletes = true,
                _ if HARMLESS.contains(&word) || is_numbered(word) || is_info(word) => {}
                _ => return None,
            }
        }
        // Only who sends does not know what the other side is to keep.
        options.filters |= deletes;
        let path = words.next()?;
        let good = is_plain(path) && !path.starts_with('-') && words.next().is_none();
        good.then(|| Self {
            direction,
            path: path.to_owned(),
            deletes,
            options,
        })
    }

    /// Where the file lies that the sending side calls so. None where nobody can know: the path of the command is relative.
    pub fn place(&self, name: &[u8]) -> Option<Vec<u8>> {
        let path = self.path.as_str();
        if !path.starts_with('/') {
            return None;
        }
        // What is fetched is called by its last part, unless the path ends with a slash; what is sent lies below.
        let is_whole = path.ends_with('/') || path.ends_with("/.");
        let root = match self.direction {
            Direction::FromAmphora if !is_whole => path.rsplit_once('/').map_or("/", |cut| cut.0),
            _ => path,
        };
        let mut place = root.as_bytes().to_vec();
        place.push(b'/');
        place.extend_from_slice(name);
        Some(crate::path::absolute(b"/", &place))
    }
}

/// `-logDtpre.iLsfxCIvu`: flags, then what the client can do.
fn short(word: &str, options: &mut Options) -> Option<()> {
    let letters = word.strip_prefix('-')?;
    let (flags, able) = letters.split_once('e').unwrap_or((letters, ""));
    let known = |c: char| c.is_ascii_alphanumeric() || c == '.';
    if letters.is_empty() || !able.chars().all(known) {
        return None;
    }
    for flag in flags.chars() {
        match flag {
            'n' => options.dry_run = true,
            'l' => options.links = true,
            'o' => options.owner = true,
            'g' => options.group = true,
            'D' => options.devices = true,
            'H' => options.hard_links = true,
            'c' => options.checksums = true,
            'm' => options.filters = true,
            'v' | 'q' | 'b' | 'u' | 'd' | 'K' | 'O' | 'J' | 'L' | 'k' | 'W' | 't' | 'p' | 'E'
            | 'r' | 'C' | 'I' | 'x' | 'S' => {}
            _ => return None,
        }
    }
    Some(())
}

fn is_numbered(word: &str) -> bool {
    let rest = NUMBERED.iter().find_map(|name| word.strip_prefix(name));
    rest.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn is_info(word: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b',';
    word.strip_prefix("--info=")
        .is_some_and(|words| words.bytes().all(known))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_rsync_sends_and_nothing_else() {
        for (command, direction, path, deletes) in [
            (
                "rsync --server -logDtpre.iLsfxCIvu . /tmp/x",
                Direction::ToAmphora,
                "/tmp/x",
                false,
            ),
            (
                "rsync --server --sender -vvnlogDtpr . /tmp/",
                Direction::FromAmphora,
                "/tmp/",
                false,
            ),
            (
                "rsync --server -vlogDtpre.iLsfxCIvu --log-format=%i --delete-during --timeout=30 --partial . x",
                Direction::ToAmphora,
                "x",
                true,
            ),
        ] {
            let read = RsyncCommand::parse(command.as_bytes()).unwrap();
            assert_eq!(
                (read.direction, read.path.as_str(), read.deletes),
                (direction, path, deletes),
                "{command}"
            );
        }
        for command in [
            "rsync",
            "rsync --daemon",
            "rsync --server . /tmp/x",
            "rsync --server -r /tmp/x",
            "rsync --server -r .",
            "rsync --server -r . ",
            "rsync --server -r . a b",
            "rsync --server -r . a;id",
            "rsync --server -r . $(id)",
            "rsync --server -r . ~/a",
            "rsync --server -r . a*",
            "rsync --server -r . -a",
            "rsync --server -re.$(id) . a",
            "rsync --server -z . a",
            "rsync --server -A . a",
            "rsync --server -X . a",
            "rsync --server -R . a",
            "rsync --server -s",
            "rsync --server -y . a",
            "rsync --server -r --timeout= . a",
            "rsync --server -r --timeout=1;id . a",
            "rsync --server -r --info=$HOME . a",
            "rsync --server -r --iconv=utf8 . a",
            "rsync --server -r --append . a",
            "rsync --server -r --compress-choice=zstd . a",
            "rsync --server -r --checksum-choice=md5 . a",
            "rsync --server -r --link-dest /etc . a",
            "rsync --server -r --partial-dir .x . a",
            "rsync --server -r --remove-source-files . a",
            "rsync --server -r --files-from=- . a",
            "rsync --server -r  . a",
            "rsync --sender --server -r . a",
            "/usr/bin/rsync --server -r . a",
            "rsync\t--server -r . a",
        ] {
            assert_eq!(RsyncCommand::parse(command.as_bytes()), None, "{command:?}");
        }
    }

    #[test]
    fn where_a_name_lies() {
        let place = |command: &str, name: &str| {
            let place = RsyncCommand::parse(command.as_bytes()).unwrap();
            let place = place.place(name.as_bytes());
            place.map(|path| String::from_utf8(path).unwrap())
        };
        for (command, name, there) in [
            ("--sender -r . /etc/ssl", "ssl/a", Some("/etc/ssl/a")),
            ("--sender -r . /etc/ssl/", "a", Some("/etc/ssl/a")),
            ("--sender -r . /etc/ssl/.", "a", Some("/etc/ssl/a")),
            ("--sender -r . /etc/ssl/", ".", Some("/etc/ssl")),
            ("--sender -r . /etc", "etc/a", Some("/etc/a")),
            ("-r . /tmp/x", "a/b", Some("/tmp/x/a/b")),
            ("-r . x", "a/b", None),
        ] {
            let command = format!("rsync --server {command}");
            assert_eq!(place(&command, name).as_deref(), there, "{command}");
        }
    }
}
