package executor

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aem-exec/aem-exec/aem"
)

// attributes are CloudEvents 1.0's own, each with its form; everything else is an extension.
var attributes = map[string]*regexp.Regexp{
	"specversion":     regexp.MustCompile(`^1\.0$`),
	"id":              regexp.MustCompile(`^.+$`),
	"source":          regexp.MustCompile(`^/app/e$`),
	"type":            regexp.MustCompile(`^aem\.[a-z.]+$`),
	"time":            regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`),
	"subject":         regexp.MustCompile(`^[^\x00-\x1f\x7f-\x{9f}\x{fdd0}-\x{fdef}]+$`),
	"datacontenttype": regexp.MustCompile(`^application/json$`),
}

// extensionName is what the specification lets a name be, and wants it to be.
var extensionName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// decoded is one CloudEvents object, checked against the rules that hold for all of them.
func decoded(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil || decoder.More() || !utf8.Valid(text) || text[len(text)-1] != '\n' {
		t.Fatalf("%q is no line of JSON: %v", text, err)
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if object[name] == nil {
			t.Errorf("no %s in %s", name, text)
		}
	}
	for name, value := range object {
		form, ok := attributes[name]
		switch {
		case name == "data" || name == "data_base64":
		case ok:
			if s, ok := value.(string); !ok || !form.MatchString(s) {
				t.Errorf("%s is %v", name, value)
			}
		case !extensionName.MatchString(name):
			t.Errorf("%q is no name of an extension", name)
		default:
			switch value.(type) {
			case string, json.Number, bool:
			default:
				t.Errorf("extension %s is a %T", name, value)
			}
		}
	}
	_, data := object["data"]
	_, base64 := object["data_base64"]
	if data && base64 {
		t.Errorf("two forms of data in %s", text)
	}
	if _, typed := object["datacontenttype"]; typed != data {
		t.Errorf("datacontenttype: %t, data: %t", typed, data)
	}
	return object
}

func TestCloudEventData_R170(t *testing.T) {
	for _, c := range []struct {
		name string
		data string
		json bool
	}{
		{"none", "", false},
		{"object", `{"sku": "x", "price": 12345678901234567890}`, true},
		{"array", ` [1, 2] `, true},
		{"string", `"text"`, true},
		{"number", `1e400`, true},
		{"true", `true`, true},
		{"text", `hello`, false},
		{"two values", `1 2`, false},
		{"half an object", `{"sku":`, false},
		{"bytes", "\x00\xff", false},
		{"JSON but for its encoding", "{\"name\": \"J\xfcrgen\"}", false},
		{"markup", `"<script>&"`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := cloudEvent("app", "h", activation(c.data))
			if err != nil {
				t.Fatal(err)
			}
			object := decoded(t, text)
			_, isJSON := object["data"]
			encoded, isBytes := object["data_base64"].(string)
			if isJSON != c.json || isBytes != (!c.json && c.data != "") {
				t.Fatalf("as JSON: %t, as base64: %t: %s", isJSON, isBytes, text)
			}
			if isBytes {
				if got, err := base64.StdEncoding.DecodeString(encoded); string(got) != c.data || err != nil {
					t.Errorf("data is read back as %q, %v", got, err)
				}
			}
			if isJSON && !sameJSON(t, text, c.data) {
				t.Errorf("data has changed: %s", text)
			}
		})
	}
}

// sameJSON reports whether the data of an object is the value that want is, digit by digit.
func sameJSON(t *testing.T, object []byte, want string) bool {
	t.Helper()
	var holder struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(object, &holder); err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := json.Compact(&a, holder.Data); err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&b, []byte(want)); err != nil {
		t.Fatal(err)
	}
	var escaped bytes.Buffer
	json.HTMLEscape(&escaped, b.Bytes())
	return a.String() == b.String() || a.String() == escaped.String()
}

func TestCloudEventAttributes(t *testing.T) {
	a := activation("", aem.Fact{Name: "topic", Value: "a/t"})
	a.Attempt, a.Event.Count = 2, 7
	a.Event.Time = time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("CET", 3600))
	text, err := cloudEvent("app", "h", a)
	if err != nil {
		t.Fatal(err)
	}
	object := decoded(t, text)
	for name, want := range map[string]any{
		"specversion": "1.0", "id": "42", "source": "/app/e", "type": "aem.topic", "time": "2026-01-02T02:04:05.000000006Z",
		"subject": "a/t", "topic": "a/t", "handler": "h", "attempt": json.Number("2"), "count": json.Number("7"),
	} {
		if object[name] != want {
			t.Errorf("%s is %v, want %v", name, object[name], want)
		}
		delete(object, name)
	}
	if len(object) != 0 {
		t.Errorf("and what nobody asked for: %v", object)
	}
	accepted := activation("", aem.Fact{Name: "peer", Value: "127.0.0.1:1"}, aem.Fact{Name: "local", Value: "127.0.0.1:2"})
	text, _ = cloudEvent("app", "h", accepted)
	if object := decoded(t, text); object["subject"] != nil || object["peer"] != "127.0.0.1:1" || object["local"] != "127.0.0.1:2" {
		t.Errorf("of a connection: %s", text)
	}
	watched := activation("", aem.Fact{Name: "path", Value: "/a"})
	text, _ = cloudEvent("app", "h", watched)
	if object := decoded(t, text); object["subject"] != "/a" {
		t.Errorf("of a file: %s", text)
	}
}

// TestNameThatIsNoTextIsLost names a file as Linux lets files be named: a handler finds it all the same.
func TestNameThatIsNoTextIsLost(t *testing.T) {
	for _, path := range []string{"/a\nb", "/\xff", "/\ufdd0"} {
		text, err := cloudEvent("app", "h", activation("", aem.Fact{Name: "path", Value: path}))
		if err != nil {
			t.Fatal(err)
		}
		object := decoded(t, text)
		encoded, _ := object["pathbase64"].(string)
		if got, _ := base64.StdEncoding.DecodeString(encoded); string(got) != path || object["path"] != nil || object["subject"] != nil {
			t.Errorf("%q is %s", path, text)
		}
	}
}

func FuzzCloudEvent(f *testing.F) {
	for _, data := range []string{"", "null", "{}", "x", "\"\xff\"", "1 "} {
		f.Add([]byte(data), "a/t")
	}
	f.Fuzz(func(t *testing.T, data []byte, topic string) {
		if topic == "" {
			topic = "a/t"
		}
		a := activation(string(data), aem.Fact{Name: "topic", Value: "x" + topic})
		text, err := cloudEvent("app", "h", a)
		if err != nil {
			t.Fatal(err)
		}
		object := decoded(t, text)
		if encoded, ok := object["data_base64"].(string); ok {
			if got, err := base64.StdEncoding.DecodeString(encoded); !bytes.Equal(got, data) || err != nil {
				t.Errorf("%q is read back as %q, %v", data, got, err)
			}
		} else if len(data) > 0 && !sameJSON(t, text, string(data)) {
			t.Errorf("%q has changed: %s", data, text)
		}
	})
}
