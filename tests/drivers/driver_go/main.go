// The Go driver. README.md in the parent folder describes the protocol.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"temporal-heartbeat.dev/go/heartbeat"
)

var verbs = map[string]func(words []string) ([]string, error){
	"connect":          connect,
	"reconfigure":      reconfigure,
	"disconnect":       disconnect,
	"heartbeat":        recordHeartbeat,
	"get_details":      getDetails,
	"token_from_ids":   tokenFromIDs,
	"complete":         complete,
	"fail":             fail,
	"report_cancelled": reportCancelled,
	"token_from_env":   tokenFromEnv,
}

func main() {
	requests := bufio.NewReader(os.Stdin)
	for {
		line, err := requests.ReadString('\n')
		if err != nil {
			return // the end of the input
		}
		words := strings.Fields(line)
		answer, err := verbs[words[0]](words[1:])
		if err != nil {
			answer = append([]string{"error"}, errorWords(err)...)
		} else {
			answer = append([]string{"ok"}, answer...)
		}
		fmt.Println(strings.Join(answer, " "))
	}
}

// errorWords formats an error by its public fields. A context that ended counts as a timeout.
func errorWords(err error) []string {
	var refusal *heartbeat.Error
	if errors.As(err, &refusal) {
		return []string{
			refusal.Code.String(),
			fmt.Sprint(refusal.GRPCCode),
			map[bool]string{false: "0", true: "1"}[refusal.Retryable],
			fmt.Sprint(refusal.RetryAfter.Milliseconds()),
			toHex([]byte(refusal.Message)),
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return []string{"THB_TIMEOUT", "-1", "1", "0", toHex([]byte(err.Error()))}
	}
	panic(err)
}
