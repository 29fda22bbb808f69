//! In: what the gateway, the signer's keeper and the command line saw happen.
//! Out: one closed list of events, each with its fields; `docs/AUDIT-EVENTS.md` explains every one.
//! Never: a field for session bytes, for a secret, or for "other": a new fact is a new event.

use crate::text::Text;
use serde::{Deserialize, Serialize};

/// Who goes where: the same eleven facts in each event of a session, so that one line is enough for a SIEM rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct About {
    /// The connection's id, as in `connection.accepted`.
    pub connection: Text,
    /// The operator.
    pub user: Text,
    /// The operator's address, without port.
    pub source: Text,
    /// The name that was typed.
    pub target: Text,
    /// The amphora's uuid.
    pub amphora: Text,
    /// The load balancer's uuid.
    pub load_balancer: Text,
    /// The load balancer's name at that time.
    pub load_balancer_name: Text,
    /// The project's id.
    pub project: Text,
    /// `plain`, `root` or `netns`.
    pub landing: Text,
    /// `shell`, `exec` or `sftp`.
    pub action: Text,
    /// The command of an `exec`, shown with U+FFFD where it is no UTF-8; the recording's header has it exactly.
    pub command: Option<Text>,
}

/// Everything the journal can say. Field meanings are in `docs/AUDIT-EVENTS.md`, which a test compares with this list.
#[allow(
    missing_docs,
    reason = "each event and field is documented once, in docs/AUDIT-EVENTS.md, and a test compares the two"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event")]
#[expect(
    clippy::large_enum_variant,
    reason = "an event lives as long as it takes to write its line; boxing one kind would save nobody anything"
)]
pub enum Event {
    #[serde(rename = "gateway.started")]
    GatewayStarted {
        version: Text,
        gateway: Text,
        pid: u32,
        listen: Vec<Text>,
        config: Text,
    },
    #[serde(rename = "gateway.draining")]
    GatewayDraining {
        sessions: u64,
        deadline_seconds: u64,
    },
    #[serde(rename = "gateway.stopped")]
    GatewayStopped { reason: Text, sessions_cut: u64 },
    #[serde(rename = "config.reloaded")]
    ConfigReloaded {
        by: Text,
        files: Vec<Text>,
        config: Text,
        revoked: u64,
    },
    #[serde(rename = "config.refused")]
    ConfigRefused { by: Text, faults: Vec<Text> },

    #[serde(rename = "inventory.changed")]
    InventoryChanged {
        state: Text,
        age_seconds: Option<u64>,
        amphorae: u64,
        fault: Option<Text>,
    },

    #[serde(rename = "connection.accepted")]
    ConnectionAccepted {
        connection: Text,
        source: Text,
        port: u16,
    },
    #[serde(rename = "connection.refused")]
    ConnectionRefused {
        source: Text,
        reason: Text,
        count: u64,
    },
    #[serde(rename = "connection.closed")]
    ConnectionClosed {
        connection: Text,
        source: Text,
        reason: Text,
        milliseconds: u64,
    },

    #[serde(rename = "principal.authenticated")]
    PrincipalAuthenticated {
        connection: Text,
        user: Text,
        source: Text,
        method: Text,
        key: Option<Text>,
        algorithm: Option<Text>,
        keystone_user: Option<Text>,
    },
    #[serde(rename = "principal.refused")]
    PrincipalRefused {
        connection: Text,
        user: Text,
        source: Text,
        method: Text,
        key: Option<Text>,
        reason: Text,
    },

    #[serde(rename = "jump.accepted")]
    JumpAccepted {
        connection: Text,
        user: Text,
        source: Text,
        target: Text,
    },
    #[serde(rename = "jump.refused")]
    JumpRefused {
        connection: Text,
        user: Text,
        source: Text,
        host: Text,
        port: u32,
        reason: Text,
    },

    #[serde(rename = "grant.given")]
    GrantGiven {
        #[serde(flatten)]
        about: Box<About>,
        rules: Vec<Text>,
        until: Option<Text>,
        reason: Option<Text>,
        inventory_age_seconds: Option<u64>,
    },
    #[serde(rename = "grant.refused")]
    GrantRefused {
        #[serde(flatten)]
        about: Box<About>,
        refusal: Text,
        rules: Vec<Text>,
        reason: Option<Text>,
    },

    #[serde(rename = "glass.broken")]
    GlassBroken {
        #[serde(flatten)]
        about: Box<About>,
        rules: Vec<Text>,
        reason: Option<Text>,
        free: u64,
        reserve: u64,
    },
    #[serde(rename = "disk.low")]
    DiskLow {
        directory: Text,
        free: u64,
        low_space: u64,
        reserve: u64,
    },
    #[serde(rename = "disk.ok")]
    DiskOk { directory: Text, free: u64 },

