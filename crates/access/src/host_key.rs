//! In: one line with a public host key: type, base64, perhaps a comment.
//! Out: the key, if its bytes are of that type, complete, and strong enough.
//! Never: DSA, RSA below 2048 bits, a certificate, or a second spelling of a key: equal keys are equal text.

use std::fmt;

use ssh_key::{HashAlg, PublicKey};

use crate::keyline::refuse_weak;

/// The types that an amphora's sshd may show.
pub const HOST_KEY_TYPES: [&str; 5] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
];

/// The public host key of an amphora, by another way than the network it is reached on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostKey {
    openssh: String,
    fingerprint: String,
}

impl HostKey {
    /// Reads `type base64`, as in a `.pub` file; what follows is a comment.
    ///
    /// # Errors
    /// A sentence that does not repeat the text.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let (Some(kind), Some(base64)) = (words.next(), words.next()) else {
            return Err(
                "a host key is its type and its base64: ssh-ed25519 AAAA…, as in /etc/ssh/ssh_host_ed25519_key.pub"
                    .to_owned(),
            );
        };
        if !HOST_KEY_TYPES.contains(&kind) {
            return Err(format!(
                "a host key is one of {}",
                HOST_KEY_TYPES.join(", ")
            ));
        }
        let openssh = format!("{kind} {base64}");
        let broken =
            || "this is no OpenSSH public key of that type; copy the whole line".to_owned();
        let key = PublicKey::from_openssh(&openssh).map_err(|_| broken())?;
        refuse_weak(key.key_data())?;
        // Numbers may be written with zeros in front: pins are compared as text.
        match key.to_openssh() {
            Ok(again) if again.trim_end() == openssh => Ok(Self {
                fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
                openssh,
            }),
            _ => Err(broken()),
        }
    }

    /// `type base64`, without comment.
    pub fn as_openssh(&self) -> &str {
        &self.openssh
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Its type. An sshd has at most one key of each.
    pub fn kind(&self) -> &str {
        self.openssh.split(' ').next().unwrap_or_default()
    }
}

/// For people: type and fingerprint.
impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ED: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIHj5xXi/+kejVJnpaxaISsAX61QtOqetTEoB98EbV9cd";
    const P256: &str = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIzK55SmoTPIp+ohr2NFgRHvKVlleZypzpV5wI8QwZB4bp79OnF7E4aHgz4g5YpQf7+Xqppglbnt+J1gybEQjBQ=";
    /// 1024 bits.
    const SHORT: &str = "AAAAB3NzaC1yc2EAAAADAQABAAAAgQC8APLCeP4KYPNM8PibUoLQqxO7e2D9FhMABPUY8sOGDnyb3e6DvuMsIKgkxOt6UIJiFV7o/0T5xiYOZBOwd7abOy5uSZFFxjpIfJUxBGOd+iIr1xdG2BSyxMFP84cYaTMt4B41Du7ovcu6WAQz4ZR10ytrCCKvTX1RatQi2LXpqQ==";

    #[test]
    fn a_key_is_what_ssh_keygen_calls_it() {
        let key = HostKey::parse(&format!("ssh-ed25519 {ED} root@amphora-x y")).unwrap();
        assert_eq!(key.as_openssh(), format!("ssh-ed25519 {ED}"));
        assert_eq!(key.kind(), "ssh-ed25519");
        assert_eq!(
            key.fingerprint(),
            "SHA256:HtTbSdIjG2kZ4w3Mew8Wtcj4B8jwBMUIFuguO7gAKCw"
        );
        assert!(HostKey::parse(&format!("ecdsa-sha2-nistp256 {P256}")).is_ok());
    }

    #[test]
    fn what_is_no_host_key_is_refused() {
        let cut = ED.split_at(60).0;
        for bad in [
            String::new(),
            "ssh-ed25519".to_owned(),
            format!("ssh-rsa {ED}"),
            format!("ssh-ed25519 {P256}"),
            format!("ssh-ed25519 {cut}"),
            format!("ssh-ed25519 {ED}AAAA"),
            format!("ssh-dss {ED}"),
            format!("ssh-rsa {SHORT}"),
            format!("ssh-ed25519-cert-v01@openssh.com {ED}"),
            format!("ssh-ed25519 ={ED}"),
        ] {
            let said = HostKey::parse(&bad).unwrap_err();
            assert!(!said.contains("AAAA") || said.contains("AAAA…"), "{said}");
        }
    }
}
