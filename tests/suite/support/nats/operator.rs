//! An operator, its accounts and a user of one, as `nsc` would make them: what a server has to know of them, and the
//! user's credentials.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

/// See the module.
pub(crate) struct Operator {
    /// For a server's configuration.
    pub(crate) configuration: String,
    /// The content of a `.creds` file.
    pub(crate) credentials: String,
}

impl Operator {
    /// A new one, whose user may do anything in an account that may have streams.
    pub(crate) fn new() -> Operator {
        let operator = KeyPair::new_operator();
        let (system, account, user) = (
            KeyPair::new_account(),
            KeyPair::new_account(),
            KeyPair::new_user(),
        );
        let of_operator = json!({"type": "operator", "version": 2, "system_account": system.public_key()});
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let of_account = json!({"type": "account", "version": 2, "limits": limits});
        let of_system = json!({
            "type": "account", "version": 2,
            "limits": {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
                "conn": -1, "leaf": -1},
        });
        let of_user = json!({
            "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
        });
        let configuration = format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}\n",
            token(&operator, &operator, "operator", &of_operator),
            system.public_key(),
            system.public_key(),
            token(&system, &operator, "system", &of_system),
            account.public_key(),
            token(&account, &operator, "account", &of_account),
        );
        let credentials = format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            token(&user, &account, "user", &of_user),
            user.seed().expect("a pair of keys has a seed"),
        );
        Operator {
            configuration,
            credentials,
        }
    }
}

/// Says this of a subject, as its issuer.
fn token(subject: &KeyPair, issuer: &KeyPair, name: &str, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name,
        "sub": subject.public_key(), "nats": claims,
    });
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = issuer.sign(signed.as_bytes()).expect("a pair of keys signs");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
