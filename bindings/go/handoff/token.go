package handoff

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// EnvironWithFile is [Environ] with the token in a file instead, which it makes, for this user alone to read. It is for one attempt: a
// file that exists is replaced. Whoever calls this removes it.
func EnvironWithFile(base []string, activity Activity, path string) ([]string, error) {
	path, err := filepath.Abs(path) // the child may have a working directory of its own
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

// writeFile makes the file complete or not at all.
func writeFile(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // readable for its owner only
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

// Prepare readies a command to carry on the activity, with the token in a pipe that the child inherits, and nowhere else: it sets
// command.Env as [Environ] does, from what that is already, and adds to command.ExtraFiles. Not on Windows.
//
// release closes the parent's end: call it when the command was started, or won't be.
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
	const first = 3 // after standard input, output and error
	env, err := activity.environ(command.Environ(), "TASK_TOKEN_FD", strconv.Itoa(first+len(command.ExtraFiles)))
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

// tokenPipe gives the end to read from. A token is a few hundred bytes, and any pipe takes 4096 without a reader.
func tokenPipe(text string) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	const roomInAnyPipe = 4096
	if len(text) > roomInAnyPipe {
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
