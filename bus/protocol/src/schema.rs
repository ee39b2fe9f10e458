//! Walks a request's body by the shape of its API and version, before anything is decoded.
//!
//! A body that passes ends where its shape ends, and every count in it is one of elements that are there: whoever
//! decodes it afterwards may trust the counts. It never allocates.

use crate::wire::{Cursor, WireError};

/// The most elements, in all arrays together, and tags of one request. Ten times the partitions that one machine
/// should have; what is decoded takes up to 300 bytes an element, so one request stays within 30 MB.
pub(crate) const ELEMENTS_MAX: usize = 100_000;

/// The shape of a request, in every version.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The first version of the compact encoding with tagged fields.
    pub(crate) flexible: i16,
    /// What it consists of, in order.
    pub(crate) fields: &'static [Field],
}

/// One field, and the versions that have it.
#[derive(Debug)]
pub(crate) struct Field {
    name: &'static str,
    since: i16,
    until: i16,
    tag: Option<u32>,
    kind: Kind,
}

/// What a field is.
#[derive(Debug)]
pub(crate) enum Kind {
    Fixed(usize),
    Text,
    Blob,
    Values(&'static Kind),
    Structs(&'static [Field]),
    Struct(&'static [Field]),
}

impl Field {
    const fn new(name: &'static str, since: i16, kind: Kind) -> Self {
        Self { name, since, until: i16::MAX, tag: None, kind }
    }

    /// The last version that has it.
    pub(crate) const fn until(mut self, version: i16) -> Self {
        self.until = version;
        self
    }

    /// It stands among the tagged fields, under this number.
    pub(crate) const fn tagged(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    const fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }
}

pub(crate) const I8: Kind = Kind::Fixed(1);
pub(crate) const I16: Kind = Kind::Fixed(2);
pub(crate) const I32: Kind = Kind::Fixed(4);
pub(crate) const I64: Kind = Kind::Fixed(8);
pub(crate) const UUID: Kind = Kind::Fixed(16);

pub(crate) const fn bool(name: &'static str, since: i16) -> Field {
    Field::new(name, since, I8)
}
pub(crate) const fn i8(name: &'static str, since: i16) -> Field {
    Field::new(name, since, I8)
}
pub(crate) const fn i16(name: &'static str, since: i16) -> Field {
    Field::new(name, since, I16)
}
pub(crate) const fn i32(name: &'static str, since: i16) -> Field {
    Field::new(name, since, I32)
}
pub(crate) const fn i64(name: &'static str, since: i16) -> Field {
    Field::new(name, since, I64)
}
pub(crate) const fn uuid(name: &'static str, since: i16) -> Field {
    Field::new(name, since, UUID)
}
pub(crate) const fn string(name: &'static str, since: i16) -> Field {
    Field::new(name, since, Kind::Text)
}
pub(crate) const fn bytes(name: &'static str, since: i16) -> Field {
    Field::new(name, since, Kind::Blob)
}
pub(crate) const fn values(name: &'static str, since: i16, of: &'static Kind) -> Field {
    Field::new(name, since, Kind::Values(of))
}
pub(crate) const fn structs(name: &'static str, since: i16, of: &'static [Field]) -> Field {
    Field::new(name, since, Kind::Structs(of))
}
pub(crate) const fn one(name: &'static str, since: i16, of: &'static [Field]) -> Field {
    Field::new(name, since, Kind::Struct(of))
}

/// A body does not have the shape of its API and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A value is broken.
    #[error("`{field}`: {source}")]
    Value {
        /// Where.
        field: &'static str,
        /// How.
        source: WireError,
    },
    /// A count is larger than the bytes that are left.
    #[error("`{field}` announces {count} elements where {left} bytes are left")]
    Count {
        /// Where.
        field: &'static str,
        /// What it says.
        count: usize,
        /// What there is.
        left: usize,
    },
    /// There are too many elements, however small they are.
    #[error("more than {ELEMENTS_MAX} elements")]
    TooMany,
    /// A tagged field's size is not the size of its value.
    #[error("tagged field `{field}` has another size than it says")]
    TagSize {
        /// Where.
        field: &'static str,
    },
}

impl Schema {
    /// Walks `body`; what follows its end is ignored, as Kafka does.
    pub(crate) fn check(&self, version: i16, body: &[u8]) -> Result<(), ShapeError> {
        let mut walk = Walk { at: Cursor::new(body), version, flexible: version >= self.flexible, left: ELEMENTS_MAX };
        walk.fields(self.fields)
    }
}

struct Walk<'b> {
    at: Cursor<'b>,
    version: i16,
    flexible: bool,
    left: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &'static [Field]) -> Result<(), ShapeError> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.is_in(version)) {
            self.value(field.name, &field.kind)?;
        }
        if self.flexible { self.tags(fields) } else { Ok(()) }
    }

    fn value(&mut self, name: &'static str, kind: &'static Kind) -> Result<(), ShapeError> {
        let broken = |source| ShapeError::Value { field: name, source };
        match kind {
            Kind::Fixed(size) => self.at.take(*size).map(drop).map_err(broken),
            Kind::Text => {
                let length = self.at.string_length(self.flexible).map_err(broken)?;
                self.at.take(length.unwrap_or(0)).map(drop).map_err(broken)
            }
            Kind::Blob => {
                let length = self.at.long_length(self.flexible).map_err(broken)?;
                self.at.take(length.unwrap_or(0)).map(drop).map_err(broken)
            }
            Kind::Values(of) => {
                for _ in 0..self.count(name)? {
                    self.value(name, of)?;
                }
                Ok(())
            }
            Kind::Structs(of) => {
                for _ in 0..self.count(name)? {
                    self.fields(of)?;
                }
                Ok(())
            }
            Kind::Struct(of) => self.fields(of),
        }
    }

    /// The count of an array; each element takes a byte at least.
    fn count(&mut self, name: &'static str) -> Result<usize, ShapeError> {
        let length = self.at.long_length(self.flexible).map_err(|source| ShapeError::Value { field: name, source })?;
        let (count, left) = (length.unwrap_or(0), self.at.left());
        if count > left {
            return Err(ShapeError::Count { field: name, count, left });
        }
        self.left = self.left.checked_sub(count).ok_or(ShapeError::TooMany)?;
        Ok(count)
    }

    fn tags(&mut self, fields: &'static [Field]) -> Result<(), ShapeError> {
        let broken = |source| ShapeError::Value { field: "tags", source };
        for _ in 0..self.at.varint().map_err(broken)? {
            self.left = self.left.checked_sub(1).ok_or(ShapeError::TooMany)?;
            let tag = self.at.varint().map_err(broken)?;
            let size = usize::try_from(self.at.varint().map_err(broken)?).unwrap_or(usize::MAX);
            let before = self.at.left();
            // The decoder of a known tag reads its value and does not look at the size: both must agree.
            match fields.iter().find(|field| field.tag == Some(tag)) {
                Some(field) => {
                    self.value(field.name, &field.kind)?;
                    if before - self.at.left() != size {
                        return Err(ShapeError::TagSize { field: field.name });
                    }
                }
                None => drop(self.at.take(size).map_err(broken)?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
