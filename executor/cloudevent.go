package executor

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/aem-exec/aem-exec/aem"
)

// cloudEvent is the event as one CloudEvents 1.0 JSON object: what a handler with handover = "stdin" reads. Facts of
// the type become extensions; data is put in as it is when it is JSON, else as base64.
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
		object[f.Name] = f.Text()
		if f.Name == "path" || f.Name == "topic" {
			object["subject"] = f.Value
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
