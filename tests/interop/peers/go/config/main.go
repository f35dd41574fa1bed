// Prints the configuration that the official SDK loads from the environment of this program, as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"go.temporal.io/sdk/contrib/envconfig"
)

func main() {
	profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{})
	told := map[string]any{"profile": profile}
	if err == nil {
		// ToClientOptions reads the files and reports most errors, so call it.
		_, err = profile.ToClientOptions(envconfig.ToClientOptionsRequest{})
	} else {
		delete(told, "profile")
	}
	if err != nil {
		told["error"] = err.Error()
	}
	text, err := json.Marshal(told)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(text))
}