    #[serde(rename = "recording.opened")]
    RecordingOpened {
        #[serde(flatten)]
        about: Box<About>,
        recording: Text,
    },
    #[serde(rename = "recording.failed")]
    RecordingFailed {
        recording: Text,
        stage: Text,
        error: Text,
        bytes: u64,
    },
    #[serde(rename = "recording.closed")]
    RecordingClosed {
        recording: Text,
        head: Text,
        offset: u64,
        recorded: u64,
        relayed: u64,
        sealed: bool,
        sealing_key: Option<Text>,
    },

    #[serde(rename = "upstream.opened")]
    UpstreamOpened {
        amphora: Text,
        address: Text,
        login_user: Text,
        host_key: Text,
        octavia_key: Text,
        milliseconds: u64,
    },
    #[serde(rename = "upstream.refused")]
    UpstreamRefused {
        amphora: Text,
        address: Text,
        fault: Text,
        detail: Text,
    },
    #[serde(rename = "amphora.probed")]
    AmphoraProbed {
        amphora: Text,
        address: Text,
        why: Text,
        by: Text,
        connection: Option<Text>,
        outcome: Text,
        detail: Option<Text>,
    },
    #[serde(rename = "hostkey.pinned")]
    HostkeyPinned {
        amphora: Text,
        address: Text,
        host_key: Text,
        algorithm: Text,
        how: Text,
        console: Option<Text>,
    },
    #[serde(rename = "hostkey.refused")]
    HostkeyRefused {
        amphora: Text,
        address: Text,
        source: Text,
        pinned: Text,
        offered: Text,
    },
    #[serde(rename = "hostkey.disputed")]
    HostkeyDisputed {
        amphora: Text,
        dispute: Text,
        detail: Text,
    },
    #[serde(rename = "hostkey.forgotten")]
    HostkeyForgotten {
        amphora: Text,
        host_key: Text,
        how: Text,
        uid: u32,
        by: Text,
        reason: Text,
    },

    #[serde(rename = "session.opened")]
    SessionOpened {
        #[serde(flatten)]
        about: Box<About>,
        recording: Text,
    },
    #[serde(rename = "session.killed")]
    SessionKilled { by: Text, reason: Text },
    #[serde(rename = "session.revoked")]
    SessionRevoked { cause: Text, rules: Vec<Text> },
    #[serde(rename = "session.closed")]
    SessionClosed {
        #[serde(flatten)]
        about: Box<About>,
        outcome: Text,
        exit_status: Option<u32>,
        exit_signal: Option<Text>,
        bytes_out: u64,
        bytes_in: u64,
        milliseconds: u64,
        recording: Text,
        head: Option<Text>,
    },

    #[serde(rename = "watch.started")]
    WatchStarted {
        user: Text,
        source: Option<Text>,
        connection: Option<Text>,
        method: Text,
        rules: Vec<Text>,
    },
    #[serde(rename = "watch.ended")]
    WatchEnded {
        user: Text,
        method: Text,
        reason: Text,
        milliseconds: u64,
    },
    #[serde(rename = "watch.refused")]
    WatchRefused {
        user: Text,
        source: Text,
        connection: Text,
        action: Text,
        asked: Text,
        reason: Text,
        rules: Vec<Text>,
    },
    #[serde(rename = "replay.started")]
    ReplayStarted {
        user: Text,
        source: Text,
        connection: Text,
        how: Text,
        recording: Text,
        rules: Vec<Text>,
    },
    #[serde(rename = "replay.ended")]
    ReplayEnded {
        user: Text,
        how: Text,
        reason: Text,
        bytes: u64,
        milliseconds: u64,
    },
    #[serde(rename = "replay.refused")]
    ReplayRefused {
        user: Text,
        source: Text,
        connection: Text,
        asked: Text,
        reason: Text,
        rules: Vec<Text>,
    },

