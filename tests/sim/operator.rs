//! What an operator, or the workflow, does to an activity.

use std::time::Duration;

use super::{
    request::{Answer, Refusal},
    temporal::{Activity, State, Temporal},
};
use crate::sys::clock::Moment;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// Requests the cancellation. For the activity of a workflow, the workflow does this.
    Cancel,
    Pause,
    Unpause {
        erases_details: bool,
        restarts_count: bool,
    },
    Reset {
        erases_details: bool,
        keeps_paused: bool,
    },
    /// Changes the heartbeat timeout.
    SetTimeout(Duration),
    /// Ends the standalone activity, or the workflow.
    Terminate,
}

const DONE: Answer = Ok(Vec::new());

impl Temporal {
    pub fn operate(&mut self, number: usize, operation: Operation) -> Answer {
        let version = self.version;
        let activity = self.activities.get_mut(number).ok_or_else(Refusal::not_found)?;
        match activity.is_standalone {
            true if version < 32 && !matches!(operation, Operation::Cancel | Operation::Terminate) => {
                Err(Refusal::plain(tonic::Code::Unimplemented, "unimplemented"))
            }
            true => activity.operate_standalone(operation),
            false => activity.operate_workflow(operation, version),
        }
    }
}

impl Activity {
    /// A standalone activity is in one state at a time: the request of a cancellation replaces those of a pause and of a reset.
    fn operate_standalone(&mut self, operation: Operation) -> Answer {
        let refused = Err(Refusal::plain(tonic::Code::FailedPrecondition, "not in this state"));
        if !self.state.is_pending() {
            return refused;
        }
        match operation {
            Operation::Terminate => {
                self.end(State::Terminated);
                return DONE;
            }
            _ if self.cancel_requested => return refused,
            Operation::Cancel if self.state == State::Waiting => {
                self.end(State::Cancelled);
                return DONE;
            }
            Operation::Cancel => {
                self.cancel_requested = true;
                (self.is_paused, self.is_reset, self.erases_details) = (false, false, false);
            }
            _ if self.is_reset => return refused,
            Operation::Pause if self.is_paused => return refused,
            Operation::Pause => self.is_paused = true,
            Operation::Unpause { .. } if !self.is_paused => return refused,
            Operation::Unpause { .. } => self.is_paused = false,
            Operation::Reset { erases_details, keeps_paused } => {
                self.is_paused &= keeps_paused;
                self.erases_details |= erases_details;
                // A running attempt continues. The reset is applied when the attempt fails.
                match self.state {
                    State::Running => self.is_reset = true,
                    _ => self.restart(),
                }
            }
            Operation::SetTimeout(timeout) => self.set_timeout(timeout),
        }
        self.changes += 1;
        DONE
    }

    /// For the activity of a workflow the requests of a cancellation, a pause and a reset are independent of each other.
    fn operate_workflow(&mut self, operation: Operation, version: u32) -> Answer {
        if !self.state.is_pending() && (operation != Operation::Terminate || self.state == State::Terminated)
        {
            return Err(Refusal::not_found());
        }
        match operation {
            Operation::Terminate => self.end(State::Terminated),
            Operation::Cancel if self.state == State::Waiting => self.end(State::Cancelled),
            Operation::Cancel => self.cancel_requested = true,
            Operation::Pause => self.is_paused = true,
            Operation::Unpause { .. } if !self.is_paused => {}
            Operation::Unpause { erases_details, restarts_count } => {
                self.is_paused = false;
                if restarts_count {
                    self.restart_numbers();
                }
                if erases_details {
                    self.erase();
                }
                self.schedule_again();
            }
            Operation::Reset { erases_details, keeps_paused } => {
                // This also happens while an attempt runs. Then the number differs from the one in the attempt's token.
                self.restart_numbers();
                self.is_reset = true;
                self.erases_details |= erases_details;
                let runs_on = self.state == State::Running && !self.cancel_requested;
                // Older servers keep the pause of a running attempt.
                self.is_paused &= keeps_paused || (runs_on && version < 32);
                if !runs_on && !self.is_paused {
                    self.schedule_again();
                }
            }
            Operation::SetTimeout(timeout) => {
                self.set_timeout(timeout);
                self.schedule_again();
            }
        }
        DONE
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
        self.shortest_timeout = self.shortest_timeout.min(timeout);
    }

    /// Schedules the next attempt of a workflow's activity again.
    fn schedule_again(&mut self) {
        if self.state == State::Waiting {
            self.last_failure = None;
            self.is_reset = false;
            self.waits_until = Moment::LONG_AGO;
            self.erase_if_asked();
        }
    }
}
