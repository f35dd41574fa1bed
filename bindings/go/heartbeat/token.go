package heartbeat

import "temporal-heartbeat.dev/go/internal/abi"

// TokenFromEnv gives the task token that the parent process handed over: as base64 in TEMPORAL_ACTIVITY_TASK_TOKEN, or in the file
// named by TEMPORAL_ACTIVITY_TASK_TOKEN_FILE, or read from the descriptor in TEMPORAL_ACTIVITY_TASK_TOKEN_FD.
//
// From a descriptor it reads until the parent closes its end, for 10 seconds at most.
//
// [ErrConfig] when none of them is set or more than one, or what is there is not base64.
func TokenFromEnv() ([]byte, error) {
	if err := load(); err != nil {
		return nil, err
	}
	token, err := abi.TokenFromEnv()
	return token, failed("token from environment", err)
}