    #[serde(rename = "file.closed")]
    FileClosed {
        user: Text,
        amphora: Text,
        landing: Text,
        protocol: Text,
        path: Text,
        name: Option<Text>,
        flags: Text,
        bytes_read: u64,
        read: Option<Text>,
        read_sha256: Option<Text>,
        bytes_written: u64,
        written: Option<Text>,
        written_sha256: Option<Text>,
        read_kept: Option<Text>,
        written_kept: Option<Text>,
        bytes_kept: u64,
        not_kept: Option<Text>,
        attributes: Option<Text>,
        result: Text,
    },
    #[serde(rename = "content.opened")]
    ContentOpened {
        user: Text,
        amphora: Text,
        landing: Text,
        protocol: Text,
        path: Text,
        direction: Text,
        of: Text,
        recording: Text,
    },
    #[serde(rename = "directory.listed")]
    DirectoryListed {
        user: Text,
        amphora: Text,
        landing: Text,
        path: Text,
        entries: u64,
        result: Text,
    },
    #[serde(rename = "path.changed")]
    PathChanged {
        user: Text,
        amphora: Text,
        landing: Text,
        operation: Text,
        path: Text,
        to: Option<Text>,
        attributes: Option<Text>,
        result: Text,
    },
    #[serde(rename = "path.refused")]
    PathRefused {
        user: Text,
        amphora: Text,
        landing: Text,
        operation: Text,
        action: Text,
        path: Text,
        real: Option<Text>,
        rules: Vec<Text>,
    },

    #[serde(rename = "signer.started")]
    SignerStarted {
        socket: Text,
        octavia_keys: Vec<Text>,
        sealing_key: Text,
    },
    #[serde(rename = "signer.signed")]
    SignerSigned {
        amphora: Text,
        octavia_key: Text,
        login_user: Text,
    },
    #[serde(rename = "signer.refused")]
    SignerRefused { octavia_key: Text, reason: Text },
    #[serde(rename = "signer.stopped")]
    SignerStopped { reason: Text },

    #[serde(rename = "journal.recovered")]
    JournalRecovered {
        segment: Text,
        kept_as: Text,
        bytes: u64,
        hash: Text,
    },
    #[serde(rename = "journal.sealed")]
    JournalSealed {
        head_seq: u64,
        head: Text,
        sealing_key: Text,
        signature: Text,
    },
    #[serde(rename = "index.rebuilt")]
    IndexRebuilt { reason: Text, sessions: u64 },
    #[serde(rename = "control.refused")]
    ControlRefused {
        uid: u32,
        request: Text,
        reason: Text,
    },

    #[serde(rename = "archive.shipped")]
    ArchiveShipped {
        name: Text,
        bytes: u64,
        sha256: Text,
        ended: Text,
    },
    #[serde(rename = "archive.failed")]
    ArchiveFailed { name: Option<Text>, reason: Text },
    #[serde(rename = "archive.resumed")]
    ArchiveResumed { failures: u64 },
    #[serde(rename = "archive.removed")]
    ArchiveRemoved { name: Text, sha256: Text },
    #[serde(rename = "archive.deleted")]
    ArchiveDeleted { name: Text, reason: Text },
    #[serde(rename = "archive.held")]
    ArchiveHeld { uid: u32, by: Text, reason: Text },
    #[serde(rename = "archive.released")]
    ArchiveReleased { uid: u32, by: Text, reason: Text },
    #[serde(rename = "deletion.asked")]
    DeletionAsked { uid: u32, by: Text, reason: Text },
    #[serde(rename = "deletion.approved")]
    DeletionApproved {
        uid: u32,
        by: Text,
        reason: Text,
        asked_by: Text,
    },
}

impl Event {
    /// Every name, in the order of the list above and of `docs/AUDIT-EVENTS.md`.
    pub const NAMES: &[&str] = &[
        "gateway.started",
        "gateway.draining",
        "gateway.stopped",
        "config.reloaded",
        "config.refused",
        "inventory.changed",
        "connection.accepted",
        "connection.refused",
        "connection.closed",
        "principal.authenticated",
        "principal.refused",
        "jump.accepted",
        "jump.refused",
        "grant.given",
        "grant.refused",
        "glass.broken",
        "disk.low",
        "disk.ok",
        "recording.opened",
        "recording.failed",
        "recording.closed",
        "upstream.opened",
        "upstream.refused",
        "amphora.probed",
        "hostkey.pinned",
        "hostkey.refused",
        "hostkey.disputed",
        "hostkey.forgotten",
        "session.opened",
        "session.killed",
        "session.revoked",
        "session.closed",
        "watch.started",
        "watch.ended",
        "watch.refused",
        "replay.started",
        "replay.ended",
        "replay.refused",
        "file.closed",
        "content.opened",
        "directory.listed",
        "path.changed",
        "path.refused",
        "signer.started",
        "signer.signed",
        "signer.refused",
        "signer.stopped",
        "journal.recovered",
        "journal.sealed",
        "index.rebuilt",
        "control.refused",
        "archive.shipped",
        "archive.failed",
        "archive.resumed",
        "archive.removed",
        "archive.deleted",
        "archive.held",
        "archive.released",
        "deletion.asked",
        "deletion.approved",
    ];
}
