package aem

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestJobIDSurvivesItsText_R012(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slot := rapid.Uint32().Draw(t, "slot")
		generation := rapid.Uint32Min(1).Draw(t, "generation")
		id := NewJobID(slot, generation)
		if id.Slot() != slot || id.Generation() != generation {
			t.Fatalf("%v has slot %d and generation %d, want %d and %d", id, id.Slot(), id.Generation(), slot, generation)
		}
		if got, err := ParseJobID(id.String()); got != id || err != nil {
			t.Fatalf("%v is read back as %v, %v", id, got, err)
		}
	})
}

func TestEventIDSurvivesItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := EventID(rapid.Uint64Min(1).Draw(t, "id"))
		if got, err := ParseEventID(id.String()); got != id || err != nil {
			t.Fatalf("%v is read back as %v, %v", id, got, err)
		}
	})
}

func TestParseJobIDRefuses(t *testing.T) {
	for _, s := range []string{
		"", ":", "12", "12:", ":7", "0:0", "12:0", "-1:7", "12:-7", "12:7:1", " 12:7", "12:7\n", "+12:7", "0x1:7", "4294967296:1", "1:4294967296",
	} {
		if id, err := ParseJobID(s); err == nil {
			t.Errorf("%q is read as %v", s, id)
		}
	}
}

func TestParseEventIDRefuses(t *testing.T) {
	for _, s := range []string{"", "0", "-1", "+1", " 1", "1 ", "0x1", "1_0", "18446744073709551616", "12:7"} {
		if id, err := ParseEventID(s); err == nil {
			t.Errorf("%q is read as %v", s, id)
		}
	}
}

// TestIDsAreStringsInJSON: most readers of JSON lose digits above 2^53.
func TestIDsAreStringsInJSON(t *testing.T) {
	type ids struct {
		Job   JobID
		Event EventID
	}
	want := ids{NewJobID(12, 7), 1<<63 + 1}
	text, err := json.Marshal(want)
	if err != nil || string(text) != `{"Job":"12:7","Event":"9223372036854775809"}` {
		t.Fatalf("%s %v", text, err)
	}
	var got ids
	if err := json.Unmarshal(text, &got); got != want || err != nil {
		t.Errorf("%s is read back as %+v, %v", text, got, err)
	}
	if err := json.Unmarshal([]byte(`{"Job":"12"}`), &got); err == nil {
		t.Error("half an id was read")
	}
}
