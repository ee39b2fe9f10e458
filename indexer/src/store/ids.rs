//! The ids of documents for which no client chose one: where they lay on the bus.

/// The id of the document that lay there.
pub(crate) fn id_of(seq: u64) -> String {
    format!("{}-{}", seq >> 48, seq & ((1 << 48) - 1))
}

/// The other way round; `None` when the id is not written so.
pub(crate) fn seq_of(id: &str) -> Option<u64> {
    let (partition, offset) = id.split_once('-')?;
    let (partition, offset) = (partition.parse::<u16>().ok()?, offset.parse::<u64>().ok()?);
    (offset < 1 << 48).then_some(u64::from(partition) << 48 | offset).filter(|seq| id_of(*seq) == id)
}

/// The partition in which a number lies.
pub(crate) fn partition_of(seq: u64) -> i32 {
    i32::try_from(seq >> 48).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn ids_tell_the_place_on_the_bus(seq: u64) {
            proptest::prop_assert_eq!(seq_of(&id_of(seq)), Some(seq));
        }

        #[test]
        fn whatever_else_is_no_place(text in "\\PC{0,12}") {
            proptest::prop_assert!(seq_of(&text).is_none_or(|seq| id_of(seq) == text));
        }
    }
}
