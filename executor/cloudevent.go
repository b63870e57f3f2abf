package executor

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aem-exec/aem-exec/aem"
)

// cloudEvent is the event as one CloudEvents 1.0 JSON object: what a handler with handover = "stdin" reads. Facts of
// the type become extensions, NAMEbase64 where they are no text, as the name of a file need not be; data is put in as it is when
// it is JSON, else as base64.
func cloudEvent(app, handler string, a *aem.Activation) ([]byte, error) {
	e := a.Event
	object := map[string]any{
		"specversion": "1.0",
		"id":          e.ID.String(),
		"source":      "/" + app + "/" + a.Name,
		"type":        "aem." + e.Type,
		"time":        e.Time.UTC().Format(time.RFC3339Nano),
		"handler":     handler,
		"attempt":     a.Attempt,
		"count":       e.Count,
	}
	if !e.Last.IsZero() {
		object["last"] = e.Last.UTC().Format(time.RFC3339Nano)
	}
	for _, f := range e.Facts {
		text := f.Text()
		if !isString(text) {
			object[f.Name+"base64"] = []byte(text)
			continue
		}
		object[f.Name] = text
		if f.Name == "path" || f.Name == "topic" {
			object["subject"] = text
		}
	}
	switch {
	case len(e.Data) == 0:
	case utf8.Valid(e.Data) && json.Valid(e.Data): // json.Valid lets any byte stand in a string
		object["datacontenttype"] = "application/json"
		object["data"] = json.RawMessage(e.Data)
	default:
		object["data_base64"] = e.Data
	}
	text, err := json.Marshal(object)
	return append(text, '\n'), err
}

// isString reports whether s is what CloudEvents lets a string be (section 3.1, type system): UTF-8 without control characters
// and noncharacters.
func isString(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r&0xFFFE == 0xFFFE || r >= 0xFDD0 && r <= 0xFDEF
	})
}
