"""The scenarios that every language must pass, on activities of workflows and on standalone ones.

Each is a test of e2e/ with the arguments `language` and `kind`. A run prints them as a grid (grid.py).
"""

from collections.abc import Mapping, Sequence

# Scenarios by theme.
Table = Mapping[str, Sequence[str]]

TABLE: Table = {
    "Heartbeats": (
        "details_are_read_back_with_attempt_time_and_timeout",
        "newest_details_replace_the_older_ones",
        "before_the_first_beat_there_are_no_details",
        "a_beat_without_details_erases_them",
        "details_at_the_limit_pass_and_the_activity_lives",
        "details_one_byte_over_stay_here_and_the_activity_lives",
    ),
    "Resuming": (
        "killed_child_resumes_after_last_item",
        "silent_child_times_out_with_its_last_details",
    ),
    "Cancellation": (
        "cancellation_asked_for_before_the_first_beat_is_told_by_it",
        "cancellation_asked_for_between_beats_is_told_until_it_is_reported",
        "cancellation_asked_for_after_the_last_beat_reaches_nobody",
        "cancellation_may_be_reported_without_a_beat_and_without_details",
        "cancellation_nobody_asked_for_is_refused_and_the_work_goes_on",
        "completion_wins_over_a_cancellation",
        "failure_after_a_cancellation_is_not_retried",
        "cancellation_is_not_told_any_more_when_all_is_over",
    ),
    "Pause": (
        "pause_is_told_until_the_unpause_and_progress_is_kept",
        "pause_of_a_later_attempt_is_told_as_well",
        "pause_and_cancellation_are_told_together_or_cancellation_alone",
        "unpause_may_forget_the_progress",
    ),
    "Reset": (
        "reset_is_told_to_the_first_attempt_and_its_progress_is_kept",
        "reset_of_the_first_attempt_may_forget_the_progress",
        "reset_of_a_later_attempt_keeps_its_progress",
        "reset_of_a_later_attempt_may_forget_the_progress",
    ),
    "Completion and failure": (
        "result_is_what_the_workflow_gets",
        "final_failure_reaches_the_workflow_with_all_it_says",
        "retryable_failure_starts_the_next_attempt",
        "failure_says_when_to_try_again",
        "progress_stored_with_a_failure_is_the_next_attempts",
        "result_one_byte_over_stays_here_and_another_one_may_go",
    ),
    "Tokens whose time is over": (
        "a_superseded_attempt_can_neither_beat_nor_end_its_successor",
        "a_sleeper_that_timed_out_can_neither_beat_nor_end_its_successor",
        "nothing_reaches_a_completed_activity",
        "nothing_reaches_a_terminated_activity",
        "nothing_reaches_an_activity_that_was_ended_from_elsewhere",
        "details_of_a_finished_activity_are_gone_with_its_workflow_and_stay_otherwise",
        "token_of_another_namespace_is_refused",
    ),
    "Trouble on the way": (
        "call_outlasts_a_server_that_is_killed_and_started_again",
        "call_outlasts_a_rate_limit",
        "a_beat_is_never_in_doubt_but_sent_again",
        "lost_request_is_sent_again_and_nothing_is_in_doubt",
        "lost_answer_leaves_the_ending_in_doubt",
        "doubt_outlives_a_call_that_ran_out_of_time",
    ),
}
