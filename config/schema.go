package config

import (
	"encoding/json"
	"slices"

	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/supervisor"
)

// Schema is the JSON schema of the file, for editors: `#:schema aem.schema.json` as its first line.
func Schema() []byte {
	root := tableSchema(fileKeys(new(supervisor.Options), new(map[string]any)))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "aem.toml"
	root["$defs"] = object{
		"app":     tableSchema(appKeys(new(app))),
		"handler": handlerSchema(),
		"event":   eventSchema(),
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("aem: internal error: " + err.Error()) // the table holds nothing that JSON cannot
	}
	return append(out, '\n')
}

// tableSchema is a table with these keys and no others.
func tableSchema(rows []key) object {
	properties := object{}
	for _, k := range rows {
		s := object{}
		for name, v := range k.kind.schema {
			s[name] = v
		}
		if k.kind.rows != nil {
			s = tableSchema(k.kind.rows)
		}
		if k.doc != "" {
			s["description"] = k.doc
		}
		if k.def != nil {
			s["default"] = k.def
		}
		properties[k.name] = s
	}
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

// without refuses keys.
func without(rows []key) object {
	refused := object{}
	for _, k := range rows {
		refused[k.name] = false
	}
	return object{"properties": refused}
}

// is holds where key has one of the values.
func is[T any](key string, values ...T) object {
	return object{"properties": object{key: object{"enum": values}}, "required": []string{key}}
}

func handlerSchema() object {
	spec := new(executor.Spec)
	s := tableSchema(handlerKeys(spec))
	function := without(processKeys(spec))
	function["required"] = []string{"call"}
	process := without(functionKeys(spec))
	process["required"] = []string{"exec", "handover"}
	s["if"], s["then"], s["else"] = is("agent", executor.Callback, executor.Thread), function, process
	s["allOf"] = []any{object{
		"if":   is("life", executor.Capsule, executor.Resident, executor.Zygote),
		"then": object{"properties": object{"handover": object{"const": executor.Direct}}},
		"else": object{"properties": object{"size": false}},
	}}
	return s
}

func eventSchema() object {
	e := new(event)
	types := eventTypes(e)
	rows := eventKeys(e)
	var names []string
	for _, t := range types {
		if t.spec != nil {
			names = append(names, t.name)
			rows = append(rows, t.keys...)
		}
	}
	s := tableSchema(rows)
	s["properties"].(object)["type"] = object{"enum": names, "description": "What is detected."}
	s["required"] = []string{"type"}
	s["oneOf"] = []any{needs("handler"), needs("handlers")}
	var rules []any
	for _, t := range types {
		if t.spec == nil {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(rows[len(eventKeys(e)):]), func(k key) bool {
			return slices.ContainsFunc(t.keys, func(own key) bool { return own.name == k.name })
		})
		then := without(others)
		for word, rule := range t.rules {
			then[word] = rule
		}
		rules = append(rules, object{"if": is("type", t.name), "then": then})
	}
	s["allOf"] = rules
	return s
}
