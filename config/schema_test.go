package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/aem-exec/aem-exec/config"
)

func TestSchema(t *testing.T) {
	validate := editor(t)
	for _, c := range mistakes {
		if err := validate(c.text); (err == nil) != c.unseen {
			t.Errorf("unseen %v, but the schema says %v of:\n%s", c.unseen, err, c.text)
		}
	}
	every, err := os.ReadFile("testdata/every-key.toml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(every), "\n")
	for _, text := range []string{"", hello, without(lines, -1)} {
		if err := validate(text); err != nil {
			t.Errorf("the schema refuses %v:\n%s", err, text)
		}
	}
	for i, line := range lines {
		if strings.Contains(line, "#! ") && validate(without(lines, i)) == nil {
			t.Errorf("the schema takes the reserved %s", line)
		}
	}
}

// without is the lines but those of reserved keys, except the line kept.
func without(lines []string, kept int) string {
	var b strings.Builder
	for i, line := range lines {
		if i == kept || !strings.Contains(line, "#! ") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// editor is the schema as editors use it.
func editor(t *testing.T) func(text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("aem.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("aem.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		var v map[string]any
		if _, err := toml.Decode(text, &v); err != nil {
			return err
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return err
		}
		return schema.Validate(instance)
	}
}
