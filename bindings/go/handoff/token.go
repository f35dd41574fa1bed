package handoff

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// EnvironWithFile returns the environment of [Environ], but with the token in a file, which it writes and which only this user can read. It
// replaces a file that exists. The caller removes the file after the attempt.
func EnvironWithFile(base []string, activity Activity, path string) ([]string, error) {
	path, err := filepath.Abs(path) // the child may have another working directory
	if err != nil {
		return nil, fmt.Errorf("handoff: token file: %w", err)
	}
	env, err := activity.environ(base, "TASK_TOKEN_FILE", path)
	if err != nil {
		return nil, err
	}
	if err := writeFile(path, activity.tokenText()); err != nil {
		return nil, fmt.Errorf("handoff: token file: %w", err)
	}
	return env, nil
}

// writeFile writes the whole file or nothing.
func writeFile(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // only its owner can read it
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// Prepare prepares a command to continue the activity, with the token only in a pipe that the child inherits. It adds the variables of
// [Environ] to command.Env, and the pipe to command.ExtraFiles. It doesn't work on Windows.
//
// release closes the parent's end of the pipe. Call it after the command was started, and if it won't be started.
//
//	release, err := handoff.Prepare(child, handoff.From(activity.GetInfo(ctx)))
//	if err != nil {
//		return "", err
//	}
//	defer release()
//	if err := child.Start(); err != nil {
//		return "", err
//	}
func Prepare(command *exec.Cmd, activity Activity) (release func(), err error) {
	const firstExtraFile = 3 // after standard input, output and error
	env, err := activity.environ(command.Environ(), "TASK_TOKEN_FD", strconv.Itoa(firstExtraFile+len(command.ExtraFiles)))
	if err != nil {
		return nil, err
	}
	reader, err := tokenPipe(activity.tokenText())
	if err != nil {
		return nil, fmt.Errorf("handoff: token pipe: %w", err)
	}
	command.Env = env
	command.ExtraFiles = append(command.ExtraFiles, reader)
	return func() { reader.Close() }, nil
}

// tokenPipe returns the read end of a pipe with the token. A token has a few hundred bytes, and each pipe buffers 4096.
func tokenPipe(text string) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	const pipeCapacity = 4096
	if len(text) > pipeCapacity {
		err = fmt.Errorf("a token of %d bytes", len(text))
	} else {
		_, err = writer.WriteString(text)
	}
	if err != nil {
		reader.Close()
		return nil, err
	}
	return reader, nil
}
