package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// output is the -o flag: text for people, json and yaml for programs.
type output struct{ enum }

func (o *output) add(cmd *cobra.Command, forPeople string) {
	o.enum = newEnum(forPeople, "json", "yaml")
	cmd.Flags().VarP(&o.enum, "output", "o", "how the result is printed")
	_ = cmd.RegisterFlagCompletionFunc("output", o.complete) // fails only for a flag that is not there
}

func (o *output) forPeople() bool { return o.value == o.allowed[0] }

// print writes v for programs. Both forms come from v's JSON, so that they have the same fields in the same order.
func (o *output) print(w io.Writer, v any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if o.value == "yaml" {
		return printYAML(w, text.Bytes())
	}
	_, err := w.Write(text.Bytes())
	return err
}

// printLine writes a message, as JSON on one line.
func (o *output) printLine(w io.Writer, msg []string) error {
	if o.value == "yaml" {
		return yaml.NewEncoder(w).Encode(msg)
	}
	if !utf8.ValidString(strings.Join(msg, "")) {
		return errors.New("the answer holds bytes that are no UTF-8, which JSON cannot carry; use -o yaml")
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(msg)
}

// printYAML turns JSON, which is YAML already, into the form that people write.
func printYAML(w io.Writer, text []byte) error {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	blockStyle(&node)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return encoder.Close()
}

func blockStyle(node *yaml.Node) {
	node.Style = 0
	if len(node.Content) == 0 && (node.Kind == yaml.SequenceNode || node.Kind == yaml.MappingNode) {
		node.Style = yaml.FlowStyle
	}
	for _, child := range node.Content {
		blockStyle(child)
	}
}
