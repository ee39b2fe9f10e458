//! Lookup by time: from the index to the batch, and in the batch to the record.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::batch::BatchHeader;
use crate::error::ReadError;
use crate::index::Wanted;
use crate::partition::Partition;
use crate::read::{Miss, Source};
use crate::records::{self, Records};
use crate::scan::{Step, Walk};

/// Batches larger than this are answered without looking at their records: it would fill memory for little.
const REFINED_BYTES_MAX: usize = 8 << 20;

impl Partition {
    /// The first offset (and its timestamp) whose record is at least as late as `time_ms`. For
    /// batches that are very large or can't be opened, the batch's first offset and its highest timestamp.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn offset_for_time(&self, time_ms: i64) -> Result<Option<(i64, i64)>, ReadError> {
        self.retrying(|| self.try_offset_for_time(time_ms))
    }

    fn try_offset_for_time(&self, time_ms: i64) -> Result<Option<(i64, i64)>, Miss> {
        let (sources, log_start) = self.sources_for_time(time_ms);
        for source in sources {
            if let Some(found) = self.look_into(&source, time_ms, log_start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn look_into(&self, source: &Source, time_ms: i64, log_start: i64) -> Result<Option<(i64, i64)>, Miss> {
        let (file, hint) = source.open(self, Wanted::Time(time_ms))?;
        let mut walk = Walk::new(&file, hint.position, source.end, hint.offset);
        loop {
            match walk.step().map_err(|error| source.miss(error))? {
                Step::Batch { position, header } if late_enough(&header, time_ms, log_start) => {
                    let found = refine(&file, position, &header, time_ms, log_start);
                    return found.map(Some).map_err(|error| source.miss(error));
                }
                Step::Batch { .. } => {}
                // What is late enough is not durable yet, or was trimmed away.
                Step::End => return Ok(None),
                Step::Corrupt { position } => return Err(source.corrupt(position)),
            }
        }
    }
}

fn late_enough(header: &BatchHeader, time_ms: i64, log_start: i64) -> bool {
    header.max_timestamp >= time_ms && header.last_offset() >= log_start
}

fn refine(file: &File, position: u64, header: &BatchHeader, time_ms: i64, log_start: i64) -> io::Result<(i64, i64)> {
    let whole = (header.base_offset.max(log_start), header.max_timestamp);
    if header.is_log_append_time() || header.size() > REFINED_BYTES_MAX {
        return Ok(whole);
    }
    let mut batch = vec![0; header.size()];
    file.read_exact_at(&mut batch, position)?;
    // What can't be opened is answered by its header, as what is not worth opening.
    let Ok(records) = records::open(header, &batch) else { return Ok(whole) };
    Ok(first_record(&records, header, time_ms, log_start).unwrap_or(whole))
}

/// The first record that is late enough; `None` when there is none or the records can't be understood.
fn first_record(records: &[u8], header: &BatchHeader, time_ms: i64, log_start: i64) -> Option<(i64, i64)> {
    Records::new(records).find_map(|record| {
        let time = header.base_timestamp.checked_add(record.time_delta)?;
        let offset = header.base_offset.checked_add(record.offset_delta)?;
        (time >= time_ms && (log_start..=header.last_offset()).contains(&offset)).then_some((offset, time))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::tests::Sample;
    use crate::batch::{HEADER_BYTES, check_produced};

    #[test]
    fn the_exact_record_is_found() {
        let batch = Sample { records: 5, time_ms: 100, ..Default::default() }.build();
        let header = check_produced(&batch).unwrap()[0].1.at(40);
        let records = &batch[HEADER_BYTES..];
        assert_eq!(first_record(records, &header, 0, 0), Some((40, 100)));
        assert_eq!(first_record(records, &header, 103, 0), Some((43, 103)));
        assert_eq!(first_record(records, &header, 103, 44), Some((44, 104)));
        assert_eq!(first_record(records, &header, 105, 0), None);
    }

    proptest! {
        #[test]
        fn arbitrary_records_never_panic(records in prop::collection::vec(any::<u8>(), 0..100), time_ms: i64) {
            let header = check_produced(&Sample::default().build()).unwrap()[0].1;
            let _ = first_record(&records, &header, time_ms, 0);
        }
    }
}
