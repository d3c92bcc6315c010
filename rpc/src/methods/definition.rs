//! What a method is, and how parameters are read so that an error names the parameter and its rule.

use crate::codes::{ErrorCode, Fault};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A method of the interface.
pub trait Method: 'static {
    /// Name on the wire.
    const NAME: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// Everything a caller must know beyond parameters and result; Markdown.
    const DESCRIPTION: &'static str;
    /// Codes that this method gives besides the standard ones.
    const ERRORS: &'static [ErrorCode] = &[];
    /// Where the method is served.
    const TRANSPORT: Transport = Transport::Any;
    /// Parameters.
    type Params: Params;
    /// Result.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
}

/// Where a method is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over HTTP and WebSocket.
    Any,
    /// Over WebSocket only.
    WebSocket,
    /// Over HTTP, to who calls from this machine with the admin token.
    Admin,
}

/// Parameters of a method, by name (an object) or by position (an array).
pub trait Params: Serialize + Sized + Send + Sync + 'static {
    /// The parameters in order of position.
    const SPECS: &'static [ParamSpec];

    /// Reads the parameters.
    fn parse(raw: &RawParams<'_>) -> Result<Self, Fault>;

    /// The JSON Schemas, in the order of the specs.
    fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema>;
}

/// A parameter as documents describe it.
#[derive(Clone, Copy, Debug)]
pub struct ParamSpec {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) required: bool,
    /// A value as JSON.
    pub(crate) example: &'static str,
}

/// All that documents say of a method.
#[derive(Clone, Debug)]
pub(crate) struct MethodDoc {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    pub(crate) errors: &'static [ErrorCode],
    pub(crate) transport: Transport,
    pub(crate) params: &'static [ParamSpec],
    pub(crate) param_schemas: Vec<Schema>,
    pub(crate) result_schema: Schema,
}

impl MethodDoc {
    /// `inputs` makes schemas of what is read, `outputs` of what is written.
    pub(crate) fn of<M: Method>(
        inputs: &mut SchemaGenerator,
        outputs: &mut SchemaGenerator,
    ) -> Self {
        Self {
            name: M::NAME,
            summary: M::SUMMARY,
            description: M::DESCRIPTION,
            errors: M::ERRORS,
            transport: M::TRANSPORT,
            params: M::Params::SPECS,
            param_schemas: M::Params::schemas(inputs),
            result_schema: outputs.subschema_for::<M::Output>(),
        }
    }
}

/// No method has more parameters than this.
pub(super) const PARAMS_MAX: usize = 8;

/// The `params` of a request, split into the method's parameters but not read yet.
#[derive(Debug)]
pub struct RawParams<'a> {
    specs: &'static [ParamSpec],
    values: [Option<&'a RawValue>; PARAMS_MAX],
}

impl<'a> RawParams<'a> {
    /// Splits `params` by the specs of a method.
    pub(crate) fn split(
        specs: &'static [ParamSpec],
        params: Option<&'a RawValue>,
    ) -> Result<Self, Fault> {
        assert!(
            specs.len() <= PARAMS_MAX,
            "a method has at most {PARAMS_MAX} parameters"
        );
        let Some(params) = params else {
            return Ok(Self {
                specs,
                values: [None; PARAMS_MAX],
            });
        };
        let values = ParamsVisitor { specs }
            .deserialize(&mut serde_json::Deserializer::from_str(params.get()))
            .map_err(|error| Fault::new(ErrorCode::InvalidParams, without_position(&error)))?;
        Ok(Self { specs, values })
    }

    /// A parameter that must be there.
    pub(crate) fn required<T: DeserializeOwned>(&self, index: usize) -> Result<T, Fault> {
        let spec = &self.specs[index];
        self.optional(index)?
            .ok_or_else(|| Fault::parameter(spec.name, "it is required"))
    }

    /// A parameter that may be absent or null.
    pub(crate) fn optional<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, Fault> {
        let Some(raw) = self.values[index] else {
            return Ok(None);
        };
        serde_json::from_str(raw.get())
            .map_err(|error| Fault::parameter(self.specs[index].name, without_position(&error)))
    }
}

/// The message without the position: it would count from the start of the parameter, not of the request.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

struct ParamsVisitor {
    specs: &'static [ParamSpec],
}

impl ParamsVisitor {
    fn names(&self) -> String {
        let names: Vec<_> = self.specs.iter().map(|spec| spec.name).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }
}

