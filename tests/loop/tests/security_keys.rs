//! In:    signatures of a made-up FIDO2 key, with and without the user's touch.
//! Out:   who gets in, and what the handler is told.
//! Never: a log-in without a touch, unless the handler says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::{Arc, Mutex};

use ampgate_loop::pair::server_config;
use ampgate_loop::peer::{Message, Peer, USERAUTH_FAILURE, USERAUTH_REQUEST, USERAUTH_SUCCESS};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use russh::server::{Auth, Handler, PublicKeyOffer, VerifiedPublicKey};

const APPLICATION: &str = "ssh:";
const TOUCHED: u8 = 0x01;
const VERIFIED: u8 = 0x04;

/// (user present, user verified, counter), as the handler was told.
type Told = Arc<Mutex<Option<(bool, bool, u32)>>>;

struct Server {
    told: Told,
    untouched_is_good: bool,
}

impl Handler for Server {
    type Error = russh::Error;

    #[cfg(not(feature = "stock"))]
    fn accepts_untouched_security_key(&mut self, user: &str, _: &russh::keys::PublicKey) -> bool {
        assert_eq!(user, "operator");
        self.untouched_is_good
    }

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        _: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    #[allow(unused_variables)]
    async fn auth_publickey(
        &mut self,
        _: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        #[cfg(not(feature = "stock"))]
        {
            let sk = key.security_key.unwrap();
            *self.told.lock().unwrap() = Some((sk.user_present, sk.user_verified, sk.counter));
        }
        Ok(Auth::Accept)
    }
}

/// What the made-up key does in its hardware.
enum Device {
    Ed25519,
    P256,
}

impl Device {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519 => "sk-ssh-ed25519@openssh.com",
            Self::P256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The signature, as OpenSSH's PROTOCOL.u2f lays it out, over what `statement` makes of the public key.
    fn sign(&self, statement: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let blob = Message::new(0).string(self.algorithm());
        match self {
            Self::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
                let blob = blob.string(pair.public_key()).string(APPLICATION);
                let blob = blob.bytes()[1..].to_vec();
                let signature = pair.sign(&statement(&blob));
                signature.as_ref().to_vec()
            }
            Self::P256 => {
                let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
                let blob = blob.string("nistp256").string(pair.public_key());
                let blob = blob.string(APPLICATION).bytes()[1..].to_vec();
                let both = pair.sign(&random, &statement(&blob)).unwrap();
                let (r, s) = both.as_ref().split_at(32);
                let both = Message::new(0).string(mpint(r)).string(mpint(s));
                both.bytes()[1..].to_vec()
            }
        }
    }
}

/// RFC 4251 section 5: no leading zeros but the one that keeps the number positive.
fn mpint(number: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = number.iter().copied().skip_while(|d| *d == 0).collect();
    let sign = digits.first().is_some_and(|d| *d >= 0x80);
    [vec![0; usize::from(sign)], digits].concat()
}

/// One log-in with a signature that states `flags` and `counter`; what came back, and what the handler was told.
async fn log_in(
    device: Device,
    flags: u8,
    counter: u32,
    untouched_is_good: bool,
) -> (u8, Option<(bool, bool, u32)>) {
    let told = Told::default();
    let handler = Server {
        told: told.clone(),
        untouched_is_good,
    };
    assert!(handler.untouched_is_good == untouched_is_good);
    let (mut peer, _server) = Peer::of_server(server_config(1 << 20), handler).await;
    peer.start_authentication().await;

    let algorithm = device.algorithm();
    let request = Message::new(USERAUTH_REQUEST)
        .string("operator")
        .string("ssh-connection")
        .string("publickey");
    let request = |blob: &[u8]| request.byte(1).string(algorithm).string(blob);
    let flags = [&[flags][..], &counter.to_be_bytes()].concat();
    let mut sent = None;
    let signature = device.sign(|blob| {
        let request = request(blob);
        // Key exchange "none": the session identifier is empty.
        let signed = [&[0; 4], request.bytes()].concat();
        sent = Some(request);
        [
            digest(&SHA256, APPLICATION.as_bytes()).as_ref(),
            &flags,
            digest(&SHA256, &signed).as_ref(),
        ]
        .concat()
    });
    let signature = Message::new(0).string(algorithm).string(signature);
    let signature = [&signature.bytes()[1..], &flags].concat();
    peer.send(&sent.unwrap().string(signature)).await;
    let answer = ampgate_loop::in_time("an answer", peer.next())
        .await
        .unwrap()[0];
    let told = *told.lock().unwrap();
    (answer, told)
}

#[tokio::test]
async fn touched_key_gets_in() {
    assert_eq!(
        log_in(Device::Ed25519, TOUCHED, 1, false).await.0,
        USERAUTH_SUCCESS
    );
}

#[tokio::test]
async fn untouched_key_is_refused_by_default() {
    assert_eq!(
        log_in(Device::Ed25519, 0, 1, false).await,
        (USERAUTH_FAILURE, None)
    );
    assert_eq!(
        log_in(Device::Ed25519, VERIFIED, 1, false).await,
        (USERAUTH_FAILURE, None)
    );
}

#[cfg(not(feature = "stock"))]
#[tokio::test]
async fn flags_reach_the_handler() {
    assert_eq!(
        log_in(Device::Ed25519, TOUCHED | VERIFIED, 0x0102_0304, false).await,
        (USERAUTH_SUCCESS, Some((true, true, 0x0102_0304)))
    );
    assert_eq!(
        log_in(Device::Ed25519, TOUCHED, 2, false).await.1,
        Some((true, false, 2))
    );
}

#[cfg(not(feature = "stock"))]
#[tokio::test]
async fn handler_may_accept_an_untouched_key() {
    assert_eq!(
        log_in(Device::Ed25519, 0, 3, true).await,
        (USERAUTH_SUCCESS, Some((false, false, 3)))
    );
}

#[tokio::test]
async fn touched_p256_key_gets_in() {
    assert_eq!(
        log_in(Device::P256, TOUCHED, 1, false).await.0,
        USERAUTH_SUCCESS
    );
}

#[tokio::test]
async fn untouched_p256_key_is_refused_by_default() {
    assert_eq!(
        log_in(Device::P256, 0, 1, false).await,
        (USERAUTH_FAILURE, None)
    );
}
