//! In: one authorized_keys line out of `users.toml`.
//! Out: the key and the conditions under which it counts.
//! Never: an option that is not honoured; what is not understood is refused at load.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PublicKey};

/// The shortest RSA modulus that is accepted, in bits.
const SHORTEST_RSA: usize = 2048;
/// The longest one: larger ones cost an attacker nothing and the gateway seconds.
const LONGEST_RSA: usize = 16384;

/// A key and its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyLine {
    /// The SSH wire form.
    pub(crate) blob: Vec<u8>,
    /// `SHA256:…`
    pub(crate) fingerprint: String,
    /// The name in the line.
    pub(crate) algorithm: Algorithm,
    pub(crate) from: Option<From>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) touch_required: bool,
    pub(crate) verify_required: bool,
}

impl KeyLine {
    pub(crate) fn is_security_key(&self) -> bool {
        matches!(
            self.algorithm,
            Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
        )
    }

    /// May a signature of this key use `algorithm`?
    pub(crate) fn allows_signature(&self, algorithm: &str) -> bool {
        match self.algorithm {
            Algorithm::Rsa { .. } => matches!(algorithm, "rsa-sha2-256" | "rsa-sha2-512"),
            _ => algorithm == self.algorithm.as_str(),
        }
    }
}

/// The addresses of `from="…"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct From {
    allowed: Vec<Addresses>,
    denied: Vec<Addresses>,
}

impl From {
    /// As OpenSSH: any negated match refuses, else one match allows.
    pub(crate) fn allows(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        let any = |list: &[Addresses]| list.iter().any(|a| a.contains(source));
        !any(&self.denied) && any(&self.allowed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Addresses {
    Net(IpNet),
    /// OpenSSH's `*` and `?`, compared with the address as it is written.
    Pattern(String),
}

impl Addresses {
    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = IpAddr::from_str(text) {
            return Ok(Self::Net(IpNet::from(address.to_canonical())));
        }
        if let Ok(net) = IpNet::from_str(text) {
            // OpenSSH refuses 10.0.0.1/8 too: one does not know what was meant.
            if net.trunc() != net {
                return Err(format!(
                    "from=: {net} has bits beyond its prefix; did you mean {}",
                    net.trunc()
                ));
            }
            return Ok(Self::Net(net));
        }
        let decidable = !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_hexdigit() || b".:*?".contains(&b));
        if decidable && text.contains(['*', '?']) && !text.contains("**") {
            return Ok(Self::Pattern(text.to_ascii_lowercase()));
        }
        Err("from= takes addresses, ranges such as 10.1.0.0/16 and address patterns such as 10.1.*; host names are not looked up".to_owned())
    }

    fn contains(&self, source: IpAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&source),
            Self::Pattern(pattern) => {
                matches_pattern(pattern.as_bytes(), source.to_string().as_bytes())
            }
        }
    }
}

/// `*` any run, `?` any one; linear in practice because `**` is refused and addresses are at most 45 bytes.
fn matches_pattern(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|i| {
            text.get(i..)
                .is_some_and(|tail| matches_pattern(rest, tail))
        }),
        (Some((b'?', p)), Some((_, t))) => matches_pattern(p, t),
        (Some((a, p)), Some((b, t))) if a == b => matches_pattern(p, t),
        _ => false,
    }
}

/// Reads a host key as `known_hosts` has it, without the names: key type, base64, perhaps a comment. Gives it back
/// without the comment.
///
/// # Errors
/// A sentence.
pub fn host_key_of(text: &str) -> Result<String, String> {
    let wrong = || {
        "this is no host key; it is what `ssh-keyscan` prints after the name: \"ssh-ed25519 AAAA…\""
            .to_owned()
    };
    let mut words = text.split_ascii_whitespace();
    let (Some(kind), Some(key)) = (words.next(), words.next()) else {
        return Err(wrong());
    };
    let text = format!("{kind} {key}");
    match PublicKey::from_openssh(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(wrong()),
    }
}

/// Reads a line: options, key type, base64, comment.
///
/// The error is a sentence; it never repeats the key.
pub(crate) fn parse(line: &str) -> Result<KeyLine, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Err("this is no key; a key line is: options key-type base64 comment".to_owned());
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err("one key is one line".to_owned());
    }
    let (options, key) = match split_options(line)? {
        (options, _) if is_key_type(options) => ("", line),
        (options, key) => (options, key),
    };
    let read = |key| {
        PublicKey::from_openssh(key).map_err(|_| {
            "this is no OpenSSH public key; copy the whole line of the .pub file".to_owned()
        })
    };
    let mut words = key.split_ascii_whitespace();
    let (kind, base64) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    refuse_kind(kind)?;
    let public = read(&format!("{kind} {base64}"))?;
    refuse_weak(public.key_data())?;
    let blob = public
        .to_bytes()
        .map_err(|_| "this key cannot be written in SSH's wire form".to_owned())?;
    let mut parsed = KeyLine {
        blob,
        fingerprint: public.fingerprint(HashAlg::Sha256).to_string(),
        algorithm: public.algorithm(),
        from: None,
        expires: None,
        touch_required: true,
        verify_required: false,
    };
    apply_options(options, &mut parsed)?;
    Ok(parsed)
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-", "rsa-sha2-"]
        .iter()
        .any(|p| word.starts_with(p))
        && !word.contains(['=', ',', '"'])
}