impl<'de> DeserializeSeed<'de> for ParamsVisitor {
    type Value = [Option<&'de RawValue>; PARAMS_MAX];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = [Option<&'de RawValue>; PARAMS_MAX];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "params as an object or an array (parameters: {})",
            self.names()
        )
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok([None; PARAMS_MAX])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; PARAMS_MAX];
        for value in values.iter_mut().take(self.specs.len()) {
            match sequence.next_element::<&RawValue>()? {
                Some(raw) => *value = Some(raw),
                None => return Ok(values),
            }
        }
        if sequence.next_element::<IgnoredAny>()?.is_some() {
            return Err(de::Error::custom(format_args!(
                "too many parameters: the method has {} ({})",
                self.specs.len(),
                self.names()
            )));
        }
        Ok(values)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; PARAMS_MAX];
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let Some(index) = self.specs.iter().position(|spec| spec.name == name) else {
                let shown: String = name.chars().take(40).collect();
                return Err(de::Error::custom(format_args!(
                    "unknown parameter {shown:?}; the parameters are: {}",
                    self.names()
                )));
            };
            if values[index]
                .replace(map.next_value::<&RawValue>()?)
                .is_some()
            {
                return Err(de::Error::custom(format_args!(
                    "parameter `{name}` is given twice"
                )));
            }
        }
        Ok(values)
    }
}

/// Defines the parameters of a method: a struct, and how it is read, written and described.
macro_rules! params {
    (
        $(#[doc = $doc:literal])*
        $name:ident {
            $($(#[doc = $param_doc:literal])* $presence:ident $param:ident: $type:ty = $example:literal,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, serde::Serialize)]
        pub struct $name {
            $($(#[doc = $param_doc])* pub $param: $crate::methods::definition::params!(@type $presence $type),)*
        }

        impl $crate::methods::definition::Params for $name {
            const SPECS: &'static [$crate::methods::definition::ParamSpec] = &[
                $($crate::methods::definition::ParamSpec {
                    name: stringify!($param),
                    description: concat!($($param_doc),*),
                    required: $crate::methods::definition::params!(@required $presence),
                    example: $example,
                },)*
            ];

            #[allow(unused_mut, unused_variables, reason = "a method may have no parameters")]
            fn parse(
                raw: &$crate::methods::definition::RawParams<'_>,
            ) -> Result<Self, $crate::codes::Fault> {
                let mut positions = 0..$crate::methods::definition::PARAMS_MAX;
                let mut next = || positions.next().expect("a method has at most PARAMS_MAX parameters");
                Ok(Self { $($param: raw.$presence(next())?,)* })
            }

            #[allow(unused_variables, reason = "a method may have no parameters")]
            fn schemas(generator: &mut schemars::SchemaGenerator) -> Vec<schemars::Schema> {
                vec![$(generator.subschema_for::<$type>(),)*]
            }
        }
    };
    (@type required $type:ty) => { $type };
    (@type optional $type:ty) => { Option<$type> };
    (@required required) => { true };
    (@required optional) => { false };
}
pub(super) use params;

#[cfg(test)]
#[allow(unreachable_pub, reason = "the macro makes public structs")]
mod tests {
    use super::*;
    use crate::dto::{Hash, Number};

    params! {
        /// Parameters of a method of the tests.
        TestParams {
            /// An id.
            required id: Hash = "\"00\"",
            /// A count.
            optional count: Number = "1",
        }
    }

    fn parse(json: &str) -> Result<TestParams, String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        RawParams::split(TestParams::SPECS, Some(raw))
            .and_then(|raw| TestParams::parse(&raw))
            .map_err(|fault| fault.message)
    }

    #[test]
    fn by_name_and_by_position() {
        let id = Hash::new([1; 32]);
        for json in [
            format!("[\"{id}\"]"),
            format!("[\"{id}\", null]"),
            format!("{{\"id\": \"{id}\"}}"),
            format!("{{\"count\": null, \"id\": \"{id}\"}}"),
        ] {
            let params = parse(&json).unwrap();
            assert_eq!((params.id, params.count), (id, None), "{json}");
        }
        assert_eq!(
            parse(&format!("[\"{id}\", 7]")).unwrap().count,
            Some(Number(7))
        );
        assert_eq!(parse(&format!("{{\"i\\u0064\":\"{id}\"}}")).unwrap().id, id);
    }

    #[test]
    fn errors_name_the_parameter_and_the_rule() {
        let id = Hash::new([1; 32]);
        for (json, message) in [
            ("[]".to_owned(), "parameter `id`: it is required"),
            ("[null]".to_owned(), "parameter `id`: it is required"),
            ("null".to_owned(), "parameter `id`: it is required"),
            (
                "[5]".to_owned(),
                "parameter `id`: invalid type: integer `5`, expected 64 hexadecimal digits without prefix",
            ),
            (
                format!("[\"{id}\", -1]"),
                "parameter `count`: invalid type: integer `-1`, expected a whole number from 0 to 2^64 - 1, or the same as a decimal string",
            ),
            (
                format!("[\"{id}\", 1, 2]"),
                "too many parameters: the method has 2 (id, count)",
            ),
            (
                format!("{{\"id\":\"{id}\",\"cuont\":1}}"),
                "unknown parameter \"cuont\"; the parameters are: id, count",
            ),
            (
                format!("{{\"id\":\"{id}\",\"id\":\"{id}\"}}"),
                "parameter `id` is given twice",
            ),
            (
                "\"x\"".to_owned(),
                "invalid type: string \"x\", expected params as an object or an array (parameters: id, count)",
            ),
        ] {
            assert_eq!(parse(&json).unwrap_err(), message, "{json}");
        }
    }
}
