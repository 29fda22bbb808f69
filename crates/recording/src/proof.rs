//! In: a head and its signature, or a comment line of a file.
//! Out: the lines `# head`, `# proof`, `# end` and `# died`, rendered and parsed.
//! Never: two spellings of one proof. A line is accepted only if rendering it again gives the same bytes.

use base64_simd::STANDARD;
use serde::{Deserialize, Serialize};

use crate::{chain::Head, escape::json, key::Signature};

/// A mark up to which the bytes are hashed for a proof that follows somewhere below.
pub(crate) const HEAD: &str = "# head ";
/// A signed head.
pub(crate) const PROOF: &str = "# proof ";
/// The recording is complete; only the final proof follows.
pub(crate) const END: &str = "# end ";
/// The recorder gave up; nothing follows.
pub(crate) const DIED: &str = "# died ";

/// One signed head, as in a `# proof` line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proof {
    pub(crate) n: u64,
    pub(crate) offset: u64,
    pub(crate) blake3: String,
    pub(crate) key: String,
    pub(crate) sig: String,
    #[serde(rename = "final", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) last: bool,
}

impl Proof {
    /// The proof of `head` under the key with this fingerprint.
    pub(crate) fn new(head: &Head, key: &str, signature: &Signature, last: bool) -> Self {
        Self {
            n: head.number,
            offset: head.offset(),
            blake3: head.hash_hex(),
            key: key.to_owned(),
            sig: STANDARD.encode_to_string(signature),
            last,
        }
    }

    /// Parses a whole line with its newline; `None` for every spelling but the writer's own.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let proof: Self = serde_json::from_slice(line.strip_prefix(PROOF.as_bytes())?).ok()?;
        (proof.line().as_bytes() == line).then_some(proof)
    }

    /// The line with its newline.
    pub(crate) fn line(&self) -> String {
        format!("{PROOF}{}\n", json(self))
    }

    /// The raw signature, if the base64 holds 64 bytes.
    pub(crate) fn signature(&self) -> Option<Signature> {
        STANDARD.decode_to_vec(&self.sig).ok()?.try_into().ok()
    }
}

/// How a recording ended, and what it holds; in the `# end` line, so that the final proof covers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// In plain words.
    pub reason: String,
    /// Bytes recorded of standard output.
    pub stdout: u64,
    /// Bytes recorded of standard error.
    pub stderr: u64,
    /// Bytes of input that passed, recorded or not.
    pub input: u64,
}

impl Ending {
    /// As a sealed recording tells it in clear.
    pub(crate) fn without_reason(&self) -> Self {
        Self {
            reason: "sealed".to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn line(&self) -> String {
        format!("{END}{}\n", json(self))
    }

    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.strip_prefix(END.as_bytes())?).ok()
    }
}

/// `# head 7` as a line.
pub(crate) fn head_line(number: u64) -> String {
    format!("{HEAD}{number}\n")
}

/// The number of a `# head` line in its only spelling.
pub(crate) fn parse_head(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line.strip_prefix(HEAD.as_bytes())?).ok()?;
    let number = text.strip_suffix('\n')?.parse().ok()?;
    (head_line(number).as_bytes() == line).then_some(number)
}

/// `# died "…"` as a line: why nothing follows.
pub(crate) fn died_line(reason: &str) -> String {
    format!("{DIED}{}\n", json(&reason))
}

/// The reason in a `# died` line.
pub(crate) fn parse_died(line: &[u8]) -> Option<String> {
    serde_json::from_slice(line.strip_prefix(DIED.as_bytes())?).ok()
}
