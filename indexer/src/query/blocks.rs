//! Walks the matches of one part in blocks.

use tantivy::query::{Scorer, Weight};
use tantivy::{COLLECT_BLOCK_BUFFER_LEN, DocId, SegmentReader, TERMINATED};

use super::error::EsError;
use super::limits::Stopped;
use super::scoring::rounded;

/// What is done with a block of documents and their scores; it may say why to stop.
pub(crate) type Each<'e> = &'e mut dyn FnMut(&[DocId], &[f32]) -> Option<Stopped>;

/// Calls `each` with blocks of living, matching documents and their scores, until it says why to stop.
pub(crate) fn each_block(
    weight: &dyn Weight,
    reader: &SegmentReader,
    scored: bool,
    each: Each<'_>,
) -> Result<Option<Stopped>, EsError> {
    let mut docs = weight.scorer(reader, 1.0)?;
    let mut buffer = [0; COLLECT_BLOCK_BUFFER_LEN];
    let mut scores = [0.0; COLLECT_BLOCK_BUFFER_LEN];
    let alive = reader.alive_bitset();
    loop {
        let filled =
            if scored { fill_scored(docs.as_mut(), &mut buffer, &mut scores) } else { docs.fill_buffer(&mut buffer) };
        let kept = match alive {
            None => filled,
            Some(alive) => {
                let mut kept = 0;
                for at in 0..filled {
                    let (Some(doc), Some(score)) = (buffer.get(at).copied(), scores.get(at).copied()) else { break };
                    if alive.is_alive(doc)
                        && let (Some(doc_slot), Some(score_slot)) = (buffer.get_mut(kept), scores.get_mut(kept))
                    {
                        (*doc_slot, *score_slot) = (doc, score);
                        kept += 1;
                    }
                }
                kept
            }
        };
        let stopped = each(buffer.get(..kept).unwrap_or_default(), scores.get(..kept).unwrap_or_default());
        if stopped.is_some() || filled < buffer.len() {
            return Ok(stopped);
        }
    }
}

fn fill_scored(
    docs: &mut dyn Scorer,
    buffer: &mut [DocId; COLLECT_BLOCK_BUFFER_LEN],
    scores: &mut [f32; COLLECT_BLOCK_BUFFER_LEN],
) -> usize {
    let mut filled = 0;
    let mut doc = docs.doc();
    for (slot, score) in buffer.iter_mut().zip(scores.iter_mut()) {
        if doc == TERMINATED {
            break;
        }
        (*slot, *score) = (doc, rounded(docs.score()));
        filled += 1;
        doc = docs.advance();
    }
    filled
}
