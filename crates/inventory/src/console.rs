//! In: the console of an amphora's server, as Nova gives it: text that a guest's root, and tenants through logs, may write to.
//! Out: the host keys that cloud-init printed there at the first boot, or by name why there are none to believe.
//! Never: guesses between two: keys that contradict each other are no keys; and never "none" where keys contradict.

use std::collections::BTreeMap;

use ampgate_access::{AmphoraId, HOST_KEY_TYPES, HostKey};

// Whole lines: what a log puts in front of a tenant's text keeps it from being one.
const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
const END: &str = "-----END SSH HOST KEY KEYS-----";

/// What a console says of its machine's host keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Console {
    /// These, in every whole block, and nothing contradicts them. One of each type at most.
    Keys(Vec<HostKey>),
    /// It speaks of keys, but not so that it can be believed. Nobody may go on as if it had said nothing.
    Doubtful(Doubt),
    /// It says nothing.
    Silent(Silence),
}

/// Why a console cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Two blocks, or the remains of one and a whole one.
    #[error(
        "two blocks of host keys on its console differ: somebody may have printed one of them, or the server got new host keys"
    )]
    Differ,
    /// cloud-init prints one key of each type.
    #[error(
        "a block of host keys on its console has two keys of one type: somebody may have printed one of them"
    )]
    TwoOfOneType,
    /// Nova showed another machine's, or somebody printed them.
    #[error("the host keys on its console are those of another machine, by the name beside them")]
    AnotherHost,
}

/// Why a console says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// No Nova is configured, or this program does not ask.
    #[error("Nova is not asked: there is no [inventory.octavia], or it was added since the start")]
    NotAsked,
    /// The amphora has no `compute_id`.
    #[error("no inventory names its server in Nova (compute_id)")]
    NoServer,
    /// 404.
    #[error("Nova has no such server, or shows it to nobody in the gateway's project")]
    Missing,
    /// 409.
    #[error("Nova has no console of it yet: the server is not ready")]
    NotReady,
    /// 501.
    #[error("Nova's hypervisor keeps no console output")]
    NotKept,
    /// Nova cannot be asked; the sentence says why.
    #[error("{0}")]
    Failed(String),
    /// Nothing was ever printed, or nothing is kept.
    #[error("its console is empty: it has not booted yet, or its image has no serial console")]
    Empty,
    /// cloud-init's block has been pushed out by what came later, or was never there.
    #[error(
        "there is no block of host keys on its console: too much was printed since it booted, or cloud-init prints none"
    )]
    NoBlock,
    /// The begin is gone (Nova keeps the last 100 KiB), or the end has not come yet.
    #[error("the block of host keys on its console is cut")]
    Cut,
    /// A line of the block cannot be read.
    #[error("the block of host keys on its console is damaged")]
    Damaged,
}

impl Doubt {
    /// The word in the journal.
    pub fn code(self) -> &'static str {
        match self {
            Self::Differ => "console-blocks-differ",
            Self::TwoOfOneType => "console-two-of-one-type",
            Self::AnotherHost => "console-of-another-host",
        }
    }
}

/// Reads a console. Linear in its length.
pub fn read(text: &str, amphora: &AmphoraId) -> Console {
    let blocks = blocks(text, amphora);
    if blocks.whole.iter().chain(&blocks.cut).any(|b| b.foreign) {
        return Console::Doubtful(Doubt::AnotherHost);
    }
    if let Err(doubt) = agree(&blocks) {
        return Console::Doubtful(doubt);
    }
    // Those that are whole agree, so one is as good as another.
    if let Some(mut block) = blocks.whole.into_iter().find(Block::is_good) {
        block.keys.sort();
        block.keys.dedup();
        return Console::Keys(block.keys);
    }
    Console::Silent(match (text.trim().is_empty(), blocks.seen) {
        (true, _) => Silence::Empty,
        (false, Seen::Nothing) => Silence::NoBlock,
        (false, Seen::Part) => Silence::Cut,
        (false, Seen::Whole) => Silence::Damaged,
    })
}

