//! Which records the server has.

/// The numbers of an activity's records. Only the newest is sent, so an acknowledgement covers all before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordSequence {
    newest: u64,
    sent: u64,
    acknowledged: u64,
    /// The newest record that a flush waits for.
    awaited: u64,
}

impl RecordSequence {
    /// Creates the numbers of an inactive activity, whose records all count as acknowledged.
    pub fn of_inactive() -> Self {
        RecordSequence { acknowledged: u64::MAX, ..RecordSequence::default() }
    }

    /// Counts a record.
    #[inline]
    pub fn add(&mut self) {
        self.newest += 1;
    }

    /// Returns the number of the newest record.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Notes that this record is sent, which isn't older than the last one. Returns how many before it are never sent.
    pub fn send(&mut self, record: u64) -> u64 {
        let replaced = record.saturating_sub(self.sent).saturating_sub(1);
        self.sent = record;
        replaced
    }

    /// Notes that the server acknowledged the record that was sent last.
    pub fn acknowledge_sent(&mut self) {
        self.acknowledged = self.sent;
    }

    /// Returns whether the last beat carries this record or a newer one.
    pub fn is_sent(&self, record: u64) -> bool {
        self.sent >= record
    }

    /// Returns whether this record, or a newer one, is acknowledged.
    pub fn is_acknowledged(&self, record: u64) -> bool {
        self.acknowledged >= record
    }

    /// Returns whether the newest record isn't acknowledged.
    #[inline]
    pub fn has_unacknowledged(&self) -> bool {
        self.acknowledged < self.newest
    }

    /// Returns whether no beat has carried a record yet.
    #[inline]
    pub fn is_none_sent(&self) -> bool {
        self.sent == 0
    }

    /// Notes that a flush waits for the newest record.
    pub fn await_newest(&mut self) {
        self.awaited = self.newest;
    }

    /// Notes that the flushes got an error and have stopped waiting.
    pub fn stop_waiting(&mut self) {
        self.awaited = self.acknowledged;
    }

    /// Returns whether a flush waits for a record up to this one that isn't acknowledged.
    pub fn is_awaited_up_to(&self, record: u64) -> bool {
        self.acknowledged < self.awaited.min(record)
    }

    /// Returns whether a flush waits for a record that isn't acknowledged.
    #[inline]
    pub fn is_awaited(&self) -> bool {
        self.acknowledged < self.awaited
    }
}

/// A reason for one beat that isn't a record: it is gone when a beat is acknowledged that was sent after it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum BeatReason {
    /// There is none.
    #[default]
    None,
    /// No beat was sent since.
    Unsent,
    /// A beat was sent that isn't acknowledged.
    Sent,
}

impl BeatReason {
    /// Notes that a beat is sent.
    pub fn send(&mut self) {
        if *self == BeatReason::Unsent {
            *self = BeatReason::Sent;
        }
    }

    /// Notes that the last beat was acknowledged.
    pub fn acknowledge(&mut self) {
        if *self == BeatReason::Sent {
            *self = BeatReason::None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_from_during_a_beat_outlasts_its_acknowledgement() {
        let mut reason = BeatReason::Unsent;
        reason.send();
        reason = BeatReason::Unsent;
        reason.acknowledge();
        assert_eq!(reason, BeatReason::Unsent);
        reason.send();
        reason.acknowledge();
        assert_eq!(reason, BeatReason::None);
    }

    #[test]
    fn acknowledgement_of_the_newest_record_covers_all_earlier_ones() {
        let mut records = RecordSequence::default();
        (0..3).for_each(|_| records.add());
        assert_eq!(records.send(records.newest()), 2);
        records.add();
        records.acknowledge_sent();
        assert!(records.is_acknowledged(1) && records.is_acknowledged(3) && !records.is_acknowledged(4));
        assert!(records.has_unacknowledged());
        assert_eq!(records.send(records.newest()), 0);
    }

    #[test]
    fn flush_waits_for_the_record_that_was_newest_at_its_start() {
        let mut records = RecordSequence::default();
        records.add();
        records.await_newest();
        assert!(records.is_awaited());
        records.send(records.newest());
        records.add();
        records.acknowledge_sent();
        assert!(!records.is_awaited() && records.has_unacknowledged());
    }

    #[test]
    fn any_number_of_records_may_be_unacknowledged() {
        let mut records = RecordSequence { newest: 1 << 33, ..RecordSequence::default() };
        records.await_newest();
        assert!(records.is_awaited() && records.has_unacknowledged());
        assert!(!records.is_acknowledged(1 << 31));
    }
}
