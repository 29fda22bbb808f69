//! In: as whom the gateway comes, or an operator. Out: the body of `POST /v3/auth/tokens`.
//! Never: a scope beside an application credential (Keystone refuses it), or a copy of the secret that is not wiped.

use zeroize::Zeroizing;

use crate::cloud::{CredentialName, Domain, Login, Named};
use crate::secret::Secret;

/// JSON, written by hand into one buffer that is wiped: a JSON tree would copy the secret.
struct Json(Zeroizing<Vec<u8>>);

impl Json {
    /// Large enough for every escape of `secrets` bytes, so that it never moves and leaves a copy behind.
    fn with_room_for(secrets: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(8192 + secrets * 6)))
    }

    fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn string(&mut self, text: &str) -> &mut Self {
        // Writing a string into a vector cannot fail.
        let _ = serde_json::to_writer(&mut *self.0, text);
        self
    }

    fn named(&mut self, named: &Named) -> &mut Self {
        match named {
            Named::Id(id) => self.raw("{\"id\":").string(id).raw("}"),
            Named::InDomain(name, domain) => {
                self.raw("{\"name\":").string(name).raw(",\"domain\":{");
                match domain {
                    Domain::Id(id) => self.raw("\"id\":").string(id),
                    Domain::Name(name) => self.raw("\"name\":").string(name),
                };
                self.raw("}}")
            }
        }
    }
}

/// The request's body.
pub(crate) fn body(login: &Login) -> Zeroizing<Vec<u8>> {
    let secret = match login {
        Login::ApplicationCredential { secret, .. } => secret,
        Login::Password { password, .. } => password,
    };
    let mut json = Json::with_room_for(secret.reveal().len());
    json.raw("{\"auth\":{\"identity\":{\"methods\":[");
    match login {
        Login::ApplicationCredential { name, secret } => {
            json.raw("\"application_credential\"],\"application_credential\":{");
            match name {
                CredentialName::Id(id) => json.raw("\"id\":").string(id),
                CredentialName::OfUser(name, user) => json
                    .raw("\"name\":")
                    .string(name)
                    .raw(",\"user\":")
                    .named(user),
            };
            json.raw(",\"secret\":").string(secret.reveal());
            json.raw("}}}}");
        }
        Login::Password {
            user,
            password,
            project,
        } => {
            json.raw("\"password\"],\"password\":{\"user\":")
                .named(user);
            // The user's own object goes on: the password stands inside it.
            json.0.pop();
            json.raw(",\"password\":").string(password.reveal());
            json.raw("}}},\"scope\":{\"project\":").named(project);
            json.raw("}}}");
        }
    }
    json.0
}

/// An operator's password, for a token without a scope: whatever project they prefer says nothing here.
pub(crate) fn password(user: &Named, password: &Secret) -> Zeroizing<Vec<u8>> {
    let mut json = Json::with_room_for(password.reveal().len());
    json.raw("{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":")
        .named(user);
    json.0.pop();
    json.raw(",\"password\":").string(password.reveal());
    json.raw("}}},\"scope\":\"unscoped\"}}");
    json.0
}

/// An operator's one-time code, beside the receipt for their password.
pub(crate) fn code(user_id: &str, code: &Secret) -> Zeroizing<Vec<u8>> {
    let mut json = Json::with_room_for(code.reveal().len());
    json.raw("{\"auth\":{\"identity\":{\"methods\":[\"totp\"],\"totp\":{\"user\":{\"id\":")
        .string(user_id)
        .raw(",\"passcode\":")
        .string(code.reveal());
    json.raw("}}},\"scope\":\"unscoped\"}}");
    json.0
}

/// A token again, for one project: its roles are in the answer.
pub(crate) fn in_project(token: &str, project: &str) -> Zeroizing<Vec<u8>> {
    let mut json = Json::with_room_for(token.len());
    json.raw("{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{\"id\":")
        .string(token)
        .raw("}},\"scope\":{\"project\":{\"id\":")
        .string(project)
        .raw("}}}}");
    json.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn secret() -> Secret {
        Secret::new(Zeroizing::new("s\"\\\u{1}ä".to_owned()))
    }

    fn of(login: &Login) -> serde_json::Value {
        serde_json::from_slice(&body(login)).unwrap()
    }

    #[test]
    fn bodies_are_what_keystone_takes() {
        let user = || Named::InDomain("u\"".to_owned(), Domain::Name("D".to_owned()));
        let value = of(&Login::Password {
            user: user(),
            password: secret(),
            project: Named::Id("p".to_owned()),
        });
        let expected = serde_json::json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": "u\"", "domain": {"name": "D"}, "password": "s\"\\\u{1}ä"}}},
            "scope": {"project": {"id": "p"}}}});
        assert_eq!(value, expected);
        let value = of(&Login::ApplicationCredential {
            name: CredentialName::Id("i".to_owned()),
            secret: secret(),
        });
        let expected = serde_json::json!({"auth": {"identity": {"methods": ["application_credential"],
            "application_credential": {"id": "i", "secret": "s\"\\\u{1}ä"}}}});
        assert_eq!(value, expected);
        let value = of(&Login::ApplicationCredential {
            name: CredentialName::OfUser("n".to_owned(), user()),
            secret: secret(),
        });
        let credential = &value["auth"]["identity"]["application_credential"];
        assert_eq!(credential["user"]["domain"]["name"], "D");
        assert_eq!(credential["name"], "n");
    }

    #[test]
    fn bodies_of_operators_are_what_keystone_takes() {
        let json = |body: Zeroizing<Vec<u8>>| -> serde_json::Value {
            serde_json::from_slice(&body).unwrap()
        };
        let alice = Named::InDomain("alice".to_owned(), Domain::Id("default".to_owned()));
        assert_eq!(
            json(password(&alice, &secret())),
            serde_json::json!({"auth": {"scope": "unscoped", "identity": {"methods": ["password"], "password": {"user":
                {"name": "alice", "domain": {"id": "default"}, "password": "s\"\\\u{1}ä"}}}}})
        );
        assert_eq!(
            json(code("i\"", &secret())),
            serde_json::json!({"auth": {"scope": "unscoped", "identity": {"methods": ["totp"], "totp": {"user":
                {"id": "i\"", "passcode": "s\"\\\u{1}ä"}}}}})
        );
        assert_eq!(
            json(in_project("t", "p")),
            serde_json::json!({"auth": {"scope": {"project": {"id": "p"}}, "identity": {"methods": ["token"], "token": {"id": "t"}}}})
        );
    }
}
