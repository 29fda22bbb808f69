//! In: as whom the gateway comes. Out: the body of `POST /v3/auth/tokens`.
//! Never: a scope beside an application credential (Keystone refuses it), or a copy of the secret that is not wiped.

use zeroize::Zeroizing;

use crate::cloud::{CredentialName, Domain, Login, Named};

/// JSON, written by hand into one buffer that is wiped: a JSON tree would copy the secret.
struct Json(Zeroizing<Vec<u8>>);

impl Json {
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
    // Large enough for every escape, so that it never moves and leaves a copy behind.
    let capacity = 8192 + secret.reveal().len() * 6;
    let mut json = Json(Zeroizing::new(Vec::with_capacity(capacity)));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::secret::Secret;

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
}
