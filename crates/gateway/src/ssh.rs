//! In: host keys and the configuration. Out: what russh is told for the outer, the inner and the upstream side.
//! Never: offers SHA-1, CBC, compression before authentication, or a cipher slower than AES-GCM to operators.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKey};
use russh::{Preferred, SshId, cipher, client, compression, kex, mac, server};

use crate::config::Config;

/// Bytes in flight per channel and direction (RFC 4254 section 5.2).
const WINDOW: u32 = 2 << 20;
/// Largest payload of one packet; OpenSSH's own, larger ones gained nothing when measured.
const PACKET: u32 = 32 << 10;
/// Messages waiting for the connection's own loop.
const EVENT_QUEUE: usize = 100;
/// Signatures tried on one connection before it ends, as sshd's MaxAuthTries.
const LOGIN_ATTEMPTS: usize = 6;

/// OpenSSH tells only a server of this first word that nobody reads the output any more (`eow@openssh.com`), and without
/// that `ssh … yes | head` never ends. No number follows it, so nothing takes us for a release with known faults.
const SERVER_VERSION: &str = concat!("SSH-2.0-OpenSSH.ampgate_", env!("CARGO_PKG_VERSION"));

const KEX_SERVER: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    // Without these two, strict kex (Terrapin, CVE-2023-48795) and RSA with SHA-2 vanish silently.
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

const KEX_CLIENT: &[kex::Name] = &[
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::MLKEM768X25519_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// What operators may sign with; also what `server-sig-algs` announces (RFC 8308). No SHA-1 `ssh-rsa`.
const OPERATOR_KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::SkEd25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

const AMPHORA_KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// AES-GCM only: OpenSSH up to 9.x takes chacha20 wherever it is offered, at two to three times the cost.
const CIPHERS: &[cipher::Name] = &[cipher::AES_128_GCM, cipher::AES_256_GCM];

/// Old amphora images may lack GCM.
const UPSTREAM_CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];

const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];

fn server_side() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(KEX_SERVER),
        key: Cow::Borrowed(OPERATOR_KEYS),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// The server operators reach by TCP.
pub fn outer(config: &Config, key: PrivateKey) -> Arc<server::Config> {
    Arc::new(server::Config {
        keepalive_interval: Some(config.upstream.keepalive),
        ..server(key)
    })
}

/// The server behind `-J`: its channel is already authenticated, and the outer connection already kept alive.
pub fn inner(key: PrivateKey) -> Arc<server::Config> {
    Arc::new(server(key))
}

fn server(key: PrivateKey) -> server::Config {
    server::Config {
        server_id: SshId::Standard(Cow::Borrowed(SERVER_VERSION)),
        // Limits per source and the number of attempts are ours; a sleep would only punish four keys in an agent.
        auth_rejection_time: Duration::from_millis(1),
        max_auth_attempts: LOGIN_ATTEMPTS,
        keys: vec![key],
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        event_buffer_size: EVENT_QUEUE,
        // Clients rekey when they wish; we do after a GiB (russh takes no more) or a day.
        limits: russh::Limits::new(1 << 30, 1 << 30, Duration::from_secs(86_400)),
        preferred: server_side(),
        // Login grace, idle ends and drain are ours: russh's timer would also end a silent `tail -f`.
        inactivity_timeout: None,
        nodelay: true,
        ..server::Config::default()
    }
}

/// The client towards an amphora. Of host keys that are known only their algorithms are asked for; of none, all.
pub fn upstream(config: &Config, known: &[PublicKey]) -> Arc<client::Config> {
    let is_known = |algorithm: &&Algorithm| {
        known.iter().any(|key| match key.algorithm() {
            Algorithm::Rsa { .. } => matches!(algorithm, Algorithm::Rsa { .. }),
            of_key => of_key == **algorithm,
        })
    };
    let keys = match known {
        [] => Cow::Borrowed(AMPHORA_KEYS),
        _ => Cow::Owned(AMPHORA_KEYS.iter().filter(is_known).cloned().collect()),
    };
    Arc::new(client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-ampgate_",
            env!("CARGO_PKG_VERSION")
        ))),
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        limits: russh::Limits::new(1 << 30, 1 << 30, Duration::from_secs(86_400)),
        preferred: Preferred {
            kex: Cow::Borrowed(KEX_CLIENT),
            key: keys,
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(UPSTREAM_CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        keepalive_interval: Some(config.upstream.keepalive),
        nodelay: true,
        ..client::Config::default()
    })
}
