//! In: a verifier's verdict.
//! Out: a sentence for the auditor and the exit status, one for each kind.
//! Never: status 0 for anything but a recording that is whole and sealed by a key which counts.

use ampgate_recording::{Unsealed, Verdict};

use crate::text::safe;

/// What was found; the order is that of gravity, so the worst of many is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Whole, sealed, by a trusted key.
    Intact = 0,
    /// Not here, and the journal says that the archive has it.
    Archived = 1,
    /// Not intact, and accepted by somebody exactly as it is.
    Known = 2,
    /// A recorder has it open; what is there fits.
    Open = 10,
    /// Whole, but sealed by a key that only the file itself names.
    NoKey = 11,
    /// It has no final proof.
    Unsealed = 12,
    /// Not a recording of ours.
    NoRecording = 13,
    /// It could not be read.
    Unreadable = 14,
    /// In the store, not in the journal.
    Unknown = 15,
    /// In the journal, not in the store.
    Missing = 16,
    /// Cut.
    Truncated = 17,
    /// Sealed by another key.
    ForeignKey = 18,
    /// A signature that does not fit.
    BadSignature = 19,
    /// Another session's recording.
    Misfiled = 20,
    /// Changed.
    Altered = 21,
    /// The journal was changed.
    Journal = 22,
}

/// Exit status and its word, for `--help` and docs/AUDITOR.md, which a test compares.
pub const TABLE: &[(Status, &str, &str)] = &[
    (Status::Intact, "intact", "every byte is as it was sealed"),
    (
        Status::Archived,
        "archived",
        "not in the store: the journal says that the archive had it, or that it was deleted by order",
    ),
    (
        Status::Known,
        "known",
        "not intact, and byte for byte what --known says was looked at and accepted",
    ),
    (
        Status::Open,
        "open",
        "its session is running; what is proven so far fits",
    ),
    (
        Status::NoKey,
        "no trusted key",
        "whole, but checked only against the key that the file names itself",
    ),
    (
        Status::Unsealed,
        "unsealed",
        "no final proof: the gateway or its signer died (or a torn last line of the journal)",
    ),
    (
        Status::NoRecording,
        "not a recording",
        "no recording of ampgate, or none found",
    ),
    (
        Status::Unreadable,
        "unreadable",
        "the file could not be read",
    ),
    (
        Status::Unknown,
        "unknown",
        "in the store, but the journal never heard of it",
    ),
    (
        Status::Missing,
        "missing",
        "in the journal, but not in the store",
    ),
    (Status::Truncated, "truncated", "its end was cut off"),
    (
        Status::ForeignKey,
        "foreign key",
        "sealed by another key than the trusted one",
    ),
    (
        Status::BadSignature,
        "bad signature",
        "names the trusted key, which did not sign it",
    ),
    (
        Status::Misfiled,
        "misfiled",
        "the recording of another session than its name or the journal says",
    ),
    (
        Status::Altered,
        "altered",
        "bytes were changed, removed or added",
    ),
    (
        Status::Journal,
        "journal altered",
        "journal lines were changed, removed, added or moved",
    ),
];

impl Status {
    /// Its word.
    pub fn word(self) -> &'static str {
        TABLE
            .iter()
            .find(|(status, ..)| *status == self)
            .map_or("", |(_, word, _)| word)
    }

    /// As an exit status.
    pub fn code(self) -> u8 {
        match self {
            // Nothing is wrong with it as far as can be seen here.
            Self::Archived | Self::Known => 0,
            _ => self as u8,
        }
    }
}

/// The status and a sentence. `any_key`: the key that the file names itself is good enough.
pub fn judge(verdict: &Verdict, any_key: bool) -> (Status, String) {
    match verdict {
        Verdict::Intact {
            size,
            proofs,
            key,
            trusted,
            ending,
            ..
        } => {
            let facts = format!(
                "{size} bytes, {proofs} proofs, key {}; it ended because: {}",
                safe(key),
                safe(&ending.reason)
            );
            match (*trusted, any_key) {
                (true, _) => (Status::Intact, format!("intact ({facts})")),
                (false, true) => (
                    Status::Intact,
                    format!("intact by its own key, whoever that is ({facts})"),
                ),
                (false, false) => (
                    Status::NoKey,
                    format!(
                        "no trusted key: whole, but the signature was checked only against the key that the file names itself ({facts}). Give the gateway's keys/sealing.pub with --key, or accept any with --any-key"
                    ),
                ),
            }
        }
        Verdict::TruncatedAt { offset, proven } => (
            Status::Truncated,
            format!("truncated at byte {offset}; the first {proven} bytes are proven"),
        ),
        Verdict::AlteredAt {
            after,
            before,
            what,
        } => (
            Status::Altered,
            format!(
                "altered at bytes {after} to {before}: {}; the first {after} bytes are proven",
                safe(what)
            ),
        ),
        Verdict::Unsealed {
            reason,
            proven,
            unproven,
        } => unsealed(reason, *proven, *unproven),
        Verdict::ForeignKey {
            found,
            expected,
            at,
        } => (
            Status::ForeignKey,
            format!(
                "foreign key: the proof at byte {at} is by {}, expected was {}. If the gateway's key was changed, give both with --key",
                safe(found),
                safe(expected)
            ),
        ),
        Verdict::BadSignature { at, proven } => (
            Status::BadSignature,
            format!(
                "bad signature: the proof at byte {at} was not signed by the key that it names; the first {proven} bytes are proven"
            ),
        ),
        Verdict::Misfiled { name, session } => (
            Status::Misfiled,
            format!(
                "misfiled: under the name of session {} is the recording of session {}",
                safe(name),
                safe(session)
            ),
        ),
        Verdict::NotARecording { fault } => (
            Status::NoRecording,
            format!("not a recording: {}", safe(&fault.to_string())),
        ),
    }
}

fn unsealed(reason: &Unsealed, proven: u64, unproven: u64) -> (Status, String) {
    let why = match reason {
        Unsealed::StillOpen => {
            return (Status::Open, format!("open: its session is running; {proven} bytes are proven, {unproven} not yet"));
        }
        Unsealed::RecorderDied(why) => format!("the recorder gave up: {}", safe(why)),
        Unsealed::NeverSealed => "it ended, but the final proof was never written (the signer was away) or was cut off".to_owned(),
        Unsealed::Crashed => "it just ends: the gateway or its host died, or it was cut at a line's end, which only the journal can tell (--journal)".to_owned(),
    };
    (
        Status::Unsealed,
        format!("unsealed: {why}; {proven} bytes are proven, {unproven} are readable but unproven"),
    )
}

/// The table as text.
pub fn help() -> String {
    let mut text = String::from("Exit status (of many files the greatest, which is the worst):\n");
    for (status, word, meaning) in TABLE {
        text.push_str(&format!("  {:>2}  {word}: {meaning}\n", status.code()));
    }
    text.push_str("   1  it could not be done, 2  wrong usage\n");
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_status_is_in_the_auditors_page() {
        let page = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/AUDITOR.md"
        ))
        .unwrap();
        for (status, word, meaning) in TABLE {
            let line = format!("| {} | {word} | {meaning} |", status.code());
            assert!(page.contains(&line), "docs/AUDITOR.md lacks {line:?}");
        }
        assert!(TABLE.is_sorted_by_key(|(status, ..)| status.code()));
    }
}
