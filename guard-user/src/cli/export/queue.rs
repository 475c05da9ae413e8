//! Spans that wait to be sent. It is bounded: what is oldest goes first, and is counted.

use std::collections::VecDeque;

/// Spans of one request, and their bytes: a collector need not take more than 20 MiB.
pub(super) const BATCH: usize = 512;
const BATCH_BYTES: usize = 4 << 20;
/// Spans that may wait, and their bytes.
const MOST: usize = 16_384;
const MOST_BYTES: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// How many there ever were.
    all: u64,
    dropped: u64,
    /// Number of the last record whose spans are in it, or were.
    read: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    /// The record with which it was over.
    record: u64,
    json: String,
}

/// What is sent at once.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) spans: Vec<String>,
    /// Number of the last one.
    last: u64,
}

impl Queue {
    pub(super) fn push(&mut self, record: u64, json: String) {
        self.all += 1;
        self.bytes += json.len();
        self.waiting.push_back(Waiting { number: self.all, record, json });
        while self.waiting.len() > MOST || (self.bytes > MOST_BYTES && self.waiting.len() > 1) {
            self.dropped += self.pop();
        }
    }

    /// All spans up to this record are in it, or were.
    pub(super) fn read_to(&mut self, record: u64) {
        self.read = record;
    }

    /// The oldest ones, which stay until they are delivered.
    pub(super) fn batch(&self) -> Option<Batch> {
        let mut batch = Batch { spans: Vec::new(), last: 0 };
        let mut bytes = 0;
        for waiting in self.waiting.iter().take(BATCH) {
            bytes += waiting.json.len();
            if bytes > BATCH_BYTES && !batch.spans.is_empty() {
                break;
            }
            batch.spans.push(waiting.json.clone());
            batch.last = waiting.number;
        }
        (!batch.spans.is_empty()).then_some(batch)
    }

    /// Need not be sent again.
    pub(super) fn done(&mut self, batch: &Batch) {
        while self.waiting.front().is_some_and(|waiting| waiting.number <= batch.last) {
            self.pop();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The last record up to which nothing waits.
    pub(super) fn reached(&self) -> u64 {
        self.waiting.front().map_or(self.read, |oldest| oldest.record.saturating_sub(1))
    }

    /// How many were dropped since this was asked last.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn pop(&mut self) -> u64 {
        let oldest = self.waiting.pop_front();
        self.bytes -= oldest.as_ref().map_or(0, |oldest| oldest.json.len());
        u64::from(oldest.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_delivered_stays() {
        let mut queue = Queue::default();
        queue.read_to(7);
        assert_eq!((queue.reached(), queue.batch().is_none()), (7, true));
        for record in 8..=8 + BATCH as u64 {
            queue.push(record, record.to_string());
        }
        queue.read_to(8 + BATCH as u64);
        let batch = queue.batch().expect("there are some");
        assert_eq!((batch.spans.len(), batch.spans[0].as_str(), queue.reached()), (BATCH, "8", 7));
        queue.done(&batch);
        queue.done(&batch);
        assert_eq!((queue.len(), queue.reached()), (1, 7 + BATCH as u64));
        queue.done(&queue.batch().expect("the last one"));
        assert_eq!((queue.len(), queue.bytes, queue.reached()), (0, 0, 8 + BATCH as u64));
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room_and_are_counted() {
        let mut queue = Queue::default();
        let batch = |queue: &Queue| queue.batch().expect("there are some");
        queue.push(1, "first".to_owned());
        let sending = batch(&queue);
        for record in 2..=MOST as u64 + 3 {
            queue.push(record, "x".to_owned());
        }
        assert_eq!((queue.len(), queue.take_dropped(), queue.take_dropped()), (MOST, 3, 0));
        queue.done(&sending);
        assert_eq!(queue.len(), MOST, "what was being sent had gone");
        for record in 0..40 {
            queue.push(record, "x".repeat(1 << 20));
        }
        assert!(queue.bytes <= MOST_BYTES && queue.len() <= 32, "{} bytes", queue.bytes);
        assert!(batch(&queue).spans.len() <= 4);
    }
}
