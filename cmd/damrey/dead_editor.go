package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/damrey/damrey"
	"github.com/damrey/damrey/internal/api"
)

// editedLetter is what the editor gets.
type editedLetter struct {
	Type string   `json:"type"`
	Args []string `json:"args"`
}

// askEditor opens a letter in the user's editor. Its change is nil when nothing was changed.
func (a *app) askEditor(ctx context.Context, client *api.Client, sequence uint64) (*api.DeadEdit, error) {
	letter, err := client.DeadLetter(ctx, sequence)
	if err != nil {
		return nil, err
	}
	if letter.Message == nil {
		return nil, fmt.Errorf("letter %d is no text, which an editor could not keep; use --message, or --type and --arg", sequence)
	}
	before, err := encodeLetter(letter.Message)
	if err != nil {
		return nil, err
	}
	file, err := a.edit(ctx, fmt.Sprintf("damrey-dead-%d-*.json", sequence), before)
	if err != nil {
		return nil, err
	}
	after, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(bytes.TrimSpace(before), bytes.TrimSpace(after)) {
		fmt.Fprintln(a.stderr, "Nothing was changed.")
		return nil, os.Remove(file)
	}
	change, err := parseEdit(file, after)
	if err != nil {
		return nil, fmt.Errorf("%w; what you wrote is still there: correct it, and type `damrey dead edit %d -f %s`", err, sequence, file)
	}
	return change, os.Remove(file)
}

func encodeLetter(message damrey.Msg) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(editedLetter{Type: message.Type(), Args: append([]string{}, message.Args()...)})
	return text.Bytes(), err
}

// edit runs the user's editor on a file of its own with this content.
func (a *app) edit(ctx context.Context, pattern string, content []byte) (path string, err error) {
	file, err := os.CreateTemp("", pattern)
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	visual, _ := a.lookup("VISUAL")
	editor, _ := a.lookup("EDITOR")
	words := strings.Fields(cmp.Or(visual, editor, "vi"))
	if len(words) == 0 {
		words = []string{"vi"}
	}
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], file.Name())...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, os.Stdout, a.stderr // an editor wants the terminal itself, not the outlet
	if err := cmd.Run(); err != nil {
		return "", errors.Join(fmt.Errorf("editor %q: %w; choose another with EDITOR, or use --message; nothing was changed",
			strings.Join(words, " "), err), os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// parseEdit reads what an editor or a script wrote.
func parseEdit(file string, data []byte) (*api.DeadEdit, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var change api.DeadEdit
	if err := decoder.Decode(&change); err != nil {
		return nil, fmt.Errorf(`%s: %w; it holds {"type": TYPE, "args": [ARG, ...]}`, file, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s: something follows after the letter", file)
	}
	if change.Type != "" {
		if err := damrey.CheckName(change.Type); err != nil {
			return nil, fmt.Errorf("%s: type %w", file, err)
		}
	}
	return &change, nil
}
