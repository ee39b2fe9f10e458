//! The events of a part, as they were sent. Whoever shows, exports or replays a document reads it here and nowhere
//! else: how a split keeps its events is no business of a search.

use tantivy::schema::document::{
    DeserializeError, DocumentDeserialize, DocumentDeserializer, ValueDeserialize, ValueDeserializer,
};
use tantivy::store::StoreReader;
use tantivy::{DocId, TantivyError};

use super::Part;
use super::synthetic::{self, Columns, RESIDUE};

/// A page's hits of one part lie close together: a few decompressed blocks are enough.
const CACHED_BLOCKS: usize = 8;

/// Reads the events of one part.
pub(crate) struct Sources {
    store: StoreReader,
    columns: Columns,
}

impl Sources {
    /// Opens the events of a part.
    ///
    /// # Errors
    /// When they can't be read.
    pub(crate) fn open(part: &Part) -> tantivy::Result<Self> {
        let columns = Columns::new(part.reader.fast_fields().clone());
        Ok(Self { store: part.reader.get_store_reader(CACHED_BLOCKS)?, columns })
    }

    /// The event of a document: a JSON object.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn get(&mut self, doc: DocId) -> tantivy::Result<Vec<u8>> {
        let Stored(bytes) = self.store.get(doc)?;
        let bytes =
            bytes.ok_or_else(|| TantivyError::InternalError(format!("document {doc} is kept without its event")))?;
        if bytes.first() != Some(&RESIDUE) {
            return Ok(bytes);
        }
        synthetic::event(&bytes, &mut self.columns, doc).map_err(|error| TantivyError::InternalError(error.to_string()))
    }
}

/// What the docstore has of a document: the bytes of its only stored field.
pub(super) struct Stored(pub(super) Option<Vec<u8>>);

impl DocumentDeserialize for Stored {
    fn deserialize<'de, D: DocumentDeserializer<'de>>(mut deserializer: D) -> Result<Self, DeserializeError> {
        let value = deserializer.next_field::<Bytes>()?;
        Ok(Self(value.map(|(_, Bytes(bytes))| bytes)))
    }
}

struct Bytes(Vec<u8>);

impl ValueDeserialize for Bytes {
    fn deserialize<'de, D: ValueDeserializer<'de>>(deserializer: D) -> Result<Self, DeserializeError> {
        deserializer.deserialize_bytes().map(Self)
    }
}
