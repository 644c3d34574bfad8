//! Reading a [`Value`] into a typed struct, as lenient as Ansible's module arguments are.
//!
//! Source of the coercions: ansible-core 2.19, `module_utils/common/validation.py`: `bool` takes
//! yes/no words, `int` and `float` take numeric strings, `str` takes any scalar, `list` takes a
//! scalar (split at commas when it is a string), `dict` takes JSON or `k=v` text.

use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};

use super::{Text, Value};

/// Reads `value` into `T`.
///
/// # Errors
/// A sentence that names the offending value's type, without a place.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(De(value.clone())).map_err(|e| e.to_string())
}

/// The argument names that the struct `T` accepts, aliases included.
pub fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Names<'a>(&'a std::cell::Cell<&'static [&'static str]>);
    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(Error::custom("only the names are wanted"))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Error> {
            self.0.set(fields);
            self.deserialize_any(visitor)
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
            option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
            ignored_any
        }
    }
    let names = std::cell::Cell::new(&[] as &'static [&'static str]);
    // The error is the expected end: the names were noted on the way.
    drop(T::deserialize(Names(&names)));
    names.get()
}

/// The other names of a field of `T`.
pub fn field_aliases<T: DeserializeOwned>(field: &str) -> Vec<String> {
    let others = field_names::<T>().iter().filter(|name| **name != field);
    others
        .filter(|name| {
            // A struct says so itself, when one of its fields is given twice.
            let twice = [**name, field].into_iter().map(|name| (name, Blank));
            let told = T::deserialize(MapDeserializer::<_, Error>::new(twice));
            let duplicate = format!("duplicate field `{field}`");
            told.is_err_and(|error| error.to_string() == duplicate)
        })
        .map(ToString::to_string)
        .collect()
}

/// The least of each type: what any field can be read from.
#[derive(Clone, Copy)]
struct Blank;

impl IntoDeserializer<'_, Error> for Blank {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Blank {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(0)
    }
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(false)
    }
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(0.0)
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str("")
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str("")
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_none()
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Self>()))
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(MapDeserializer::new(std::iter::empty::<(Self, Self)>()))
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(
            variants
                .first()
                .copied()
                .unwrap_or_default()
                .into_deserializer(),
        )
    }
    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 char bytes byte_buf unit unit_struct tuple
        tuple_struct struct identifier ignored_any
    }
}

struct De(Value);

impl IntoDeserializer<'_, Error> for De {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl De {
    fn refuse(&self, wanted: &str) -> Error {
        match &self.0 {
            Value::Str(text) if !text.is_secret() => {
                Error::custom(format!("expected {wanted}, found `{}`", text.as_str()))
            }
            other => Error::custom(format!("expected {wanted}, found {}", other.type_name())),
        }
    }

    fn int(&self) -> Result<i64, Error> {
        match &self.0 {
            Value::Int(i) => Ok(*i),
            Value::Bool(b) => Ok(i64::from(*b)),
            #[expect(clippy::cast_possible_truncation, reason = "fract() == 0 is checked")]
            Value::Float(f) if f.fract() == 0.0 => Ok(*f as i64),
            Value::Str(text) => text
                .as_str()
                .trim()
                .parse()
                .map_err(|_| self.refuse("an integer")),
            _ => Err(self.refuse("an integer")),
        }
    }

    fn float(&self) -> Result<f64, Error> {
        match &self.0 {
            Value::Float(f) => Ok(*f),
            #[expect(clippy::cast_precision_loss, reason = "as Python's float() does")]
            Value::Int(i) => Ok(*i as f64),
            Value::Str(text) => text
                .as_str()
                .trim()
                .parse()
                .map_err(|_| self.refuse("a number")),
            _ => Err(self.refuse("a number")),
        }
    }

    fn string(&self) -> Result<String, Error> {
        match &self.0 {
            Value::Str(text) => Ok(text.as_str().to_owned()),
            Value::Bool(b) => Ok(if *b { "True" } else { "False" }.to_owned()),
            Value::Int(i) => Ok(i.to_string()),
            Value::Float(f) => Ok(format!("{f:?}")),
            _ => Err(self.refuse("a string")),
        }
    }

    fn items(&self) -> Result<Vec<Value>, Error> {
        match &self.0 {
            Value::List(items) => Ok(items.to_vec()),
            Value::Str(text) if text.as_str().is_empty() => Ok(Vec::new()),
            Value::Str(text) => Ok(text
                .as_str()
                .split(',')
                .map(|part| Value::Str(Text::data(part.trim())))
                .collect()),
            Value::Int(_) | Value::Float(_) => Ok(vec![self.0.clone()]),
            _ => Err(self.refuse("a list")),
        }
    }
}

macro_rules! ints {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_i64(self.int()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for De {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Int(i) => visitor.visit_i64(*i),
            Value::Float(f) => visitor.visit_f64(*f),
            Value::Str(text) => visitor.visit_str(text.as_str()),
            Value::List(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.iter().cloned().map(De)))
            }
            Value::Map(map) => visitor.visit_map(MapDeserializer::new(
                map.iter().map(|(k, v)| (k.as_str(), De(v.clone()))),
            )),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.0.to_bool().ok_or_else(|| self.refuse("a boolean"))?)
    }

    ints! { deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
    deserialize_i64 visit_i64 deserialize_u8 visit_u8 deserialize_u16 visit_u16
    deserialize_u32 visit_u32 deserialize_u64 visit_u64 }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.float()?)
    }
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.float()?)
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.string()?)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.string()?)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.items()?.into_iter().map(De)))
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = self.string()?;
        if variants.contains(&name.as_str()) {
            visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(name))
        } else {
            Err(Error::custom(format!(
                "expected one of {}, found `{name}`",
                variants.join(", ")
            )))
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Map;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Args {
        #[serde(alias = "dest")]
        path: String,
        #[serde(default)]
        force: bool,
        port: Option<u16>,
        #[serde(default)]
        groups: Vec<String>,
        #[serde(default)]
        ports: Vec<u16>,
    }

    fn map(entries: &[(&str, Value)]) -> Value {
        Value::from(
            entries
                .iter()
                .map(|(k, v)| ((*k).to_owned(), v.clone()))
                .collect::<Map>(),
        )
    }

    #[test]
    fn arguments_are_coerced_as_ansible_coerces_them() {
        let value = map(&[
            ("dest", Value::Int(5)),
            ("force", "yes".into()),
            ("port", "8080".into()),
            ("groups", "a, b".into()),
            ("ports", Value::from(vec!["1".into(), Value::Int(2)])),
        ]);
        let expected = Args {
            path: "5".into(),
            force: true,
            port: Some(8080),
            groups: vec!["a".into(), "b".into()],
            ports: vec![1, 2],
        };
        assert_eq!(from_value::<Args>(&value), Ok(expected));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named() {
        let error = from_value::<Args>(&map(&[("path", "x".into()), ("force", "maybe".into())]));
        assert_eq!(error, Err("expected a boolean, found `maybe`".to_owned()));
    }

    #[test]
    fn field_names_include_aliases() {
        assert!(
            field_names::<Args>().contains(&"dest"),
            "{:?}",
            field_names::<Args>()
        );
    }
}
