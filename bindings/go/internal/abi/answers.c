/* The calls that never block, with their outputs by value. */
#pragma GCC visibility push(hidden)
#include "library.h"
#pragma GCC visibility pop

thb_go_answer_t thb_go_activity_heartbeat(thb_activity_t activity, thb_encoding_t encoding, const unsigned char *details,
                                          size_t details_len) {
    thb_go_answer_t answer = {0};
    answer.status = thb_activity_heartbeat(activity, encoding, details, details_len, &answer.signals, &answer.error);
    return answer;
}

thb_go_answer_t thb_go_activity_touch(thb_activity_t activity) {
    thb_go_answer_t answer = {0};
    answer.status = thb_activity_touch(activity, &answer.signals, &answer.error);
    return answer;
}

thb_go_answer_t thb_go_activity_get_signals(thb_activity_t activity) {
    thb_go_answer_t answer = {0};
    answer.status = thb_activity_get_signals(activity, &answer.signals, &answer.error);
    return answer;
}
