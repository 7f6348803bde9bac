//! Reading a list as it arrives: an object with a `data` array, whose rows are handed on one by one, so that memory
//! holds one row at a time.

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::io::Read;

/// Bytes read ahead of the parser.
const AHEAD_BYTES: usize = 8 * 1024;

/// Shows every row of the body; the `metadata` beside them, if the body was whole and held a list: null where there is
/// none. Whatever else stands there is passed over.
pub fn read_rows(body: &mut dyn Read, row: &mut dyn FnMut(Value)) -> Option<Value> {
    let mut reader =
        serde_json::Deserializer::from_reader(std::io::BufReader::with_capacity(AHEAD_BYTES, body));
    let read = Top(row).deserialize(&mut reader).ok()??;
    reader.end().ok().map(|()| read)
}

struct Top<'a>(&'a mut dyn FnMut(Value));

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Option<Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with a data array")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut metadata) = (false, Value::Null);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "data" => {
                    map.next_value_seed(&mut self)?;
                    found = true;
                }
                "metadata" => metadata = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found.then_some(metadata))
    }
}

/// The array itself.
impl<'de> DeserializeSeed<'de> for &mut Top<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(Rows(self.0))
    }
}

struct Rows<'a>(&'a mut dyn FnMut(Value));

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<Value>()? {
            (self.0)(value);
        }
        Ok(())
    }
}