/// Splits at the first blank outside quotes.
fn split_options(line: &str) -> Result<(&str, &str), String> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            '\\' if quoted && !escaped => {
                escaped = true;
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                let (options, key) = line.split_at(at);
                return Ok((options, key.trim_start()));
            }
            _ => {}
        }
        escaped = false;
    }
    if quoted {
        return Err("a quote in the key's options is not closed".to_owned());
    }
    Err("this is no key; a key line is: options key-type base64 comment".to_owned())
}

fn refuse_kind(kind: &str) -> Result<(), String> {
    match kind {
        "ssh-ed25519"
        | "ssh-rsa"
        | "ecdsa-sha2-nistp256"
        | "ecdsa-sha2-nistp384"
        | "ecdsa-sha2-nistp521"
        | "sk-ssh-ed25519@openssh.com"
        | "sk-ecdsa-sha2-nistp256@openssh.com" => Ok(()),
        "ssh-dss" => Err("DSA keys are broken and refused; make one with: ssh-keygen -t ed25519".to_owned()),
        kind if kind.contains("-cert-v0") => {
            Err("certificates are not accepted yet; list the plain public key".to_owned())
        }
        _ => Err("this key type is not known here; use ssh-ed25519, ecdsa-sha2-nistp256/384/521, ssh-rsa (2048 bits or more), sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com".to_owned()),
    }
}

fn refuse_weak(key: &KeyData) -> Result<(), String> {
    let Some(rsa) = key.rsa() else { return Ok(()) };
    let modulus = rsa.n().as_positive_bytes().unwrap_or_default();
    let unused = modulus.first().map_or(0, |b| b.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if (SHORTEST_RSA..=LONGEST_RSA).contains(&bits) {
        return Ok(());
    }
    Err(format!(
        "an RSA key must have {SHORTEST_RSA} to {LONGEST_RSA} bits, this one has {bits}; make one with: ssh-keygen -t ed25519"
    ))
}

fn apply_options(options: &str, key: &mut KeyLine) -> Result<(), String> {
    let mut seen: Vec<String> = Vec::new();
    for option in separate(options) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name.to_ascii_lowercase(), Some(unquote(value)?)),
            None => (option.to_ascii_lowercase(), None),
        };
        if seen.contains(&name) {
            return Err(format!("the option {} stands twice", name.escape_debug()));
        }
        match (name.as_str(), value) {
            ("from", Some(value)) => key.from = Some(from(&value)?),
            ("expiry-time", Some(value)) => key.expires = Some(expiry(&value)?),
            ("no-touch-required", None) if key.is_security_key() => key.touch_required = false,
            ("verify-required", None) if key.is_security_key() => key.verify_required = true,
            ("no-touch-required" | "verify-required", None) => {
                return Err(format!(
                    "the option {name} means nothing for a key that is no security key (sk-…)"
                ));
            }
            ("from" | "expiry-time", None) => {
                return Err(format!("the option {name} needs a value: {name}=\"…\""));
            }
            _ => {
                return Err(format!(
                    "the option {} is not honoured here, so the key is refused; known: from=\"…\", expiry-time=\"…\", no-touch-required, verify-required",
                    name.escape_debug()
                ));
            }
        }
        seen.push(name);
    }
    Ok(())
}

/// Splits at commas outside quotes.
fn separate(options: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in options.char_indices() {
        match c {
            '\\' if quoted && !escaped => {
                escaped = true;
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                parts.extend(options.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
        escaped = false;
    }
    if !options.is_empty() {
        parts.extend(options.get(start..));
    }
    parts
}

fn unquote(value: &str) -> Result<String, String> {
    value
        .strip_prefix('"')
        .and_then(|v| v.strip_suffix('"'))
        .filter(|v| !v.contains(['"', '\\']))
        .map(str::to_owned)
        .ok_or_else(|| {
            "an option's value stands in double quotes, such as from=\"10.0.0.0/8\"".to_owned()
        })
}

fn from(list: &str) -> Result<From, String> {
    let mut from = From {
        allowed: Vec::new(),
        denied: Vec::new(),
    };
    for part in list.split(',').map(str::trim) {
        match part.strip_prefix('!') {
            Some(denied) => from.denied.push(Addresses::parse(denied)?),
            None => from.allowed.push(Addresses::parse(part)?),
        }
    }
    if from.allowed.is_empty() {
        return Err("from= with exclusions alone matches nothing; add what is allowed, such as 0.0.0.0/0,::/0".to_owned());
    }
    Ok(from)
}

/// `YYYYMMDD[HHMM[SS]]`, then `Z`. OpenSSH reads a time without `Z` in the server's zone; gateways stand in several, so here
/// it is UTC either way.
fn expiry(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        "expiry-time is YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in UTC, with or without a Z"
            .to_owned()
    };
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number = |at: std::ops::Range<usize>| -> i16 {
        digits.get(at).and_then(|d| d.parse().ok()).unwrap_or(0)
    };
    let part = |at: usize| i8::try_from(number(at..at + 2)).unwrap_or(0);
    DateTime::new(
        number(0..4),
        part(4),
        part(6),
        part(8),
        part(10),
        part(12),
        0,
    )
    .and_then(|moment| moment.to_zoned(TimeZone::UTC))
    .map(|moment| moment.timestamp())
    .map_err(|_| wrong())
}
