package bucket

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// config is a stream's configuration as the server sent it. It stays raw, field by field, so that what this version of
// nats.go does not know yet survives being written back.
type config map[string]json.RawMessage

// merge sets the schema and what s owns, and reports whether any of it changed. A schema above ours means that a newer
// program takes care, and leaves cfg alone.
func merge(cfg config, s spec) (changed bool, err error) {
	meta := map[string]string{}
	if err := cfg.get("metadata", &meta); err != nil {
		return false, err
	}
	if meta == nil { // the field was null
		meta = map[string]string{}
	}
	stored, err := schemaOf(meta, s)
	if err != nil || stored > Schema {
		return false, err
	}
	changed, err = s.merge(cfg)
	if err == nil && stored < Schema {
		meta[schemaKey] = strconv.Itoa(Schema)
		cfg.set("metadata", meta)
		changed = true
	}
	return changed, err
}

// merge raises a history that is too short, and describes what nobody has described.
func (s kv) merge(cfg config) (changed bool, err error) {
	var history int64
	if err := cfg.get("max_msgs_per_subject", &history); err != nil {
		return false, err
	}
	var description string
	if err := cfg.get("description", &description); err != nil {
		return false, err
	}
	if history > 0 && history < int64(s.history) { // 0 and -1 keep everything
		cfg.set("max_msgs_per_subject", s.history)
		changed = true
	}
	if description == "" {
		cfg.set("description", s.description)
		changed = true
	}
	return changed, nil
}

// schemaOf is the stored schema, 0 when there is none.
func schemaOf(meta map[string]string, s spec) (int, error) {
	text, ok := meta[schemaKey]
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%w: metadata %s is %q, not a whole number; set it with `nats stream edit %s --metadata %s=%d`",
			ErrSchema, schemaKey, text, s.stream(), schemaKey, Schema)
	}
	return n, nil
}

// get reads one field into to; an absent one leaves to as it is.
func (c config) get(field string, to any) error {
	raw, ok := c[field]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("stream configuration, field %s = %s: %w", field, raw, err)
	}
	return nil
}

// set replaces one field. Strings, numbers and maps of strings always marshal.
func (c config) set(field string, value any) {
	raw, _ := json.Marshal(value)
	c[field] = raw
}
