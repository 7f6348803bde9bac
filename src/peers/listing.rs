//! `{"data": [...]}` read row by row as it arrives, so that memory holds one row however long the list is.

use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::io::Read;
use std::marker::PhantomData;

/// How reading a list ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListRead {
    pub rows: u64,
    /// `metadata.total`, where the server pages.
    pub total: Option<u64>,
    /// The answer was whole and of the right shape.
    pub whole: bool,
}

/// Reads a list, giving each row away. A row of another shape ends the reading: the list is then not whole.
pub fn read_list<T: DeserializeOwned>(body: &mut dyn Read, each: &mut dyn FnMut(T)) -> ListRead {
    let mut read = ListRead::default();
    let mut reader = serde_json::Deserializer::from_reader(std::io::BufReader::with_capacity(8 * 1024, body));
    let whole = reader.deserialize_map(Top {
        each,
        read: &mut read,
    });
    read.whole = whole.unwrap_or(false) && reader.end().is_ok();
    read
}

#[derive(Deserialize)]
struct Metadata {
    total: Option<u64>,
}

struct Top<'a, T> {
    each: &'a mut dyn FnMut(T),
    read: &'a mut ListRead,
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Top<'_, T> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with a data array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "data" => {
                    self.read.rows += map.next_value_seed(Rows {
                        each: &mut *self.each,
                        row: PhantomData,
                    })?;
                    found = true;
                }
                "metadata" => self.read.total = map.next_value::<Metadata>()?.total,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

struct Rows<'a, T> {
    each: &'a mut dyn FnMut(T),
    row: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Rows<'_, T> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Rows<'_, T> {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut rows = 0;
        while let Some(row) = seq.next_element::<T>()? {
            rows += 1;
            (self.each)(row);
        }
        Ok(rows)
    }
}
