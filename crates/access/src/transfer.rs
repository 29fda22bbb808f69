//! In: the bytes of a command.
//! Out: which tools of file transfer it may be the amphora's side of, rather one too many than one too few.
//! Never: a claim about a command that hides what it is. This keeps honest tools to a rule, and nobody else.

use std::fmt;
use std::str::FromStr;

use crate::names::NameError;

/// A tool that moves files by a command on the amphora.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transfer {
    /// The scp of old: `scp -t PATH`, `scp -f PATH`.
    Scp,
    /// `rsync --server …`
    Rsync,
}

impl Transfer {
    const ALL: [Self; 2] = [Self::Scp, Self::Rsync];

    /// The word in policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scp => "scp",
            Self::Rsync => "rsync",
        }
    }

    /// All whose name stands in the command as a word (or as the last part of a path), with an option somewhere behind it
    /// that such a tool gets as a server. Looser than what reads a transfer on its way: behind `sudo`, in another shell's
    /// quotes, with options that are not read, it is the same tool.
    pub fn in_command(command: &[u8]) -> Vec<Self> {
        // `sh -c 'rsync --server …'` needs quotes to end words, `"rsync" …` and `rsy''nc …` need them to be nothing.
        let bare: Vec<u8> = command.iter().copied().filter(|b| !quotes(*b)).collect();
        let ways = [command, &bare];
        let found = |tool: &Self| ways.iter().any(|command| tool.serves_in(command));
        Self::ALL.into_iter().filter(found).collect()
    }

    fn serves_in(self, command: &[u8]) -> bool {
        let mut words = command.split(|b| ends_a_word(*b)).skip_while(|word| {
            word.rsplit(|b| *b == b'/').next() != Some(self.as_str().as_bytes())
        });
        words.next().is_some() && words.any(|word| self.is_of_a_server(word))
    }

    fn is_of_a_server(self, word: &[u8]) -> bool {
        match self {
            Self::Rsync => word == b"--server",
            // As getopt reads it: `-pt` of libssh2 too, but not the argument in `-oHost=t`.
            Self::Scp => word.strip_prefix(b"-").is_some_and(|flags| {
                flags
                    .iter()
                    .take_while(|flag| !b"-cDFiJlMoPSX".contains(flag))
                    .any(|flag| b"tf".contains(flag))
            }),
        }
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Transfer {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|tool| tool.as_str() == text)
            .ok_or_else(|| NameError::new("a transfer is scp or rsync"))
    }
}

fn quotes(b: u8) -> bool {
    b"'\"\\".contains(&b)
}

/// Whatever can stand around a word in a shell. Commands are not told apart: what stands behind `;` may be the rest of it.
fn ends_a_word(b: u8) -> bool {
    b <= b' ' || quotes(b) || b";|&()<>`${}=".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(command: &str) -> String {
        let found = Transfer::in_command(command.as_bytes());
        found
            .iter()
            .map(|tool| tool.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn which_tools_a_command_may_be() {
        for (command, tools) in [
            ("scp -t /tmp/x", "scp"),
            ("scp -v -r -p -d -t .", "scp"),
            ("scp -r -f -- -odd", "scp"),
            ("scp -pt '/tmp/x'", "scp"),
            ("scp -f /tmp/old/f*", "scp"),
            ("scp -f ~/a $HOME/b", "scp"),
            ("/usr/bin/scp -t a", "scp"),
            ("scp\t-t a", "scp"),
            ("sudo -n scp -t a", "scp"),
            ("LANG=C scp -t a", "scp"),
            ("env LANG=C /opt/bin/scp -qrt a", "scp"),
            ("cd /tmp && scp -t .", "scp"),
            ("sh -c 'scp -t \"$1\"' x /tmp", "scp"),
            ("sh -c 'scp \"$@\"' x -t /tmp", "scp"),
            ("'scp' -t a", "scp"),
            ("s\"c\"p '-t' a", "scp"),
            ("\\scp -t a", "scp"),
            ("scp \\\n -t a", "scp"),
            ("busybox scp -t a", "scp"),
            ("$(which scp) -t a", "scp"),
            ("s=scp; $s -t a", "scp"),
            ("{ scp -t a; }", "scp"),
            ("rsync --server -logDtpre.iLsfxCIvu . /tmp/x", "rsync"),
            (
                "rsync --server --sender -vlogDtprze.iLsfxCIvu . /tmp/",
                "rsync",
            ),
            ("sudo rsync --server -s", "rsync"),
            (
                "sudo -u root /usr/local/bin/rsync --server --daemon .",
                "rsync",
            ),
            ("nice -n 19 ionice -c3 rsync --server -r . a b", "rsync"),
            ("bash -lc \"rsync --server -r . a\"", "rsync"),
            ("RSYNC=rsync;$RSYNC --server", "rsync"),
            ("rsync${IFS}--server . a", "rsync"),
            ("exec rsync --sender --server -R . a", "rsync"),
            ("rsync --server -r . a & scp -t b", "scp rsync"),
            ("scp -t b; rsync --server -r . a", "scp rsync"),
            // One too many rather than one too few.
            ("which scp; ls -t", "scp"),
            ("echo rsync --server", "rsync"),
            // Not the amphora's side: these reach out from there, or move nothing.
            ("", ""),
            ("id", ""),
            ("scp", ""),
            ("scp -rp a host:b", ""),
            ("scp -oStrictHostKeyChecking=no -i file -P 22 a host:", ""),
            ("rsync -a /a/ /b/", ""),
            ("rsync --daemon", ""),
            ("rpm -q rsync", ""),
            ("ls -t scp", ""),
            ("scp.sh -t a", ""),
            ("lscp -t a", ""),
            ("rsync/x --server", ""),
            ("rsyncd --server", ""),
            ("rsync --servers", ""),
            ("tar cf - scp --format=posix", ""),
            ("cat >file", ""),
            // A command that hides what it is stays hidden; POLICY.md says so.
            ("rsyn? --server . a", ""),
            ("eval $(echo cnysr | rev) --server . a", ""),
        ] {
            assert_eq!(found(command), tools, "{command:?}");
        }
        assert_eq!(Transfer::in_command(b"\xff\0scp\0-t\xfe"), [Transfer::Scp]);
    }

    #[test]
    fn a_word_is_one_of_two() {
        for tool in Transfer::ALL {
            assert_eq!(tool.to_string().parse(), Ok(tool));
        }
        assert!("sftp".parse::<Transfer>().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Whatever stands before a tool, between its name and its options, or behind hides nothing.
        #[test]
        fn more_around_it_hides_nothing(
            before in prop::collection::vec(any::<u8>(), 0..40),
            between in prop::collection::vec(any::<u8>(), 0..40),
            after in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            for (tool, name, option) in [
                (Transfer::Scp, &b" scp "[..], &b" -rt "[..]),
                (Transfer::Rsync, b" /usr/bin/rsync ", b" --server "),
            ] {
                let command = [&before[..], name, &between, option, &after].concat();
                prop_assert!(Transfer::in_command(&command).contains(&tool));
            }
        }
    }
}
