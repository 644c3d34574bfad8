//! The values that must not appear anywhere in clear.
//!
//! Secrecy by type ([`crate::value::Text`]) is the first net. This is the second: a value known to
//! be secret is masked wherever it turns up, such as in a command's output.

use super::run::Run;
use crate::transport::{Connection, Target};
use crate::value::{MASK, Map, Text, Value};

/// Shorter secrets would mask ordinary words.
const SECRET_LENGTH_MIN: usize = 4;

impl Run {
    /// Masks this value from now on.
    pub(crate) fn add_secret(&self, secret: &str) {
        if secret.len() >= SECRET_LENGTH_MIN {
            self.state.borrow_mut().secrets.insert(secret.to_owned());
        }
    }

    /// Masks a target's passwords from now on.
    pub(crate) fn note_secrets(&self, target: &Target) {
        if let Connection::Ssh {
            password: Some(password),
            ..
        } = &target.connection
        {
            self.add_secret(&password.0);
        }
        if let Some(password) = target
            .become_user
            .as_ref()
            .and_then(|b| b.password.as_ref())
        {
            self.add_secret(&password.0);
        }
    }

    /// Text with all known secrets masked.
    pub(crate) fn redact(&self, text: &str) -> String {
        let state = self.state.borrow();
        let mut text = text.to_owned();
        for secret in &state.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
            }
        }
        text
    }

    /// A value with all secrets masked, those known by type and those known by value.
    pub(crate) fn redacted(&self, value: &Value) -> Value {
        match value {
            Value::Str(text) if text.is_secret() => MASK.into(),
            Value::Str(text) => Value::Str(Text::data(self.redact(text.as_str()))),
            Value::List(items) => {
                Value::from(items.iter().map(|v| self.redacted(v)).collect::<Vec<_>>())
            }
            Value::Map(map) => Value::from(
                map.iter()
                    .map(|(k, v)| (k.clone(), self.redacted(v)))
                    .collect::<Map>(),
            ),
            other => other.clone(),
        }
    }
}