/// One block, or what is left of one.
#[derive(Default)]
struct Block {
    keys: Vec<HostKey>,
    damaged: bool,
    foreign: bool,
}

impl Block {
    fn is_good(&self) -> bool {
        !self.damaged && !self.keys.is_empty()
    }
}

enum Seen {
    Nothing,
    Part,
    Whole,
}

struct Blocks {
    whole: Vec<Block>,
    cut: Vec<Block>,
    seen: Seen,
}

fn blocks(text: &str, amphora: &AmphoraId) -> Blocks {
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    // Before the first marker may stand the end of a block whose begin is gone.
    let (mut block, mut begun, mut ended) = (Block::default(), false, false);
    for line in text.lines().map(str::trim_end) {
        match line {
            BEGIN => {
                let before = std::mem::take(&mut block);
                if begun {
                    cut.push(before);
                }
                begun = true;
            }
            END => {
                let before = std::mem::take(&mut block);
                match begun {
                    true => whole.push(before),
                    false => cut.push(before),
                }
                (begun, ended) = (false, true);
            }
            line => block.line(line, begun, amphora),
        }
    }
    if begun {
        cut.push(block);
    }
    let seen = match (whole.is_empty(), begun || ended) {
        (false, _) => Seen::Whole,
        (true, true) => Seen::Part,
        (true, false) => Seen::Nothing,
    };
    Blocks { whole, cut, seen }
}

impl Block {
    fn line(&mut self, line: &str, begun: bool, amphora: &AmphoraId) {
        let mut words = line.split_ascii_whitespace();
        let kind = words.next().unwrap_or_default();
        let key = match (HOST_KEY_TYPES.contains(&kind), words.nth(1), words.next()) {
            (true, name, None) => HostKey::parse(line).ok().map(|key| (key, name)),
            _ => None,
        };
        match key {
            Some((key, name)) => {
                self.foreign |= begun && name.is_some_and(|name| !names(name, amphora));
                self.keys.push(key);
            }
            // The kernel writes between the lines, which is no harm; into one, and that line is lost. DSA is not used.
            None if kind != "ssh-dss" => self.damaged |= looks_like_a_key(line),
            None => {}
        }
    }
}

fn looks_like_a_key(line: &str) -> bool {
    HOST_KEY_TYPES.iter().any(|kind| line.contains(kind))
}

/// Whether the comment `root@HOST` may be this amphora's. With `[nova] random_amphora_name_length` hosts are called anything.
fn names(comment: &str, amphora: &AmphoraId) -> bool {
    let host = comment.rsplit('@').next().unwrap_or_default();
    let host = host.split('.').next().unwrap_or_default();
    match host.to_ascii_lowercase().strip_prefix("amphora-") {
        Some(id) => AmphoraId::parse(id).is_ok_and(|id| id == *amphora),
        None => true,
    }
}

/// Whole blocks say the same; what is left of others says nothing else.
fn agree(blocks: &Blocks) -> Result<(), Doubt> {
    let mut known: Option<BTreeMap<&str, &HostKey>> = None;
    for block in blocks.whole.iter().filter(|block| block.is_good()) {
        let mut of_block = BTreeMap::new();
        for key in &block.keys {
            if of_block.insert(key.kind(), key).is_some_and(|k| k != key) {
                return Err(Doubt::TwoOfOneType);
            }
        }
        match &known {
            Some(known) if *known != of_block => return Err(Doubt::Differ),
            _ => known = Some(of_block),
        }
    }
    let mut known = known.unwrap_or_default();
    let remains = blocks.cut.iter().chain(&blocks.whole);
    for key in remains.flat_map(|block| &block.keys) {
        if *known.entry(key.kind()).or_insert(key) != key {
            return Err(Doubt::Differ);
        }
    }
    Ok(())
}
